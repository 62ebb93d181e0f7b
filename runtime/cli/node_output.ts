/**
 * The output of the nodes of one machine, on one terminal or into one file: whole lines, each with
 * the number of its node, and on a terminal a last line that a node overwrites to show its
 * progress.
 */

import { LAUNCH_LINE_MAX_BYTES } from "../limits.ts";
import type { Paint } from "./paint.ts";

/** Where lines go: `Deno.stdout` and `Deno.stderr` are such. */
export interface Outlet {
  /** Writes some of the bytes; returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Whether it is a terminal. */
  isTerminal(): boolean;
}

const NEWLINE = 10;
const RETURN = 13;
/** Clears a terminal's line from the cursor on. */
const ERASE_REST = new TextEncoder().encode("\x1b[K");
const ERASE = Uint8Array.of(RETURN, ...ERASE_REST);
/** The colours of nodes, in turn. */
const COLOURS = ["cyan", "magenta", "yellow", "green", "blue"] as const;

/** How the numbers of nodes look in each outlet. */
export interface Paints {
  readonly stdout: Paint;
  readonly stderr: Paint;
}

/** The output of nodes. */
export class NodeOutput {
  readonly #outlets: { readonly stdout: Outlet; readonly stderr: Outlet };
  readonly #nodes: number;
  readonly #paint: Paints;
  readonly #broken: () => void;
  /** Resolves when all output so far is written. */
  #written: Promise<void> = Promise.resolve();
  /** Whether a line of progress is shown, below all others. */
  #showsProgress = false;

  /**
   * @param outlets Where lines go.
   * @param options How many nodes there are, how their numbers look, and what to call when the
   * reader of the output has closed it.
   */
  constructor(
    outlets: { readonly stdout: Outlet; readonly stderr: Outlet },
    { nodes, paint, broken }: { nodes: number; paint: Paints; broken: () => void },
  ) {
    this.#outlets = outlets;
    this.#nodes = nodes;
    this.#paint = paint;
    this.#broken = broken;
  }

  /**
   * Passes on the output of a node, until the stream ends.
   *
   * @param node The number of the node.
   * @param stream The output.
   * @param to Whether it is the node's stdout or stderr.
   * @param letGo Ends the pass before the stream ends.
   */
  async pass(
    node: number,
    stream: ReadableStream<Uint8Array>,
    to: "stdout" | "stderr",
    letGo?: AbortSignal,
  ): Promise<void> {
    const reader = stream.getReader();
    // A stream that is cancelled ends.
    letGo?.addEventListener("abort", () => reader.cancel());
    let rest = new Uint8Array();
    for (;;) {
      const { value: bytes } = await reader.read();
      if (bytes === undefined) break;
      const all = concatenate([rest, bytes]);
      // Waiting for each write holds up a node that prints faster than can be shown.
      const end = all.lastIndexOf(NEWLINE) + 1;
      if (end > 0) await this.#lines(node, all.subarray(0, end), to);
      rest = all.subarray(end);
      if (rest.length > LAUNCH_LINE_MAX_BYTES) {
        await this.#lines(node, concatenate([rest, [NEWLINE]]), to);
        rest = new Uint8Array();
      } else if (rest.includes(RETURN)) {
        await this.#progress(node, rest);
        rest = rest.subarray(lastReturn(rest));
      }
    }
    if (rest.length > 0) await this.#lines(node, concatenate([rest, [NEWLINE]]), to);
  }

  /** Writes a line of the launcher's own to stderr. */
  say(text: string): Promise<void> {
    return this.#write(new TextEncoder().encode(`tdsm: ${text}\n`), "stderr");
  }

  /** Writes whole lines of a node. */
  #lines(node: number, lines: Uint8Array, to: "stdout" | "stderr"): Promise<void> {
    const prefix = this.#prefix(node, to);
    const parts: (Uint8Array | readonly number[])[] = [];
    for (let start = 0; start < lines.length;) {
      const end = lines.indexOf(NEWLINE, start) + 1;
      const line = shown(lines.subarray(start, end - 1));
      // A line that only erased the progress has no text.
      if (line !== undefined) {
        const isWhole = to === "stderr" && isLogObject(line);
        parts.push(isWhole ? [] : prefix, line, [NEWLINE]);
      }
      start = end;
    }
    return this.#write(concatenate(parts), to);
  }

  /** Shows the text that a node has last written over its line, where there is a terminal. */
  async #progress(node: number, line: Uint8Array): Promise<void> {
    const { stderr } = this.#outlets;
    if (!stderr.isTerminal()) return;
    const text = shown(line);
    if (text === undefined && !this.#showsProgress) return;
    await this.#queue(async () => {
      this.#showsProgress = text !== undefined;
      const parts = text === undefined ? [] : [this.#prefix(node, "stderr"), text];
      await writeAll(stderr, concatenate([ERASE, ...parts]));
    });
  }

  #write(bytes: Uint8Array, to: "stdout" | "stderr"): Promise<void> {
    return this.#queue(async () => {
      if (this.#showsProgress) {
        await writeAll(this.#outlets.stderr, ERASE);
        this.#showsProgress = false;
      }
      await writeAll(this.#outlets[to], bytes);
    });
  }

  /** One after the other, so that no two writes mix. */
  #queue(write: () => Promise<void>): Promise<void> {
    this.#written = this.#written.then(write).catch(() => {
      // Nodes that print until they have ended must not be held up by the closed output.
      this.#broken();
    });
    return this.#written;
  }

  #prefix(node: number, to: "stdout" | "stderr"): Uint8Array {
    const text = `[${String(node).padStart(String(this.#nodes).length)}]`;
    const colour = COLOURS[(node - 1) % COLOURS.length]!;
    return new TextEncoder().encode(`${this.#paint[to](text, colour)} `);
  }
}

/** Where the last text of a line begins that was written over: at the return before it, or at 0. */
function lastReturn(line: Uint8Array): number {
  let end = line.length;
  while (end > 0 && line[end - 1] === RETURN) end--;
  return end === 0 ? 0 : Math.max(0, line.lastIndexOf(RETURN, end - 1));
}

/**
 * What a terminal shows of a line in the end: what was written after the last return to its start.
 *
 * @param line The line, without its newline.
 * @returns Its text; `undefined` where it was only erased.
 */
function shown(line: Uint8Array): Uint8Array | undefined {
  if (!line.includes(RETURN)) return line;
  const last = line.subarray(lastReturn(line)).filter((byte) => byte !== RETURN);
  const erased = ERASE_REST.every((byte, i) => last[i] === byte);
  const text = erased ? last.subarray(ERASE_REST.length) : last;
  return text.length === 0 ? undefined : text;
}

/** How a line of the log as JSON begins. */
const LOG_OBJECT = /^\{"time":"[-\d:.TZ]+","level":"[a-z]+","topic":"/;
const LOG_OBJECT_BEGIN_BYTES = 96;
const BRACE = "{".charCodeAt(0);

/** Whether a line is an object of the log, which names its node and is for programs to read. */
function isLogObject(line: Uint8Array): boolean {
  if (line[0] !== BRACE) return false;
  return LOG_OBJECT.test(new TextDecoder().decode(line.subarray(0, LOG_OBJECT_BEGIN_BYTES)));
}

function concatenate(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function writeAll(outlet: Outlet, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await outlet.write(bytes.subarray(done));
}

/**
 * `--merge-traces`: puts the traces of several nodes into one file, on one time line: Perfetto
 * opens one file at a time, and each node has written by a clock of its own.
 */

import { reasonOf, TdsmError } from "../errors.ts";
import { MERGE_MESSAGES_MAX } from "../limits.ts";
import { type ClockOffset, Exchanges } from "../observe/clock_alignment.ts";
import { TRACE_BEGIN, TRACE_END } from "../observe/trace_events.ts";
import { refused } from "../settings/flags.ts";

/** What a trace says of its node, and what it needs to be put on one time line with others. */
interface Trace {
  readonly path: string;
  readonly node: number;
}

/** An end of an arrow that has not met its other end. */
interface LooseEnd {
  readonly node: number;
  readonly us: number;
}

/** A line of a trace, as far as it is looked at: its phase, its node, its time. */
const EVENT = /^\{"ph":"(\w)","pid":(\d+)(?:,"tid":\d+,"ts":(-?[\d.e+]+))?/;
const TIME = /"ts":-?[\d.e+]+/;
const MESSAGE = /"name":"(\w+)","id":(\d+)\}$/;

const OPERATION = "merge traces";
const USAGE = "Usage: --merge-traces OUT FILE FILE …, as in --merge-traces all.json trace.*.json";

/**
 * Merges traces.
 *
 * @param args The file to write, and the files to read.
 * @returns What the clocks were found to differ by: lines, each with its end.
 * @throws {TdsmError} Why a file cannot be read or written.
 */
export async function mergeTraces(args: readonly string[]): Promise<string> {
  const [out, ...paths] = args;
  if (out === undefined || paths.length === 0) throw refused(`Cannot merge nothing. ${USAGE}`);
  const exchanges = new MessageMatcher();
  const traces: Trace[] = [];
  for (const path of paths) {
    const node = await readMessages(path, exchanges);
    const same = traces.find((other) => other.node === node);
    if (same !== undefined) {
      throw refused(`Cannot merge ${same.path} and ${path}: both are of node ${node}`);
    }
    traces.push({ path, node });
  }
  traces.sort((one, other) => one.node - other.node);
  const offsets = exchanges.exchanges.offsets(traces.map(({ node }) => node));
  await writeMerged(out, traces, offsets);
  return traces.map(({ node }) => described(node, offsets.get(node)!)).join("") +
    `Open ${out} at https://ui.perfetto.dev\n`;
}

/** Finds the two ends of each message. */
class MessageMatcher {
  readonly exchanges = new Exchanges();
  readonly #sent = new Map<string, LooseEnd>();
  readonly #arrived = new Map<string, LooseEnd>();

  /** An end of an arrow. */
  add(isSending: boolean, message: string, end: LooseEnd): void {
    const [own, other] = isSending ? [this.#sent, this.#arrived] : [this.#arrived, this.#sent];
    const met = other.get(message);
    if (met === undefined) {
      // The others are left to tell the offset: the fastest message counts, not all of them.
      if (own.size < MERGE_MESSAGES_MAX) own.set(message, end);
      return;
    }
    other.delete(message);
    if (met.node === end.node) return;
    const [from, to] = isSending ? [end, met] : [met, end];
    this.exchanges.add(from.node, to.node, from.us, to.us);
  }
}

/** Reads which messages a trace tells of; returns its node. */
async function readMessages(path: string, matcher: MessageMatcher): Promise<number> {
  let node: number | undefined;
  for await (const line of linesOf(path)) {
    const [, phase, pid, time] = EVENT.exec(line) ?? [];
    if (phase === undefined) throw noTrace(path);
    node ??= Number(pid);
    if (Number(pid) !== node) throw refused(`Cannot merge ${path}: it is merged already`);
    if (phase !== "s" && phase !== "f") continue;
    const [, name, id] = MESSAGE.exec(line) ?? [];
    matcher.add(phase === "s", `${name} ${id}`, { node, us: Number(time) });
  }
  if (node === undefined) throw noTrace(path);
  return node;
}

function noTrace(path: string): TdsmError {
  return refused(`Cannot merge ${path}: it is no trace of a node, as --trace writes them`);
}

async function writeMerged(
  out: string,
  traces: readonly Trace[],
  offsets: ReadonlyMap<number, ClockOffset>,
): Promise<void> {
  using file = create(out);
  let [text, isFirst] = [TRACE_BEGIN, true];
  for (const { path, node } of traces) {
    const { us } = offsets.get(node)!;
    for await (const line of linesOf(path)) {
      const moved = line.replace(
        TIME,
        (time) => `"ts":${Math.round((Number(time.slice('"ts":'.length)) - us) * 10) / 10}`,
      );
      text += isFirst ? moved : `,\n${moved}`;
      isFirst = false;
      if (text.length < WRITE_LENGTH) continue;
      await write(out, file, text);
      text = "";
    }
  }
  await write(out, file, text + TRACE_END);
}

async function write(path: string, file: Deno.FsFile, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
  } catch (cause) {
    const message = `Cannot write ${path}: ${reasonOf(cause)}. What is there is not whole: ` +
      "remove it, and name a file where there is room";
    throw new TdsmError("SystemCallFailed", message, { operation: OPERATION, cause });
  }
}

/** How much is written at a time. */
const WRITE_LENGTH = 2 ** 18;

function create(path: string): Deno.FsFile {
  try {
    // A file that is there may be a trace, where the first name was forgotten.
    return Deno.openSync(path, { write: true, createNew: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw permission(path, "write", cause);
    const why = cause instanceof Deno.errors.AlreadyExists
      ? "there is such a file already"
      : reasonOf(cause);
    throw refused(`Cannot write ${path}: ${why}. ${USAGE}`, cause);
  }
}

/** The events of a trace, a line each. The last of one that was cut off may be half. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw permission(path, "read", cause);
    throw refused(`Cannot read ${path}: ${reasonOf(cause)}`, cause);
  }
  let rest = "";
  for await (const text of file.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const event = line.endsWith(",") ? line.slice(0, -1) : line;
      if (event !== "[" && event !== "]" && event !== "") yield event;
    }
  }
  if (rest.endsWith("}")) yield rest;
}

function permission(path: string, what: "read" | "write", cause: unknown): TdsmError {
  const message = `Cannot ${what} ${path}: run Deno with --allow-${what}=${path}`;
  return new TdsmError("PermissionMissing", message, { operation: OPERATION, cause });
}

function described(node: number, { us, uncertainUs }: ClockOffset): string {
  if (uncertainUs === undefined) {
    return `Node ${node}: no messages both ways tell how its clock differs\n`;
  }
  const ahead = us < 0 ? "behind" : "ahead";
  return uncertainUs === 0
    ? `Node ${node}: by its clock\n`
    : `Node ${node}: its clock was ${Math.abs(us).toFixed(1)} us ${ahead}, ` +
      `within ${uncertainUs.toFixed(1)} us\n`;
}

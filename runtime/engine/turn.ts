/**
 * A node's turn to join, where a launcher has started all nodes of a program at once. Ids are given
 * in order of joining, and the launcher puts the id of a node before each of its lines: so each
 * node waits, ready to join, until the node before it has joined.
 */

import { type Address, formatAddress, parseAddress } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import type { Place } from "../rendezvous/rendezvous.ts";
import { refused } from "../settings/flags.ts";
import type { Environment } from "../settings/settings.ts";
import type { Settings } from "../settings/types.ts";

/** Tells a node of its launcher. Only a launcher sets this variable. */
export const TURN_VARIABLE = "TDSM_LAUNCHER";
/** What a node says to its launcher, a byte each. */
export const TurnWord = {
  /** The node has joined. */
  Joined: 1,
  /** Another node has failed or is gone: if this one ends with an error, that may be why. */
  OtherGone: 2,
} as const;

/** Stands for the launcher of a node on another machine, which hears what the node prints. */
const STDOUT = "stdout";
/** Begins a word to that launcher, among what the program prints: no program has use for it. */
export const WORD_MARK = "\x1e";

/** What a launcher tells a node. */
export interface TurnTicket {
  /** Where the launcher listens; `stdout` for one that reads what the node prints. */
  readonly launcher: Address | typeof STDOUT;
  /** The port of the directory: a node that joins another one does not wait. */
  readonly directoryPort: number;
  /** The id that the node will have. */
  readonly node: number;
  /** What nobody knows but the launcher and its nodes. */
  readonly secret: string;
}

/**
 * Writes what a launcher tells a node into one word: the value of {@linkcode TURN_VARIABLE}, and
 * the first line that the node says to the launcher.
 *
 * @param ticket What the launcher tells.
 * @returns The word.
 */
export function formatTicket({ launcher, directoryPort, node, secret }: TurnTicket): string {
  const at = launcher === STDOUT ? STDOUT : formatAddress(launcher);
  return [at, directoryPort, node, secret].join("/");
}

/**
 * The place of a node among those that were started together.
 *
 * @param ticket What the launcher tells the node, if one has started it.
 * @param settings The node's settings.
 * @returns The node's place, if it joins the launcher's directory.
 */
export function placeOf(ticket: string | undefined, settings: Settings): Place | undefined {
  const [, directoryPort, node] = ticket?.split("/") ?? [];
  const isLaunched = node !== undefined && Number(directoryPort) === portOfDirectory(settings);
  return isLaunched ? { rank: Number(node) - 1, nodeCount: settings.nodes } : undefined;
}

/** The port of the directory. A node that hosts one joins none, also where it is told of one. */
function portOfDirectory(settings: Settings): number {
  return (settings.directory ? settings : settings.directoryAddress ?? settings).port;
}

/**
 * A node's turn to join. Where no launcher has started the node, its turn is at once. So it is
 * where the launcher is on another machine, which starts the node only when its turn has come.
 */
export class Turn implements Disposable {
  #connection: Deno.TcpConn | undefined;
  /** What the launcher on another machine knows its node's words by. */
  #secret: string | undefined;
  readonly #told = new Set<number>();
  /** Whether the launcher listens to more than the ticket. */
  #hasCome = false;

  /**
   * Waits until it is the node's turn: for as long as its launcher lives.
   *
   * @param settings The node's settings. A node that does not join the launcher's directory does
   *   not wait.
   * @param environment Reads an environment variable.
   * @throws {TdsmError} `NoDirectory` when the launcher has ended.
   */
  async come(settings: Settings, environment: Environment): Promise<void> {
    const ticket = environment(TURN_VARIABLE);
    if (ticket === undefined || ticket === "") return;
    const [at, directoryPort, , secret] = ticket.split("/");
    if (at === STDOUT) {
      this.#secret = secret;
      return;
    }
    const launcher = launcherOf(at!);
    if (portOfDirectory(settings) !== Number(directoryPort)) return;
    try {
      const connection = this.#connection = await noted(Deno.connect(launcher));
      await noted(connection.write(new TextEncoder().encode(`${ticket}\n`)));
      if (await noted(connection.read(new Uint8Array(1))) === 1) {
        this.#hasCome = true;
        return this.#say([...this.#told]);
      }
    } catch (cause) {
      this[Symbol.dispose]();
      throw ended(launcher, cause);
    }
    this[Symbol.dispose]();
    throw ended(launcher);
  }

  /**
   * Tells the launcher something, once. The word is on its way when this returns: the process may
   * end by what the program is told next.
   *
   * @param word One of {@linkcode TurnWord}.
   * @param port The port on which the node listens.
   */
  tell(word: typeof TurnWord[keyof typeof TurnWord], port: number): void {
    if (this.#told.has(word)) return;
    this.#told.add(word);
    if (this.#secret !== undefined) print(`${WORD_MARK}${this.#secret} ${word} ${port}\n`);
    if (this.#hasCome) this.#say([word]);
  }

  #say(words: readonly number[]): void {
    // A launcher that has ended needs to know nothing.
    if (this.#connection === undefined) return;
    noted(this.#connection.write(Uint8Array.from(words))).catch(() => {});
  }

  /** Ends the connection to the launcher. */
  [Symbol.dispose](): void {
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** Prints a short text at once; nothing happens where nobody reads it any more. */
function print(text: string): void {
  try {
    Deno.stdout.writeSync(new TextEncoder().encode(text));
  } catch {
    // A launcher that has ended needs to know nothing.
  }
}

function launcherOf(at: string): Address {
  try {
    return parseAddress(at, 0);
  } catch (cause) {
    const what = `Cannot use environment variable ${TURN_VARIABLE}`;
    throw refused(`${what}: only the launcher sets it. Unset it`, cause);
  }
}

function ended(launcher: Address, cause?: unknown): TdsmError {
  const message = `Cannot join: the launcher at ${formatAddress(launcher)} that has started this ` +
    "node has ended. Start the program again";
  return new TdsmError("NoDirectory", message, { operation: "join", cause });
}

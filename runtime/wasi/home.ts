/** The home node of a program: it places threads, and executes the calls of all of them. */

import { TdsmError } from "../errors.ts";
import { WASM_PLACE_WAIT_MS, WASM_THREAD_ID_MAX } from "../limits.ts";
import { Errno } from "./errno.ts";
import { type HomeCall, type HomeNode, MAIN_THREAD, type ProgramEnd } from "./messages.ts";
import { Placement } from "./placement.ts";
import type { WasiSystem } from "./system.ts";

/** What a home node is made of. */
export interface ProgramHomeParts {
  readonly system: WasiSystem;
  /** The ids of the nodes, the home node's first. */
  readonly nodes: readonly number[];
  /** How many threads a node may have at one time. */
  readonly threadsPerNode: number;
  /** Has a node execute a thread; rejects where the node is lost. */
  readonly execute: (node: number, thread: number, argument: number) => Promise<void>;
}

/** A thread that cannot be started before there is room for it. */
interface Waiting {
  /** The node that it is to be on, if one was asked for. */
  readonly wanted: number | undefined;
  /** Called with the node on which it has room now. */
  readonly placed: (node: number) => void;
}

/** Serves the threads of a program, until one of them ends it. */
export class ProgramHome implements HomeNode {
  readonly #system: WasiSystem;
  readonly #placement: Placement;
  readonly #execute: ProgramHomeParts["execute"];
  /** The node of each thread. */
  readonly #threads: Map<number, number>;
  readonly #done = Promise.withResolvers<ProgramEnd>();
  /** The threads to come that wait for room, the first one first. */
  readonly #waiting = new Set<Waiting>();
  #lastThread = MAIN_THREAD;
  #isOver = false;

  /** @param parts What it is made of. */
  constructor({ system, nodes, threadsPerNode, execute }: ProgramHomeParts) {
    this.#system = system;
    this.#placement = new Placement(nodes, threadsPerNode);
    this.#execute = execute;
    this.#threads = new Map([[MAIN_THREAD, nodes[0]!]]);
  }

  /** Resolves when the program has ended; rejects when it cannot go on. */
  get done(): Promise<ProgramEnd> {
    return this.#done.promise;
  }

  /** The threads on a node, in order of their ids. */
  threadsOf(node: number): number[] {
    return [...this.#threads].filter(([, place]) => place === node).map(([thread]) => thread);
  }

  /** {@inheritDoc HomeNode.call} */
  call({ name, args }: HomeCall): Promise<number> {
    // Threads that are left do nothing more, whatever they read once the memory is gone.
    if (this.#isOver) return new Promise(() => {});
    if (name !== "spawn") return this.#system.call(name, args);
    const [argument, wanted] = args as readonly number[];
    return this.#spawn(argument!, wanted === 0 ? undefined : wanted);
  }

  /** {@inheritDoc HomeNode.ended} */
  ended(thread: number): void {
    const node = this.#threads.get(thread);
    if (node === undefined) return;
    this.#threads.delete(thread);
    this.#placement.free(node);
    for (const waiting of this.#waiting) {
      if (waiting.wanted !== undefined && waiting.wanted !== node) continue;
      // At once, so that no thread that is started meanwhile takes the room.
      waiting.placed(this.#placement.place(node)!);
      return;
    }
  }

  /** {@inheritDoc HomeNode.end} */
  end(end: ProgramEnd): void {
    if (end.kind === "failed") return this.fail(new TdsmError(end.code, end.text));
    this.#isOver = true;
    this.#done.resolve(end);
  }

  /** The program cannot go on. */
  fail(reason: unknown): void {
    this.#isOver = true;
    this.#done.reject(reason);
  }

  /** Starts a thread; returns its id, or a negative error number. */
  async #spawn(argument: number, wanted: number | undefined): Promise<number> {
    if (this.#lastThread === WASM_THREAD_ID_MAX) return -Errno.Again;
    const node = this.#placement.place(wanted) ?? await this.#untilRoom(wanted);
    if (node === undefined) return -Errno.Again;
    const thread = ++this.#lastThread;
    this.#threads.set(thread, node);
    // The thread that starts another one goes on at once, as where both are of one process.
    this.#execute(node, thread, argument).catch((error) => this.fail(error));
    return thread;
  }

  /** Waits for a thread to end whose room will do; `undefined` where none does for long. */
  #untilRoom(wanted: number | undefined): Promise<number | undefined> {
    return new Promise((resolve) => {
      const placed = (node: number | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        resolve(node);
      };
      const timer = setTimeout(placed, WASM_PLACE_WAIT_MS, undefined);
      const waiting: Waiting = { wanted, placed };
      this.#waiting.add(waiting);
    });
  }
}

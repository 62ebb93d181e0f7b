/** The home node of a program: it places threads, and executes the calls of all of them. */

import { TdsmError } from "../errors.ts";
import { WASM_PLACE_WAIT_MS } from "../limits.ts";
import { Errno } from "./errno.ts";
import type { HomeCall, HomeNode, ProgramEnd } from "./messages.ts";
import type { PlacedThread, Placement } from "./placement.ts";
import type { WasiSystem } from "./system.ts";

/** What a home node is made of. */
export interface ProgramHomeParts {
  readonly system: WasiSystem;
  /** Where threads are, which those of this node place by themselves as long as there is room. */
  readonly placement: Placement;
  /** Has a node execute a thread. */
  readonly execute: (node: number, thread: number, argument: number) => void;
}

/** A thread that cannot be started before there is room for it. */
interface Waiting {
  /** The node that it is to be on, if one was asked for. */
  readonly wanted: number | undefined;
  /** Called with where it has room now. */
  readonly placed: (placed: PlacedThread) => void;
}

/** Serves the threads of a program, until one of them ends it. */
export class ProgramHome implements HomeNode {
  readonly #system: WasiSystem;
  readonly #placement: Placement;
  readonly #execute: ProgramHomeParts["execute"];
  readonly #done = Promise.withResolvers<ProgramEnd>();
  /** The threads to come that wait for room, the first one first. */
  readonly #waiting = new Set<Waiting>();
  #isOver = false;

  /** @param parts What it is made of. */
  constructor({ system, placement, execute }: ProgramHomeParts) {
    this.#system = system;
    this.#placement = placement;
    this.#execute = execute;
  }

  /** Resolves when the program has ended; rejects when it cannot go on. */
  get done(): Promise<ProgramEnd> {
    return this.#done.promise;
  }

  /** {@inheritDoc HomeNode.call} */
  call({ name, args }: HomeCall): Promise<number> {
    // Threads that are left do nothing more, whatever they read once the memory is gone.
    if (this.#isOver) return new Promise(() => {});
    if (name !== "spawn") return this.#system.call(name, args);
    const [argument, wanted] = args as readonly number[];
    return this.#spawn(argument!, wanted === 0 ? undefined : wanted);
  }

  /** A thread has ended. */
  ended(thread: number): void {
    this.#placement.free(thread);
    for (const { wanted, placed } of this.#waiting) {
      // At once, so that no thread that is started meanwhile takes the room.
      const place = this.#placement.place(wanted);
      if (place !== undefined) placed(place);
    }
  }

  /** {@inheritDoc HomeNode.end} */
  end(end: ProgramEnd): void {
    if (end.kind === "failed") return this.fail(new TdsmError(end.code, end.text));
    this.#stop();
    this.#done.resolve(end);
  }

  /** The program cannot go on. */
  fail(reason: unknown): void {
    this.#stop();
    this.#done.reject(reason);
  }

  #stop(): void {
    this.#isOver = true;
    // Threads that start others ask here, and get no answer.
    this.#placement.hold();
  }

  /** Starts a thread; returns its id, or a negative error number. */
  async #spawn(argument: number, wanted: number | undefined): Promise<number> {
    const placed = this.#placement.place(wanted) ?? await this.#untilRoom(wanted);
    if (placed === undefined) return -Errno.Again;
    // The thread that starts another one goes on at once, as where both are of one process.
    this.#execute(placed.node, placed.thread, argument);
    return placed.thread;
  }

  /** Waits for a thread to end whose room will do; `undefined` where none does for long. */
  #untilRoom(wanted: number | undefined): Promise<PlacedThread | undefined> {
    this.#placement.hold();
    return new Promise((resolve) => {
      const placed = (place: PlacedThread | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        this.#placement.release();
        resolve(place);
      };
      const timer = setTimeout(placed, WASM_PLACE_WAIT_MS, undefined);
      const waiting: Waiting = { wanted, placed };
      this.#waiting.add(waiting);
      // A thread may have ended before it was asked to tell of that.
      const place = this.#placement.place(wanted);
      if (place !== undefined) placed(place);
    });
  }
}

/**
 * The states of a node's life, and how waiting threads of the program learn of a change. A node's
 * life begins when it has joined: before that there is no engine.
 */

import type { TdsmError } from "../errors.ts";

/** Where a node is in its life. */
export type NodeState =
  /** The node is a member of the cluster. */
  | "joined"
  /**
   * The node hands over the pages that only it has; the directory node waits for others to finish.
   */
  | "leaving"
  /** The node has left: the directory node let it go, ended the cluster, or is silent. */
  | "parted"
  /** The node cannot go on. */
  | "failed"
  /** The node is closed, or closing, which nothing can stop any more. */
  | "ended";

/** The states that may follow each. */
const MOVES: Readonly<Record<NodeState, readonly NodeState[]>> = {
  joined: ["leaving", "parted", "failed"],
  leaving: ["parted", "failed", "ended"],
  parted: ["ended"],
  failed: ["ended"],
  ended: [],
};

/** The state of one node's life. */
export class LifeCycle {
  #state: NodeState = "joined";
  #failure: TdsmError | undefined;
  #refusal: TdsmError | undefined;
  /** The listeners to the next change of peers or of the node's state. */
  readonly #watchers = new Set<() => void>();

  /** The node's state. */
  get state(): NodeState {
    return this.#state;
  }

  /** Why the node could not go on: set once it has failed, and kept after its end. */
  get failure(): TdsmError | undefined {
    return this.#failure;
  }

  /** Why requests to other nodes are refused; `undefined` while they are not. */
  get refusal(): TdsmError | undefined {
    return this.#refusal;
  }

  /**
   * Whether the node has left or closed as intended, so that a connection that ends is no failure.
   */
  get over(): boolean {
    return this.#state === "parted" || this.#state === "ended";
  }

  /**
   * The one way from a state to another.
   *
   * @param state The state to enter.
   * @param refusal Why requests to other nodes are refused from here on; with `failed`, why the
   * node has failed. The first reason is kept to the end.
   * @returns Whether the node has entered the state; `false`, and no change, where it may not
   *   follow.
   */
  enter(state: "leaving" | "parted"): boolean;
  enter(state: NodeState, refusal: TdsmError): boolean;
  enter(state: NodeState, refusal?: TdsmError): boolean {
    if (!MOVES[this.#state].includes(state)) return false;
    this.#state = state;
    if (state === "failed") this.#failure = refusal;
    this.#refusal ??= refusal;
    this.notify();
    return true;
  }

  /** Resolves at the next change of peers, or of the node's state. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.add(resolve));
  }

  /** Peers came or went. */
  notify(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }
}

/** Whether the process of a node is to end, and what ends it. */
export type ProcessState =
  /** The process goes on, as far as the node knows. */
  | "running"
  /** The node has ended, and the program has a while to end the process. */
  | "due"
  /**
   * A thread of the program waits in a fault that nothing will serve: the engine ends the process
   * soon.
   */
  | "doomed"
  /** The program ends the process, and the node leaves before that. */
  | "exiting"
  /** A signal ends the process, once the node has left. */
  | "signalled";

/** The states that may follow each. */
const PROCESS_MOVES: Readonly<Record<ProcessState, readonly ProcessState[]>> = {
  running: ["due", "doomed", "exiting", "signalled"],
  due: ["running", "doomed", "exiting", "signalled"],
  doomed: ["exiting", "signalled"],
  exiting: ["signalled"],
  signalled: [],
};

/** The state of one node's process. */
export class ProcessEnd {
  #state: ProcessState = "running";

  /** The state. */
  get state(): ProcessState {
    return this.#state;
  }

  /** Whether the process ends before its program could be told of anything. */
  get isNear(): boolean {
    return this.#state === "exiting" || this.#state === "signalled";
  }

  /**
   * The one way from a state to another. Returns `false`, and changes nothing, where it may not
   * follow.
   */
  enter(state: ProcessState): boolean {
    const possible = PROCESS_MOVES[this.#state].includes(state);
    if (possible) this.#state = state;
    return possible;
  }
}

/** Calls back when a counter has not moved for too long. */
export class StallClock implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * Begins to watch.
   *
   * @param stallMs How long the counter may stand still, in milliseconds. `stalled` is called after
   * twice this time at the latest.
   * @param progress Returns the counter: any number that changes with each bit of progress.
   * @param stalled Called once, unless the clock is disposed of before.
   */
  constructor(stallMs: number, progress: () => number, stalled: () => void) {
    let seen = progress();
    this.#timer = setInterval(() => {
      const now = progress();
      if (now === seen) {
        this[Symbol.dispose]();
        stalled();
      }
      seen = now;
    }, stallMs);
  }

  /** Ends the watch. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/**
 * How far a node has come towards its end, and how threads of the program that wait see that change.
 * A node's life begins when it is one of a cluster: before that there is no engine.
 */

import type { TdsmError } from "../errors.ts";

/** Where a node is in its life. */
export type NodeState =
  /** It is one of the cluster. */
  | "joined"
  /** It hands over what only it has; the directory node waits for the others to finish. */
  | "leaving"
  /** It is one of the cluster no more: the directory node let it go, ended the cluster, or is silent. */
  | "parted"
  /** It cannot go on. */
  | "failed"
  /** It is closed, or about to be: nothing can stop that any more. */
  | "ended";

/** The states that may follow each. */
const MOVES: Readonly<Record<NodeState, readonly NodeState[]>> = {
  joined: ["leaving", "parted", "failed"],
  leaving: ["parted", "failed", "ended"],
  parted: ["ended"],
  failed: ["ended"],
  ended: [],
};

/** What has become of one node. */
export class LifeCycle {
  #state: NodeState = "joined";
  #failure: TdsmError | undefined;
  #refusal: TdsmError | undefined;
  /** Called whenever peers came or went, or the node's state has changed. */
  readonly #watchers = new Set<() => void>();

  /** Where the node is. */
  get state(): NodeState {
    return this.#state;
  }

  /** Why the node could not go on, once it has failed; to its end, and after that. */
  get failure(): TdsmError | undefined {
    return this.#failure;
  }

  /** Why nothing can be asked of other nodes any more. */
  get refusal(): TdsmError | undefined {
    return this.#refusal;
  }

  /** Whether the node takes part no more, as was wanted: what ends with that is no failure. */
  get over(): boolean {
    return this.#state === "parted" || this.#state === "ended";
  }

  /**
   * The one way from a state to another.
   *
   * @param state The state to come to.
   * @param refusal Why nothing can be asked of other nodes from here on; of `failed`, why. The first
   * of these counts to the end.
   * @returns Whether the node has come to it; where that is no state to follow, nothing happens.
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

/** Whether the process of a node is to end, and by what. */
export type ProcessState =
  /** It goes on, as far as the node knows. */
  | "running"
  /** The node has ended, and the program is to end the process: it has a while for that. */
  | "due"
  /** A thread of the program waits for what never comes: the engine ends the process, after a while. */
  | "doomed"
  /** The program ends it, and the node leaves in time. */
  | "exiting"
  /** A signal ends it, once the node has left. */
  | "signalled";

/** The states that may follow each. */
const PROCESS_MOVES: Readonly<Record<ProcessState, readonly ProcessState[]>> = {
  running: ["due", "doomed", "exiting", "signalled"],
  due: ["running", "doomed", "exiting", "signalled"],
  doomed: ["exiting", "signalled"],
  exiting: ["signalled"],
  signalled: [],
};

/** What is to become of the process of one node. */
export class ProcessEnd {
  #state: ProcessState = "running";

  /** What is to become of it. */
  get state(): ProcessState {
    return this.#state;
  }

  /** Whether the process ends before its program could be told of anything. */
  get isNear(): boolean {
    return this.#state === "exiting" || this.#state === "signalled";
  }

  /** The one way from a state to another; where that is no state to follow, nothing happens. */
  enter(state: ProcessState): boolean {
    const possible = PROCESS_MOVES[this.#state].includes(state);
    if (possible) this.#state = state;
    return possible;
  }
}

/** Says when something has stood still for too long. */
export class StallClock implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * Begins to watch.
   *
   * @param stallMs How long it may stand still, in milliseconds; it is found out after twice as long
   * at the latest.
   * @param progress Says how far it has come: any number that changes whenever it moves.
   * @param stalled Called once, unless it is disposed of before.
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

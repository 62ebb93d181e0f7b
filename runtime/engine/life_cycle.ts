/**
 * How far a node has come towards its end, and who waits to see that change.
 */

import type { TdsmError } from "../errors.ts";

/** What has become of one node. */
export class LifeCycle {
  /** Why the node cannot go on. */
  failure: TdsmError | undefined;
  /** Why nothing can be asked of other nodes any more. */
  refusal: TdsmError | undefined;
  /** Whether the node leaves, or the cluster ends. */
  ending = false;
  /** Called whenever peers came or went, or the node failed. */
  readonly #watchers = new Set<() => void>();

  /** Resolves at the next change of peers, or failure. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.add(resolve));
  }

  /** Peers came or went, or the node cannot go on as before. */
  notify(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
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

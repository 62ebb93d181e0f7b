/** What is said of connections that are dropped: strangers can make any number of them. */

import { DROPS_TOLD_MAX, DROPS_TOLD_MS } from "../limits.ts";
import type { Level, LogFields } from "../log.ts";

/** The lines of one level. */
interface Tally {
  /** How many were told in this interval. */
  told: number;
  /** How many more came. */
  untold: number;
}

/**
 * Tells of the first few dropped connections in an interval, and at its end how many more there
 * were. Each level has lines of its own: what nobody is shown takes no line from what is.
 */
export class DropLog {
  readonly #log: (level: Level, text: string, fields: LogFields) => void;
  readonly #tallies = new Map<Level, Tally>();
  /** Runs while lines of this interval were told. */
  #interval: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @param log Takes the lines. */
  constructor(log: (level: Level, text: string, fields: LogFields) => void) {
    this.#log = log;
  }

  /**
   * A connection was dropped.
   *
   * @param level How much that matters.
   * @param from Where the connection came from.
   * @param reason Why it was dropped.
   */
  tell(level: Level, from: string, reason: string): void {
    let tally = this.#tallies.get(level);
    if (tally === undefined) this.#tallies.set(level, tally = { told: 0, untold: 0 });
    if (tally.told >= DROPS_TOLD_MAX) return void tally.untold++;
    tally.told++;
    if (!this.#closed) this.#interval ??= setTimeout(() => this.#tellRest(), DROPS_TOLD_MS);
    const event = "connectionDropped";
    this.#log(level, `Dropped a connection from ${from}: ${reason}`, { event, from, reason });
  }

  /** Tells what was not told yet; no timer runs from here on. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#interval);
    this.#tellRest();
  }

  #tellRest(): void {
    this.#interval = undefined;
    for (const [level, { untold }] of this.#tallies) {
      if (untold === 0) continue;
      const fields = { event: "connectionsDropped", count: untold };
      this.#log(level, `Dropped ${untold} more connections`, fields);
    }
    this.#tallies.clear();
  }
}

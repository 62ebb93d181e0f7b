/**
 * What has happened in a cluster lately, for programs that look at it: what its directory node
 * logs of members, and all that it warns of, whatever its own log shows.
 */

import { EVENT_TEXT_MAX, EVENTS_MAX } from "../limits.ts";
import { Level, type LogFields } from "../log.ts";
import type { ClusterEvent } from "../wire/status_control.ts";

/** The last events of a cluster. */
export class EventMemory {
  #events: ClusterEvent[] = [];
  #last = 0;

  /**
   * Remembers a line of the log, if it tells of a member or warns.
   *
   * @param level How much it matters.
   * @param text The line.
   * @param fields What it is about.
   */
  add(level: Level, text: string, fields: LogFields): void {
    const tells = level <= Level.Warning || (level === Level.Info && fields.event !== undefined);
    if (!tells) return;
    const number = ++this.#last;
    this.#events.push({ number, atMs: Date.now(), level, text: text.slice(0, EVENT_TEXT_MAX) });
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
  }

  /** The events behind the one of a number, as far as they are remembered. */
  since(number: number): readonly ClusterEvent[] {
    return this.#events.filter((event) => event.number > number);
  }
}

/**
 * The demands that a node has not met yet. Pages that a thread waited for are held for a while
 * after they came, so that the thread's access can happen; demands for these pages wait until then.
 */

import type { ForwardMessage, InvalidateMessage, NodeId } from "./messages.ts";
import { contains, overlaps, type PageRun } from "./page.ts";

/** A home's demand for pages. */
export type Demand = ForwardMessage | InvalidateMessage;

const NO_PAGES: readonly number[] = [];

/** The demands that wait at one node, and the holds that they wait for. */
export class DemandQueue {
  /** The pages that are held, each until this time at most, in microseconds; the earliest first. */
  readonly holds = new Map<number, number>();
  /** The demands that wait, in the order in which they came. */
  deferred: Demand[] = [];
  readonly #surrender: (demand: Demand) => void;

  /** @param surrender Meets a demand. */
  constructor(surrender: (demand: Demand) => void) {
    this.#surrender = surrender;
  }

  /** When the first demand may be due, in microseconds; `Infinity` when none waits. */
  get deadline(): number {
    let deadline = Infinity;
    for (const demand of this.deferred) {
      const until = this.#heldUntil(demand);
      // A demand for pages that are not held waits only behind an earlier demand for pages that
      // are.
      if (until !== undefined) deadline = Math.min(deadline, until);
    }
    return deadline;
  }

  /** The held pages for which a demand waits. */
  get awaitedPages(): readonly number[] {
    if (this.deferred.length === 0) return NO_PAGES;
    return this.holds.keys()
      .filter((page) => this.deferred.some((demand) => contains(demand, page)))
      .toArray();
  }

  /**
   * Holds a page from now on.
   *
   * @param page The page.
   * @param now The time, in microseconds.
   * @param until When the hold ends at the latest; no earlier than that of an earlier call.
   */
  hold(page: number, now: number, until: number): void {
    // While a demand waits, only the code that meets due demands may end a hold.
    if (this.deferred.length === 0) this.#endHolds(now);
    // The map is ordered by time, so a hold that begins anew goes to the end.
    this.holds.delete(page);
    this.holds.set(page, until);
  }

  /**
   * Ends the hold of a page, if there is one, and meets the demands that waited only for that hold.
   */
  release(page: number, now: number): void {
    if (this.holds.delete(page)) this.meetDue(now);
  }

  /** Ends every hold, and meets every demand. */
  releaseAll(): void {
    this.holds.clear();
    const { deferred } = this;
    this.deferred = [];
    for (const demand of deferred) this.#surrender(demand);
  }

  /** Takes a demand, and meets it at once unless it has to wait. */
  add(demand: Demand, now: number): void {
    if (this.deferred.length === 0) {
      this.#endHolds(now);
      // As nearly always, and then no list is made of what waits.
      if (this.#heldUntil(demand) === undefined) return this.#surrender(demand);
    }
    this.deferred.push(demand);
    this.meetDue(now);
  }

  /** Meets each demand for pages that are neither held any more nor demanded by an earlier one. */
  meetDue(now: number): void {
    this.#endHolds(now);
    if (this.deferred.length > 0) this.#meetDeferred();
  }

  #meetDeferred(): void {
    const waiting: Demand[] = [];
    for (const demand of this.deferred) {
      const waits = this.#heldUntil(demand) !== undefined ||
        waiting.some((earlier) => overlaps(earlier, demand));
      if (waits) waiting.push(demand);
      else this.#surrender(demand);
    }
    this.deferred = waiting;
  }

  /** Removes and returns the demands on behalf of a node. Demands behind these may be due now. */
  drop(requester: NodeId): Demand[] {
    const dropped = this.deferred.filter((demand) => demand.requester === requester);
    this.deferred = this.deferred.filter((demand) => demand.requester !== requester);
    return dropped;
  }

  /** Removes the demands for pages of a run, whose home has moved. */
  forget(run: PageRun): void {
    if (this.deferred.length === 0) return;
    this.deferred = this.deferred.filter((demand) => !contains(run, demand.first));
  }

  /** When the last hold of a run's pages ends; `undefined` when none is held. */
  #heldUntil({ first, count }: PageRun): number | undefined {
    if (this.holds.size === 0) return undefined;
    let last: number | undefined;
    for (let page = first; page < first + count; page++) {
      const until = this.holds.get(page);
      if (until !== undefined) last = Math.max(last ?? until, until);
    }
    return last;
  }

  #endHolds(now: number): void {
    if (this.holds.size === 0) return;
    for (const [page, until] of this.holds) {
      if (until > now) return;
      this.holds.delete(page);
    }
  }
}

/**
 * Barriers. Only the threads that wait make a barrier: once all have arrived it is forgotten, and
 * the next to arrive begins the next generation. So two generations can never mix.
 */

import type { NodeId } from "../coherence/messages.ts";
import { type SyncDesk, WaitPlace } from "./desk.ts";
import { SyncStatus } from "./messages.ts";

class Barrier extends WaitPlace<string> {
  /** How many arrivals it takes. */
  readonly parties: number;

  constructor(name: string, barriers: Map<string, Barrier>, parties: number) {
    super(name, barriers);
    this.parties = parties;
  }

  protected override get isIdle(): boolean {
    return true;
  }
}

/** The barriers of a cluster. */
export class Barriers {
  protected readonly desk: SyncDesk;
  readonly #barriers = new Map<string, Barrier>();

  /** @param desk Where requests come from, and answers go. */
  constructor(desk: SyncDesk) {
    this.desk = desk;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#barriers.size;
  }

  /** Waits until all have arrived. */
  arrive(from: NodeId, ticket: number, name: string, parties: number): void {
    const barrier = this.#barriers.get(name);
    if (barrier !== undefined && barrier.parties !== parties) {
      this.#answerAll(barrier, SyncStatus.PartiesMismatch, parties);
      return this.desk.reply(from, ticket, SyncStatus.PartiesMismatch, barrier.parties);
    }
    const arrived = (barrier?.waiting.length ?? 0) + 1;
    if (this.isComplete(arrived, parties)) {
      if (barrier !== undefined) this.#answerAll(barrier, SyncStatus.Done, 0);
      return this.desk.reply(from, ticket, SyncStatus.Last);
    }
    this.desk.wait(from, ticket, barrier ?? this.#add(name, parties));
  }

  /** Whether all have arrived. */
  protected isComplete(arrived: number, parties: number): boolean {
    return arrived === parties;
  }

  #answerAll(barrier: Barrier, status: SyncStatus, parties: number): void {
    for (let waiter = barrier.waiting.first; waiter !== undefined; waiter = barrier.waiting.first) {
      this.desk.serve(waiter, status, parties);
    }
    barrier.settle();
  }

  /** A barrier that is new; `undefined` where there is no room for another. */
  #add(name: string, parties: number): Barrier | undefined {
    if (this.#barriers.size === this.desk.limits.objects) return undefined;
    return new Barrier(name, this.#barriers, parties);
  }
}

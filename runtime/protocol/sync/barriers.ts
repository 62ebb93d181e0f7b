/**
 * Barriers. Only the threads that wait make a barrier: once all have arrived it is forgotten, and
 * the next to arrive begins the next round. So two rounds can never mix. Of the last round it is
 * kept which nodes took part: those that will arrive again need to be told when one of them is
 * gone.
 */

import type { NodeId } from "../coherence/messages.ts";
import { type PlaceView, type StuckBarrier, type SyncDesk, WaitPlace } from "./desk.ts";
import { SyncStatus } from "./messages.ts";

class Barrier extends WaitPlace<string> {
  readonly #parties: number;
  /** Whether all nodes stood still here, with no party on its way, when time last passed. */
  isDoubted = false;

  constructor(
    name: string,
    barriers: Map<string, Barrier>,
    parties: number,
    desk: SyncDesk,
    maker: NodeId,
  ) {
    super(name, barriers, desk, maker);
    this.#parties = parties;
  }

  override get parties(): number {
    return this.#parties;
  }

  protected override get label(): Pick<PlaceView, "kind" | "name"> {
    return { kind: "barrier", name: this.key };
  }

  protected override get isIdle(): boolean {
    return true;
  }
}

/** The last round of a barrier. */
interface Round {
  readonly parties: number;
  /** The nodes that took part. */
  readonly nodes: readonly NodeId[];
  /** The node because of which the next round cannot be completed; `undefined` where it can. */
  readonly lost: NodeId | undefined;
}

/** The barriers of a cluster. */
export class Barriers {
  protected readonly desk: SyncDesk;
  readonly #barriers = new Map<string, Barrier>();
  /** The last rounds by name, the longest unchanged first. */
  readonly #rounds = new Map<string, Round>();

  /** @param desk Where requests come from, and answers go. */
  constructor(desk: SyncDesk) {
    this.desk = desk;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#barriers.size;
  }

  /** The barriers that are not complete, each with the threads that have arrived there. */
  get incomplete(): StuckBarrier[] {
    return [...this.#barriers.values()].map(({ key: name, parties, waiting }) => {
      const arrived: NodeId[] = [];
      for (let waiter = waiting.first; waiter !== undefined; waiter = waiter.next) {
        arrived.push(waiter.node);
      }
      return { name, parties, arrived };
    });
  }

  /** Waits until all have arrived. */
  arrive(from: NodeId, ticket: number, name: string, parties: number): void {
    const round = this.#rounds.get(name);
    if (round?.lost !== undefined) {
      if (round.parties === parties) {
        return this.desk.reply(from, ticket, SyncStatus.PeerLost, round.lost);
      }
      this.#rounds.delete(name);
    }
    const barrier = this.#barriers.get(name);
    if (barrier !== undefined && barrier.parties !== parties) {
      this.#answerAll(barrier, SyncStatus.PartiesMismatch, parties);
      return this.desk.reply(from, ticket, SyncStatus.PartiesMismatch, barrier.parties);
    }
    const arrived = (barrier?.waiting.length ?? 0) + 1;
    if (this.isComplete(arrived, parties)) {
      const nodes = new Set([from]);
      if (barrier !== undefined) this.#answerAll(barrier, SyncStatus.Done, 0, nodes);
      this.remember(name, parties, nodes);
      return this.desk.reply(from, ticket, SyncStatus.Last);
    }
    this.desk.wait(from, ticket, barrier ?? this.#add(from, name, parties));
  }

  /** A node is gone: no barrier in whose last round it took part can be completed without it. */
  peerGone(node: NodeId): void {
    for (const [name, { parties, nodes }] of this.#rounds) {
      if (nodes.includes(node)) this.break(name, parties, node);
    }
  }

  /**
   * Time passes. A barrier at which every node that has work of its own waits, with each of its
   * threads, is complete or never will be, where a node has died. As a thread may be just about to
   * begin, or to arrive once more, that must be so twice in a row.
   *
   * @param died The last node that has died.
   */
  doubt(died: NodeId): void {
    const working = this.desk.threadsAtWork();
    for (const barrier of this.#barriers.values()) {
      const isDoubted = this.desk.isEverybodyAt(barrier, working);
      if (isDoubted && barrier.isDoubted) this.break(barrier.key, barrier.parties, died);
      barrier.isDoubted = isDoubted;
    }
  }

  /** Whether all have arrived. */
  protected isComplete(arrived: number, parties: number): boolean {
    return arrived === parties;
  }

  /** Keeps which nodes took part in a round. What one node alone does ends with that node. */
  protected remember(name: string, parties: number, nodes: ReadonlySet<NodeId>): void {
    const last = this.#rounds.get(name);
    if (nodes.size === 1) return void this.#rounds.delete(name);
    const isSame = last?.parties === parties && last.nodes.length === nodes.size &&
      last.nodes.every((node) => nodes.has(node));
    this.#keep(name, isSame ? last : { parties, nodes: [...nodes], lost: undefined });
  }

  /** Tells those that wait, and those that will arrive, that a node is missing. */
  protected break(name: string, parties: number, lost: NodeId): void {
    const barrier = this.#barriers.get(name);
    // Threads that have agreed on another number of parties since do without the node.
    if (barrier !== undefined && barrier.parties !== parties) return void this.#rounds.delete(name);
    this.#keep(name, { parties, nodes: [], lost });
    if (barrier !== undefined) this.#answerAll(barrier, SyncStatus.PeerLost, lost);
  }

  #keep(name: string, round: Round): void {
    this.#rounds.delete(name);
    this.#rounds.set(name, round);
    if (this.#rounds.size > this.desk.limits.rounds) {
      const [longest] = this.#rounds.keys();
      this.#rounds.delete(longest!);
    }
  }

  #answerAll(barrier: Barrier, status: SyncStatus, count: number, nodes?: Set<NodeId>): void {
    for (let waiter = barrier.waiting.first; waiter !== undefined; waiter = barrier.waiting.first) {
      nodes?.add(waiter.node);
      this.desk.serve(waiter, status, count);
    }
    barrier.settle();
  }

  /** A barrier that is new; `undefined` where there is no room for another. */
  #add(from: NodeId, name: string, parties: number): Barrier | undefined {
    if (!this.desk.hasRoom(from)) return undefined;
    return new Barrier(name, this.#barriers, parties, this.desk, from);
  }
}

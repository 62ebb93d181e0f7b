/**
 * Barriers. Only the threads that wait make a barrier: once all have arrived it is forgotten, and
 * the next to arrive begins the next round. So two rounds can never mix. Of the last round it is
 * kept which nodes took part: those that will arrive again need to be told when one of them is
 * gone.
 *
 * Where more than a few nodes take part, and one round is like the last, the next ones are gathered
 * by a tree of nodes (`barrier_gatherer.ts`). Its root is the directory node: arrivals of that node
 * wait here as ever, and the reports of its children stand for all others. Anything else that
 * happens at such a barrier dissolves its tree, and what follows is served here again.
 */

import { DIRECTORY_NODE, type NodeId } from "../coherence/messages.ts";
import { treePlaces } from "./barrier_tree.ts";
import { type PlaceView, type StuckBarrier, type SyncDesk, WaitPlace } from "./desk.ts";
import { type GatherMessage, GatherStep, SyncStatus, threadOf } from "./messages.ts";

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

/** The tree by which a barrier is gathered. */
export interface GatherTree {
  readonly number: number;
  /** The arrivals of the directory node's own threads that it takes. */
  readonly arrivals: number;
  /** The nodes that report to the directory node. */
  readonly children: readonly NodeId[];
  /** Those of them that have reported in this generation. */
  readonly reported: Set<NodeId>;
  generation: number;
}

/** The last round of a barrier. */
class Round {
  readonly parties: number;
  /** The nodes that took part, in order of their ids, and the arrivals of each. */
  readonly arrivals: ReadonlyMap<NodeId, number>;
  /** The node because of which the next round cannot be completed; `undefined` where it can. */
  readonly lost: NodeId | undefined;
  /** What gathers the next round; `undefined` where the desk does. */
  tree: GatherTree | undefined;
  /** How many rounds alike the desk has gathered, one after the other. */
  alike = 1;
  /** How many of them it takes until there is a tree. */
  needed = 2;

  constructor(parties: number, arrivals: ReadonlyMap<NodeId, number>, lost?: NodeId) {
    this.parties = parties;
    this.arrivals = arrivals;
    this.lost = lost;
  }

  /** Whether as many threads of the same nodes took part. */
  isLike({ parties, arrivals }: Round): boolean {
    return parties === this.parties && arrivals.size === this.arrivals.size &&
      [...arrivals].every(([node, count]) => this.arrivals.get(node) === count);
  }
}

/** The barriers of a cluster. */
export class Barriers {
  protected readonly desk: SyncDesk;
  readonly #barriers = new Map<string, Barrier>();
  /** The last rounds by name, the longest unchanged first. */
  protected readonly rounds: Map<string, Round> = new Map();
  /** The barriers that are gathered by trees, by the numbers of these. */
  readonly #gathered = new Map<number, string>();
  #lastTree = 0;

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
    const round = this.rounds.get(name);
    if (round?.lost !== undefined) {
      if (round.parties === parties) {
        return this.desk.reply(from, ticket, SyncStatus.PeerLost, round.lost);
      }
      this.rounds.delete(name);
    }
    if (round?.tree !== undefined) {
      if (this.#fits(from, parties, name, round, round.tree)) {
        this.desk.wait(from, ticket, this.#barriers.get(name) ?? this.#add(from, name, parties));
        return this.#settle(name, round, round.tree);
      }
      this.dissolve(round);
    }
    const barrier = this.#barriers.get(name);
    if (barrier !== undefined && barrier.parties !== parties) {
      this.#answerAll(barrier, SyncStatus.PartiesMismatch, parties);
      return this.desk.reply(from, ticket, SyncStatus.PartiesMismatch, barrier.parties);
    }
    const arrived = (barrier?.waiting.length ?? 0) + 1;
    if (this.isComplete(arrived, parties)) {
      const arrivals = new Map([[from, 1]]);
      let isByThreads = threadOf(ticket) !== 0;
      for (let waiter = barrier?.waiting.first; waiter !== undefined; waiter = waiter.next) {
        arrivals.set(waiter.node, (arrivals.get(waiter.node) ?? 0) + 1);
        isByThreads ||= threadOf(waiter.ticket) !== 0;
      }
      // A node must know of its tree before the threads that are answered here arrive again.
      this.remember(name, parties, arrivals, isByThreads);
      if (barrier !== undefined) this.#answerAll(barrier, SyncStatus.Done, 0);
      return this.desk.reply(from, ticket, SyncStatus.Last);
    }
    this.desk.wait(from, ticket, barrier ?? this.#add(from, name, parties));
  }

  /** A node says to the root of a tree that its part has arrived, or that the tree is of no use. */
  gather(from: NodeId, message: GatherMessage): void {
    const { step, tree: number, generation } = message;
    const name = this.#gathered.get(number);
    // What was on its way when the tree was dissolved.
    if (name === undefined && number <= this.#lastTree) return;
    const round = name === undefined ? undefined : this.rounds.get(name);
    const tree = round?.tree;
    if (name !== undefined && round !== undefined && tree !== undefined) {
      const { children, reported } = tree;
      const isNow = generation === tree.generation;
      if (step === GatherStep.Recall && round.arrivals.has(from)) {
        if (isNow) return this.dissolve(round);
        // The generation was complete before that was heard, and the node is told so. That may be
        // long ago: later reports of the node come by way of others, and can overtake its recall.
        if (generation < tree.generation) return;
      }
      if (step === GatherStep.Gathered && isNow && children.includes(from) && !reported.has(from)) {
        reported.add(from);
        return this.#settle(name, round, tree);
      }
    }
    const reason = `step ${step} of generation ${generation} in tree ${number}, which is not due`;
    this.desk.violation(from, reason);
  }

  /** A node leaves, and so arrives no more: no tree waits for it. */
  peerLeft(node: NodeId): void {
    for (const round of this.rounds.values()) {
      if (round.arrivals.has(node)) this.dissolve(round);
    }
  }

  /** A node is gone: no barrier in whose last round it took part can be completed without it. */
  peerGone(node: NodeId): void {
    for (const [name, { parties, arrivals }] of this.rounds) {
      if (arrivals.has(node)) this.break(name, parties, node);
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

  /** Whether all have arrived at the root of a tree, and below it. */
  protected hasGathered(arrived: number, { arrivals, children, reported }: GatherTree): boolean {
    return arrived >= arrivals && reported.size === children.length;
  }

  /**
   * Keeps which nodes took part in a round that was gathered here, and plants a tree for the rounds
   * to come where that pays. What one node alone does ends with that node.
   */
  protected remember(
    name: string,
    parties: number,
    unordered: ReadonlyMap<NodeId, number>,
    isByThreads: boolean,
  ): void {
    if (unordered.size === 1) return void this.rounds.delete(name);
    const arrivals = new Map([...unordered].sort(([one], [other]) => one - other));
    const last = this.rounds.get(name);
    let round = new Round(parties, arrivals);
    if (last?.isLike(round) === true) {
      round = last;
      round.alike++;
    }
    // Such threads have asked past their engines, which gather.
    if (isByThreads) round.alike = 0;
    this.#keep(name, round);
    const isLarge = arrivals.size > this.desk.limits.treeNodes;
    if (isLarge && round.alike >= round.needed) this.#plant(name, round);
  }

  /** Tells those that wait, and those that will arrive, that a node is missing. */
  protected break(name: string, parties: number, lost: NodeId): void {
    const barrier = this.#barriers.get(name);
    const round = this.rounds.get(name);
    if (round !== undefined) this.dissolve(round);
    // Threads that have agreed on another number of parties since do without the node.
    if (barrier !== undefined && barrier.parties !== parties) return void this.rounds.delete(name);
    this.#keep(name, new Round(parties, new Map(), lost));
    if (barrier !== undefined) this.#answerAll(barrier, SyncStatus.PeerLost, lost);
  }

  /** Tells every node of a barrier's tree, if there is one, that what it keeps is for the desk. */
  protected dissolve(round: Round): void {
    const { tree, arrivals } = round;
    if (tree === undefined) return;
    round.tree = undefined;
    round.alike = 0;
    round.needed = Math.min(2 * round.needed, this.desk.limits.treeRounds);
    this.#gathered.delete(tree.number);
    for (const node of arrivals.keys()) {
      if (node !== DIRECTORY_NODE) this.#tell(node, GatherStep.Dissolved, tree);
    }
  }

  /** Has a barrier gathered by a tree from here on. */
  #plant(name: string, round: Round): void {
    const { parties, arrivals } = round;
    const { treeRadix, treeUses } = this.desk.limits;
    if (this.#lastTree === treeUses) return;
    const nodes = [DIRECTORY_NODE, ...arrivals.keys().filter((node) => node !== DIRECTORY_NODE)];
    const places = treePlaces(nodes, treeRadix);
    const number = ++this.#lastTree;
    const tree: GatherTree = {
      number,
      arrivals: arrivals.get(DIRECTORY_NODE) ?? 0,
      children: places.get(DIRECTORY_NODE)!.children,
      reported: new Set(),
      generation: 0,
    };
    round.tree = tree;
    this.#gathered.set(number, name);
    const [lowest] = arrivals.keys();
    for (const node of nodes.slice(1)) {
      const { parent, children } = places.get(node)!;
      this.desk.tell(node, {
        kind: "barrierTree",
        tree: number,
        name,
        parties,
        arrivals: arrivals.get(node)!,
        leads: node === lowest,
        parent: parent!,
        children,
      });
    }
  }

  /** Releases a generation, if all have arrived at the root of its tree. */
  #settle(name: string, round: Round, tree: GatherTree): void {
    const barrier = this.#barriers.get(name);
    const arrived = barrier?.waiting.length ?? 0;
    if (!this.hasGathered(arrived, tree)) return;
    for (const child of tree.children) this.#tell(child, GatherStep.Released, tree);
    tree.generation++;
    tree.reported.clear();
    this.#keep(name, round);
    for (let left = arrived; left > 0; left--) {
      const status = left === 1 ? SyncStatus.Last : SyncStatus.Done;
      this.desk.serve(barrier!.waiting.first!, status);
    }
    barrier?.settle();
    if (tree.generation === this.desk.limits.treeUses) this.dissolve(round);
  }

  #tell(to: NodeId, step: GatherStep, { number: tree, generation }: GatherTree): void {
    this.desk.tell(to, { kind: "gather", step, tree, generation });
  }

  /** Whether an arrival is one of the directory node's own that the tree counts with. */
  #fits(from: NodeId, parties: number, name: string, round: Round, tree: GatherTree): boolean {
    const arrived = this.#barriers.get(name)?.waiting.length ?? 0;
    return from === DIRECTORY_NODE && parties === round.parties && arrived < tree.arrivals;
  }

  #keep(name: string, round: Round): void {
    this.rounds.delete(name);
    this.rounds.set(name, round);
    if (this.rounds.size > this.desk.limits.rounds) {
      const [[longest, oldest]] = [...this.rounds.entries().take(1)] as [[string, Round]];
      this.dissolve(oldest);
      this.rounds.delete(longest);
    }
  }

  #answerAll(barrier: Barrier, status: SyncStatus, count: number): void {
    for (let waiter = barrier.waiting.first; waiter !== undefined; waiter = barrier.waiting.first) {
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

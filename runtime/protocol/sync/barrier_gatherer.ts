/**
 * A node's part in the trees by which large barriers gather: it keeps the arrivals of its own
 * threads, and reports to its parent once all of them, and all children, are there. A pure state
 * machine.
 *
 * A tree serves rounds that are all alike, and nothing else. Whatever differs, such as an arrival
 * too many, an arrival that is taken back or a long wait, dissolves the tree: then each node passes
 * on to the directory node's desk what it has kept, as requests that the desk knows how to serve.
 */

import { DIRECTORY_NODE, type NodeId } from "../coherence/messages.ts";
import {
  type ArriveRequest,
  type BarrierTreeMessage,
  type GatherMessage,
  GatherStep,
  type SyncReply,
  SyncStatus,
} from "./messages.ts";

/** What a node says as it gathers. Calls come in the order in which each must be told. */
export interface GathererOutbox {
  /** Asks the desk. */
  ask(request: ArriveRequest): void;
  /** Tells another node. */
  send(to: NodeId, message: GatherMessage): void;
  /** Answers a thread of this node. */
  answer(reply: SyncReply): void;
  /** A node broke the protocol. */
  violation(node: NodeId, reason: string): void;
}

/** An arrival that is kept. */
interface Arrival {
  readonly request: ArriveRequest;
  /** Whether its thread would take it back, though it is reported. */
  isCancelled: boolean;
}

/** What this node knows of a tree. */
interface Tree {
  readonly plan: BarrierTreeMessage;
  generation: number;
  /** In the order in which they came; those beyond the node's share count for no report. */
  kept: Arrival[];
  /** The children that have reported. */
  readonly reported: Set<NodeId>;
  hasReported: boolean;
  /** Whether the directory node was asked to dissolve the tree in this generation. */
  isRecalled: boolean;
  /** Whether arrivals were kept when time last passed. */
  isOld: boolean;
}

/** The trees that a node is part of. */
export class BarrierGatherer {
  readonly #outbox: GathererOutbox;
  protected readonly trees: Map<number, Tree> = new Map<number, Tree>();
  readonly #names = new Map<string, Tree>();
  readonly #unanswered: () => number;
  /** By sender, the trees of which this node has yet to hear in which the sender has reported. */
  readonly #early = new Map<NodeId, Set<number>>();
  /** The last tree of which this node has heard: later ones have greater numbers. */
  #lastTree = 0;

  /**
   * @param outbox Where messages and answers go.
   * @param unanswered How many arrivals of this node's threads have no answer. It bounds what is
   * kept of each sender: the directory node plants a tree in a round that such an arrival is part
   * of, and sends the answer behind the word of the tree.
   */
  constructor(outbox: GathererOutbox, unanswered: () => number) {
    this.#outbox = outbox;
    this.#unanswered = unanswered;
  }

  /** How many trees this node is part of. */
  get size(): number {
    return this.trees.size;
  }

  /** How many arrivals are kept. */
  get kept(): number {
    return [...this.trees.values()].reduce((sum, { kept }) => sum + kept.length, 0);
  }

  /** How many reports are kept that have come ahead of the word of their trees. */
  get early(): number {
    return this.#early.values().reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * A thread of this node arrives at a barrier.
   *
   * @param request The arrival.
   * @returns Whether it is kept here; otherwise it is one for the desk.
   */
  arrive(request: ArriveRequest): boolean {
    const tree = this.#names.get(request.name);
    if (tree?.plan.parties !== request.count) return false;
    tree.kept.push({ request, isCancelled: false });
    this.#settle(tree);
    return true;
  }

  /**
   * A thread of this node takes an arrival back.
   *
   * @param ticket The arrival.
   * @returns Whether it is kept here, and so is answered by this node.
   */
  cancel(ticket: number): boolean {
    for (const tree of this.trees.values()) {
      const index = tree.kept.findIndex(({ request }) => request.ticket === ticket);
      if (index < 0) continue;
      if (this.isReported(tree, index)) {
        tree.kept[index]!.isCancelled = true;
        this.#recall(tree);
      } else {
        tree.kept.splice(index, 1);
        this.#answer(ticket, SyncStatus.Cancelled);
      }
      return true;
    }
    return false;
  }

  /** The directory node tells of a new tree. */
  plan(from: NodeId, plan: BarrierTreeMessage): void {
    if (from !== DIRECTORY_NODE || plan.tree <= this.#lastTree || this.#names.has(plan.name)) {
      return this.#outbox.violation(from, `tree ${plan.tree} of barrier ${plan.name}`);
    }
    this.#lastTree = plan.tree;
    const reported = new Set<NodeId>();
    for (const [node, trees] of this.#early) {
      if (trees.has(plan.tree)) {
        // Counted, a stranger would stand for a child that has yet to report.
        if (plan.children.includes(node)) reported.add(node);
        else this.#outbox.violation(node, `a report in tree ${plan.tree}`);
      }
      // Of a tree before this one the directory node would have told.
      for (const tree of trees) if (tree <= plan.tree) trees.delete(tree);
      if (trees.size === 0) this.#early.delete(node);
    }
    const tree = {
      plan,
      generation: 0,
      kept: [],
      reported,
      hasReported: false,
      isRecalled: false,
      isOld: false,
    };
    this.trees.set(plan.tree, tree);
    this.#names.set(plan.name, tree);
    this.#settle(tree);
  }

  /** A node of a tree says something. */
  receive(from: NodeId, message: GatherMessage): void {
    const { step, generation } = message;
    const tree = this.trees.get(message.tree);
    if (tree === undefined) return this.#receiveOfNone(from, message);
    switch (step) {
      case GatherStep.Gathered: {
        const { plan: { children }, reported } = tree;
        const isDue = children.includes(from) && !reported.has(from) &&
          generation === tree.generation;
        if (!isDue) break;
        reported.add(from);
        return this.#settle(tree);
      }
      case GatherStep.Released:
        if (from !== tree.plan.parent || !this.#awaits(tree, generation)) break;
        for (const child of tree.plan.children) this.#outbox.send(child, message);
        this.#pass(tree);
        return this.#settle(tree);
      case GatherStep.Dissolved: {
        const isNext = this.#awaits(tree, generation - 1);
        if (from !== DIRECTORY_NODE || !isNext && generation !== tree.generation) break;
        return this.#dissolve(tree, isNext);
      }
      case GatherStep.Recall:
        break;
      default:
        step satisfies never;
    }
    this.#breach(from, message);
  }

  /** A node is gone: the directory node has dissolved its trees, and plants no other with it. */
  peerGone(node: NodeId): void {
    this.#early.delete(node);
  }

  /** Time passes. What has waited since it last did is for the desk, which can tell of it. */
  beat(): void {
    for (const tree of this.trees.values()) {
      if (tree.isOld && tree.kept.length > 0) this.#recall(tree);
      tree.isOld = tree.kept.length > 0;
    }
  }

  /** Whether a report to the parent counts an arrival. */
  protected isReported(tree: Pick<Tree, "plan" | "hasReported">, index: number): boolean {
    return tree.hasReported && index < tree.plan.arrivals;
  }

  /** Whether all are there of which a report tells. */
  protected isGathered({ plan, kept, reported }: Tree): boolean {
    return kept.length >= plan.arrivals && reported.size === plan.children.length;
  }

  /** Whether the answers to a generation are yet to come. */
  #awaits(tree: Tree, generation: number): boolean {
    return tree.hasReported && generation === tree.generation;
  }

  #receiveOfNone(from: NodeId, message: GatherMessage): void {
    const { step, tree, generation } = message;
    // What was on its way when the tree was dissolved.
    if (tree <= this.#lastTree) return;
    const trees = this.#early.get(from) ?? new Set();
    const isEarly = step === GatherStep.Gathered && generation === 0 && !trees.has(tree);
    if (!isEarly || trees.size >= this.#unanswered()) return this.#breach(from, message);
    this.#early.set(from, trees.add(tree));
  }

  /** Reports, if there is something to report. */
  #settle(tree: Tree): void {
    const { plan, kept } = tree;
    if (!tree.hasReported && this.isGathered(tree)) {
      tree.hasReported = true;
      this.#send(plan.parent, GatherStep.Gathered, tree);
    }
    // The round is not like the last one: only the desk can tell what completes it.
    if (kept.length > plan.arrivals) this.#recall(tree);
  }

  #recall(tree: Tree): void {
    if (tree.isRecalled) return;
    tree.isRecalled = true;
    this.#send(DIRECTORY_NODE, GatherStep.Recall, tree);
  }

  /** A generation is complete: the threads of this node go on. */
  #pass(tree: Tree): void {
    const { plan: { arrivals, leads }, kept } = tree;
    tree.kept = kept.slice(arrivals);
    tree.generation++;
    tree.reported.clear();
    tree.hasReported = tree.isRecalled = tree.isOld = false;
    for (const [index, { request: { ticket } }] of kept.slice(0, arrivals).entries()) {
      const isLast = leads && index === arrivals - 1;
      this.#answer(ticket, isLast ? SyncStatus.Last : SyncStatus.Done);
    }
  }

  /** The tree is no more; the word that a generation is complete may have been overtaken. */
  #dissolve(tree: Tree, isComplete: boolean): void {
    if (isComplete) this.#pass(tree);
    this.trees.delete(tree.plan.tree);
    this.#names.delete(tree.plan.name);
    for (const { request, isCancelled } of tree.kept) {
      if (isCancelled) this.#answer(request.ticket, SyncStatus.Cancelled);
      else this.#outbox.ask(request);
    }
  }

  #answer(ticket: number, status: SyncStatus): void {
    this.#outbox.answer({ kind: "syncReply", ticket, status, count: 0, key: 0n });
  }

  #send(to: NodeId, step: GatherStep, { plan: { tree }, generation }: Tree): void {
    this.#outbox.send(to, { kind: "gather", step, tree, generation });
  }

  #breach(node: NodeId, { step, tree, generation }: GatherMessage): void {
    const reason = `step ${step} of generation ${generation} in tree ${tree}, which is not due`;
    this.#outbox.violation(node, reason);
  }
}

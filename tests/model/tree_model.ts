/**
 * Small worlds of nodes that meet at a barrier which a tree of two levels gathers, to be visited to
 * their ends. A state is the way that has led there: going on from it takes that way again, which
 * spares the machines of the protocol a copy of themselves.
 */

import { SYNC_LIMITS } from "../../runtime/protocol/sync/desk.ts";
import type { BarrierGatherer } from "../../runtime/protocol/sync/barrier_gatherer.ts";
import type { NodeId } from "../../runtime/protocol/coherence/messages.ts";
import { BARRIER_PARTS, type BarrierParts, BarrierWorld } from "../simulator/sync/barrier_world.ts";
import type { TransitionSystem } from "./explore.ts";
import { hashOf } from "./fingerprint.ts";

/** What can happen in a world. */
export interface TreeShape {
  /** How many times each thread arrives after the directory node has planted the tree. */
  readonly arrivals: number;
  /** How many nodes may die, may leave, and how many arrivals may be taken back. */
  readonly deaths: number;
  readonly leaves: number;
  readonly cancels: number;
  /** Whether time may pass in any state, and not only once nothing else happens. */
  readonly beats: boolean;
}

/** Something that can happen. */
export type TreeAction =
  | { readonly do: "deliver"; readonly link: string }
  | {
    readonly do: "arrive" | "beat" | "lose" | "finish" | "die" | "leave" | "cancel";
    readonly node: NodeId;
  };

/** A state: the last action of the way to it, and the state before. */
export interface TreeState {
  readonly action?: TreeAction;
  readonly before?: TreeState;
}

/** The fewest nodes in whose tree one stands between another and the root: of radix 2. */
const NODES = 4;
const NAME = "a";
/** The directory node is none, so that reports alone complete a round. */
const PARTIES = NODES - 1;
const LIMITS = { ...SYNC_LIMITS, treeNodes: 1, treeRadix: 2 };
const WISHES: readonly TreeAction["do"][] = ["die", "leave", "cancel"];

const encoder = new TextEncoder();

/** What a way has led to. */
interface Visited {
  readonly world: BarrierWorld;
  /** Shows what the directory node knows of barriers. */
  readonly desk: { describe(): string };
  readonly left: { deaths: number; leaves: number; cancels: number; arrivals: number[] };
}

/** A gatherer that says whether the next beats of its node's heart recall a tree. */
interface ProbedGatherer extends BarrierGatherer {
  readonly willRecall: boolean;
}

/** Parts that show what they know. */
function probed(parts: BarrierParts) {
  const made: { desk?: Visited["desk"] } = {};
  class Barriers extends parts.Barriers {
    constructor(...args: ConstructorParameters<BarrierParts["Barriers"]>) {
      super(...args);
      made.desk = this;
    }

    describe(): string {
      const rounds = [...this.rounds].map(([name, { arrivals, tree, ...round }]) => [
        name,
        round,
        [...arrivals],
        tree && [tree.number, tree.generation, [...tree.reported].sort()],
      ]);
      return JSON.stringify([rounds, this.incomplete]);
    }
  }
  class Gatherer extends parts.BarrierGatherer {
    get willRecall(): boolean {
      return this.trees.values().some(({ kept, isRecalled }) => kept.length > 0 && !isRecalled);
    }

    override toString(): string {
      const trees = [...this.trees.values()].map(({ plan, kept, reported, ...tree }) => [
        plan.tree,
        kept.map(({ request: { ticket }, isCancelled }) => [ticket, isCancelled]),
        [...reported].sort(),
        tree,
      ]);
      return JSON.stringify([trees, this.early]);
    }
  }
  return { parts: { ...parts, Barriers, BarrierGatherer: Gatherer }, made };
}

/** A world of four nodes, the last of which stands below the third. */
export class TreeModel implements TransitionSystem<TreeState, TreeAction> {
  readonly initial: TreeState = {};
  readonly #shape: TreeShape;
  readonly #probed: ReturnType<typeof probed>;
  #last: { readonly state: TreeState; readonly visited: Visited } | undefined;

  /** @param shape What can happen. @param parts What the nodes are made of. */
  constructor(shape: TreeShape, parts: BarrierParts = BARRIER_PARTS) {
    this.#shape = shape;
    this.#probed = probed(parts);
  }

  /** Everything that can happen; what happens in the end anyway comes first. */
  actions(state: TreeState): TreeAction[] {
    const { world, left } = this.#visit(state);
    const actions: TreeAction[] = world.busyLinks.toSorted()
      .map((link) => ({ do: "deliver", link }));
    const add = (what: Exclude<TreeAction["do"], "deliver">, node: NodeId) =>
      void actions.push({ do: what, node });
    for (const { id } of world.unheard) add("lose", id);
    for (const { id } of world.leaving) add("finish", id);
    const parties = world.working.filter(({ id }) => id > 1);
    for (const { id, open, gatherer } of parties) {
      if (open.size === 0 && left.arrivals[id]! > 0) add("arrive", id);
      else if (this.#shape.beats && (gatherer as ProbedGatherer).willRecall) add("beat", id);
    }
    for (const { id, open } of parties) {
      if (left.deaths > 0) add("die", id);
      if (left.leaves > 0) add("leave", id);
      const isOpen = open.values().some(({ isCancelled }) => !isCancelled);
      if (left.cancels > 0 && isOpen) add("cancel", id);
    }
    return actions;
  }

  /** The state that an action leads to. */
  apply(before: TreeState, action: TreeAction): TreeState {
    const state = { action, before };
    this.#visit(state);
    return state;
  }

  /** Whether an action need not happen. */
  isWish(action: TreeAction): boolean {
    return WISHES.includes(action.do);
  }

  /** Nothing is on its way: what waits has to. */
  checkQuiescence(state: TreeState): void {
    const { world } = this.#visit(state);
    this.#last = undefined;
    // By the second beat what is kept has been recalled.
    for (let beats = 0; beats < 2; beats++) {
      for (const node of world.working) if (node.id > 1) world.beat(node);
      for (let links = world.busyLinks; links.length > 0; links = world.busyLinks) {
        world.deliver(links[0]!);
      }
    }
    world.checkQuiescence();
  }

  /** 53 bits of a hash over everything that matters about a state. */
  fingerprint(state: TreeState): number {
    const { world, desk, left } = this.#visit(state);
    const bytes = encoder.encode(JSON.stringify([world.describe(), desk.describe(), left]));
    return hashOf(bytes, bytes.length);
  }

  #visit(state: TreeState): Visited {
    if (this.#last?.state === state) return this.#last.visited;
    const actions: TreeAction[] = [];
    for (let { action, before } = state; action !== undefined; { action, before } = before!) {
      actions.push(action);
    }
    const visited = this.#begin();
    for (const action of actions.reverse()) act(visited, action);
    this.#last = { state, visited };
    return visited;
  }

  /** Two rounds of the directory node's, behind which all that it has said is on its way. */
  #begin(): Visited {
    const world = new BarrierWorld(NODES, LIMITS, this.#probed.parts);
    for (let round = 0; round < 2; round++) {
      for (const node of world.nodes.slice(1)) {
        world.arrive(node, NAME, PARTIES);
        world.deliver(`${node.id} 1`);
      }
      if (round === 0) { for (const link of world.busyLinks) world.deliver(link); }
    }
    const { arrivals: each, deaths, leaves, cancels } = this.#shape;
    const arrivals = world.nodes.map(() => each);
    return {
      world,
      desk: this.#probed.made.desk!,
      left: { deaths, leaves, cancels, arrivals: [0, ...arrivals] },
    };
  }
}

function act({ world, left }: Visited, action: TreeAction): void {
  if (action.do === "deliver") return world.deliver(action.link);
  const node = world.nodes[action.node - 1]!;
  switch (action.do) {
    case "arrive":
      left.arrivals[node.id]!--;
      return world.arrive(node, NAME, PARTIES);
    case "beat":
      return world.beat(node);
    case "lose":
      return world.lose(node);
    case "finish":
      return world.finish(node);
    case "die":
      left.deaths--;
      left.arrivals[node.id] = 0;
      return world.die(node, () => 0);
    case "leave":
      left.leaves--;
      left.arrivals[node.id] = 0;
      return world.leave(node);
    case "cancel": {
      left.cancels--;
      const [ticket] = node.open.entries().find(([, { isCancelled }]) => !isCancelled)!;
      return world.cancel(node, ticket);
    }
    default:
      action satisfies never;
  }
}

const NOTHING: TreeShape = { arrivals: 2, deaths: 0, leaves: 0, cancels: 0, beats: false };

/** Worlds that are visited to their ends within seconds. */
export const TREE_WORLDS: readonly { readonly name: string; readonly shape: TreeShape }[] = [
  { name: "an arrival is taken back", shape: { ...NOTHING, cancels: 1 } },
  { name: "a node dies", shape: { ...NOTHING, deaths: 1 } },
  { name: "a node leaves", shape: { ...NOTHING, arrivals: 1, leaves: 1 } },
];

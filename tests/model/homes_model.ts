/**
 * A small cluster with homes on every node as a transition system: the simulator's cluster, put
 * into one state after the other. Its steps and checks are those of the simulator. What chance
 * decides there is an action here, of which every one is taken.
 *
 * Requests are of one page. Memory has no limit, nothing is freed, and pages are not held.
 */

import { Access, permits } from "../../runtime/protocol/coherence/page.ts";
import type { GrantMessage, NodeId } from "../../runtime/protocol/coherence/messages.ts";
import { Residence } from "../../runtime/protocol/coherence/residence.ts";
import { type CacheTables, WatchedCache } from "../simulator/coherence/cache_coverage.ts";
import { checkQuiescence } from "../simulator/coherence/invariants.ts";
import { PAGE_WORDS } from "../simulator/coherence/mmu.ts";
import type {
  Frame,
  Link,
  NodeStatus,
  SimulatedNode,
  Thread,
} from "../simulator/coherence/node.ts";
import type { PlantedBug } from "../simulator/coherence/planted_bugs.ts";
import type { EngineState } from "../simulator/coherence/probes.ts";
import { Random } from "../simulator/coherence/random.ts";
import { World } from "../simulator/coherence/world.ts";
import { eager } from "./eager.ts";
import type { TransitionSystem } from "./explore.ts";
import { hashOf, requesterOf } from "./fingerprint.ts";
import type { BlockedAccess } from "./state.ts";

/** A cluster to explore. */
export interface HomesOptions {
  /** How many nodes. */
  readonly nodes: number;
  /** How many pages; each is a chunk. */
  readonly pages: number;
  /** Whether the nodes take turns to be homes, or the first one that needs a page is its home. */
  readonly placement: "spread" | "first-touch";
  /** How many nodes may die or leave, and in which of these ways. */
  readonly departures: { readonly count: number; readonly kinds: readonly ("die" | "leave")[] };
}

/** One node. */
interface NodeState {
  readonly status: NodeStatus;
  readonly endUnnoticed: boolean;
  readonly engine: EngineState;
  /** For each page what the node's page table allows. */
  readonly mapped: readonly number[];
  readonly resident: readonly number[];
  /** For each page whether the alias has the last write. */
  readonly fresh: readonly boolean[];
  /** The pages of which the node has been told that they are lost. */
  readonly toldLost: readonly number[];
  /** The access that its thread waits for. */
  readonly blocked: BlockedAccess | undefined;
}

/** A message on its way; where bytes follow it, whether these are the last ones of their page. */
interface FrameState {
  readonly message: Frame["message"];
  readonly fresh: boolean | undefined;
}

/** A cluster. */
export interface HomesState {
  readonly nodes: readonly NodeState[];
  readonly links: readonly (readonly FrameState[])[];
  /** For each page whether any node ever wrote it. */
  readonly written: readonly boolean[];
  /** For each page the nodes that it may be lost with, a bit for each. */
  readonly losses: readonly number[];
  /** How many nodes may die or leave yet. */
  readonly departures: number;
}

/** Something that can happen. */
export type HomesAction =
  | { readonly kind: "deliver"; readonly from: NodeId; readonly to: NodeId }
  | { readonly kind: "cut"; readonly from: NodeId; readonly to: NodeId }
  | {
    readonly kind: "access";
    readonly node: NodeId;
    readonly page: number;
    readonly access: Access;
  }
  | { readonly kind: "notice" | "work" | "die" | "leave"; readonly node: NodeId };

/** What is on every page that was written; and on each copy of it that is old. */
const LAST = 1;
const OLD = 0;
/** What a write puts there, as no copy has it; the state after the write has {@linkcode LAST}. */
const NEW = 2;

/** What the simulator's cluster does more often than not, of a hundred times. */
const MOSTLY = 70;

/**
 * Decides nothing by chance: frames arrive whole, faults are told once, and only actions cut links.
 */
class NoChance extends Random {
  override below(limit: number): number {
    return limit - 1;
  }

  override chance(percent: number): boolean {
    return percent >= MOSTLY;
  }
}

const encoder = new TextEncoder();

/** A transition system. */
export class HomesModel implements TransitionSystem<HomesState, HomesAction> {
  readonly #options: HomesOptions;
  readonly #world: World;
  /** What the nodes of the world are in, as far as that is known. */
  #loaded: (NodeState | undefined)[] = [];
  #bytes = new Uint8Array(1 << 16);
  /** The state in which every node has joined and none has touched anything. */
  readonly initial: HomesState;

  /**
   * @param options The cluster's shape.
   * @param bug What is wrong with its nodes, if anything.
   * @param tables Where its caches count what they visit, if anywhere.
   */
  constructor(options: HomesOptions, bug: PlantedBug, tables?: CacheTables) {
    this.#options = options;
    const settings = { runPages: 1, readAhead: false };
    this.#world = new World(
      {
        ...settings,
        pageCount: options.pages,
        threads: Array.from({ length: options.nodes }, () => []),
        placement: options.placement,
        chunkPages: 1,
        holdTimeUs: 0,
        migration: false,
        readAheadMinPages: 1,
        memoryPages: [],
        reservePages: [],
        workPages: 1,
        preemptPercent: 0,
        checked: true,
      },
      new NoChance(0),
      { ...bug, parts: eager(bug.parts, settings) },
      undefined,
    );
    for (const { cache } of this.#world.nodes) {
      if (cache instanceof WatchedCache) cache.tables = tables;
    }
    this.initial = this.#makeInitial();
  }

  #makeInitial(): HomesState {
    const world = this.#world;
    for (const node of world.nodes.slice(1)) world.join(node);
    const news = (): Link | undefined => world.links.find((link) => world.canDeliver(link));
    for (let link = news(); link !== undefined; link = news()) world.deliver(link);
    return this.#save(undefined, world.nodes.map(({ id }) => id), this.#options.departures.count);
  }

  /** @returns Everything that can happen; what would be done in the end anyway comes first. */
  actions(state: HomesState): HomesAction[] {
    this.#load(state);
    const world = this.#world;
    const actions: HomesAction[] = [];
    for (const link of world.links) {
      if (world.canDeliver(link)) {
        actions.push({ kind: "deliver", from: link.from.id, to: link.to.id });
      }
    }
    for (const node of world.nodes) {
      if (node.present && node.engine.hasWork) actions.push({ kind: "work", node: node.id });
      if (node.endUnnoticed && world.link(node.id, 1).frames.length === 0) {
        actions.push({ kind: "notice", node: node.id });
      }
    }
    for (const node of world.nodes) this.#offerWishes(state, node, actions);
    return actions;
  }

  /** What need not happen. */
  #offerWishes(state: HomesState, node: SimulatedNode, actions: HomesAction[]): void {
    const { id, status } = node;
    for (const { from, to, frames } of this.#world.links) {
      // What a dead node has sent last may be lost.
      const mayBeCut = from === node && status === "dead" && frames.length > 0;
      if (mayBeCut) actions.push({ kind: "cut", from: id, to: to.id });
    }
    const isFree = status === "live" && state.nodes[id - 1]!.blocked === undefined;
    for (let page = 0; isFree && page < this.#options.pages; page++) {
      // A read that succeeds changes nothing, and is checked in each state anyway.
      if (!permits(node.mmu.state(page), Access.Read)) {
        actions.push({ kind: "access", node: id, page, access: Access.Read });
      }
      actions.push({ kind: "access", node: id, page, access: Access.Write });
    }
    if (id === 1 || state.departures === 0 || !node.present) return;
    for (const kind of this.#options.departures.kinds) {
      if (kind === "die" || isFree) actions.push({ kind, node: id });
    }
  }

  /** Whether an action need not happen. */
  isWish({ kind }: HomesAction): boolean {
    return kind === "access" || kind === "die" || kind === "leave" || kind === "cut";
  }

  /** @throws {InvariantError} When nothing is left to do in this state, but not all is done. */
  checkQuiescence(state: HomesState): void {
    this.#load(state);
    checkQuiescence(this.#world.nodes, this.#options.pages, this.#world.oracle);
  }

  /**
   * Lets something happen.
   *
   * @param state The state in which it can.
   * @param action What it is.
   * @returns The state after it.
   * @throws {InvariantError} When it breaks a promise.
   */
  apply(state: HomesState, action: HomesAction): HomesState {
    this.#load(state);
    try {
      const isDeparture = action.kind === "die" || action.kind === "leave";
      const departures = isDeparture ? state.departures - 1 : state.departures;
      return this.#save(state, this.#act(action), departures);
    } catch (error) {
      this.#loaded = [];
      throw error;
    }
  }

  /** Returns the nodes that have changed. */
  #act(action: HomesAction): NodeId[] {
    const world = this.#world;
    if (action.kind === "deliver" || action.kind === "cut") {
      const link = world.link(action.from, action.to);
      if (action.kind === "deliver") world.deliver(link);
      else link.frames.length = 0;
      return [action.to];
    }
    const node = world.nodes[action.node - 1]!;
    switch (action.kind) {
      case "access":
        this.#access(node, action.page, action.access);
        return [node.id];
      case "notice":
        world.noticeEnd(node);
        return [node.id, 1];
      case "work":
        world.work(node);
        return [node.id];
      case "die":
        world.kill(node);
        return [node.id];
      case "leave":
        world.leave(node);
        return [node.id];
      default:
        return action satisfies never;
    }
  }

  #access(node: SimulatedNode, page: number, access: Access): void {
    const thread = threadOf({ page, access });
    node.threads.splice(0, Infinity, thread);
    this.#world.run(node, thread);
    if (thread.blocked) this.#world.readFault(node);
    node.lastFault = undefined;
  }

  /** Puts the world into a state. */
  #load(state: HomesState): void {
    const { nodes, links, oracle } = this.#world;
    const words = state.written.map((isWritten) => isWritten ? LAST : OLD);
    oracle.load({ words, losses: state.losses });
    const wordOf = (page: number, isFresh: boolean): number => isFresh ? words[page]! : OLD;
    for (const [index, link] of links.entries()) {
      link.received = -1;
      link.frames = state.links[index]!.map(({ message, fresh }) => {
        if (fresh === undefined) return { message, bytes: undefined };
        const bytes = new Int32Array(PAGE_WORDS);
        bytes[0] = wordOf(pageOf(message), fresh);
        return { message, bytes };
      });
    }
    for (const [index, node] of nodes.entries()) {
      const saved = state.nodes[index]!;
      if (this.#loaded[index] === saved) continue;
      this.#loaded[index] = saved;
      node.status = saved.status;
      node.endUnnoticed = saved.endUnnoticed;
      node.engine.load(saved.engine);
      node.mmu.windows[0]!.set(saved.mapped);
      node.mmu.resident.set(saved.resident);
      for (const [page, isFresh] of saved.fresh.entries()) {
        node.mmu.alias[page * PAGE_WORDS] = wordOf(page, isFresh);
      }
      node.toldLost.clear();
      for (const page of saved.toldLost) node.toldLost.add(page);
      const { blocked } = saved;
      node.faults.length = 0;
      node.threads.length = 0;
      if (blocked !== undefined) node.threads.push({ ...threadOf(blocked), blocked: true });
    }
  }

  /** What the world is in, where nodes have changed since it was in a state. */
  #save(
    before: HomesState | undefined,
    changed: readonly NodeId[],
    departures: number,
  ): HomesState {
    const world = this.#world;
    const { pages } = this.#options;
    const { words, losses } = world.oracle.save();
    const freshOf = ({ mmu: { alias } }: SimulatedNode): boolean[] =>
      words.map((word, page) => alias[page * PAGE_WORDS] === word);
    const isWrite = words.includes(NEW);
    const nodes = world.nodes.map((node, index): NodeState => {
      const old = before?.nodes[index];
      if (!changed.includes(node.id) && old !== undefined) {
        if (!isWrite) return old;
        return { ...old, fresh: freshOf(node) };
      }
      // An access whose page has come is one that the thread may make again.
      const [thread] = node.threads;
      const operation = thread?.blocked ? thread.program[thread.next]! : undefined;
      const access = operation?.kind === "read" ? Access.Read : Access.Write;
      return {
        status: node.status,
        endUnnoticed: node.endUnnoticed,
        engine: node.engine.save(pages),
        mapped: [...node.mmu.windows[0]!],
        resident: [...node.mmu.resident],
        fresh: freshOf(node),
        toldLost: [...node.toldLost].sort(),
        blocked: operation && { page: operation.page, access },
      };
    });
    const links = world.links.map(({ frames }) =>
      frames.map(({ message, bytes }): FrameState => {
        return { message, fresh: bytes && bytes[0] === words[pageOf(message)] };
      })
    );
    const written = words.map((word) => word !== OLD);
    if (isWrite) this.#loaded = [];
    for (const id of changed) this.#loaded[id - 1] = undefined;
    return { nodes, links, written, losses, departures };
  }

  /** 53 bits of a hash over everything that matters about a state. */
  fingerprint(state: HomesState): number {
    const text = JSON.stringify(new Described(state).parts);
    if (this.#bytes.length < 3 * text.length) this.#bytes = new Uint8Array(6 * text.length);
    const { written } = encoder.encodeInto(text, this.#bytes);
    return hashOf(this.#bytes, written);
  }
}

/** The page of a message with bytes. */
function pageOf(message: Frame["message"]): number {
  return (message as GrantMessage).first;
}

/** A thread that is about to do an access. */
function threadOf({ page, access }: BlockedAccess): Thread {
  const kind = access === Access.Read ? "read" : "write";
  const program = [{ kind, page, word: 0, value: NEW, expected: 0 }] as const;
  return { program, pace: 1, registers: [], next: 0, window: 0, blocked: false };
}

/**
 * A state as it is told apart from others. Request numbers only matter as far as they differ, so
 * they are renamed by rank.
 */
class Described {
  readonly #requests: number[][];
  readonly parts: unknown;

  constructor(state: HomesState) {
    this.#requests = Array.from({ length: state.nodes.length + 1 }, () => []);
    // Once to see the numbers, and once to rename them.
    this.#describe(state);
    for (const [node, list] of this.#requests.entries()) {
      this.#requests[node] = [...new Set(list)].sort((a, b) => a - b);
    }
    this.parts = this.#describe(state);
  }

  #describe({ nodes, links, written, losses, departures }: HomesState): unknown {
    const count = nodes.length;
    return [
      nodes.map((node, index) => this.#node(node, index + 1)),
      links.map((frames, index) => {
        const to = index % count + 1;
        const from = (index - to + 1) / count + 1;
        return frames.map(({ message, fresh }) => [this.#message(message, from, to), fresh]);
      }),
      written,
      losses,
      departures,
    ];
  }

  /** The rank of a request's number; takes note of the number at first. */
  #rank(node: NodeId, request: number): number {
    const numbers = this.#requests[node]!;
    const rank = numbers.indexOf(request);
    if (rank < 0) numbers.push(request);
    return rank;
  }

  #message(message: Frame["message"], from: NodeId, to: NodeId): unknown {
    if (!("request" in message)) return message;
    return { ...message, request: this.#rank(requesterOf(message, from, to), message.request) };
  }

  #node(node: NodeState, id: NodeId): unknown {
    const { status, endUnnoticed, engine, mapped, fresh, toldLost, blocked } = node;
    // Nothing of a node that is gone matters any more.
    if ((status === "left" || status === "dead") && !endUnnoticed) return status;
    const { cache, directory, moves, homes, departure, early } = engine;
    return [
      status,
      endUnnoticed,
      mapped,
      fresh,
      toldLost,
      blocked,
      [
        cache.states,
        cache.gone.map(([gone, next]) => {
          return [gone, cache.pending.filter(({ request }) => request < next).length];
        }),
        cache.lost,
        cache.pending.map(({ grant, ...pending }) => ({
          ...pending,
          request: this.#rank(id, pending.request),
          grant: grant && this.#message(grant, 1, id),
        })),
        cache.deferred.map((demand) => this.#message(demand, 1, id)),
        cache.locating,
        cache.leaving,
        // Whether there may be bytes of an earlier copy.
        cache.residence.map((value) => value !== Residence.None && value !== Residence.Expected),
      ],
      {
        ...directory,
        active: directory.active.map((run) => {
          return { ...run, request: this.#rank(run.requester, run.request) };
        }),
        waiting: directory.waiting.map(({ from, message }) => {
          return [from, this.#message(message, from, id)];
        }),
      },
      moves,
      homes,
      departure,
      early.map(({ from, demand }) => [from, this.#message(demand, from, id)]),
    ];
  }
}

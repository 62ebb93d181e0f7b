/**
 * A small cluster as a transition system: which actions a state allows, and which state each of
 * them leads to. Every new state is checked.
 */

import { MEMORY_ASK_AGAIN_MS } from "../../runtime/limits.ts";
import { Coherence, type Input } from "../../runtime/protocol/coherence/coherence.ts";
import { NO_ROOM } from "../../runtime/protocol/coherence/memory.ts";
import { Content, type Message, type NodeId } from "../../runtime/protocol/coherence/messages.ts";
import type { EngineEvent, PageOperation } from "../../runtime/protocol/coherence/output.ts";
import { Access, contains, PageState, permits } from "../../runtime/protocol/coherence/page.ts";
import { type CacheTables, WatchedCache } from "../simulator/coherence/cache_coverage.ts";
import { watchWish } from "../simulator/coherence/invariants.ts";
import { fail } from "../simulator/coherence/oracle.ts";
import type { PlantedBug } from "../simulator/coherence/planted_bugs.ts";
import type { ProbeCache, ProbeDirectory } from "../simulator/coherence/probes.ts";
import { allowLosses, checkQuiescence, checkState, counts, settleLosses } from "./checks.ts";
import { hasDeadBytes, mayAskAgain, roomOf, timeless } from "./room.ts";
import { eager } from "./eager.ts";
import type { TransitionSystem } from "./explore.ts";
import { Fingerprint } from "./fingerprint.ts";
import { mappedAfter, outdated } from "./memory.ts";
import {
  type Action,
  type FrameState,
  holdersOf,
  type ModelState,
  type NodeState,
  replaced,
} from "./state.ts";

/** A cluster to explore. */
export interface ModelOptions {
  /** How many nodes. */
  readonly nodes: number;
  /** How many pages. */
  readonly pages: number;
  /** The longest run. */
  readonly runPages: number;
  /** Whether pages are held for some time. */
  readonly holds: boolean;
  /** Whether pages that migrate are handed over. */
  readonly migration: boolean;
  /** Whether one page is asked for at each miss, and the longest run ahead of it. */
  readonly readAhead: boolean;
  /** How many times a page is freed. */
  readonly frees: number;
  /** The most pages that each node may keep, and how many of these it keeps free for faults. */
  readonly memoryPages: number;
  readonly reservePages: number;
  /** Whether nodes tell how much room they have at any time, or only while one looks for room. */
  readonly roomAnyTime: boolean;
  /** How many nodes may die or leave, and in which of these ways. */
  readonly departures: { readonly count: number; readonly kinds: readonly ("die" | "leave")[] };
}

/** The time at which every hold is over. All else happens before. */
const HOLDS_END_US = 1;
/** When the home may be asked anew. The time at which a wait for room is over never comes. */
const ASK_AGAIN_US = MEMORY_ASK_AGAIN_MS * 1000;

/** A state under construction. */
type Draft = { -readonly [Key in keyof ModelState]: ModelState[Key] };

/** A transition system. */
export class Model implements TransitionSystem<ModelState, Action> {
  readonly #options: ModelOptions;
  readonly #bug: PlantedBug;
  readonly #engines: Coherence[];
  readonly #fingerprint: Fingerprint;
  /** The state in which every node has joined and none has touched anything. */
  readonly initial: ModelState;

  /**
   * @param options The cluster's shape.
   * @param bug What is wrong with its nodes, if anything.
   * @param tables Where its caches count what they visit, if anywhere.
   */
  constructor(options: ModelOptions, bug: PlantedBug, tables?: CacheTables) {
    this.#options = options;
    this.#bug = bug;
    const { pages: pageCount, runPages, migration, readAhead, memoryPages, reservePages } = options;
    const holdTimeUs = options.holds ? HOLDS_END_US : 0;
    const settings = {
      pageCount,
      runPages,
      holdTimeUs,
      migration,
      readAhead,
      memoryPages,
      reservePages,
      workPages: 1,
    };
    const parts = eager(bug.parts, options);
    this.#engines = Array.from({ length: options.nodes }, (_, index) => {
      return new Coherence({ self: index + 1, ...settings }, parts);
    });
    for (const { cache } of this.#engines) {
      if (cache instanceof WatchedCache) cache.tables = tables;
    }
    this.initial = this.#makeInitial();
    this.#fingerprint = new Fingerprint(options.nodes, this.isLimited);
  }

  /** 53 bits of a hash over everything that matters about a state. */
  fingerprint(state: ModelState): number {
    return this.#fingerprint.of(state);
  }

  /** Whether an action need not happen. */
  isWish({ kind }: Action): boolean {
    return kind === "access" || kind === "die" || kind === "leave" || kind === "cut" ||
      kind === "free" || kind === "idle";
  }

  /** Whether memory has a limit. */
  get isLimited(): boolean {
    return this.#options.memoryPages !== Infinity;
  }

  #makeInitial(): ModelState {
    const { nodes, pages, departures } = this.#options;
    for (let node = 2; node <= nodes; node++) {
      this.#engines[0]!.step({ kind: "peerJoined", node }, 0);
    }
    return {
      nodes: this.#engines.map((engine): NodeState => ({
        status: "live",
        cache: (engine.cache as ProbeCache).save(),
        mapped: Array(pages).fill(PageState.Invalid),
        fresh: Array(pages).fill(true),
        toldLost: Array(pages).fill(false),
        blocked: undefined,
        undone: [],
      })),
      directory: (this.#engines[0]!.directory as ProbeDirectory).save(),
      links: Array(nodes * nodes).fill([]),
      written: Array(pages).fill(false),
      mayBeLost: Array(pages).fill(false),
      unnoticed: [],
      departures: departures.count,
      frees: this.#options.frees,
      clears: Array(pages).fill(0),
      told: Array(nodes).fill(undefined),
    };
  }

  /** @returns Everything that can happen; what would be done in the end anyway comes first. */
  actions(state: ModelState): Action[] {
    const actions: Action[] = [];
    const busy = state.nodes.findIndex(({ undone }) => undone.length > 0);
    if (busy >= 0) {
      actions.push({ kind: "operate", node: busy + 1 });
      this.#offerAccesses(state, busy + 1, actions);
      return actions;
    }
    for (const [index, frames] of state.links.entries()) {
      if (frames.length === 0) continue;
      const to = index % state.nodes.length + 1;
      actions.push({ kind: "deliver", from: (index - to + 1) / state.nodes.length + 1, to });
    }
    for (const [index, { cache }] of state.nodes.entries()) {
      if (!present(state.nodes[index]!)) continue;
      if (this.isLimited) this.#offerRoom(state, index + 1, actions);
      const { roomless, adoptions, mapped } = cache;
      const keeps = mapped.length > 0 && (roomless.length > 0 || adoptions.length > 0);
      if (cache.holds.length === 0 && !keeps) continue;
      actions.push({ kind: "tick", node: index + 1 });
      for (const [page] of cache.holds) actions.push({ kind: "resumed", node: index + 1, page });
    }
    const { departed, leaving, clearFrom } = state.directory;
    const isPutOff = departed.length > 0 || leaving.some(([, , paused]) => paused);
    if (isPutOff || clearFrom !== Infinity) {
      actions.push({ kind: "work", node: 1 });
    }
    for (const node of state.unnoticed) {
      if (this.#link(state, node, 1).length === 0) actions.push({ kind: "notice", node });
    }
    this.#offerWishes(state, actions);
    return actions;
  }

  /** What comes of the limit. */
  #offerRoom(state: ModelState, id: NodeId, actions: Action[]): void {
    const { status } = state.nodes[id - 1]!;
    const told = state.told[id - 1];
    if (told !== undefined) actions.push({ kind: "hearRoom", node: id });
    else if (id !== 1 && status === "live" && this.#tellsRoom(state)) {
      const known = state.directory.rooms.find(([node]) => node === id)?.[1] ?? NO_ROOM;
      const { pages, spare } = roomOf(state, id, this.#options);
      if (known.pages !== pages || known.spare !== spare) {
        actions.push({ kind: "tellRoom", node: id });
      }
    }
    if (mayAskAgain(state, id, this.#options)) actions.push({ kind: "askAgain", node: id });
  }

  #tellsRoom({ directory, nodes }: ModelState): boolean {
    return this.#options.roomAnyTime || directory.leaving.length > 0 ||
      nodes.some(({ cache }) => cache.offloads.length > 0);
  }

  /** What need not happen. */
  #offerWishes(state: ModelState, actions: Action[]): void {
    if (state.frees > 0) {
      for (const page of state.written.keys()) {
        actions.push({ kind: "free", page, node: 0 });
        for (const [index, node] of state.nodes.entries()) {
          if (node.status === "live") actions.push({ kind: "free", page, node: index + 1 });
        }
      }
    }
    for (const [index, node] of state.nodes.entries()) {
      const id = index + 1;
      if (node.status === "dead") {
        for (let to = 1; to <= state.nodes.length; to++) {
          if (this.#link(state, id, to).length > 0) actions.push({ kind: "cut", from: id, to });
        }
      }
      if (node.status === "live") this.#offerAccesses(state, id, actions);
      if (this.isLimited && present(node) && hasDeadBytes(node)) {
        actions.push({ kind: "idle", node: id });
      }
      if (id === 1 || state.departures === 0 || !present(node)) continue;
      for (const kind of this.#options.departures.kinds) {
        if (kind === "die") actions.push({ kind, node: id });
        else if (node.status === "live" && node.blocked === undefined) {
          actions.push({ kind, node: id });
        }
      }
    }
  }

  #offerAccesses(state: ModelState, node: NodeId, actions: Action[]): void {
    const { blocked, mapped } = state.nodes[node - 1]!;
    if (blocked !== undefined) return;
    for (const [page, allowed] of mapped.entries()) {
      // A read that succeeds changes nothing, and is checked in each state anyway.
      if (!permits(allowed as PageState, Access.Read)) {
        actions.push({ kind: "access", node, page, access: Access.Read });
      }
      actions.push({ kind: "access", node, page, access: Access.Write });
    }
  }

  /**
   * Lets something happen.
   *
   * @param state The state in which it can.
   * @param action What it is.
   * @returns The state after it.
   * @throws {InvariantError} When it breaks a promise.
   */
  apply(state: ModelState, action: Action): ModelState {
    const draft: Draft = { ...state };
    this.#act(draft, action);
    checkState(draft, this.#options);
    draft.mayBeLost = settleLosses(draft);
    return draft;
  }

  /** @throws {InvariantError} When nothing is left to do in this state, but not all is done. */
  checkQuiescence(state: ModelState): void {
    checkQuiescence(state, this.#options);
  }

  #act(draft: Draft, action: Action): void {
    switch (action.kind) {
      case "deliver":
        return this.#deliver(draft, action.from, action.to);
      case "cut":
        return this.#setLink(draft, action.from, action.to, []);
      case "access":
        return this.#access(draft, action.node, action.page, action.access);
      case "tick":
        return this.#step(draft, action.node, { kind: "tick" }, HOLDS_END_US);
      case "work":
        return this.#step(draft, action.node, { kind: "work" });
      case "askAgain":
        return this.#step(draft, action.node, { kind: "tick" }, ASK_AGAIN_US);
      case "tellRoom": {
        const room = roomOf(draft, action.node, this.#options);
        draft.told = replaced(draft.told, action.node - 1, room);
        return;
      }
      case "hearRoom": {
        const room = draft.told[action.node - 1]!;
        draft.told = replaced(draft.told, action.node - 1, undefined);
        return this.#step(draft, 1, { kind: "room", node: action.node, ...room });
      }
      case "idle":
        return this.#step(draft, action.node, { kind: "idle" });
      case "free":
        draft.frees--;
        return this.#free(draft, action.page, action.node);
      case "resumed":
        return this.#step(draft, action.node, { kind: "resumed", page: action.page });
      case "operate": {
        const { undone } = draft.nodes[action.node - 1]!;
        this.#setNode(draft, action.node, { undone: [] });
        return this.#operate(draft, action.node, undone);
      }
      case "die":
        return this.#die(draft, action.node);
      case "leave":
        draft.departures--;
        this.#setNode(draft, action.node, { status: "leaving" });
        return this.#step(draft, action.node, { kind: "leave" });
      case "notice":
        draft.unnoticed = draft.unnoticed.filter((node) => node !== action.node);
        return this.#step(draft, 1, { kind: "peerLost", node: action.node });
      default:
        action satisfies never;
    }
  }

  #deliver(draft: Draft, from: NodeId, to: NodeId): void {
    const frames = this.#link(draft, from, to);
    const { message, fresh } = frames[0]!;
    this.#setLink(draft, from, to, frames.slice(1));
    if (message.kind === "grant" && message.content === Content.Data) {
      const node = draft.nodes[to - 1]!;
      const engine = this.#load(draft, to);
      if (engine.acceptsData(from, message)) {
        const received = node.fresh.slice();
        for (let page = message.first; page < message.first + message.count; page++) {
          if (node.mapped[page] !== PageState.Invalid) fail(`bytes arrive for mapped page ${page}`);
          received[page] = fresh[page - message.first]!;
        }
        this.#setNode(draft, to, { fresh: received });
      }
    }
    this.#step(draft, to, { kind: "message", from, message });
  }

  #access(draft: Draft, id: NodeId, page: number, access: Access): void {
    const node = draft.nodes[id - 1]!;
    if (!permits(node.mapped[page] as PageState, access)) {
      this.#setNode(draft, id, { blocked: { page, access } });
      return this.#step(draft, id, { kind: "fault", page, access });
    }
    for (const [index, other] of draft.nodes.entries()) {
      if (index !== id - 1 && other.mapped[page] !== PageState.Invalid) {
        if (counts(draft, index + 1, page)) {
          fail(`node ${id} writes page ${page}, which node ${index + 1} can read`);
        }
      }
    }
    draft.written = replaced(draft.written, page, true);
    draft.nodes = draft.nodes.map((other, index) => {
      const fresh = index === id - 1;
      return other.fresh[page] === fresh
        ? other
        : { ...other, fresh: replaced(other.fresh, page, fresh) };
    });
    draft.links = draft.links.map((frames) =>
      frames.length === 0 ? frames : frames.map((frame) => outdated(frame, page))
    );
  }

  #die(draft: Draft, id: NodeId): void {
    draft.departures--;
    draft.mayBeLost = allowLosses(draft, id, this.#options.migration);
    draft.unnoticed = [...draft.unnoticed, id];
    draft.told = replaced(draft.told, id - 1, undefined);
    this.#setNode(draft, id, { status: "dead", undone: [] });
    for (let from = 1; from <= draft.nodes.length; from++) this.#setLink(draft, from, id, []);
  }

  /** A page is zeros from now on: whatever any node has of it is old. */
  #forget(draft: Draft, page: number): void {
    draft.written = replaced(draft.written, page, false);
    // A node that died without the home's knowledge may be given the page, and takes it along.
    const taken = draft.unnoticed.some((id) => asks(draft.nodes[id - 1]!, page));
    draft.mayBeLost = replaced(draft.mayBeLost, page, taken);
    draft.nodes = draft.nodes.map((node) => ({
      ...node,
      fresh: replaced(node.fresh, page, false),
    }));
    draft.links = draft.links.map((frames) => frames.map((frame) => outdated(frame, page)));
  }

  #load(state: ModelState, id: NodeId): Coherence {
    const engine = this.#engines[id - 1]!;
    (engine.cache as ProbeCache).load(state.nodes[id - 1]!.cache);
    if (id === 1) (engine.directory as ProbeDirectory).load(state.directory);
    return engine;
  }

  /** A page is freed, and given at once to a node that can zero it, or to any. */
  #free(draft: Draft, page: number, node: NodeId): void {
    const directory = this.#load(draft, 1).directory as ProbeDirectory;
    directory.free({ first: page, count: 1 });
    const [reused] = directory.reuse({ first: page, count: 1 }, node);
    const isGiven = !directory.isClearing({ first: page, count: 1 });
    if (isGiven && reused === undefined && draft.written[page]) {
      fail(`page ${page} is given to a program with what was on it`);
    }
    const clears = isClearing(draft, page) ? 2 : 1;
    draft.clears = replaced(draft.clears, page, isGiven ? 0 : clears);
    draft.directory = directory.save();
  }

  #step(draft: Draft, id: NodeId, input: Input, now = 0): void {
    const engine = this.#load(draft, id);
    const { pagesDropped } = engine.counters;
    const givesKeptRoom = watchWish({ id, engine }, input);
    const { operations, messages, events } = engine.step(input, now);
    givesKeptRoom(messages);
    for (const event of events) {
      if (event.kind !== "cleared") continue;
      for (let page = event.first; page < event.first + event.count; page++) {
        const clears = draft.clears[page]!;
        if (clears === 0) fail(`page ${page} was cleared, and a program needs it`);
        draft.clears = replaced(draft.clears, page, clears - 1);
        this.#forget(draft, page);
      }
    }
    this.#setNode(draft, id, {
      cache: timeless((engine.cache as ProbeCache).save(), HOLDS_END_US),
    });
    if (id === 1) draft.directory = (engine.directory as ProbeDirectory).save();
    if (this.#bug.discardsAtOnce) this.#discard(draft, id, operations);
    if (!this.#bug.messagesFirst) this.#operate(draft, id, operations);
    else if (operations.length > 0) this.#setNode(draft, id, { undone: operations });
    for (const { to, message } of messages) this.#send(draft, id, to, message);
    this.#discard(draft, id, operations);
    const forgets = messages.some(({ message }) => message.kind === "dropped");
    if (forgets || (id === 1 && engine.counters.pagesDropped > pagesDropped)) {
      this.#allowStranded(draft);
    }
    for (const event of events) this.#handle(draft, id, event);
  }

  #send(draft: Draft, from: NodeId, to: NodeId, message: Message): void {
    if (!present(draft.nodes[to - 1]!)) return;
    let fresh: boolean[] = [];
    if (message.kind === "grant" && message.content === Content.Data) {
      const { first, count } = message;
      fresh = draft.nodes[from - 1]!.fresh.slice(first, first + count);
    }
    this.#setLink(draft, from, to, [...this.#link(draft, from, to), { message, fresh }]);
  }

  #operate(draft: Draft, id: NodeId, operations: readonly PageOperation[]): void {
    const { mapped: before, fresh: bytes, blocked } = draft.nodes[id - 1]!;
    const mapped = before.slice();
    const fresh = bytes.slice();
    let waiting = blocked;
    for (const operation of operations) {
      const { kind } = operation;
      for (let page = operation.first; page < operation.first + operation.count; page++) {
        if (kind === "installZero") fresh[page] = !draft.written[page];
        mapped[page] = mappedAfter(mapped[page]!, operation);
      }
      if (kind === "evict" || kind === "protect" || kind === "discard") continue;
      if (waiting !== undefined && contains(operation, waiting.page)) waiting = undefined;
    }
    this.#setNode(draft, id, { mapped, fresh, blocked: waiting });
  }

  /** Gives back the memory of pages, unless they were mapped since. */
  #discard(draft: Draft, id: NodeId, operations: readonly PageOperation[]): void {
    let { fresh } = draft.nodes[id - 1]!;
    const { mapped } = draft.nodes[id - 1]!;
    for (const [index, { kind, first, count }] of operations.entries()) {
      if (kind !== "discard") continue;
      const later = operations.slice(index).filter((other) => other.kind.startsWith("install"));
      for (let page = first; page < first + count; page++) {
        if (later.some((run) => contains(run, page))) continue;
        if (mapped[page] !== PageState.Invalid) fail(`node ${id} discards mapped page ${page}`);
        fresh = replaced(fresh, page, !draft.written[page]);
      }
    }
    this.#setNode(draft, id, { fresh });
  }

  /** What the home believes to be on nodes of whose end it has not heard may be lost. */
  #allowStranded(draft: Draft): void {
    draft.mayBeLost = draft.mayBeLost.map((allowed, page) => {
      const nodes = holdersOf(draft, page);
      return allowed ||
        (nodes.length > 0 && nodes.every((holder) => !present(draft.nodes[holder - 1]!)));
    });
  }

  #handle(draft: Draft, id: NodeId, event: EngineEvent): void {
    switch (event.kind) {
      case "violation":
        return fail(`node ${id} blames node ${event.node}: ${event.reason}`);
      case "pageLost": {
        const { page } = event;
        const { blocked, toldLost } = draft.nodes[id - 1]!;
        if (!draft.mayBeLost[page] && !toldLost[page]) {
          fail(`page ${page} is lost without a reason`);
        }
        this.#setNode(draft, id, {
          toldLost: replaced(toldLost, page, true),
          blocked: blocked?.page === page ? undefined : blocked,
        });
        return;
      }
      case "memoryExhausted":
        return fail(`node ${id} has no room for page ${event.page}`);
      case "left":
        this.#setNode(draft, id, { status: "left" });
        draft.told = replaced(draft.told, id - 1, undefined);
        for (let from = 1; from <= draft.nodes.length; from++) this.#setLink(draft, from, id, []);
        return;
      case "clearedElsewhere":
        // The home has told of that before.
        return;
      case "cleared":
        // Done before the operations: a copy that is left is an old one now.
        return;
      case "nodeLeft":
        return this.#allowStranded(draft);
      case "peerGone":
        // What is still on its way from there may be received, or be cut.
        return;
      default:
        event satisfies never;
    }
  }

  #link(state: ModelState, from: NodeId, to: NodeId): readonly FrameState[] {
    return state.links[(from - 1) * state.nodes.length + to - 1]!;
  }

  #setLink(draft: Draft, from: NodeId, to: NodeId, frames: readonly FrameState[]): void {
    draft.links = replaced(draft.links, (from - 1) * draft.nodes.length + to - 1, frames);
  }

  #setNode(draft: Draft, id: NodeId, change: Partial<NodeState>): void {
    draft.nodes = replaced(draft.nodes, id - 1, { ...draft.nodes[id - 1]!, ...change });
  }
}

function isClearing({ directory }: ModelState, page: number): boolean {
  return directory.active.some((transaction) =>
    transaction.phase.kind === "clearing" && contains(transaction, page)
  );
}

/** Whether a node has asked for a page and was not answered yet. */
function asks({ cache }: NodeState, page: number): boolean {
  return cache.pending.some((run) => contains(run, page));
}

function present({ status }: NodeState): boolean {
  return status === "live" || status === "leaving";
}

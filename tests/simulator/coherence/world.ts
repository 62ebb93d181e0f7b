/**
 * A cluster in one object: what happens is chosen from outside, what follows from it happens here,
 * and every step is checked.
 */

import { HEARTBEAT_MS, MEMORY_ASK_AGAIN_MS } from "../../../runtime/limits.ts";
import type { Placement } from "../../../runtime/protocol/coherence/chunk_homes.ts";
import type { Input } from "../../../runtime/protocol/coherence/coherence.ts";
import type { Message } from "../../../runtime/protocol/coherence/messages.ts";
import type { EngineEvent, Envelope, Output } from "../../../runtime/protocol/coherence/output.ts";
import {
  Access,
  contains,
  type PageRun,
  PageState,
  permits,
} from "../../../runtime/protocol/coherence/page.ts";
import { WatchedCache } from "./cache_coverage.ts";
import { type Corner, TIMES } from "./corners.ts";
import { WatchedDirectory } from "./directory_coverage.ts";
import {
  allowDropped,
  allowHomeless,
  allowLosses,
  allowStranded,
  checkAccess,
  checkCleared,
  checkLoss,
  checkStep,
  forbidLosses,
  settleLosses,
  watchWish,
} from "./invariants.ts";
import { PAGE_WORDS } from "./mmu.ts";
import { homeOf, isData, type Link, SimulatedNode, type Thread } from "./node.ts";
import { type AccessOperation, neededAccess, perform } from "./operation.ts";
import { fail, Oracle } from "./oracle.ts";
import type { PlantedBug } from "./planted_bugs.ts";
import type { ClearedEvent } from "./probes.ts";
import type { ProtocolCoverage } from "./protocol_coverage.ts";
import type { Random } from "./random.ts";
import { Watcher } from "./watcher.ts";

/** The shape of a cluster. */
export interface WorldOptions {
  /** The pages of the region. */
  readonly pageCount: number;
  /** The longest run. */
  readonly runPages: number;
  /** How long a granted page is kept at most. */
  readonly holdTimeUs: number;
  /** Whether pages that migrate are handed over. */
  readonly migration: boolean;
  /** Whether pages are asked for ahead of walks, behind runs of how many at least. */
  readonly readAhead: boolean;
  readonly readAheadMinPages: number;
  /** How often upgrades must follow a walk again to be asked for with it; 1 by default. */
  readonly followsMin?: number;
  /** For each node the most pages that it may keep; `Infinity` for no limit. */
  readonly memoryPages: readonly number[];
  /** For each node how many of them it keeps free for faults. */
  readonly reservePages: readonly number[];
  /** How many pages the home looks at in one go, when a node is gone or leaves. */
  readonly workPages: number;
  /** The threads of each node; as many nodes as there are entries. */
  readonly threads: readonly Thread[][];
  /** How pages get their homes, and how many of them have one; node 1 is that of all by default. */
  readonly placement?: Placement;
  readonly chunkPages?: number;
  /** How often, of a hundred times, threads run between two operations of one step. */
  readonly preemptPercent: number;
  /** Whether every step and access is checked; without, only what threads read tells of faults. */
  readonly checked: boolean;
}

/** How long a node may have room while another one finds none: until that has asked twice. */
const ROOMY_MAX_US = 2 * MEMORY_ASK_AGAIN_MS * 1000;

/** A simulated cluster. */
export class World {
  readonly nodes: SimulatedNode[];
  readonly links: Link[] = [];
  /** The time, in microseconds. */
  now = 0;
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #bug: PlantedBug;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #oracle: Oracle;
  /** How many times each page may be cleared: since it is being cleared, and since it was freed. */
  readonly #clears = new Map<number, number>();
  /** The pages that another home was told to clear, and that no home has cleared since. */
  readonly #ordered = new Set<number>();
  readonly #coverage: ProtocolCoverage | undefined;
  readonly #watcher: Watcher | undefined;

  /**
   * @param options The cluster's shape.
   * @param random Where chance comes from.
   * @param bug What the nodes are made of.
   * @param coverage Where to count, if anywhere.
   * @param trace Is told everything that happens.
   */
  constructor(
    options: WorldOptions,
    random: Random,
    bug: PlantedBug,
    coverage: ProtocolCoverage | undefined,
    trace?: (line: string) => void,
  ) {
    this.#options = options;
    this.#random = random;
    this.#bug = bug;
    this.#trace = trace;
    this.#oracle = new Oracle(options.pageCount);
    this.#coverage = coverage;
    this.#watcher = coverage === undefined ? undefined : new Watcher(coverage);
    this.nodes = options.threads.map((threads, index) =>
      new SimulatedNode(
        index + 1,
        {
          ...options,
          memoryPages: options.memoryPages[index] ?? Infinity,
          reservePages: options.reservePages[index] ?? 0,
        },
        bug.parts,
        threads,
      )
    );
    for (const from of this.nodes) {
      for (const to of this.nodes) {
        this.links.push({ from, to, frames: [], received: -1, accepted: false });
      }
    }
    this.nodes[0]!.status = "live";
    for (const { engine: { cache, directory } } of this.nodes) {
      if (cache instanceof WatchedCache) cache.tables = coverage;
      if (directory instanceof WatchedDirectory) directory.tables = coverage;
    }
  }

  /** The pages of the region. */
  get pageCount(): number {
    return this.#options.pageCount;
  }

  get #isLimited(): boolean {
    return this.#options.memoryPages.some((pages) => pages !== Infinity);
  }

  /** What memory has to look like. */
  get oracle(): Oracle {
    return this.#oracle;
  }

  /** Takes note of a corner that was reached. */
  reach(corner: Corner): void {
    this.#coverage?.corners.count(corner, TIMES);
  }

  /** @returns The link between two nodes. */
  link(from: number, to: number): Link {
    return this.links[(from - 1) * this.nodes.length + to - 1]!;
  }

  /** A node joins. */
  join(node: SimulatedNode): void {
    node.status = "live";
    if (node.engine.directory !== undefined) this.#introduce(node);
    this.#step(this.nodes[0]!, { kind: "peerJoined", node: node.id });
  }

  /** A node that joins is told of the others at once; each of them hears of it later. */
  #introduce(node: SimulatedNode): void {
    for (const { id, present } of this.nodes) {
      if (id === node.id || !this.nodes[0]!.directory.isMember(id)) continue;
      node.known.add(id);
      this.#step(node, { kind: "peerJoined", node: id });
      if (id === 1 || !present) continue;
      const message = { kind: "peerJoined", node: node.id } as const;
      this.link(1, id).frames.push({ message, bytes: undefined });
    }
    this.nodes[0]!.known.add(node.id);
    // Its answers to pings tell every node how much room the directory node has.
    this.#step(node, { kind: "room", node: 1, ...this.nodes[0]!.engine.room });
  }

  /** Whether the first frame of a link can arrive: its receiver has heard of its sender. */
  canDeliver({ from, to, frames }: Link): boolean {
    if (frames.length === 0 || !to.present || to.frozen) return false;
    return to.engine.directory === undefined || to.id === 1 || to.known.has(from.id);
  }

  /** A node says that it wants to leave. */
  leave(node: SimulatedNode): void {
    node.status = "leaving";
    this.#step(node, { kind: "leave" });
  }

  /** A node dies. Of what it has sent, some arrives. */
  kill(node: SimulatedNode): void {
    this.#trace?.(`node ${node.id} dies`);
    this.reach("died");
    allowLosses(this.nodes, this.links, node, this.#options, this.#oracle);
    node.status = "dead";
    node.endUnnoticed = true;
    for (const link of this.links) {
      if (link.to === node) this.#cut(link, 0);
      else if (link.from === node) this.#cut(link, this.#random.below(link.frames.length + 1));
    }
  }

  /** The home notices that a connection ended; nothing more arrives over it. */
  noticeEnd(node: SimulatedNode): void {
    node.endUnnoticed = false;
    allowHomeless(this.nodes, this.links, node, this.pageCount, this.#oracle);
    forbidLosses(this.nodes, this.nodes[0]!, node, this.pageCount, this.#oracle);
    this.#step(this.nodes[0]!, { kind: "peerLost", node: node.id });
  }

  /**
   * A node that died without the home's knowledge may be given a page that is untouched, and takes
   * it along.
   */
  #allowTaken(home: SimulatedNode, page: number): void {
    for (const { id, status, cache, endUnnoticed } of this.nodes) {
      // The word of its joining may be on its way, too, behind it that of its death, if the
      // directory node has heard of that at all.
      const isUnheard = endUnnoticed || home.directory.isMember(id) ||
        this.links.some(({ to, frames }) =>
          to === home &&
          frames.some(({ message }) => message.kind === "peerLost" && message.node === id)
        );
      const isTaken = status === "dead" && isUnheard &&
        cache.requests.some((run) => contains(run, page));
      if (isTaken) this.#oracle.allowLoss(page, id);
    }
  }

  /**
   * Pages are freed: no program needs what is on them. Threads that touch them all the same find
   * what was there, and at some time zeros.
   *
   * @param run The pages.
   */
  free(run: PageRun): void {
    this.#trace?.(`pages ${run.first}+${run.count} are freed`);
    for (let page = run.first; page < run.first + run.count; page++) {
      const isClearing = this.#isClearing(page);
      if (isClearing) this.reach("freedAgain");
      this.#clears.set(page, isClearing ? 2 : 1);
    }
    this.nodes[0]!.directory.free(run);
  }

  /**
   * Pages are given to a program: zeros, at the latest when no page of them is to be cleared.
   *
   * @param run The pages.
   * @param node The node that can zero pages of them; 0 for none.
   */
  reuse(run: PageRun, node: number): void {
    this.#trace?.(`pages ${run.first}+${run.count} are given to node ${node}`);
    const { directory } = this.nodes[0]!;
    const reused = directory.reuse(run, node);
    for (let page = run.first; page < run.first + run.count; page++) {
      if (directory.isClearing({ first: page, count: 1 })) continue;
      this.#clears.set(page, 0);
      if (reused.some((own) => contains(own, page))) this.reach("reused");
      else if (!this.#oracle.isZero(page)) {
        fail(`page ${page} is given to a program with what was on it`);
      }
    }
  }

  /** Time has passed at the home. */
  beat(): void {
    this.nodes[0]!.directory.beat();
  }

  #isClearing(page: number): boolean {
    return this.nodes[0]!.directory.transactionOn(page)?.phase.kind === "clearing";
  }

  /**
   * When a node tells how much room it has: at once where that has changed, and again with its next
   * heartbeat where the home believes something else.
   *
   * @param node The node.
   * @returns The time, in microseconds; `Infinity` where the home knows.
   */
  roomNewsAt(node: SimulatedNode): number {
    const { engine: { room }, toldRoom } = node;
    if (room.pages !== toldRoom.pages || room.spare !== toldRoom.spare) return this.now;
    const isKnown = this.nodes[0]!.directory.knowsRoom(node.id, room);
    return isKnown ? Infinity : node.toldRoomAt + HEARTBEAT_MS * 1000;
  }

  /** A node tells how much room it has; the home hears of it later. */
  tellRoom(node: SimulatedNode): void {
    node.toldRoom = node.engine.room;
    node.toldRoomAt = this.now;
    node.rooms.push(node.toldRoom);
  }

  /** The home hears how much room a node had. */
  hearRoom(node: SimulatedNode): void {
    this.#step(this.nodes[0]!, { kind: "room", node: node.id, ...node.rooms.shift()! });
    this.#tellElsewhere(node);
  }

  /** Where nodes are homes, node 1 answers by which of the others has the most room. */
  #tellElsewhere(node: SimulatedNode): void {
    if (node.engine.directory === undefined || !node.present || node.id === 1) return;
    const found = this.nodes[0]!.directory.roomElsewhere(node.id);
    if (found === undefined || !node.known.has(found.node)) return;
    this.#step(node, { kind: "room", ...found });
  }

  /** A node's driver has nothing else to do. */
  idle(node: SimulatedNode): void {
    this.#step(node, { kind: "idle" });
  }

  /** The home's program has come to its end: the home waits for the others. */
  close(): void {
    this.#step(this.nodes[0]!, { kind: "leave" });
  }

  /** The time has come that a node's engine waits for. */
  tick(node: SimulatedNode): void {
    this.#step(node, { kind: "tick" });
  }

  /** A node's engine goes on with what it has put off. */
  work(node: SimulatedNode): void {
    this.#step(node, { kind: "work" });
  }

  /** A node's driver finds, rightly or not, that the threads which waited for a page have run. */
  resumed(node: SimulatedNode, page: number): void {
    this.#step(node, { kind: "resumed", page });
  }

  /** A node's engine reads a fault. */
  readFault(node: SimulatedNode): void {
    const fault = node.faults.shift()!;
    node.lastFault = fault;
    this.#fault(node, fault);
  }

  /** A node's engine reads a fault that it has read before. */
  repeatFault(node: SimulatedNode): void {
    this.#fault(node, node.lastFault!);
    node.lastFault = undefined;
  }

  /** A node maps the region once more, and some threads look through the new window from now on. */
  openWindow(node: SimulatedNode): void {
    node.mmu.openWindow();
    for (const thread of node.threads) {
      if (!thread.blocked && this.#random.chance(50)) thread.window = node.mmu.windows.length - 1;
    }
  }

  /** A thread goes on. */
  run(node: SimulatedNode, thread: Thread): void {
    const operation = thread.program[thread.next]!;
    const { kind, page } = operation;
    if (kind === "fetch") {
      thread.next++;
      const access = this.#random.chance(50) ? Access.Read : Access.Write;
      return this.#step(node, { kind: "fetch", first: page, count: operation.count, access });
    }
    const access = neededAccess(operation);
    if (permits(node.mmu.windows[thread.window]![page]! as PageState, access)) {
      thread.next++;
      return this.#access(node, thread, operation);
    }
    this.#trace?.(`node ${node.id} faults at page ${page} to ${kind}`);
    thread.blocked = true;
    node.faults.push({ page, access });
    if (this.#random.chance(10)) node.faults.push({ page, access });
  }

  /** The first frame of a link goes on its way, or arrives. */
  deliver(link: Link): void {
    const { from, to, frames } = link;
    const { message, bytes } = frames[0]!;
    if (isData(message)) {
      if (link.received < 0) {
        link.received = 0;
        link.accepted = to.engine.acceptsData(from.id, message);
        if (!link.accepted) this.reach("dataRejected");
      }
      if (link.accepted) {
        if (!this.#receive(link, message.first, bytes!)) return;
        if (this.#options.checked) this.#checkUnchanged(link, message.first, bytes!);
      }
      link.received = -1;
    }
    frames.shift();
    if (message.kind === "peerJoined") {
      to.known.add(message.node);
      return this.#step(to, message);
    }
    this.#watcher?.delivered(from, to, message);
    this.#watchMoves(to, message);
    if (message.kind === "peerLost" && to.engine.directory !== undefined) {
      forbidLosses(this.nodes, to, this.nodes[message.node - 1]!, this.pageCount, this.#oracle);
    }
    if (message.kind === "forward" || message.kind === "invalidate") {
      const { first } = message;
      const isHere = to.engine.state(first) !== PageState.Invalid;
      if (isHere && to.mmu.state(first) === PageState.Invalid) this.reach("tripwireDemanded");
    }
    this.#step(to, { kind: "message", from: from.id, message });
    this.#giveBack(from);
  }

  /** Takes note of what happens where homes are on every node. */
  #watchMoves(to: SimulatedNode, message: Message): void {
    if (to.engine.directory === undefined) return;
    if (message.kind === "located" && message.node !== 1) this.reach("homeElsewhere");
    if (message.kind === "retired" && to.id === message.node) this.reach("homeRetired");
    if (message.kind === "holds" && !this.#isRetired(to, message.first)) this.reach("homeDied");
    if (message.kind === "forward" || message.kind === "invalidate") {
      const { present } = to.engine.moves!;
      const isNew = !present.has(message.requester) && !to.engine.moves!.isGone(message.requester);
      if (isNew) this.reach("requesterUnknown");
    }
    if (message.kind === "refused") {
      const phase = to.directory.transactionOn(message.first)?.phase;
      if (phase !== undefined && phase.kind !== "aborting") this.reach("refusedEarly");
    }
  }

  /** Whether the home of a page that is moving to a node lives. */
  #isRetired(to: SimulatedNode, page: number): boolean {
    const phase = to.directory.transactionOn(page)?.phase;
    return phase?.kind === "rebuilding" && this.nodes[phase.home - 1]!.present;
  }

  /** Pages that a node has discarded lose their bytes once these have left. */
  #giveBack(node: SimulatedNode): void {
    if (node.mmu.leaving.size === 0) return;
    const sends = (page: number) =>
      this.links.some((link) =>
        link.from === node &&
        link.frames.some(({ message }) => isData(message) && contains(message, page))
      );
    node.mmu.giveBack(sends);
  }

  /** Writes some of the bytes into the alias; returns whether all are there. */
  #receive(link: Link, first: number, bytes: Int32Array): boolean {
    const { alias } = link.to.mmu;
    const rest = bytes.length - link.received;
    const count = this.#random.chance(70) ? rest : this.#random.below(rest + 1);
    for (let index = link.received; index < link.received + count; index++) {
      const page = first + Math.floor(index / PAGE_WORDS);
      if (this.#options.checked && link.to.mmu.state(page) !== PageState.Invalid) {
        fail(`bytes arrive at node ${link.to.id} for page ${page}, which is mapped there`);
      }
      alias[first * PAGE_WORDS + index] = bytes[index]!;
      link.to.mmu.fill(page);
    }
    link.received += count;
    return link.received === bytes.length;
  }

  /** Bytes may be read from the source's alias at any time until they are received. */
  #checkUnchanged(link: Link, first: number, bytes: Int32Array): void {
    if (!link.from.present) return;
    const { alias } = link.from.mmu;
    for (let index = 0; index < bytes.length; index++) {
      if (alias[first * PAGE_WORDS + index] !== bytes[index]) {
        fail(`node ${link.from.id} changed page ${first}+ while its bytes travelled`);
      }
    }
  }

  #fault(node: SimulatedNode, { page, access }: { page: number; access: Access }): void {
    if (permits(node.engine.state(page), access)) {
      const isUnmapped = node.mmu.state(page) === PageState.Invalid;
      if (node.cache.isIdle(page)) this.reach("usedAgain");
      else this.reach(isUnmapped ? "tripwireFault" : "staleFault");
    }
    this.#step(node, { kind: "fault", page, access });
  }

  #access(node: SimulatedNode, thread: Thread, operation: AccessOperation): void {
    const { kind, page, word } = operation;
    if (this.#options.checked) checkAccess(this.nodes, node, operation, this.#oracle);
    const found = perform(node.mmu.alias, operation);
    this.#oracle.perform(operation);
    if (kind !== "write") thread.registers.push(found);
    this.#trace?.(`node ${node.id} does ${kind} page ${page} word ${word}, which is ${found}`);
  }

  #step(node: SimulatedNode, input: Input): void {
    this.#trace?.(`${this.now} node ${node.id} takes ${JSON.stringify(input)}`);
    const { pagesDropped, pagesOffloaded } = node.engine.counters;
    const givesKeptRoom = watchWish(node, input);
    const output = node.engine.step(input, this.now);
    if (givesKeptRoom(output.messages)) this.reach("keptRoomGiven");
    if (this.#bug.messagesFirst) {
      this.#send(node, output.messages);
      this.#operate(node, output);
    } else {
      this.#operate(node, output);
      this.#send(node, output.messages);
    }
    this.#giveBack(node);
    if (this.#isLimited) this.#watchRoom();
    if (node.engine.counters.pagesOffloaded > pagesOffloaded) this.reach("offloaded");
    const isForgotten = input.kind === "message" && input.message.kind === "adopt" &&
      !node.cache.isTaking(input.message.first);
    if (isForgotten) this.reach("adoptionForgotten");
    // A home lets a node go as it forgets copies: it counts on others, of whose death it may have
    // yet to hear.
    const forgets = output.messages.some(({ message: { kind } }) =>
      kind === "dropped" || kind === "left"
    );
    const isOwn = node.engine.directory !== undefined &&
      node.engine.counters.pagesDropped > pagesDropped;
    if (forgets || isOwn) {
      allowStranded(this.nodes, this.#options.pageCount, this.#oracle);
    }
    for (const { to, message } of output.messages) {
      const home = this.nodes[to - 1]!;
      if (message.kind === "clear") {
        for (let count = 0; count < message.count; count++) {
          this.#ordered.add(message.first + count);
        }
      }
      if (message.kind !== "drop" || home.status !== "dead") continue;
      allowDropped(this.nodes, this.links, home, message, this.#oracle);
    }
    for (const event of output.events) this.#handle(node, event);
    if (!this.#options.checked) return;
    checkStep(this.nodes, this.#options.pageCount, this.#oracle);
    settleLosses(this.nodes, this.links, this.#options.pageCount, this.#oracle);
  }

  #operate(node: SimulatedNode, { operations, events }: Output): void {
    const { preemptPercent } = this.#options;
    const cleared = events.filter((event) => event.kind === "cleared");
    for (const [index, operation] of operations.entries()) {
      // What this node does to a cleared page comes in between: it drops its copy before, and gets
      // zeros after.
      this.#clear(node, cleared, index);
      if (operation.kind === "discard" && this.#bug.discardsAtOnce) {
        node.mmu.operate(operation);
        node.mmu.giveBack(() => false);
        continue;
      }
      this.#preempt(node, preemptPercent);
      this.#trace?.(`  node ${node.id} does ${JSON.stringify(operation)}`);
      if (!node.mmu.operate(operation)) continue;
      const { first, count } = operation;
      for (const thread of node.threads) {
        if (!thread.blocked) continue;
        const { page } = thread.program[thread.next]!;
        if (page >= first && page < first + count) thread.blocked = false;
      }
    }
    this.#clear(node, cleared, operations.length);
  }

  /** The pages that a home has cleared before an operation of its step are zeros from now on. */
  #clear(home: SimulatedNode, cleared: ClearedEvent[], operation: number): void {
    while (cleared.length > 0) {
      if (home.directory.operationsBefore(cleared[0]!) > operation) return;
      const run = cleared.shift()!;
      this.reach("cleared");
      for (let page = run.first; page < run.first + run.count; page++) {
        const clears = this.#clears.get(page) ?? 0;
        const isFreed = home.id === 1
          ? clears > 0
          : this.nodes[0]!.directory.isClearing({ first: page, count: 1 });
        if (!isFreed) fail(`page ${page} was cleared, and a program needs it`);
        if (home.id === 1) this.#clears.set(page, clears - 1);
        this.#ordered.delete(page);
        if (this.#oracle.mayBeLost(page)) this.reach("clearedLost");
        if (this.#options.checked) checkCleared(this.nodes, page);
        this.#oracle.clear(page);
        this.#allowTaken(home, page);
      }
    }
  }

  /** The directory node takes pages for cleared that have another home. */
  #clearedElsewhere({ first, count }: PageRun): void {
    this.reach("clearedElsewhere");
    const { directory } = this.nodes[0]!;
    for (let page = first; page < first + count; page++) {
      if (this.#ordered.has(page)) fail(`page ${page} is said to be cleared, and was not`);
      this.#clears.set(page, directory.isClearing({ first: page, count: 1 }) ? 1 : 0);
    }
  }

  /** Threads go on while the engine works. They do not call it from here. */
  #preempt(node: SimulatedNode, percent: number): void {
    for (const thread of node.threads) {
      if (thread.blocked || thread.next === thread.program.length) continue;
      if (thread.program[thread.next]!.kind === "fetch") continue;
      if (this.#random.chance(percent)) this.run(node, thread);
    }
  }

  #send(node: SimulatedNode, messages: readonly Envelope[]): void {
    for (const { to, message } of messages) {
      this.#trace?.(`  node ${node.id} sends to ${to} ${JSON.stringify(message)}`);
      if (to === node.id) fail(`node ${to} sends a message to itself`);
      this.#watcher?.sent(node, to, message);
      if (!this.nodes[to - 1]!.present) {
        this.#watcher?.dropped(to, message);
        continue;
      }
      let bytes: Int32Array | undefined;
      if (isData(message)) {
        const start = message.first * PAGE_WORDS;
        bytes = node.mmu.alias.slice(start, start + message.count * PAGE_WORDS);
      }
      this.link(node.id, to).frames.push({ message, bytes });
    }
  }

  #handle(node: SimulatedNode, event: EngineEvent): void {
    this.#trace?.(`  node ${node.id} is told ${JSON.stringify(event)}`);
    switch (event.kind) {
      case "pageLost":
        this.reach("lostPage");
        if (!node.toldLost.has(event.page)) {
          checkLoss(this.nodes, event.page, event.node, this.#oracle);
        }
        node.toldLost.add(event.page);
        return this.#giveUp(node, event.page);
      case "memoryExhausted":
        return this.#exhausted(node, event.page);
      case "violation":
        return fail(`node ${node.id} blames node ${event.node}: ${event.reason}`);
      case "peerGone":
        return this.#close(this.link(event.node, node.id));
      case "cleared":
        // Done with the operations.
        return;
      case "clearedElsewhere":
        return this.#clearedElsewhere(event);
      case "nodeLeft":
        if (this.nodes[0]!.directory.isClosing) this.#allowAbandoned();
        return allowStranded(this.nodes, this.#options.pageCount, this.#oracle);
      case "left":
        return this.#end(node);
      default:
        event satisfies never;
    }
  }

  /** Notes since when nodes have had room that the home knows of. */
  #watchRoom(): void {
    for (const node of this.nodes) {
      const known = node.id === 1 || this.nodes[0]!.directory.believedRoom(node.id).pages > 0;
      const isRoomy = node.status === "live" && known && node.engine.room.pages > 0;
      node.roomySince = isRoomy ? Math.min(node.roomySince, this.now) : Infinity;
    }
  }

  /** A node has waited for room in vain: no node may have had any for long. */
  #exhausted(node: SimulatedNode, page: number | undefined): void {
    this.reach("memoryExhausted");
    for (const other of this.nodes) {
      const { pages } = other.engine.room;
      if (other === node || this.now - other.roomySince < ROOMY_MAX_US) continue;
      fail(`node ${node.id} found no room, and node ${other.id} had room for ${pages} pages`);
    }
    if (page === undefined) this.kill(node);
    else this.#giveUp(node, page);
  }

  /** Where every node goes, what only one of them has goes as well. */
  #allowAbandoned(): void {
    if (this.nodes.some(({ id, status }) => id !== 1 && status === "live")) return;
    for (let page = 0; page < this.pageCount; page++) {
      const { directory } = homeOf(this.nodes, page);
      if (directory.isLost(page)) this.#oracle.allowLoss(page, directory.lostWith(page));
    }
  }

  /** Accesses to a lost page fail; the threads go on behind them. */
  #giveUp(node: SimulatedNode, page: number): void {
    for (const thread of node.threads) {
      if (!thread.blocked || thread.program[thread.next]!.page !== page) continue;
      thread.blocked = false;
      thread.next++;
    }
  }

  /** A node may go: no other must notice. */
  #end(node: SimulatedNode): void {
    this.reach("left");
    node.status = "left";
    node.endUnnoticed = true;
    for (const link of this.links) {
      if (link.to === node) this.#cut(link, 0);
    }
  }

  /** A driver stops to receive, but may have whole frames in its hands. */
  #close(link: Link): void {
    if (link.received >= 0 || this.#random.chance(50)) this.#cut(link, 0);
  }

  #cut(link: Link, count: number): void {
    if (link.frames.length > count && link.from.status === "dead") {
      if (link.frames.slice(count).some(({ message }) => isData(message))) this.reach("grantCut");
    }
    for (const { message } of link.frames.slice(count)) {
      if (message.kind !== "peerJoined") this.#watcher?.cut(link.to.id, message);
    }
    link.frames.length = Math.min(link.frames.length, count);
    if (count === 0) link.received = -1;
  }
}

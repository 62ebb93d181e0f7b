/**
 * One node's engine, put together once the node is one of a cluster: the region, the protocol, what
 * drives it, the services, and the answers to the program.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import type { AvailableMemory } from "../../ffi/memory_available.ts";
import { hasThreadEnded, type NativeRegion } from "../../ffi/native.ts";
import type { Settings } from "../settings/types.ts";
import type { TdsmError } from "../errors.ts";
import { HOLD_LEAST_US } from "../limits.ts";
import { Level } from "../log.ts";
import { HOME_CHUNK_PAGES } from "../protocol/coherence/chunk_homes.ts";
import { Coherence } from "../protocol/coherence/coherence.ts";
import type { Default } from "../protocol/coherence/debts.ts";
import type { Room } from "../protocol/coherence/memory.ts";
import {
  DIRECTORY_NODE,
  type GrantMessage,
  type Message,
  type NodeId,
} from "../protocol/coherence/messages.ts";
import type { EngineEvent } from "../protocol/coherence/output.ts";
import { type EngineMessage, isPageMessage } from "../wire/peer_message.ts";
import { ROOM_UNLIMITED } from "../wire/control.ts";
import type { PingMessage } from "../wire/ping_frames.ts";
import type { RemindControl, SettledControl } from "../wire/debt_control.ts";
import type { ClusterEvent, Counters } from "../wire/status_control.ts";
import type { RegionSettings } from "../wire/region_settings.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { EngineWatch } from "../observe/engine_watch.ts";
import { Driver, type DriverParts, type DriverSleep, type MessageSink } from "./driver.ts";
import { FaultTimer } from "./fault_timer.ts";
import { IdleWatch } from "./idle_watch.ts";
import type { LifeCycle } from "./life_cycle.ts";
import { memoryPages } from "./memory_limit.ts";
import { describeMessage, levelOf, SyncLog } from "./log.ts";
import type { EngineNews, NodeStats } from "./news.ts";
import { movesByName, PageMoves } from "./page_moves.ts";
import { nowUs } from "./polling.ts";
import { ProgramCalls } from "./program_calls.ts";
import type { CallServer } from "../ring/calls.ts";
import type { CallSlots } from "../ring/call_slots.ts";
import { RpcService } from "./rpc_service.ts";
import { type ServiceHomes, Services } from "./services.ts";
import type { StuckWaits } from "../protocol/sync/desk.ts";
import { openSharedRegion, type SharedRegion } from "./shared_buffer.ts";
import { StatusService } from "./status_service.ts";
import { watchDriver } from "./watched_driver.ts";
import { ThreadLinks } from "./thread_links.ts";
import type { Poller } from "../../ffi/poller.ts";
import type { SyncRequest } from "../protocol/sync/messages.ts";

/** What an engine is made of, and the callbacks for what its host must do. */
export interface NodeEngineOptions {
  readonly settings: Settings;
  readonly region: RegionSettings;
  /** How much memory there is, as {@linkcode memoryPages} takes it. */
  readonly available: AvailableMemory | undefined;
  readonly library: TdsmLibrary;
  /** The cluster that the node has joined. */
  readonly cluster: Cluster;
  readonly slots: CallSlots;
  /** What the engine's thread sleeps in; without it, a thread of Deno's pool sleeps. */
  readonly sleep?: DriverSleep | undefined;
  /** Lends threads links of their own; without it, there are none. */
  readonly lender?: Pick<Poller, "lend"> | undefined;
  readonly life: LifeCycle;
  /** Begins a trace of this node, and returns its path; see {@linkcode ProgramCallsOptions}. */
  beginTrace(path: string): string;
  /** Ends a trace; resolves with how many events it lacks. */
  endTrace(path: string): Promise<number>;
  /** Called with each event of the protocol. */
  tell(event: EngineEvent): void;
  /** Called when the node cannot go on. */
  fail(error: unknown): void;
  /** Called when the engine cannot even refuse faults, or tell the program. */
  doom(error: unknown): void;
  /** Leaves the cluster; at the directory node, ends it. A second call gets the same promise. */
  close(): Promise<void>;
  /** The same in a bounded time, since the process is about to end. */
  leave(): Promise<void>;
  /** A home has a node that has not done its part for too long, or the directory node is told. */
  inDefault(from: NodeId, found: Default): void;
  /** At the directory node: what has happened since the event of a number. */
  events(since: number): readonly ClusterEvent[];
  /** At the directory node: called with waits that nobody may be left to end. */
  stuck(waits: StuckWaits): void;
  /** Called before a thread is told that a party of its barrier is gone. */
  partyLost(): void;
  /** Called again and again while a thread waits to end the process: the node is to leave. */
  exiting(): void;
  /** Ends the cluster, because the program has failed or called `abort`. */
  abort(reason: string): void;
  /** Whether the process ends before its program could be told of anything. */
  isNearEnd(): boolean;
  post(news: EngineNews): void;
}

/**
 * Room as messages have it.
 *
 * @param room The room.
 * @param room.pages All of it.
 * @param room.spare What is not kept free.
 * @returns The same in 32 bits.
 */
export function writtenRoom({ pages, spare }: Room): Pick<PingMessage, "room" | "spare"> {
  return { room: Math.min(pages, ROOM_UNLIMITED), spare: Math.min(spare, ROOM_UNLIMITED) };
}

/**
 * The room that a message has.
 *
 * @param written The message.
 * @param written.room All of it.
 * @param written.spare What is not kept free.
 * @returns The room.
 */
export function readRoom({ room, spare }: Pick<PingMessage, "room" | "spare">): Room {
  const read = (pages: number) => pages === ROOM_UNLIMITED ? Infinity : pages;
  return { pages: read(room), spare: read(spare) };
}

/** One node's region, and all that serves it. */
export class NodeEngine implements AsyncDisposable {
  readonly region: NativeRegion;
  /** The buffer over the region; or why there is none. */
  readonly shared: SharedRegion["shared"];
  readonly services: Services;
  readonly rpc: RpcService;
  readonly status: StatusService;
  readonly driver: Driver;
  /** The links that threads of this node have for themselves; `undefined` where none can. */
  readonly threads: ThreadLinks | undefined;
  /** The calls of the program's threads. */
  readonly calls: CallServer;
  readonly #options: NodeEngineOptions;
  readonly #idle: IdleWatch;
  readonly #coherence: Coherence;
  readonly #moves = new PageMoves();
  readonly #timer = new FaultTimer(nowUs);
  /** The most pages that this node keeps. */
  readonly memoryPages: number;
  /** At the directory node: the nodes that have begun to leave, and have not left yet. */
  readonly leaving = new Set<NodeId>();
  /** How many messages about pages have arrived. */
  pageMessages = 0;
  /** How many of them were not answers to what was given back. */
  #demands = 0;
  #driverFailed = false;
  /** What is told what happens; where there is none, nothing is measured. */
  #watch: EngineWatch | undefined;
  #endWatching = (): void => {};

  /**
   * Opens the region, and begins to serve it.
   *
   * @param options What the engine is made of.
   * @throws {TdsmError} As `NativeRegion.open`, or `InvalidOption` when the memory's limit is too
   * low.
   */
  constructor(options: NodeEngineOptions) {
    this.#options = options;
    const { settings, cluster, library } = options;
    const { size, pageSize, runPages, holdTimeUs, compression, migration, homes } = options.region;
    const { self } = cluster;
    const { hostname: address, port } = cluster.address;
    this.memoryPages = memoryPages({
      asked: settings.memoryLimit,
      available: options.available,
      region: options.region,
    });
    ({ region: this.region, shared: this.shared } = openSharedRegion(library, { size, pageSize }));
    this.#coherence = new Coherence({
      self,
      pageCount: size / pageSize,
      runPages,
      // Without any hold, nodes that contend for a page could take it from each other before any
      // access is done, for ever.
      holdTimeUs: this.region.countsRuns ? Math.max(holdTimeUs, HOLD_LEAST_US) : HOLD_LEAST_US,
      migration,
      placement: homes,
      readAhead: settings.readAhead,
      moved: (run, source) => this.#moves.moved(run, source),
      requested: (request) => this.#timer.requested(request),
      requestedAnew: (before, request) => this.#timer.requestedAnew(before, request),
      served: (request) => this.#timer.served(request),
      // A node that has room for all pages need not look for what it can do without.
      memoryPages: this.memoryPages < size / pageSize ? this.memoryPages : Infinity,
    });
    this.services = this.#newServices();
    this.rpc = new RpcService({
      self,
      send: (to, message, payload) => cluster.send(to, message, payload),
      isPresent: (node) => cluster.isPresent(node),
      serve: (id, fields) => calls.server.serve(id, fields),
      watch: () => this.#watch,
    });
    this.status = new StatusService({
      self: { id: self, address, port },
      peers: () => cluster.peers,
      stats: () => this.counters(),
      named: () => this.services.named,
      moves: (run) => this.#moves.sum(run),
      copies: (run) => this.#coherence.cache.copiesIn(run),
      sources: () => this.#moves.sources,
      waits: () => this.#timer.look(),
      places: () => this.services.places,
      events: options.events,
      needsTurn: () => this.driver.needsTurn(),
      send: (to, control) => cluster.send(to, control),
    });
    const { slots, life, close, leave, abort, isNearEnd, beginTrace, endTrace } = options;
    this.threads = this.#newThreadLinks();
    const { services, rpc } = this;
    const stats = () => ({
      ...this.counters(),
      allocations: movesByName(this.#moves, this.services.named),
    });
    const calls = new ProgramCalls({
      slots,
      life,
      cluster,
      services,
      rpc,
      threads: this.threads,
      fail: options.fail,
      hasEnded: (thread) => hasThreadEnded(library, thread),
      stats,
      homeOf: (page) => this.homeOf(page),
      close,
      leave,
      abort,
      beginTrace,
      endTrace,
      isNearEnd,
      needsTurn: () => this.driver.needsTurn(),
    });
    this.calls = calls.server;
    const parts: DriverParts = {
      coherence: this.#coherence,
      region: this.region,
      sink: settings.logLevel < Level.Debug ? cluster : this.#traced(cluster),
      slots,
      calls: this.calls,
      sleep: options.sleep,
      pollTimeUs: settings.pollTimeUs,
      compression,
      tell: options.tell,
      lookAtClock: () => cluster.checkLease(),
      exiting: options.exiting,
      failed: (error) => this.#failed(error),
    };
    this.driver = new Driver(parts);
    for (const { id } of cluster.peers) this.#meet(id);
    this.#idle = new IdleWatch({
      events: () => this.#coherence.counters.faults + this.#demands,
      pagesDead: () => this.copies.pagesDead,
      idle: () => this.driver.input({ kind: "idle" }),
    });
    this.driver.start();
  }

  /**
   * From here on tells what happens. Not to be called within a step of the protocol.
   *
   * @param watch Is told; `undefined` for nobody, by which nothing is measured.
   */
  watchBy(watch: EngineWatch | undefined): void {
    this.#endWatching();
    this.#watch = watch;
    this.#endWatching = watch === undefined
      ? () => {}
      : watchDriver(this.driver, this.#coherence, watch);
  }

  /** How many pages this node has copies of. */
  get copies(): Coherence["cache"]["copies"] {
    return this.#coherence.cache.copies;
  }

  /**
   * Acts on a message of another node: the one place that knows which part takes which kind.
   *
   * @param from The node.
   * @param message The message.
   * @param payload The payload of a remote call. The bytes of a grant are in the alias already.
   */
  received(from: NodeId, message: EngineMessage, payload: Uint8Array): void {
    if (isPageMessage(message)) {
      // Permits must not be granted to a node that is going. A home says first that it is none.
      const isGoing = message.kind === "leave" || message.kind === "retire";
      if (isGoing && this.#options.cluster.self === DIRECTORY_NODE) {
        this.services.peerLeft(from);
        this.leaving.add(from);
      }
      this.pageMessages++;
      // The answers to what is given back in idle time do not end that.
      if (message.kind !== "dropped" && message.kind !== "keep") this.#demands++;
      this.#trace("from", from, message);
      return this.driver.input({ kind: "message", from, message });
    }
    switch (message.kind) {
      case "sync":
      case "syncReply":
        this.driver.stayAwake();
        return this.services.sync(from, message);
      case "barrierTree":
      case "gather":
        this.driver.stayAwake();
        return this.services.gather(from, message);
      case "rpcCall":
      case "rpcAnswer":
        this.driver.stayAwake();
        return this.rpc.receive(from, message, payload);
      case "allocate":
      case "allocated":
      case "zeroed":
      case "free":
      case "freed":
      case "findHome":
      case "homeFound":
      case "allocationFailed":
        this.driver.stayAwake();
        return this.services.allocation(from, message);
      case "statsRequest":
      case "stats": {
        const reason = this.status.receive(from, message);
        if (reason === undefined) return;
        return this.#options.tell({ kind: "violation", node: from, reason });
      }
      case "remind":
      case "settled":
        return this.#receiveDebt(from, message);
      case "roomElsewhere":
        if (from === DIRECTORY_NODE) return this.#hearRoom(message.node, readRoom(message));
        return this.#breach(from, message.kind);
      case "inDefault":
        if (!this.#hearsDefaults) return this.#breach(from, message.kind);
        return this.#options.inDefault(from, message);
      default:
        message satisfies never;
    }
  }

  /** At the directory node: a thread of another node asks by a link of its own. */
  threadAsked(from: NodeId, thread: number, request: SyncRequest): void {
    this.driver.stayAwake();
    this.services.sync(from, request, thread);
  }

  /** At the directory node: that link has ended. */
  threadEnded(from: NodeId, thread: number): void {
    this.services.threadEnded(from, thread);
  }

  /** How many more pages this node has memory for. */
  get room(): Room {
    return this.#coherence.room;
  }

  /**
   * At a home: how many more pages another node has memory for. The directory node is told that of
   * each node, and tells the others its own.
   */
  peerRoom(node: NodeId, room: Room): void {
    const { self } = this.#options.cluster;
    if (self !== DIRECTORY_NODE && node !== DIRECTORY_NODE) return;
    this.#hearRoom(node, room);
    const isHome = this.#options.region.homes !== "directory" && node !== DIRECTORY_NODE;
    if (isHome && room.pages !== Infinity) this.#tellRoom(node);
  }

  #hearRoom(node: NodeId, room: Room): void {
    // A step wakes the engine, and each ping tells.
    if (this.#coherence.directory?.knowsRoom(node, room) !== false) return;
    this.driver.input({ kind: "room", node, ...room });
  }

  /** Tells a home with a limit which other node has the most room, if any is known to have some. */
  #tellRoom(home: NodeId): void {
    const found = this.#coherence.directory!.roomElsewhere(home);
    if (found === undefined) return;
    const { node } = found;
    const { cluster } = this.#options;
    cluster.send(home, { kind: "roomElsewhere", node, ...writtenRoom(found) });
    cluster.flush();
  }

  /** A word about what a node owes to a transaction: it counts behind all that was said before. */
  #receiveDebt(from: NodeId, message: RemindControl | SettledControl): void {
    const coherence = this.#coherence;
    const { directory } = coherence;
    const { kind, first, requester, request } = message;
    const debt = { first, requester, request };
    if (kind === "remind" && (from === DIRECTORY_NODE || directory !== undefined)) {
      if (coherence.owes(debt)) return;
      const lacks = coherence.cache.lacks(debt);
      const settled = {
        kind: "settled",
        ...debt,
        ...(lacks === undefined ? {} : { lacks }),
      } as const;
      this.#options.cluster.send(from, settled);
    } else if (kind === "settled" && directory !== undefined) {
      directory.debts.settled(from, debt, message.lacks);
    } else {
      this.#breach(from, kind);
    }
  }

  /** Whether this is the directory node of a cluster in which others are homes, too. */
  get #hearsDefaults(): boolean {
    const { cluster, region } = this.#options;
    return cluster.self === DIRECTORY_NODE && region.homes !== "directory";
  }

  #breach(node: NodeId, kind: string): void {
    const reason = `${kind} from a node that may not send it`;
    this.#options.tell({ kind: "violation", node, reason });
  }

  /** A second has passed. */
  beat(): void {
    this.services.beat();
    this.#idle.beat();
    const { directory } = this.#coherence;
    if (directory === undefined) return;
    directory.beat();
    if (directory.hasWork) this.driver.stayAwake();
    const { reminders, defaults } = directory.debts.beat();
    const { cluster, inDefault } = this.#options;
    for (const { node, debt } of reminders) cluster.send(node, { kind: "remind", ...debt });
    for (const found of defaults) inDefault(cluster.self, found);
  }

  /** Where to write the bytes of a grant; `undefined` when this node has not requested them. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined {
    return this.driver.target(from, grant);
  }

  /** A node has joined; at the directory node `works` says whether it has work of its own. */
  peerJoined(node: NodeId, works: boolean): void {
    if (this.#options.cluster.self === DIRECTORY_NODE) this.services.peerJoined(node, works);
    this.#meet(node);
  }

  /** A home has to know which nodes there are. */
  #meet(node: NodeId): void {
    if (this.#coherence.directory === undefined) return;
    this.driver.input({ kind: "peerJoined", node });
  }

  /** At the directory node: a node went away without leaving. */
  peerLost(node: NodeId): void {
    this.leaving.delete(node);
    this.services.peerLost(node);
    this.status.peerLost(node);
    this.driver.input({ kind: "peerLost", node });
  }

  /** Ends the requests that wait for a node that is gone. */
  peerGone(node: NodeId): void {
    this.leaving.delete(node);
    this.services.peerGone(node);
    this.#moves.forget(node);
    this.rpc.peerLost(node);
    this.#watch?.peerGone(node);
    this.status.peerLost(node);
  }

  /** Ends every request to other nodes: none will be answered. */
  refuse(error: TdsmError): void {
    this.services.fail(error);
    this.rpc.fail(error);
    this.threads?.close();
  }

  /** Stops serving, and closes the region. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#idle[Symbol.dispose]();
    await this.driver.stop();
    this.region[Symbol.dispose]();
  }

  /** Threads of the directory node are beside its desk; what is told, an engine has to see. */
  #newThreadLinks(): ThreadLinks | undefined {
    const { cluster, library, slots, lender: poller, settings } = this.#options;
    const isLogged = settings.semLogLevel >= Level.Info || settings.trace !== undefined;
    if (poller === undefined || cluster.self === DIRECTORY_NODE || isLogged) return undefined;
    return new ThreadLinks({
      library,
      slots,
      poller,
      dial: (thread) => cluster.dialThread(thread),
      giveBackPermit: (key) => {
        if (this.#options.life.refusal !== undefined) return;
        this.services.giveBackPermit(key);
        cluster.flush();
      },
      needsTurn: () => this.driver.needsTurn(),
    });
  }

  /** What decides on homes; `undefined` where node 1 is that of every page, and elsewhere. */
  get #homeTable(): ServiceHomes | undefined {
    const { cluster, region } = this.#options;
    if (region.homes === "directory" || cluster.self !== DIRECTORY_NODE) return undefined;
    const coherence = this.#coherence;
    return {
      chunkPages: HOME_CHUNK_PAGES,
      homes: coherence.homes,
      hindrance: (run, home) => coherence.hindrance(run, home),
      assignHomes: (run, home) => coherence.assignHomes(run, home),
      stays: (node) => coherence.stays(node),
    };
  }

  /** The home of a page; 0 where it has none yet. */
  async homeOf(page: number): Promise<NodeId | 0> {
    return this.#coherence.homes.given(page) || await this.services.homeOf(page);
  }

  #newServices(): Services {
    const { cluster, region, settings, tell, post } = this.#options;
    return new Services({
      self: cluster.self,
      works: !settings.rpcServer,
      size: region.size,
      pageSize: region.pageSize,
      send: (to, message) => cluster.send(to, message),
      sendToThread: (to, thread, reply) => cluster.sendToThread(to, thread, reply),
      violation: (node, reason) => tell({ kind: "violation", node, reason }),
      stuck: this.#options.stuck,
      refused: (text) => {
        if (settings.semLogLevel < Level.Warning) return;
        const fields = { node: cluster.self };
        post({ kind: "log", level: Level.Warning, text, topic: "sync", fields });
      },
      partyLost: this.#options.partyLost,
      pages: this.#coherence.directory,
      homes: this.#homeTable,
      wordMarks: this.#options.slots.wordMarks,
      watch: () => this.#watch,
      log: new SyncLog(settings.semLogLevel, (level, text) => {
        post({ kind: "log", level, text, topic: "sync", fields: { node: cluster.self } });
      }),
    });
  }

  get #homeChunks(): number {
    const { cluster: { self }, region: { homes, size, pageSize } } = this.#options;
    if (homes !== "directory") return this.#coherence.homes.count(self);
    return self === DIRECTORY_NODE ? Math.ceil(size / pageSize / HOME_CHUNK_PAGES) : 0;
  }

  /** What this node has counted, but for page moves by name. */
  counters(): Omit<NodeStats, "allocations"> & Counters {
    return {
      ...this.#coherence.cache.copies,
      ...this.#coherence.counters,
      ...this.#options.cluster.counters,
      ...this.driver.counters,
      pagesMoved: this.#moves.total,
      homeChunks: this.#homeChunks,
      memoryBytes: this.region.memoryBytes(),
      memoryLimitBytes: this.memoryPages * this.region.pageSize,
    };
  }

  /** After its first error the driver refuses faults and calls; after a second it has stopped. */
  #failed(error: unknown): void {
    if (this.#driverFailed) this.#options.doom(error);
    this.#driverFailed = true;
    this.#options.fail(error);
  }

  #trace(way: "from" | "to", node: NodeId, message: Message): void {
    const { settings: { logLevel }, cluster, post } = this.#options;
    if (logLevel < Level.Debug) return;
    const level = levelOf(message);
    if (level > logLevel) return;
    const text = `${describeMessage(message)}, ${way} node ${node}`;
    const fields = { node: cluster.self, peer: node };
    post({ kind: "log", level, text, topic: "runtime", fields });
  }

  /** Sends by another sink, and logs each message. */
  #traced(sink: MessageSink): MessageSink {
    return {
      send: (to, message, payload, encoding) => {
        this.#trace("to", to, message);
        sink.send(to, message, payload, encoding);
      },
      flush: () => sink.flush(),
      unsent: () => sink.unsent(),
      unsentVersion: () => sink.unsentVersion(),
    };
  }
}

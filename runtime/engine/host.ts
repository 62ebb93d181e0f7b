/**
 * One node's engine, from its start to its end: how the node joins, goes on, fails and leaves. It
 * runs in the Worker; `EngineStart` and `EngineNews` are all that crosses to the program's thread.
 */

import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { boottimeMs, die } from "../../ffi/native.ts";
import { Poller } from "../../ffi/poller.ts";
import { programWaker } from "../../ffi/program.ts";
import { RealtimeThread } from "../../ffi/realtime.ts";
import { Signals } from "../../ffi/signals.ts";
import { errorText, ExitCode, reasonOf, TdsmError } from "../errors.ts";
import { formatAddress, isLoopback } from "../address.ts";
import { END_SIGNALS, type EndSignal, SignalEcho } from "../signals.ts";
import {
  CLOSE_REMINDER_MS,
  DEATH_MESSAGE_MAX_MS,
  ENGINE_SILENT_MS,
  FAILURE_GRACE_MS,
  LEAVE_MAX_MS,
  LEAVE_STALL_MS,
  MEMORY_WAIT_MAX_MS,
  PROGRAM_GRACE_MS,
  SETTLE_MAX_MS,
} from "../limits.ts";
import { deathMessage, Level, type LogFields } from "../log.ts";
import type { Default } from "../protocol/coherence/debts.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { EngineEvent } from "../protocol/coherence/output.ts";
import type { StuckWaits } from "../protocol/sync/desk.ts";
import type { Peer } from "../cluster/admission.ts";
import { boundRun, type RegionSettings, regionSettings } from "../wire/region_settings.ts";
import { packError, unpackError } from "../ring/calls.ts";
import { Cluster, type Member, nodeFailed } from "../cluster/cluster.ts";
import type { Secret } from "../secure/handshake.ts";
import { listenAtFirst, whyUnreachable } from "../cluster/handshake.ts";
import type { Vitals } from "../cluster/links.ts";
import type { Settings } from "../settings/types.ts";
import type { ClusterReport, StatusRequestControl } from "../wire/status_control.ts";
import { NodeEngine, readRoom, writtenRoom } from "./node_engine.ts";
import { describePage, describeStuck } from "./log.ts";
import { nowUs } from "./polling.ts";
import { TraceFile } from "./trace_file.ts";
import { watchPoller } from "./watched_poller.ts";
import { together } from "../observe/engine_watches.ts";
import { METRICS_PATH } from "./metrics_server.ts";
import { type MetricsExport, openMetrics } from "./metrics_export.ts";
import { EngineMetrics } from "../observe/engine_metrics.ts";
import { EngineClock } from "../observe/engine_times.ts";
import { nodeMetrics } from "../observe/node_metrics.ts";
import type { Metric } from "../observe/exposition.ts";
import type { DriverSleep } from "./driver.ts";
import { EventMemory } from "./event_memory.ts";
import { LifeCycle, ProcessEnd, StallClock } from "./life_cycle.ts";
import { Turn, TurnWord } from "./turn.ts";
import { verdictOn } from "./verdict.ts";
import type { EngineNews, EngineStart } from "./news.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { EngineTimers } from "./timers.ts";
import { formatSize, roughSize } from "../size.ts";
import { VERSION } from "../version.ts";

/** What an engine is made of, and what it tells. */
interface HostParts {
  readonly start: EngineStart;
  readonly post: (news: EngineNews) => void;
  readonly library: TdsmLibrary;
  readonly cluster: Cluster;
  readonly region: RegionSettings;
  readonly turn: Turn;
  readonly sleep: DriverSleep | undefined;
  /** What the links and the driver use; this host closes it. */
  readonly poller: Poller | undefined;
  /** Where metrics go, if anywhere; this host closes it. */
  readonly metrics: MetricsExport | undefined;
  /** This thread in a real-time class, where it is in one already; this host ends that. */
  readonly realtime: RealtimeThread | undefined;
}

/** One node's engine, from the moment at which the node has joined. */
export class EngineHost implements Member {
  readonly engine: NodeEngine;
  readonly #start: EngineStart;
  readonly #post: (news: EngineNews) => void;
  readonly #library: TdsmLibrary;
  readonly #cluster: Cluster;
  readonly #turn: Turn;
  readonly #poller: Poller | undefined;
  readonly #metrics: MetricsExport | undefined;
  readonly #counts: EngineMetrics | undefined;
  readonly #clock = new EngineClock();
  #trace: TraceFile | undefined;
  /** The last trace that has ended by itself, as its file could not be written. */
  #failedTrace: TraceFile | undefined;
  #endWatching = (): void => {};
  #realtime: RealtimeThread | undefined;
  readonly #slots: CallSlots;
  readonly #life = new LifeCycle();
  readonly #process = new ProcessEnd();
  readonly #echo = new SignalEcho();
  /** What tells of signals, where they are this node's to act on. */
  #signals: Signals | undefined;
  /** How the process ends by the signal that has come first. */
  #signalCode: number | undefined;
  readonly #events = new EventMemory();
  #closed: Promise<void> | undefined;
  #parted: Promise<void> | undefined;
  #exits: Promise<void> | undefined;
  /** Whether the program was told that the node has joined. */
  #announced = false;
  /** Ends the process of a program that does not end by itself. */
  #programEnd: ReturnType<typeof setTimeout> | undefined;

  /** Opens the region and begins to serve it. */
  private constructor(parts: HostParts) {
    const { start, post, library, cluster, region, turn, sleep } = parts;
    this.#start = start;
    this.#post = post;
    this.#library = library;
    this.#cluster = cluster;
    this.#turn = turn;
    this.#poller = parts.poller;
    this.#realtime = parts.realtime;
    this.#metrics = parts.metrics;
    const counts = parts.metrics && new EngineMetrics(parts.metrics.newHistogram);
    this.#counts = counts;
    const { trace } = start.settings;
    // Before the region is opened: it may be that there can be no such file.
    if (trace !== undefined) this.#trace = this.#openTrace(trace, " with --trace");
    this.#slots = new CallSlots(start.slots, programWaker(library));
    this.engine = new NodeEngine({
      settings: start.settings,
      region,
      available: start.available,
      library,
      cluster,
      slots: this.#slots,
      sleep,
      lender: parts.poller,
      life: this.#life,
      beginTrace: (path) => this.#beginTrace(path),
      endTrace: (path) => this.#endTrace(path),
      tell: (event) => this.#tell(event),
      fail: (error) => this.fail(error),
      doom: (error) => this.#doom(error),
      close: () => this.#closed ??= this.#close(),
      leave: async () => void await this.#leaveSoon(),
      exiting: () => this.#exiting(),
      inDefault: (home, found) => this.#inDefault(home, found),
      stuck: (waits) => this.#stuck(waits),
      events: (since) => this.#events.since(since),
      partyLost: () => this.#otherGone(),
      abort: (reason) => this.#abort(reason),
      isNearEnd: () => this.#isNearEnd(),
      post,
    });
    this.#watch();
    if (counts !== undefined) {
      parts.metrics?.serve(() => this.#readMetrics(counts, region), (reason) => {
        this.log(Level.Warning, `Not every connection for metrics is served: ${reason}`);
      });
    }
    const { leasedUntilMs } = cluster;
    if (leasedUntilMs !== Infinity) this.#beginLease(leasedUntilMs);
  }

  /** Has metrics and trace told what happens, as far as there are any. */
  #watch(): void {
    const watch = together(this.#counts, this.#trace?.recorder);
    this.engine.watchBy(watch);
    this.#endWatching();
    const poller = this.#poller;
    const timesWaits = watch?.timesSteps ?? false;
    this.#endWatching = poller !== undefined && timesWaits ? watchPoller(poller, watch!) : () => {};
  }

  /** Opens the file of a trace; `by` is how another one is named. */
  #openTrace(path: string, by: string): TraceFile {
    const { self: node, address } = this.#cluster;
    const trace = new TraceFile({
      node,
      name: `node ${node} at ${formatAddress(address)}`,
      path,
      by,
      ended: (why) => {
        this.log(Level.Warning, `The trace of node ${node} has ended: ${why}`);
        this.#failedTrace = trace;
        if (this.#trace === trace) this.#leaveTrace();
      },
    });
    return trace;
  }

  /** For the program: begins a trace, and returns its path. */
  #beginTrace(path: string): string {
    if (this.#trace !== undefined) {
      const message = `Cannot begin a trace: node ${this.#cluster.self} writes one to ` +
        `${this.#trace.path}. Stop that first`;
      throw new TdsmError("InvalidArgument", message, { operation: "begin a trace" });
    }
    this.#trace = this.#openTrace(path, "");
    this.#watch();
    return this.#trace.path;
  }

  /** For the program: ends a trace, if that goes on, and returns how many events it lacks. */
  async #endTrace(path: string): Promise<number> {
    const trace = [this.#trace, this.#failedTrace].find((one) => one?.path === path);
    if (trace === undefined) throw new Error(`There is no trace at ${path}`);
    if (trace === this.#trace) this.#leaveTrace();
    await trace[Symbol.asyncDispose]();
    return trace.recorder.dropped;
  }

  #leaveTrace(): void {
    this.#trace = undefined;
    this.#watch();
  }

  #readMetrics(engine: EngineMetrics, { size, pageSize }: RegionSettings): Metric[] {
    const cluster = this.#cluster;
    return nodeMetrics({
      node: cluster.self,
      address: cluster.address,
      counters: this.engine.counters(),
      engine,
      peers: cluster.peers.length,
      size,
      pageSize,
      times: this.#poller && this.#clock.divide(this.#poller.times(), nowUs()),
      isDesk: cluster.self === DIRECTORY_NODE,
    });
  }

  /** From here on the library fences the region by itself where this engine does not run. */
  #beginLease(untilMs: number): void {
    const over = this.#cluster.leaseOver(false);
    const message = this.#deathMessage(over);
    const end = { message, status: deathCode(over), graceMs: FAILURE_GRACE_MS };
    const unattendedMs = this.#start.ownsProcess ? PROGRAM_GRACE_MS : -1;
    this.engine.region.beginLease(untilMs, end, unattendedMs);
  }

  /**
   * Starts a node.
   *
   * @param start The node's settings, and the buffers that it shares with its program.
   * @param post Sends news to the program's thread.
   * @returns The engine, once the node has joined; `ready` was posted.
   * @throws {TdsmError} Why the node cannot start.
   */
  static async start(start: EngineStart, post: (news: EngineNews) => void): Promise<EngineHost> {
    const { settings, otherPorts = [], otherDirectories = [], place } = start;
    const { address, port, rpcServer: serving, directoryAddress, joinTimeoutMs } = settings;
    const library = openLibrary({ path: start.library });
    const sum = (bytes: Uint8Array) => library.checksum(bytes);
    const timers = new EngineTimers();
    const listener = listenAtFirst(address, [port, ...otherPorts], directoryAddress === undefined);
    const clock = () => boottimeMs(library);
    const secret = secretOf(settings, library);
    const turn = new Turn();
    let poller: Poller | undefined;
    let realtime: RealtimeThread | undefined;
    let metrics: MetricsExport | undefined;
    let host: EngineHost;
    try {
      if (settings.metrics !== undefined) metrics = openMetrics(settings.metrics);
      await turn.come(settings, () => start.ticket);
      poller = Poller.open(library, listener);
      if (settings.realtime === "on") realtime = inRealtime(library, poller);
      const sleep = poller && { poller, timers };
      const options = {
        listener,
        serving,
        release: VERSION,
        place,
        sum,
        clock,
        whyUnreachable,
        otherDirectories,
        secret,
        poller,
      };
      const open = (cluster: Cluster, region: RegionSettings) =>
        new EngineHost({
          start,
          post,
          library,
          cluster,
          region,
          turn,
          sleep,
          poller,
          realtime,
          metrics,
        });
      if (directoryAddress === undefined) host = Cluster.host(options, regionOf(settings), open);
      else {
        post({ kind: "joining" });
        const wanted = regionSettings(settings);
        host = await Cluster.join(options, directoryAddress, wanted, joinTimeoutMs, open);
      }
    } catch (error) {
      // A node that has not begun has no program that could have ended the cluster.
      if (error instanceof TdsmError && error.code === "NodeFailed") {
        turn.tell(TurnWord.OtherGone, listener.addr.port);
      }
      turn[Symbol.dispose]();
      listener.close();
      await metrics?.[Symbol.asyncDispose]();
      poller?.[Symbol.dispose]();
      realtime?.[Symbol.dispose]();
      throw error;
    }
    await host.engine.driver.prepared;
    const { failure } = host.#life;
    if (failure !== undefined) {
      // The node failed right after it had joined. The program was not told that it had.
      await host.#close();
      throw failure;
    }
    host.#ready();
    return host;
  }

  /** Tells the program that the node has joined, and warns of limits of this node. */
  #ready(): void {
    this.#announced = true;
    this.changed();
    const { settings } = this.#start;
    // Not while the node joins: other threads than the engine's do a part of that.
    if (settings.realtime === "auto" && this.#poller !== undefined) {
      const begun = RealtimeThread.begin(this.#library, "starving");
      if (begun instanceof RealtimeThread) this.#realtime = begun;
    }
    // A signal may come as soon as the program knows of the node.
    if (settings.signals) this.#watchSignals();
    const { hostname: address, port } = this.#cluster.address;
    const { handle, userModeOnly } = this.engine.region;
    this.engine.region.watchExit(2 * LEAVE_MAX_MS);
    const { shared } = this.engine;
    this.#post({ kind: "ready", id: this.#cluster.self, handle, shared, address, port });
    this.#turn.tell(TurnWord.Joined, port);
    if (this.#cluster.self === DIRECTORY_NODE) {
      // Every other node has a lease, by which the library ends the process.
      if (this.#poller !== undefined) this.#watchSilence();
      const at = formatAddress({ hostname: address, port });
      this.log(Level.Info, `Hosting the directory at ${at}`, { event: "hosting", address, port });
    }
    if (this.#metrics?.address !== undefined) {
      const { hostname, port } = this.#metrics.address;
      const url = `http://${formatAddress(this.#metrics.address)}${METRICS_PATH}`;
      const fields = { event: "metrics", address: hostname, port };
      this.log(Level.Info, `Metrics at ${url}`, fields, this.#metricsToldFrom);
      if (!isLoopback(hostname)) {
        this.log(
          Level.Warning,
          `Metrics at ${url}: any program that reaches this port can read them`,
        );
      }
    }
    if (userModeOnly) {
      this.log(
        Level.Warning,
        "Serving page faults of user space only: system calls fail with EFAULT (Bad address) on pages " +
          "that are not here. To change that, run as root, or as root do one of " +
          "chmod 0666 /dev/userfaultfd and sysctl vm.unprivileged_userfaultfd=1",
      );
    }
    if (!isLoopback(address) && settings.key === undefined) {
      const at = formatAddress({ hostname: address, port });
      this.log(
        Level.Warning,
        `Listening at ${at}: any program that reaches this port can join and read the region`,
      );
    }
  }

  /** Has the library say that this engine does not run, where nothing else can. */
  #watchSilence(): void {
    const text = `The engine of node ${this.#cluster.self} has not run for ` +
      `${ENGINE_SILENT_MS} ms. A Worker may wait by V8's own Atomics.wait for a word of the region: ` +
      "have it attach first. If the node does not go on, end its process";
    const message = deathMessage(text, this.#start.settings.logFormat, this.#cluster.self);
    try {
      this.engine.region.watchEngine(message, ENGINE_SILENT_MS);
    } catch (error) {
      // The node is as good without.
      this.log(Level.Warning, `Nothing will tell if this engine does not run: ${reasonOf(error)}`);
    }
  }

  /** From here on signals have the node leave. */
  #watchSignals(): void {
    const look = (): void => void this.#isNearEnd();
    // As long as Deno has a listener, it does not end the process by itself.
    for (const name of Object.keys(END_SIGNALS) as EndSignal[]) Deno.addSignalListener(name, look);
    this.#signals = Signals.watch(this.#library, this.#poller, look);
  }

  #tell(event: EngineEvent): void {
    switch (event.kind) {
      case "pageLost": {
        const { page, node } = event;
        const where = describePage(page, this.engine.region.pageSize, this.engine.services.named);
        const reason = this.#cluster.whyLost(node);
        const gone = reason === undefined ? "gone" : `gone (${reason})`;
        const message = `${where} is lost: its only copy was on node ${node}, ` +
          `which is ${gone}. Node ${this.#cluster.self} needs it and cannot go on`;
        return this.fail(new TdsmError("PageLost", message));
      }
      case "memoryExhausted":
        return this.#outOfMemory(event.page);
      case "violation":
        this.log(Level.Error, `Node ${event.node} broke the protocol: ${event.reason}`, {
          event: "nodeExpelled",
          peer: event.node,
          reason: event.reason,
        });
        return this.#cluster.expel(event.node, event.reason);
      case "peerGone":
        this.log(Level.Info, `Node ${event.node} is gone`, { event: "nodeGone", peer: event.node });
        this.#otherGone();
        this.engine.peerGone(event.node);
        return this.#cluster.forget(event.node);
      case "cleared":
      case "clearedElsewhere":
        this.engine.services.cleared();
        // The answers that waited for that are behind all that the step has sent.
        return this.#cluster.flush();
      case "nodeLeft":
        this.log(Level.Info, `Node ${event.node} has left`, {
          event: "nodeLeft",
          peer: event.node,
        });
        this.engine.peerGone(event.node);
        return this.#cluster.release(event.node);
      case "left":
        this.log(Level.Info, "Left the cluster", { event: "left" });
        // The directory ends the connection now, and that is no failure.
        return void this.#enterParted();
      default:
        event satisfies never;
    }
  }

  /** At the directory node: every thread waits, and maybe nobody is left to end that. */
  #stuck(waits: StuckWaits): void {
    // Of a directory node that is still alone, `run` says by itself how others join.
    if (this.#start.ownsProcess && !this.#cluster.hasMet) return;
    this.log(Level.Warning, describeStuck(waits));
  }

  /** Another node has failed or is gone. The launcher is told before the program's threads. */
  #otherGone(): void {
    this.#turn.tell(TurnWord.OtherGone, this.#cluster.address.port);
  }

  /**
   * No node has had room for long: for a page that a thread here needs, or, where there is none,
   * for the pages of this node, which leaves.
   */
  #outOfMemory(page: number | undefined): void {
    const { region: { size, pageSize }, memoryPages, copies } = this.engine;
    const waited = `for ${MEMORY_WAIT_MAX_MS / 1000} s`;
    const remedy = "Raise --memory-limit where a machine has more, or start more nodes";
    if (page === undefined) {
      const only = roughSize(copies.pagesExclusive * pageSize);
      const message = `No other node has had room ${waited} for the ${only} that only node ` +
        `${this.#cluster.self} has, and they are lost. ${remedy}`;
      return this.fail(new TdsmError("MemoryExhausted", message));
    }
    const message = `No room for page ${page} ${waited}: node ${this.#cluster.self} keeps ` +
      `${roughSize(memoryPages * pageSize)} of pages, its limit, of a region of ` +
      `${formatSize(size)}, and no other node has room for any of them. ${remedy}`;
    this.fail(new TdsmError("MemoryExhausted", message));
  }

  /** At the directory node: collects the counters of all nodes. */
  status({ since, looked }: StatusRequestControl): Promise<ClusterReport> {
    return this.engine.status.gather(
      since === undefined ? undefined : { since, ...(looked && { looked }) },
    );
  }

  /** A node has joined. */
  joined({ id }: Peer): void {
    this.engine.peerJoined(id, this.#cluster.working.includes(id));
  }

  /** What pings say of this node. */
  vitals(): Vitals {
    return { ...writtenRoom(this.engine.room), threads: this.#slots.threads };
  }

  /** Another node has said how it is. */
  pinged(from: NodeId, vitals: Vitals): void {
    this.engine.services.setThreads(from, vitals.threads);
    this.engine.peerRoom(from, readRoom(vitals));
  }

  /** The directory node has heard this node, which may use its pages until then. */
  leased(untilMs: number): void {
    if (!this.engine.region.extendLease(untilMs)) this.fail(this.#cluster.leaseOver());
  }

  /** The directory node has seen the end of the link of a thread of this node. */
  threadGone(thread: number): void {
    this.engine.threads?.gone(thread);
  }

  /** A second has passed. */
  beat(): void {
    void this.#trace?.write();
    this.#counts?.count();
    this.engine.services.setThreads(this.#cluster.self, this.#slots.threads);
    this.engine.calls.lookForEnded();
    this.engine.beat();
    this.#cluster.flush();
  }

  /** A home has found a node that has not done its part for too long: the directory node acts. */
  #inDefault(home: NodeId, { node, page, opponent }: Default): void {
    const cluster = this.#cluster;
    if (cluster.self !== DIRECTORY_NODE) {
      return cluster.send(DIRECTORY_NODE, { kind: "inDefault", node, page, opponent });
    }
    const { gone, reason } = verdictOn(home, { node, page, opponent });
    if (gone !== DIRECTORY_NODE) cluster.giveUp(gone, reason);
  }

  /** At the directory node: a node went away without leaving. */
  lost(node: NodeId, reason: string): void {
    if (this.#life.over) return;
    this.#otherGone();
    this.log(
      Level.Warning,
      `Node ${node} is lost: ${reason}. Pages that only it had are lost with it`,
      { event: "nodeLost", peer: node, reason },
    );
    this.engine.peerLost(node);
  }

  /** Peers came or went. */
  changed(): void {
    this.#slots.setPeers(this.#cluster.peers.map(({ id }) => id));
    this.#life.notify();
  }

  /** The directory node has closed the cluster. */
  closing(): void {
    if (this.#isNearEnd()) return void this.#enterParted();
    const why = "the directory node has closed the cluster";
    const refusal = new TdsmError("DirectoryLost", why);
    if (!this.#enterParted(refusal)) return;
    this.log(Level.Info, "The directory node has closed the cluster", { event: "closed" });
    this.#post({ kind: "closing" });
    const ofFaults = new TdsmError("DirectoryLost", `Cannot fetch a page: ${why}`);
    this.engine.refuse(refusal);
    // The pages that are here stay what they are, since no node writes any more; others cannot be
    // fetched.
    this.engine.driver.refuseFaults(() => this.#fence(ofFaults));
    // For a node that only serves this is the normal end; calls that it serves now may finish.
    if (!this.#start.settings.rpcServer) this.#endProgram(ofFaults);
  }

  /** The node has left. What it has is not written by any other node, and it needs no lease. */
  #enterParted(refusal?: TdsmError): boolean {
    const entered = refusal === undefined
      ? this.#life.enter("parted")
      : this.#life.enter("parted", refusal);
    if (entered && this.#cluster.self !== DIRECTORY_NODE) this.leased(Infinity);
    return entered;
  }

  /** Ends the cluster, as the program has failed or called `abort`: all nodes are told, and end. */
  #abort(reason: string): void {
    if (this.#life.over || this.#life.failure !== undefined) return;
    const abort = { kind: "abort", node: this.#cluster.self, reason } as const;
    this.#cluster.fail(abort);
    this.fail(nodeFailed(abort));
  }

  /**
   * Ends a node that cannot go on: tells its program, and every thread that waits for the engine.
   *
   * @param error Why the node cannot go on. An error other than a `TdsmError` is a fault of the
   * engine.
   * @param byOther Whether another node has failed, and ended the cluster.
   */
  fail(error: unknown, byOther = false): void {
    const packed = packError(error);
    // The error is about the node, so it names no operation: each call that it ends names its own.
    const failure = unpackError({ ...packed, operation: null });
    if (this.#isNearEnd()) {
      // The process ends before its program could see the error, so its last requests need not
      // fail.
      if (this.#life.enter("parted")) this.#fence(failure, LEAVE_MAX_MS);
      return;
    }
    if (!this.#life.enter("failed", failure)) return;
    if (byOther) this.#otherGone();
    // Before anything is said: from here on no thread reads what other nodes may have overwritten.
    this.#fence(failure);
    this.#slots.fail(failure);
    if (this.#announced) this.#post({ kind: "failed", error: packed });
    this.#cluster.abort();
    // The process may end soon.
    void this.#trace?.write();
    this.engine.refuse(failure);
    this.#endProgram(failure);
  }

  /** What the process prints that the library ends over an error. */
  #deathMessage(error: TdsmError): string {
    const { logFormat } = this.#start.settings;
    return deathMessage(errorText(error), logFormat, this.#cluster.self);
  }

  /** Closes the region to every thread: the next access ends the process, a little later. */
  #fence(error: TdsmError, graceMs = FAILURE_GRACE_MS): void {
    // A lease that has ended may have closed the region before, with less grace than is given now.
    const bySignal = this.#signalCode;
    const message = bySignal === undefined ? this.#deathMessage(error) : "";
    try {
      this.engine.driver.fence(message, bySignal ?? deathCode(error), graceMs);
    } catch (cause) {
      this.log(Level.Error, reasonOf(cause));
      this.#die(error);
    }
  }

  /** Ends the process with its node, where `run` or `mod.ts` said so, even if a thread blocks. */
  #endProgram(error: TdsmError): void {
    if (!this.#start.ownsProcess || this.#closed !== undefined) return;
    if (!this.#process.enter("due")) return;
    this.#programEnd = setTimeout(() => this.#die(error), PROGRAM_GRACE_MS);
  }

  /** Ends a node whose engine can do nothing at all any more, and so its process. */
  #doom(error: unknown): void {
    if (!this.#process.enter("doomed")) return;
    this.fail(error);
    const failure = unpackError(packError(error));
    setTimeout(() => this.#die(failure), FAILURE_GRACE_MS);
  }

  #die(error: TdsmError): never {
    // The program may have said so just now, and be about to end by itself.
    const isUntold = this.engine.region.beginTelling(DEATH_MESSAGE_MAX_MS);
    const message = isUntold ? this.#deathMessage(error) : "";
    die(this.#library, message, deathCode(error), DEATH_MESSAGE_MAX_MS);
  }

  /** The log level from which on it is told where metrics are. */
  get #metricsToldFrom(): Level {
    const { metrics } = this.#start.settings;
    // The port that this machine has chosen stands nowhere else.
    return typeof metrics === "object" && metrics.port === 0 ? Level.Warning : Level.Info;
  }

  /** Something to log, where the setting has this level at least. */
  log(level: Level, text: string, fields: LogFields = {}, shownFrom: Level = level): void {
    if (this.#cluster.self === DIRECTORY_NODE) this.#events.add(level, text, fields);
    if (shownFrom > this.#start.settings.logLevel) return;
    const { self: node } = this.#cluster;
    this.#post({ kind: "log", level, text, topic: "runtime", fields: { node, ...fields } });
  }

  /**
   * Whether the process ends before its program could be told of anything. A signal that has come
   * counts before all that may follow from it, such as the end of a node that got the same one.
   */
  #isNearEnd(): boolean {
    for (const name of this.#signals?.take() ?? []) this.#signalled(name);
    return this.#process.isNear;
  }

  /** Lets the node leave at a signal, and ends the process as that signal would. */
  #signalled(name: EndSignal): void {
    if (this.#echo.repeats(name, performance.now())) return;
    const code = ExitCode.Signal + END_SIGNALS[name];
    if (!this.#process.enter("signalled")) die(this.#library, "", code, 0);
    this.#signalCode = code;
    this.engine.driver.needsTurn();
    this.log(Level.Info, `${name}: leaving the cluster`, { event: "signal", signal: name });
    void this.#leaveSoon().then((message) => {
      // The main thread ends the process if it is free, so that the program's `unload` listeners
      // run.
      this.#post({ kind: "exit", code });
      const end = (): never => die(this.#library, message, code, DEATH_MESSAGE_MAX_MS);
      setTimeout(end, FAILURE_GRACE_MS);
    });
  }

  /**
   * A thread of the program waits to end the process, one whose `unload` listener has not had the
   * node leave before that: the node may be one that a Worker runs.
   */
  #exiting(): void {
    this.#exits ??= this.#leaveSoon().then(() => this.engine.region.releaseExit());
  }

  /**
   * Leaves in a bounded time, though threads of the program may still run, which can fetch no page
   * any more.
   *
   * @returns The line to print when pages are lost, or else nothing.
   */
  async #leaveSoon(): Promise<string> {
    this.#process.enter("exiting");
    clearTimeout(this.#programEnd);
    // The directory node waits this long for other nodes that leave at the same time.
    const settled = (): void => {
      if (this.#cluster.self === DIRECTORY_NODE) this.#life.enter("parted");
    };
    const timers = [setTimeout(settled, SETTLE_MAX_MS)];
    const late = new Promise<string>((resolve) => {
      timers.push(setTimeout(() => {
        const { pagesExclusive } = this.engine.copies;
        const lost = pagesExclusive === 0 ? "" : `: at least ${pagesExclusive} pages are lost`;
        const text = `Could not leave the cluster within ${LEAVE_MAX_MS} ms${lost}`;
        resolve(deathMessage(text, this.#start.settings.logFormat, this.#cluster.self));
      }, LEAVE_MAX_MS));
    });
    const message = await Promise.race([this.#part().then(() => ""), late]);
    for (const timer of timers) clearTimeout(timer);
    return message;
  }

  /** Leaves the cluster; at the directory node, ends it. A second caller gets the same promise. */
  #part(): Promise<void> {
    return this.#parted ??= (async () => {
      // Earlier requests of other threads, such as the release of a semaphore, go first.
      await Promise.resolve();
      if (this.#life.enter("leaving")) {
        if (this.#cluster.self === DIRECTORY_NODE) {
          await this.#untilOthersFinish();
          if (this.#life.failure === undefined) {
            this.log(Level.Info, "Closing the cluster", { event: "closed" });
          }
        } else await this.#leave();
      }
      await this.#cluster.close();
    })();
  }

  /** Leaves the cluster, or ends it, and closes the region. */
  async #close(): Promise<void> {
    clearTimeout(this.#programEnd);
    this.#process.enter("running");
    await this.#part();
    // A signal ends the process. A program that saw its node closed could end first, with another
    // exit code.
    if (this.#process.state === "signalled") return await new Promise<never>(() => {});
    const closed = new TdsmError("NodeClosed", "the node is closed");
    this.#life.enter("ended", closed);
    this.engine.refuse(closed);
    this.engine.status.end();
    await this.#metrics?.[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
    await this.#trace?.[Symbol.asyncDispose]();
    this.#turn[Symbol.dispose]();
    this.#poller?.[Symbol.dispose]();
    this.#realtime?.[Symbol.dispose]();
    this.#post({ kind: "closed" });
  }

  /** At the directory node: waits until every node has left, except those that only serve. */
  async #untilOthersFinish(): Promise<void> {
    const remind = (): void => {
      const { working } = this.#cluster;
      const { leaving } = this.engine;
      const tell = (what: string, nodes: NodeId[]): void => {
        if (nodes.length === 0) return;
        this.log(Level.Warning, `${what} before the directory closes: ${nodes.join(", ")}`);
      };
      tell("Waiting for these nodes to finish", working.filter((node) => !leaving.has(node)));
      tell(
        "Taking over the pages of these nodes, which leave,",
        working.filter((node) => leaving.has(node)),
      );
    };
    const reminder = setInterval(remind, CLOSE_REMINDER_MS);
    // Once every other node leaves too, nobody needs to take over its pages.
    this.engine.driver.input({ kind: "leave" });
    while (this.#cluster.working.length > 0 && this.#life.state === "leaving") {
      await this.#life.change();
    }
    clearInterval(reminder);
  }

  /** Hands over the pages that only this node has. */
  async #leave(): Promise<void> {
    const { engine } = this;
    // This node makes no more requests: each message about pages takes a page from it, or answers
    // an earlier request, so while messages come the leaving makes progress.
    using _clock = new StallClock(LEAVE_STALL_MS, () => engine.pageMessages, () => {
      const { pagesExclusive } = engine.copies;
      const lost = pagesExclusive === 0 ? "" : `; at least ${pagesExclusive} pages are lost`;
      this.log(Level.Error, `Left without a word of the directory for ${LEAVE_STALL_MS} ms${lost}`);
      this.#enterParted();
    });
    // What threads have asked by links of their own comes before the node's word that it leaves.
    let ended = engine.threads === undefined;
    void engine.threads?.endAll().then(() => {
      ended = true;
      this.#life.notify();
    });
    while (!ended && this.#life.state === "leaving") await this.#life.change();
    engine.driver.input({ kind: "leave" });
    while (this.#life.state === "leaving") await this.#life.change();
  }
}

/** The exit code of a process that the library ends over an error. */
function deathCode({ code }: TdsmError): number {
  return code === "NodeFailed" ? ExitCode.Program : ExitCode.Node;
}

/** What the settings of a directory node decide for all nodes. */
function regionOf(settings: Settings): RegionSettings {
  // At the directory node each of these settings has a value, at least its default.
  const asked = regionSettings(settings) as RegionSettings;
  return { ...asked, runPages: boundRun(asked.runPages, asked.pageSize) };
}

/** Puts this thread into a real-time class, as the settings say; throws where that cannot be. */
function inRealtime(library: TdsmLibrary, poller: Poller | undefined): RealtimeThread {
  // Between Deno's event loop and the driver such a thread might never sleep.
  const begun = poller === undefined
    ? new TdsmError("InvalidOption", NO_REALTIME, { operation: "join" })
    : RealtimeThread.begin(library, "always");
  if (begun instanceof RealtimeThread) return begun;
  throw begun;
}

const NO_REALTIME =
  "Cannot use realtime on: the engine's thread does not sleep in one poll here, " +
  "as where /proc is not there. Use realtime auto";

/** What a node has to know for a handshake; nothing where it has no key, which was read before. */
function secretOf({ key, plain }: Settings, library: TdsmLibrary): Secret | undefined {
  if (key === undefined) return undefined;
  if (key instanceof Uint8Array) return { key, plain, library };
  throw new Error("The key was not read");
}

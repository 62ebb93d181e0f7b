/**
 * One node's engine, from its start to its end: how it joins, goes on, fails and leaves.
 * Runs in the Worker; what is outside of it is `EngineStart` and `EngineNews`.
 */

import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { die } from "../../ffi/native.ts";
import { END_SIGNALS, type EndSignal, errorText, ExitCode, TdsmError } from "../errors.ts";
import { formatAddress, isLoopback } from "../address.ts";
import { SignalEcho } from "../signals.ts";
import {
  CLOSE_REMINDER_MS,
  DEATH_MESSAGE_MAX_MS,
  FAILURE_GRACE_MS,
  LEAVE_MAX_MS,
  LEAVE_STALL_MS,
  PROGRAM_GRACE_MS,
  SETTLE_MAX_MS,
} from "../limits.ts";
import { Level } from "../log.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { EngineEvent } from "../protocol/coherence/output.ts";
import type { Peer } from "../cluster/admission.ts";
import { boundRun, type RegionSettings, regionSettings } from "../wire/region_settings.ts";
import { packError, unpackError } from "../ring/calls.ts";
import { Cluster, type Member, nodeFailed } from "../cluster/cluster.ts";
import { listen } from "../cluster/handshake.ts";
import type { Settings } from "../settings/types.ts";
import type { NodeStatusControl } from "../wire/status_control.ts";
import { NodeEngine } from "./node_engine.ts";
import { LifeCycle, ProcessEnd, StallClock } from "./life_cycle.ts";
import type { EngineNews, EngineStart } from "./news.ts";
import { CallSlots } from "../ring/ring.ts";
import { VERSION } from "../version.ts";

/** What an engine is made of, and what it tells. */
interface HostParts {
  readonly start: EngineStart;
  readonly post: (news: EngineNews) => void;
  readonly library: TdsmLibrary;
  readonly cluster: Cluster;
  readonly region: RegionSettings;
}

/** One node's engine, from the moment on at which the node is one of a cluster. */
export class EngineHost implements Member {
  readonly engine: NodeEngine;
  readonly #start: EngineStart;
  readonly #post: (news: EngineNews) => void;
  readonly #library: TdsmLibrary;
  readonly #cluster: Cluster;
  readonly #slots: CallSlots;
  readonly #life = new LifeCycle();
  readonly #process = new ProcessEnd();
  readonly #echo = new SignalEcho();
  #closed: Promise<void> | undefined;
  #parted: Promise<void> | undefined;
  /** Whether the program was told of the node. */
  #announced = false;
  /** Ends the process of a program that does not end by itself. */
  #programEnd: ReturnType<typeof setTimeout> | undefined;

  /** Opens the region and begins to serve it. */
  private constructor({ start, post, library, cluster, region }: HostParts) {
    this.#start = start;
    this.#post = post;
    this.#library = library;
    this.#cluster = cluster;
    this.#slots = new CallSlots(start.slots);
    this.engine = new NodeEngine({
      settings: start.settings,
      region,
      library,
      cluster,
      slots: this.#slots,
      life: this.#life,
      tell: (event) => this.#tell(event),
      fail: (error) => this.fail(error),
      doom: (error) => this.#doom(error),
      close: () => this.#closed ??= this.#close(),
      leave: async () => void await this.#leaveSoon(),
      abort: (reason) => this.#abort(reason),
      post,
    });
  }

  /**
   * Starts a node.
   *
   * @param start What it goes by.
   * @param post Takes what it has to tell.
   * @returns The engine, once it is one of the cluster; `ready` was posted.
   * @throws {TdsmError} Why it cannot start.
   */
  static async start(start: EngineStart, post: (news: EngineNews) => void): Promise<EngineHost> {
    const { settings } = start;
    const { address, port, rpcServer: serving, directoryAddress, joinTimeoutMs } = settings;
    const library = openLibrary({ path: start.library });
    const sum = (bytes: Uint8Array) => library.checksum(bytes);
    const listener = listen(address, port, directoryAddress === undefined);
    const options = { listener, serving, release: VERSION, sum };
    const open = (cluster: Cluster, region: RegionSettings) =>
      new EngineHost({ start, post, library, cluster, region });
    let host: EngineHost;
    try {
      if (directoryAddress === undefined) host = Cluster.host(options, regionOf(settings), open);
      else {
        const wanted = regionSettings(settings);
        host = await Cluster.join(options, directoryAddress, wanted, joinTimeoutMs, open);
      }
    } catch (error) {
      listener.close();
      throw error;
    }
    const { failure } = host.#life;
    if (failure !== undefined) {
      // It has failed as soon as it was one of the cluster: to the program, it never was.
      await host.#close();
      throw failure;
    }
    host.#ready();
    return host;
  }

  /** Tells the program that the node is one of the cluster, and what to mind. */
  #ready(): void {
    this.#announced = true;
    this.changed();
    // A signal may come as soon as the program knows of the node.
    if (this.#start.settings.signals) {
      for (const name of Object.keys(END_SIGNALS) as EndSignal[]) {
        Deno.addSignalListener(name, () => this.#signalled(name));
      }
    }
    const { hostname: address, port } = this.#cluster.address;
    const { handle, userModeOnly } = this.engine.region;
    this.#post({ kind: "ready", id: this.#cluster.self, handle, address, port });
    if (userModeOnly) {
      this.log(
        Level.Warning,
        "Serving page faults of user space only: system calls fail with EFAULT (Bad address) on pages " +
          "that are not here. To change that, run as root, or as root do one of " +
          "chmod 0666 /dev/userfaultfd and sysctl vm.unprivileged_userfaultfd=1",
      );
    }
    if (!isLoopback(address)) {
      const at = formatAddress({ hostname: address, port });
      this.log(
        Level.Warning,
        `Listening at ${at}: any program that reaches this port can join and read the region`,
      );
    }
  }

  #tell(event: EngineEvent): void {
    switch (event.kind) {
      case "pageLost": {
        const { page, node } = event;
        const { pageSize } = this.engine.region;
        const bytes = `bytes ${page * pageSize} to ${(page + 1) * pageSize - 1}`;
        const reason = this.#cluster.whyLost(node);
        const gone = reason === undefined ? "gone" : `gone (${reason})`;
        const message = `Page ${page} (${bytes}) is lost: its only copy was on node ${node}, ` +
          `which is ${gone}. Node ${this.#cluster.self} needs it and cannot go on`;
        return this.#doom(new TdsmError("PageLost", message));
      }
      case "violation":
        this.log(Level.Error, `Node ${event.node} broke the protocol: ${event.reason}`);
        return this.#cluster.expel(event.node, event.reason);
      case "peerGone":
        this.log(Level.Info, `Node ${event.node} is gone`);
        this.engine.peerGone(event.node);
        return this.#cluster.forget(event.node);
      case "nodeLeft":
        this.log(Level.Info, `Node ${event.node} has left`);
        this.engine.peerGone(event.node);
        return this.#cluster.release(event.node);
      case "left":
        this.log(Level.Info, "Left the cluster");
        // The directory ends the connection now, and that is no failure.
        return void this.#life.enter("parted");
      default:
        event satisfies never;
    }
  }

  /** At the directory node: what all nodes have counted. */
  status(): Promise<NodeStatusControl[]> {
    return this.engine.status.gather();
  }

  /** At the directory node: a node has joined. */
  joined({ id }: Peer): void {
    this.engine.peerJoined(id);
  }

  /** At the directory node: a node went away without leaving. */
  lost(node: NodeId, reason: string): void {
    if (this.#life.over) return;
    this.log(
      Level.Warning,
      `Node ${node} is lost: ${reason}. Pages that only it had are lost with it`,
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
    if (this.#process.isNear) return void this.#life.enter("parted");
    const why = "the directory node has closed the cluster";
    const refusal = new TdsmError("DirectoryLost", why);
    if (!this.#life.enter("parted", refusal)) return;
    this.log(Level.Info, "The directory node has closed the cluster");
    this.#post({ kind: "closing" });
    const ofFaults = new TdsmError("DirectoryLost", `Cannot fetch a page: ${why}`);
    this.#refuse(refusal, ofFaults);
    // A node that serves ends well; what it serves now may be finished.
    if (!this.#start.settings.rpcServer) this.#endProgram(ofFaults);
  }

  /** The program has failed, or wants the cluster to end: every node is told, and ends. */
  #abort(reason: string): void {
    if (this.#life.over || this.#life.failure !== undefined) return;
    const abort = { kind: "abort", node: this.#cluster.self, reason } as const;
    this.#cluster.fail(abort);
    this.fail(nodeFailed(abort));
  }

  /**
   * The node cannot go on: its program is told, and every thread that waits for the engine.
   *
   * @param error Why; what is no `TdsmError` is a fault of the engine.
   */
  fail(error: unknown): void {
    const packed = packError(error);
    // It is about the node: each call that it ends names an operation of its own.
    const failure = unpackError({ ...packed, operation: null });
    // What it still asks for is not to fail: its process ends before anybody could be told.
    if (this.#process.isNear) return void this.#life.enter("parted");
    if (!this.#life.enter("failed", failure)) return;
    if (this.#announced) this.#post({ kind: "failed", error: packed });
    this.#cluster.abort();
    this.#refuse(failure);
    this.#endProgram(failure);
  }

  /** A program that owns its process is to end with its node, even where it computes or blocks. */
  #endProgram(error: TdsmError): void {
    if (!this.#start.ownsProcess || this.#closed !== undefined) return;
    if (!this.#process.enter("due")) return;
    this.#programEnd = setTimeout(() => this.#die(error), PROGRAM_GRACE_MS);
  }

  /** Other nodes answer nothing any more: not what was asked, nor a fault that comes, or has come. */
  #refuse(error: TdsmError, ofFaults = error): void {
    this.engine.refuse(error);
    this.engine.driver.refuseFaults(() => this.#doom(ofFaults));
  }

  /**
   * The node cannot go on, and a thread of the program waits for something that never comes. If the
   * program does not end by itself, because it is that thread, it is ended from here.
   */
  #doom(error: unknown): void {
    if (!this.#process.enter("doomed")) return;
    this.fail(error);
    const failure = unpackError(packError(error));
    setTimeout(() => this.#die(failure), FAILURE_GRACE_MS);
  }

  #die(error: TdsmError): never {
    const exitCode = error.code === "NodeFailed" ? ExitCode.Program : ExitCode.Node;
    die(this.#library, `tdsm: error: ${errorText(error)}\n`, exitCode, DEATH_MESSAGE_MAX_MS);
  }

  /** Something to log. */
  log(level: Level, text: string): void {
    if (level > this.#start.settings.logLevel) return;
    this.#post({ kind: "log", level, text, topic: "runtime" });
  }

  /** A signal came: the node leaves, and the process ends as by that signal. */
  #signalled(name: EndSignal): void {
    if (this.#echo.repeats(name, performance.now())) return;
    const code = ExitCode.Signal + END_SIGNALS[name];
    if (!this.#process.enter("signalled")) die(this.#library, "", code, 0);
    this.log(Level.Info, `${name}: leaving the cluster`);
    void this.#leaveSoon().then((message) => {
      // The program may have something to do at its end, which its own thread does.
      this.#post({ kind: "exit", code });
      const end = (): never => die(this.#library, message, code, DEATH_MESSAGE_MAX_MS);
      setTimeout(end, FAILURE_GRACE_MS);
    });
  }

  /**
   * Leaves in a bounded time, while threads of the program may still run: they find no page any more.
   *
   * @returns What is to be said of it: nothing, when all went well.
   */
  async #leaveSoon(): Promise<string> {
    this.#process.enter("exiting");
    clearTimeout(this.#programEnd);
    // The directory node waits for the others no longer than that.
    const settled = (): void => {
      if (this.#cluster.self === DIRECTORY_NODE) this.#life.enter("parted");
    };
    const timers = [setTimeout(settled, SETTLE_MAX_MS)];
    const late = new Promise<string>((resolve) => {
      timers.push(setTimeout(() => {
        const { pagesExclusive } = this.engine.copies;
        const lost = pagesExclusive === 0 ? "" : `: at least ${pagesExclusive} pages are lost`;
        resolve(`tdsm: error: Could not leave the cluster within ${LEAVE_MAX_MS} ms${lost}\n`);
      }, LEAVE_MAX_MS));
    });
    const message = await Promise.race([this.#part().then(() => ""), late]);
    for (const timer of timers) clearTimeout(timer);
    return message;
  }

  /** Leaves the cluster, or ends it, and goes on without one; asked again, it is the same end. */
  #part(): Promise<void> {
    return this.#parted ??= (async () => {
      // What other threads of the program asked before, such as to release a semaphore, goes first.
      await Promise.resolve();
      if (this.#life.enter("leaving")) {
        if (this.#cluster.self === DIRECTORY_NODE) await this.#untilOthersFinish();
        else await this.#leave();
      }
      await this.#cluster.close();
    })();
  }

  /** Leaves the cluster, or ends it, and closes the region. */
  async #close(): Promise<void> {
    clearTimeout(this.#programEnd);
    this.#process.enter("running");
    await this.#part();
    // The process ends by a signal; the program is not to come first, with an exit code of its own.
    if (this.#process.state === "signalled") return await new Promise<never>(() => {});
    const closed = new TdsmError("NodeClosed", "the node is closed");
    this.#life.enter("ended", closed);
    this.engine.refuse(closed);
    this.engine.status.end();
    await this.engine[Symbol.asyncDispose]();
    this.#post({ kind: "closed" });
  }

  /** The directory node ends last, but for those who only serve. */
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
    while (this.#cluster.working.length > 0 && this.#life.state === "leaving") {
      await this.#life.change();
    }
    clearInterval(reminder);
  }

  /** Hands over what only this node has. */
  async #leave(): Promise<void> {
    const { engine } = this;
    engine.driver.input({ kind: "leave" });
    // This node asks for nothing any more: each message about pages takes of what it has, or answers
    // what it had asked for, and they come to an end.
    using _clock = new StallClock(LEAVE_STALL_MS, () => engine.pageMessages, () => {
      const { pagesExclusive } = engine.copies;
      const lost = pagesExclusive === 0 ? "" : `; at least ${pagesExclusive} pages are lost`;
      this.log(Level.Error, `Left without a word of the directory for ${LEAVE_STALL_MS} ms${lost}`);
      this.#life.enter("parted");
    });
    while (this.#life.state === "leaving") await this.#life.change();
  }
}

/** What the settings of a directory node decide for all nodes. */
function regionOf(settings: Settings): RegionSettings {
  // The settings of the node that hosts the directory have a value for each of them.
  const asked = regionSettings(settings) as RegionSettings;
  return { ...asked, runPages: boundRun(asked.runPages, asked.pageSize) };
}

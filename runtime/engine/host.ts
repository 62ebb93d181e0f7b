/**
 * One node's engine, put together: region, protocol, driver, cluster, services and the answers to the
 * program; and how it joins, fails and ends.
 * Runs in the Worker; what is outside of it is `EngineStart` and `EngineNews`.
 */

import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { die, NativeRegion } from "../../ffi/native.ts";
import { TdsmError } from "../errors.ts";
import { formatAddress, isLoopback } from "../address.ts";
import {
  CLOSE_REMINDER_MS,
  DEATH_MESSAGE_MAX_MS,
  FAILURE_GRACE_MS,
  LEAVE_MAX_MS,
  RUN_MAX_BYTES,
} from "../limits.ts";
import { Engine } from "../protocol/engine.ts";
import { DIRECTORY_NODE } from "../protocol/home.ts";
import type { Message, NodeId } from "../protocol/messages.ts";
import type { EngineEvent } from "../protocol/output.ts";
import type { NodeStats } from "../node_types.ts";
import type { Counters } from "../protocol/status_control.ts";
import type { RegionSettings } from "./admission.ts";
import { packError } from "./calls.ts";
import { Cluster } from "./cluster.ts";
import { Driver, type MessageSink } from "./driver.ts";
import { LifeCycle } from "./life_cycle.ts";
import { describeMessage, levelOf, PAGE_LEVEL } from "./message_log.ts";
import type { EngineNews, EngineStart } from "./news.ts";
import { ProgramCalls } from "./program_calls.ts";
import { CallSlots } from "./ring.ts";
import { RpcService } from "./rpc_service.ts";
import { Services } from "./services.ts";
import { SyncLog } from "./sync_log.ts";
import { StatusService } from "./status_service.ts";

export type { EngineNews, EngineStart } from "./news.ts";

/** One node's engine. */
export class EngineHost {
  readonly #start: EngineStart;
  readonly #post: (news: EngineNews) => void;
  readonly #library: TdsmLibrary;
  readonly #cluster: Cluster;
  readonly #slots: CallSlots;
  readonly #life = new LifeCycle();
  #region: NativeRegion | undefined;
  #engine: Engine | undefined;
  #driver: Driver | undefined;
  #services: Services | undefined;
  #rpc: RpcService | undefined;
  #status: StatusService | undefined;
  #doomed = false;
  #left: PromiseWithResolvers<void> = Promise.withResolvers();
  #closed: Promise<void> | undefined;

  private constructor(start: EngineStart, post: (news: EngineNews) => void) {
    this.#start = start;
    this.#post = post;
    this.#slots = new CallSlots(start.slots);
    this.#library = openLibrary({ path: start.library });
    const { settings, release } = start;
    this.#cluster = new Cluster({ ...settings, serving: settings.rpcServer, release }, {
      target: (from, grant) => this.#driver!.target(from, grant),
      message: (from, message) => {
        // Permits must not be granted to a node that is going.
        if (message.kind === "leave") this.#served(() => this.#services!.peerLost(from));
        this.#trace("from", from, message);
        this.#driver!.input({ kind: "message", from, message });
      },
      sync: (from, message) => this.#served(() => this.#services!.sync(from, message)),
      allocation: (from, message) => this.#served(() => this.#services!.allocation(from, message)),
      rpc: (from, message, payload) =>
        this.#served(() => this.#rpc!.receive(from, message, payload)),
      stats: (from, control) => {
        const reason = this.#served(() => this.#status!.receive(from, control));
        if (reason !== undefined) this.#tell({ kind: "violation", node: from, reason });
      },
      status: () => this.#served(() => this.#status!.gather()),
      joined: ({ id }) => {
        this.#services!.peerJoined(id);
        this.#driver!.input({ kind: "peerJoined", node: id });
      },
      lost: (node, reason) => this.#peerLost(node, reason),
      changed: () => this.#life.notify(),
      closing: () => this.#closing(),
      failed: (error) => this.#fail(error),
      log: (level, text) => this.#log(level, text),
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
    const host = new EngineHost(start, post);
    try {
      await host.#join();
    } catch (error) {
      await host.#shut();
      throw error;
    }
    return host;
  }

  async #join(): Promise<void> {
    const { settings } = this.#start;
    const { directoryAddress, size, pageSize } = settings;
    if (directoryAddress === undefined) {
      const { runPages, holdTimeUs, compression } = settings;
      const region = { size: size!, pageSize: pageSize!, runPages, holdTimeUs, compression };
      region.runPages = Math.max(1, Math.min(runPages, RUN_MAX_BYTES / region.pageSize));
      this.#cluster.host(region);
      this.#open(region);
    } else {
      const { joinTimeoutMs } = settings;
      const wanted = { size, pageSize };
      const welcomed = (region: RegionSettings): void => this.#open(region);
      await this.#cluster.join(directoryAddress, wanted, joinTimeoutMs, welcomed);
    }
    const { hostname, port } = this.#cluster.address;
    const { handle, windowAddress, userModeOnly, ...region } = this.#region!;
    this.#post({
      kind: "ready",
      id: this.#cluster.self,
      handle,
      windowAddress,
      size: region.size,
      pageSize: region.pageSize,
      userModeOnly,
      address: hostname,
      port,
    });
    if (userModeOnly) {
      this.#log(
        2,
        "Serving page faults of user space only: system calls fail with EFAULT on pages that are not " +
          "here. To change that, run as root or set sysctl vm.unprivileged_userfaultfd=1",
      );
    }
    if (!isLoopback(hostname)) {
      const at = formatAddress({ hostname, port });
      this.#log(2, `Listening at ${at}: whoever reaches this port can join and read the region`);
    }
  }

  /** Opens the region and begins to serve it. */
  #open({ size, pageSize, runPages, holdTimeUs, compression }: RegionSettings): void {
    const { settings } = this.#start;
    const { pollTimeUs, semLogLevel } = settings;
    const region = this.#region = NativeRegion.open(this.#library, { size, pageSize });
    const engine = this.#engine = new Engine({
      self: this.#cluster.self,
      pageCount: size / pageSize,
      runPages,
      holdTimeUs,
    });
    const services = this.#services = new Services({
      self: this.#cluster.self,
      size,
      pageSize,
      sendSync: (to, message) => this.#cluster.sendSync(to, message),
      sendControl: (to, message) => this.#cluster.sendControl(to, message),
      violation: (node, reason) => this.#tell({ kind: "violation", node, reason }),
      renew: (first, count) => this.#driver!.input({ kind: "renew", first, count }),
      log: new SyncLog(semLogLevel, (level, text) => {
        this.#post({ kind: "log", level, text, topic: "sync" });
      }),
    });
    const rpc = this.#rpc = new RpcService({
      send: (to, message, payload) => this.#cluster.sendRpc(to, message, payload),
      isPresent: (node) => this.#cluster.isPresent(node),
      serve: (id, payload) => calls.server.serve(id, payload),
    });
    const calls = new ProgramCalls({
      slots: this.#slots,
      life: this.#life,
      cluster: this.#cluster,
      services,
      rpc,
      stats: () => this.#stats(),
      close: () => this.#closed ??= this.#close(),
    });
    const { hostname: address, port } = this.#cluster.address;
    this.#status = new StatusService({
      self: { id: this.#cluster.self, address, port },
      peers: () => this.#cluster.peers,
      stats: () => this.#stats(),
      send: (to, control) => this.#cluster.sendControl(to, control),
    });
    this.#driver = new Driver({
      engine,
      region,
      sink: settings.logLevel < PAGE_LEVEL ? this.#cluster : this.#traced(this.#cluster),
      slots: this.#slots,
      calls: calls.server,
      pollTimeUs,
      compression,
      tell: (event) => this.#tell(event),
      failed: (error) => this.#fail(error),
    });
    this.#driver.start();
  }

  /** Lets the services do something, and sends what they have to say. */
  #served<Result>(action: () => Result): Result {
    const result = action();
    this.#cluster.flush();
    return result;
  }

  #stats(): NodeStats & Counters {
    return {
      ...this.#engine!.cache.copies,
      ...this.#engine!.counters,
      ...this.#cluster.counters,
      ...this.#driver!.counters,
    };
  }

  #tell(event: EngineEvent): void {
    switch (event.kind) {
      case "pageLost": {
        const { page, node } = event;
        const { pageSize } = this.#region!;
        const bytes = `bytes ${page * pageSize} to ${(page + 1) * pageSize - 1}`;
        const message = `Page ${page} (${bytes}) is lost: its only copy was on node ${node}, ` +
          `which is gone. Node ${this.#cluster.self} needs it and cannot go on`;
        return this.#doom(new TdsmError("PageLost", message));
      }
      case "violation":
        this.#log(1, `Node ${event.node} broke the protocol: ${event.reason}`);
        return this.#cluster.expel(event.node, event.reason);
      case "peerGone":
        this.#rpc!.peerLost(event.node);
        this.#status!.peerLost(event.node);
        return this.#cluster.forget(event.node);
      case "nodeLeft":
        this.#rpc!.peerLost(event.node);
        this.#status!.peerLost(event.node);
        return this.#cluster.release(event.node);
      case "left":
        // The directory ends the connection now, and that is no failure.
        this.#life.ending = true;
        this.#life.notify();
        return this.#left.resolve();
      default:
        event satisfies never;
    }
  }

  /** At the directory's node: a node went away without leaving. */
  #peerLost(node: NodeId, reason: string): void {
    if (this.#life.ending) return;
    this.#log(2, `Node ${node} is lost: ${reason}. Pages that only it had are lost with it`);
    this.#served(() => this.#services!.peerLost(node));
    this.#status!.peerLost(node);
    this.#driver!.input({ kind: "peerLost", node });
  }

  #closing(): void {
    if (this.#life.ending) return;
    this.#life.ending = true;
    this.#log(3, "The directory's node has closed the cluster");
    this.#post({ kind: "closing" });
    this.#life.notify();
    this.#left.resolve();
    const message = "The directory's node has closed the cluster: no page can be fetched any more";
    const error = new TdsmError("DirectoryLost", message);
    this.#refuse(error);
    this.#refuseFaults(error);
  }

  /** The node cannot go on: its program is told, and whoever waits for the engine. */
  #fail(error: unknown): void {
    if (this.#life.failure !== undefined || this.#life.ending) return;
    const packed = packError(error);
    this.#life.failure = error instanceof TdsmError
      ? error
      : new TdsmError(packed.code, packed.message);
    this.#post({ kind: "failed", error: packed });
    this.#cluster.abort();
    this.#refuse(this.#life.failure);
    this.#life.notify();
    this.#left.resolve();
    this.#refuseFaults(this.#life.failure);
  }

  /** Other nodes answer nothing any more: not what was asked, nor what will be. */
  #refuse(error: TdsmError): void {
    if (this.#life.refusal !== undefined) return;
    this.#life.refusal = error;
    this.#services?.fail(error);
    this.#rpc?.fail(error);
  }

  /** Whoever faults from here on waits for something that never comes. */
  #refuseFaults(error: TdsmError): void {
    this.#driver?.refuseFaults(() => this.#doom(error));
  }

  /**
   * The node cannot go on, and a thread of the program waits for something that never comes. If the
   * program does not end by itself, because it is that thread, it is ended from here.
   */
  #doom(error: TdsmError): void {
    if (this.#doomed) return;
    this.#doomed = true;
    this.#fail(error);
    const message = `tdsm: error: ${error.message} (${error.code})\n`;
    setTimeout(() => die(this.#library, message, 1, DEATH_MESSAGE_MAX_MS), FAILURE_GRACE_MS);
  }

  #log(level: number, text: string): void {
    if (level > this.#start.settings.logLevel) return;
    this.#post({ kind: "log", level, text, topic: "runtime" });
  }

  #trace(way: "from" | "to", node: NodeId, message: Message): void {
    if (this.#start.settings.logLevel < PAGE_LEVEL) return;
    this.#log(levelOf(message), `${describeMessage(message)}, ${way} node ${node}`);
  }

  /** Sends by another sink, and logs it. */
  #traced(sink: MessageSink): MessageSink {
    return {
      send: (to, message, payload, encoding) => {
        this.#trace("to", to, message);
        sink.send(to, message, payload, encoding);
      },
      flush: () => sink.flush(),
    };
  }

  /** Leaves the cluster, or ends it. */
  async #close(): Promise<void> {
    // What other threads of the program asked before, such as to release a semaphore, goes first.
    await Promise.resolve();
    if (!this.#life.ending && this.#life.failure === undefined) {
      if (this.#cluster.self === DIRECTORY_NODE) await this.#untilOthersFinish();
      else await this.#leave();
    }
    await this.#shut();
  }

  /** The directory's node ends last, but for those who only serve. */
  async #untilOthersFinish(): Promise<void> {
    const remind = (): void => {
      const nodes = this.#cluster.working.join(", ");
      this.#log(2, `Waiting for these nodes to finish before the directory closes: ${nodes}`);
    };
    const reminder = setInterval(remind, CLOSE_REMINDER_MS);
    while (this.#cluster.working.length > 0 && this.#life.failure === undefined) {
      await this.#life.change();
    }
    clearInterval(reminder);
  }

  /** Hands over what only this node has. */
  async #leave(): Promise<void> {
    this.#driver!.input({ kind: "leave" });
    const timer = setTimeout(() => {
      this.#log(1, `Left without a word of the directory within ${LEAVE_MAX_MS} ms`);
      this.#left.resolve();
    }, LEAVE_MAX_MS);
    await this.#left.promise;
    clearTimeout(timer);
  }

  async #shut(): Promise<void> {
    this.#life.ending = true;
    this.#life.notify();
    this.#refuse(new TdsmError("NodeClosed", "Cannot go on: the node is closed"));
    this.#status?.end();
    await this.#cluster.close();
    await this.#driver?.stop();
    this.#region?.[Symbol.dispose]();
  }
}

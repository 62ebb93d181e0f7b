/**
 * One node's engine, from its start to its end: how it joins, goes on, fails and leaves.
 * Runs in the Worker; what is outside of it is `EngineStart` and `EngineNews`.
 */

import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { die } from "../../ffi/native.ts";
import { TdsmError } from "../errors.ts";
import { formatAddress, isLoopback } from "../address.ts";
import {
  CLOSE_REMINDER_MS,
  DEATH_MESSAGE_MAX_MS,
  FAILURE_GRACE_MS,
  LEAVE_STALL_MS,
  RUN_MAX_BYTES,
} from "../limits.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { EngineEvent } from "../protocol/coherence/output.ts";
import type { RegionSettings } from "../cluster/admission.ts";
import { packError, unpackError } from "../ring/calls.ts";
import { Cluster } from "../cluster/cluster.ts";
import { NodeEngine } from "./node_engine.ts";
import { LifeCycle, StallClock } from "./life_cycle.ts";
import type { EngineNews, EngineStart } from "./news.ts";
import { CallSlots } from "../ring/ring.ts";

export type { EngineNews, EngineStart } from "./news.ts";

/** One node's engine. */
export class EngineHost {
  readonly #start: EngineStart;
  readonly #post: (news: EngineNews) => void;
  readonly #library: TdsmLibrary;
  readonly #cluster: Cluster;
  readonly #slots: CallSlots;
  readonly #life = new LifeCycle();
  /** There once the node is one of a cluster. */
  #parts: NodeEngine | undefined;
  #doomed = false;
  #left: PromiseWithResolvers<void> = Promise.withResolvers();
  #closed: Promise<void> | undefined;

  private constructor(start: EngineStart, post: (news: EngineNews) => void) {
    this.#start = start;
    this.#post = post;
    this.#slots = new CallSlots(start.slots);
    this.#library = openLibrary({ path: start.library });
    const { settings, release } = start;
    const { address, port, rpcServer: serving } = settings;
    const sum = (bytes: Uint8Array) => this.#library.checksum(bytes);
    this.#cluster = new Cluster({ address, port, serving, release, sum }, {
      target: (from, grant) => this.#parts!.driver.target(from, grant),
      received: (from, message, payload) => this.#parts!.received(from, message, payload),
      status: () => this.#parts!.status.gather(),
      joined: ({ id }) => this.#parts!.peerJoined(id),
      lost: (node, reason) => this.#peerLost(node, reason),
      changed: () => this.#life.notify(),
      closing: () => this.#closing(),
      failed: (error) => this.fail(error),
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
      const { holdTimeUs, compression, checksums } = settings;
      const runPages = Math.max(1, Math.min(settings.runPages, RUN_MAX_BYTES / pageSize!));
      const region: RegionSettings = {
        size: size!,
        pageSize: pageSize!,
        runPages,
        holdTimeUs,
        compression,
        checksums,
      };
      this.#cluster.host(region);
      this.#open(region);
    } else {
      const { joinTimeoutMs } = settings;
      const wanted = { size, pageSize };
      const welcomed = (region: RegionSettings): void => this.#open(region);
      await this.#cluster.join(directoryAddress, wanted, joinTimeoutMs, welcomed);
    }
    const { hostname, port } = this.#cluster.address;
    const { handle, windowAddress, userModeOnly, ...region } = this.#parts!.region;
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
        "Serving page faults of user space only: system calls fail with EFAULT (Bad address) on pages " +
          "that are not here. To change that, run as root, or as root do one of " +
          "chmod 0666 /dev/userfaultfd and sysctl vm.unprivileged_userfaultfd=1",
      );
    }
    if (!isLoopback(hostname)) {
      const at = formatAddress({ hostname, port });
      this.#log(2, `Listening at ${at}: whoever reaches this port can join and read the region`);
    }
  }

  /** Opens the region and begins to serve it. */
  #open(region: RegionSettings): void {
    this.#parts = new NodeEngine({
      settings: this.#start.settings,
      region,
      library: this.#library,
      cluster: this.#cluster,
      slots: this.#slots,
      life: this.#life,
      tell: (event) => this.#tell(event),
      fail: (error) => this.fail(error),
      doom: (error) => this.#doom(error),
      close: () => this.#closed ??= this.#close(),
      post: (news) => this.#post(news),
    });
  }

  #tell(event: EngineEvent): void {
    switch (event.kind) {
      case "pageLost": {
        const { page, node } = event;
        const { pageSize } = this.#parts!.region;
        const bytes = `bytes ${page * pageSize} to ${(page + 1) * pageSize - 1}`;
        const reason = this.#cluster.whyLost(node);
        const gone = reason === undefined ? "gone" : `gone (${reason})`;
        const message = `Page ${page} (${bytes}) is lost: its only copy was on node ${node}, ` +
          `which is ${gone}. Node ${this.#cluster.self} needs it and cannot go on`;
        return this.#doom(new TdsmError("PageLost", message));
      }
      case "violation":
        this.#log(1, `Node ${event.node} broke the protocol: ${event.reason}`);
        return this.#cluster.expel(event.node, event.reason);
      case "peerGone":
        this.#log(3, `Node ${event.node} is gone`);
        this.#parts!.peerGone(event.node);
        return this.#cluster.forget(event.node);
      case "nodeLeft":
        this.#log(3, `Node ${event.node} has left`);
        this.#parts!.peerGone(event.node);
        return this.#cluster.release(event.node);
      case "left":
        this.#log(3, "Left the cluster");
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
    this.#parts!.peerLost(node);
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

  /**
   * The node cannot go on: its program is told, and whoever waits for the engine.
   *
   * @param error Why; what is no `TdsmError` is a fault of the engine.
   */
  fail(error: unknown): void {
    if (this.#life.failure !== undefined || this.#life.ending) return;
    const packed = packError(error);
    const failure = this.#life.failure = unpackError(packed);
    this.#post({ kind: "failed", error: packed });
    this.#cluster.abort();
    this.#refuse(failure);
    this.#life.notify();
    this.#left.resolve();
    this.#refuseFaults(failure);
  }

  /** Other nodes answer nothing any more: not what was asked, nor what will be. */
  #refuse(error: TdsmError): void {
    if (this.#life.refusal !== undefined) return;
    this.#life.refusal = error;
    this.#parts?.refuse(error);
  }

  /** Whoever faults from here on waits for something that never comes. */
  #refuseFaults(error: TdsmError): void {
    this.#parts?.driver.refuseFaults(() => this.#doom(error));
  }

  /**
   * The node cannot go on, and a thread of the program waits for something that never comes. If the
   * program does not end by itself, because it is that thread, it is ended from here.
   */
  #doom(error: unknown): void {
    if (this.#doomed) return;
    this.#doomed = true;
    this.fail(error);
    const { code, message: what } = packError(error);
    const message = `tdsm: error: ${what} (${code})\n`;
    setTimeout(() => die(this.#library, message, 1, DEATH_MESSAGE_MAX_MS), FAILURE_GRACE_MS);
  }

  #log(level: number, text: string): void {
    if (level > this.#start.settings.logLevel) return;
    this.#post({ kind: "log", level, text, topic: "runtime" });
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
      const { working } = this.#cluster;
      const { leaving } = this.#parts!;
      const tell = (what: string, nodes: NodeId[]): void => {
        if (nodes.length === 0) return;
        this.#log(2, `${what} before the directory closes: ${nodes.join(", ")}`);
      };
      tell("Waiting for these nodes to finish", working.filter((node) => !leaving.has(node)));
      tell(
        "Taking over the pages of these nodes, which leave,",
        working.filter((node) => leaving.has(node)),
      );
    };
    const reminder = setInterval(remind, CLOSE_REMINDER_MS);
    while (this.#cluster.working.length > 0 && this.#life.failure === undefined) {
      await this.#life.change();
    }
    clearInterval(reminder);
  }

  /** Hands over what only this node has. */
  async #leave(): Promise<void> {
    const parts = this.#parts!;
    parts.driver.input({ kind: "leave" });
    // This node asks for nothing any more: each message about pages takes of what it has, or answers
    // what it had asked for, and they come to an end.
    using _clock = new StallClock(LEAVE_STALL_MS, () => parts.pageMessages, () => {
      const { pagesExclusive } = parts.copies;
      const lost = pagesExclusive === 0 ? "" : `; at least ${pagesExclusive} pages are lost`;
      this.#log(1, `Left without a word of the directory for ${LEAVE_STALL_MS} ms${lost}`);
      this.#left.resolve();
    });
    await this.#left.promise;
  }

  async #shut(): Promise<void> {
    this.#life.ending = true;
    this.#life.notify();
    this.#refuse(new TdsmError("NodeClosed", "Cannot go on: the node is closed"));
    this.#parts?.status.end();
    await this.#cluster.close();
    await this.#parts?.[Symbol.asyncDispose]();
  }
}

/**
 * Answers the calls that the program's threads make to the engine, and refuses calls that are no
 * longer possible.
 */

import { TdsmError } from "../errors.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { NodeStats } from "./news.ts";
import {
  answerWith,
  Call,
  CallServer,
  packError,
  type ThreadCall,
  valueOf,
} from "../ring/calls.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { LifeCycle } from "./life_cycle.ts";
import type { CallSlots } from "../ring/call_slots.ts";
import type { RecordBody } from "../ring/ring.ts";
import type { RpcService } from "./rpc_service.ts";
import type { Services } from "./services.ts";
import type { ThreadLinks } from "./thread_links.ts";
import { THREAD_LINK_VERDICT_MS } from "../limits.ts";
import type { SyncStatus } from "../protocol/sync/messages.ts";

/** The parts of the engine that answer calls. */
export interface ProgramCallsOptions {
  readonly slots: CallSlots;
  readonly life: LifeCycle;
  readonly cluster: Cluster;
  readonly services: Services;
  readonly rpc: RpcService;
  /** The links that threads have for themselves; left out where no thread can have one. */
  readonly threads: ThreadLinks | undefined;
  /** Whether a thread of the program has ended. */
  hasEnded(thread: bigint): boolean;
  /** What this node has counted. */
  stats(): NodeStats;
  /** The home of a page; 0 where it has none yet. */
  homeOf(page: number): Promise<NodeId>;
  /** Leaves the cluster; at the directory node, ends it. A second call gets the same promise. */
  close(): Promise<void>;
  /** The same in a bounded time, since the process is about to end. */
  leave(): Promise<void>;
  /**
   * Begins a trace.
   *
   * @param path Its path, into which the node's id is put.
   * @returns Where it is written.
   * @throws {TdsmError} `InvalidArgument` while there is another one, or why there can be no such
   *   file.
   */
  beginTrace(path: string): string;
  /**
   * Ends a trace.
   *
   * @param path Where it is written.
   * @returns How many events it lacks, once it is written.
   */
  endTrace(path: string): Promise<number>;
  /** Ends the cluster, because the program has failed or called `abort`. */
  abort(reason: string): void;
  /** Ends this node, which cannot go on. */
  fail(error: TdsmError): void;
  /** Whether the process ends before its program could be told of anything. */
  isNearEnd(): boolean;
  /** Something was begun that goes on in the event loop. */
  needsTurn(): void;
}

/** Answers the calls of one node's program. */
export class ProgramCalls {
  /** Takes the calls from the rings. */
  readonly server: CallServer;
  readonly #options: ProgramCallsOptions;
  /** The calls that wait for a node to join. */
  readonly #waiting = new Set<ThreadCall>();
  #watching = false;

  /** @param options The parts that answer calls. */
  constructor(options: ProgramCallsOptions) {
    this.#options = options;
    const { slots, cluster, hasEnded } = options;
    this.server = new CallServer(slots, (call) => this.#take(call), () => cluster.flush(), {
      hasEnded,
      gone: (slot, unread) => this.#gone(slot, unread),
    });
  }

  /** The thread of a slot has ended, or detached, and waits for nothing. */
  #gone(slot: number, unread: readonly RecordBody[]): void {
    for (const call of this.#waiting) if (call.slot === slot) this.#waiting.delete(call);
    this.#options.threads?.threadGone(slot);
    // A node that can ask nothing any more has nothing to give back either.
    if (this.#options.life.refusal === undefined) this.#options.services.threadGone(slot, unread);
  }

  #take(call: ThreadCall): void {
    const { life, cluster, services, rpc, stats, homeOf } = this.#options;
    const { close, leave, abort, beginTrace, endTrace } = this.#options;
    const { failure, refusal } = life;
    const { kind, id, key } = call.record;
    const what = kind as Call;
    if (!SYNCHRONOUS.has(what)) this.#options.needsTurn();
    switch (what) {
      case Call.Close:
        return void answerWith(call, async () => {
          await close();
          return life.failure === undefined ? null : { ...packError(life.failure) };
        });
      case Call.Leave:
        return void answerWith(call, () => leave().then(() => null));
      case Call.Abort:
        return abort(valueOf(call.record) as string);
      case Call.Cancel:
        return this.#cancel(call.slot, id);
      case Call.Sync:
        return refusal === undefined ? services.request(call) : call.reject(refusal);
      case Call.FutexStay:
        return refusal === undefined ? services.stay(call.slot, id) : undefined;
      case Call.Rpc:
        return refusal === undefined ? rpc.request(call) : call.reject(refusal);
      case Call.RpcServed:
        return rpc.served(call.record);
      case Call.TakeCall:
        return refusal === undefined ? rpc.take(call) : call.reject(refusal);
      case Call.Taken:
        return refusal === undefined ? services.taken(Number(key)) : undefined;
      case Call.Allocate:
        if (refusal !== undefined) return call.reject(refusal);
        return void services.allocateFor(call);
      case Call.Free:
        if (refusal !== undefined) return call.reject(refusal);
        return void answerWith(call, (argument) => {
          const { offset, bytes } = argument as { offset: number; bytes: number };
          return services.free(Number(offset), Number(bytes)).then(() => null);
        });
      case Call.HomeOf:
        if (refusal !== undefined) return call.reject(refusal);
        return void answerWith(call, (page) => homeOf(Number(page)));
      case Call.WaitForPeer:
        return this.#waitForPeer(call);
      case Call.Peers:
        if (failure !== undefined) return call.reject(failure);
        return void answerWith(
          call,
          () => cluster.peers.map(({ id, address, port }) => ({ id, address, port })),
        );
      case Call.Stats:
        if (failure !== undefined) return call.reject(failure);
        return void answerWith(call, () => {
          const { allocations, ...counters } = stats();
          return { ...counters, allocations: allocations.map((moves) => ({ ...moves })) };
        });
      case Call.TraceBegin:
        if (refusal !== undefined) return call.reject(refusal);
        return void answerWith(call, (path) => beginTrace(path as string));
      case Call.TraceEnd:
        if (refusal !== undefined) return call.reject(refusal);
        return void answerWith(call, (path) => endTrace(path as string));
      case Call.OpenLink:
        if (life.state === "joined") void this.#options.threads?.open(call.slot);
        return;
      case Call.LinkEnded:
        return void this.#linkEnded(call);
      case Call.LinkTold: {
        const { code, count, payload } = call.record;
        services.told(new TextDecoder().decode(payload), { status: code as SyncStatus, count });
        return call.respond();
      }
      case Call.Detach:
        throw new Error("The rings act on it");
      default:
        throw new Error(`The engine has no call ${what satisfies never}`);
    }
  }

  /**
   * A thread has found its own link ended. Where the node closes, or the cluster ends, the word of
   * that comes by another connection. Otherwise it is as if the node's own link had ended: nobody
   * knows what became of the thread's last request.
   */
  async #linkEnded(call: ThreadCall): Promise<void> {
    const { life, fail } = this.#options;
    const timer = setTimeout(() => {
      if (life.state !== "joined") return;
      const why = "Lost the directory node: the link of a thread of this node has ended";
      fail(new TdsmError("DirectoryLost", why));
    }, THREAD_LINK_VERDICT_MS);
    while (life.refusal === undefined) await life.change();
    clearTimeout(timer);
    call.reject(life.refusal);
  }

  /** Gives up a call of a thread, of any kind. */
  #cancel(slot: number, id: number): void {
    for (const call of this.#waiting) {
      if (call.slot !== slot || call.record.call !== id) continue;
      this.#waiting.delete(call);
      return call.cancelled();
    }
    this.#options.services.cancel(slot, id);
  }

  #waitForPeer(call: ThreadCall): void {
    if (this.#settle(call)) return;
    this.#waiting.add(call);
    void this.#watch();
  }

  /** Answers the calls that wait for a node, as nodes come and go, until no such call is left. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    while (this.#waiting.size > 0) {
      await this.#options.life.change();
      for (const call of this.#waiting) if (this.#settle(call)) this.#waiting.delete(call);
    }
    this.#watching = false;
  }

  /** Answers a call that waits for a node; `false` when the call has to wait on. */
  #settle(call: ThreadCall): boolean {
    const { life, cluster, isNearEnd } = this.#options;
    const node: NodeId = call.record.id;
    const operation = `wait for node ${node}`;
    if (life.failure !== undefined) call.reject(life.failure);
    else if (node === cluster.self || cluster.peers.some(({ id }) => id === node)) call.respond();
    else if (cluster.isGone(node)) {
      const message = `Cannot ${operation}: it is gone`;
      call.reject(new TdsmError("PeerLost", message, { operation }));
    } else if (life.over && !isNearEnd()) {
      const message = `Cannot ${operation}: the cluster ends`;
      call.reject(new TdsmError("NodeClosed", message, { operation }));
    } else return false;
    return true;
  }
}

/** The calls that are done, or passed on, at once: the most frequent. */
const SYNCHRONOUS: ReadonlySet<Call> = new Set([
  Call.Sync,
  Call.FutexStay,
  Call.Cancel,
  Call.Rpc,
  Call.RpcServed,
  Call.TakeCall,
]);

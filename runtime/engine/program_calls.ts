/**
 * The answers to what the program's threads ask of the engine, and the refusal of what cannot be
 * asked any more.
 */

import { TdsmError } from "../errors.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { Counters } from "../wire/status_control.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import type { NodeStats } from "./news.ts";
import { Call, CallServer, type RawCall } from "../ring/calls.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { LifeCycle } from "./life_cycle.ts";
import type { CallSlots } from "../ring/ring.ts";
import type { RpcService } from "./rpc_service.ts";
import type { Services } from "./services.ts";

/** What the answers come from. */
export interface ProgramCallsOptions {
  readonly slots: CallSlots;
  readonly life: LifeCycle;
  readonly cluster: Cluster;
  readonly services: Services;
  readonly rpc: RpcService;
  /** What this node has counted. */
  stats(): NodeStats & Counters;
  /** Leaves the cluster, or ends it; asked again, it is the same end. */
  close(): Promise<void>;
}

/** Answers the calls of one node's program. */
export class ProgramCalls {
  /** Takes the calls from the rings. */
  readonly server: CallServer;
  readonly #options: ProgramCallsOptions;

  /** @param options What to answer from. */
  constructor(options: ProgramCallsOptions) {
    this.#options = options;
    const { slots, cluster, services, rpc } = options;
    this.server = new CallServer(slots, (call, argument) => this.#serve(call, argument), {
      sync: (call) => this.#request(services, call),
      syncCancel: (slot, call) => services.cancel(slot, call),
      rpc: (call) => this.#request(rpc, call),
      rpcServed: (payload) => rpc.served(payload),
    }, () => cluster.flush());
  }

  /** Has a service ask another node, where that is still possible. */
  #request(service: Services | RpcService, call: RawCall): void {
    const { refusal } = this.#options.life;
    if (refusal !== undefined) call.reject(refusal);
    else service.request(call);
  }

  /** Answers a call that is in MessagePack. */
  #serve(call: Call, argument: ValueType): ValueType | Promise<ValueType | undefined> {
    const { life, cluster, services } = this.#options;
    if (call === Call.Close) return this.#options.close().then(() => null);
    if (life.failure !== undefined) throw life.failure;
    switch (call) {
      case Call.Peers:
        return cluster.peers.map(({ id, address, port }) => ({ id, address, port }));
      case Call.WaitForPeer:
        return this.#waitForPeer(argument as number).then(() => null);
      case Call.Stats:
        return this.#options.stats();
      case Call.Allocate: {
        if (life.refusal !== undefined) throw life.refusal;
        const request = argument as unknown as Parameters<Services["allocate"]>[0];
        return services.allocate(request);
      }
      case Call.Zeroed:
        services.zeroed(Number(argument));
        return null;
      case Call.Free: {
        if (life.refusal !== undefined) throw life.refusal;
        const { offset, bytes } = argument as { offset: number; bytes: number };
        return services.free(Number(offset), Number(bytes)).then(() => null);
      }
      case Call.Sync:
      case Call.SyncCancel:
      case Call.Rpc:
      case Call.RpcServed:
        throw new TdsmError("EngineFailed", "A raw call was taken for another");
      default:
        throw new TdsmError("EngineFailed", `The engine has no call ${call satisfies never}`);
    }
  }

  async #waitForPeer(node: NodeId): Promise<void> {
    const { life, cluster } = this.#options;
    for (;;) {
      if (life.failure !== undefined) throw life.failure;
      const { self, peers } = cluster;
      if (node === self || peers.some(({ id }) => id === node)) return;
      if (cluster.isGone(node)) {
        throw new TdsmError("PeerLost", `Cannot wait for node ${node}: it is gone`);
      }
      if (life.over) {
        throw new TdsmError("NodeClosed", `Cannot wait for node ${node}: the cluster ends`);
      }
      await life.change();
    }
  }
}

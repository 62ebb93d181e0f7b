/**
 * Nodes of one process that call each other over a network in memory. The network delays and
 * reorders messages, and holds or loses them where the test says so.
 */

import { offsetsIn } from "./rpc_offsets.ts";
import { peerAbsentError, peerLostError } from "../../runtime/rpc/error.ts";
import { RpcProgram } from "../../runtime/rpc/program.ts";
import type { RpcReply, RpcTransport } from "../../runtime/rpc/types.ts";
import { Random } from "../simulator/coherence/random.ts";

/** The bytes of each node's region. */
const MEMORY_BYTES = 65_536;

interface Waiter {
  readonly node: number;
  reject(error: Error): void;
}

/** A node with a program of its own. */
export class RpcNetworkNode implements RpcTransport {
  readonly program: RpcProgram = new RpcProgram();
  readonly memory: ArrayBuffer = new ArrayBuffer(MEMORY_BYTES);
  readonly offsetOf = offsetsIn(this.memory).offsetOf;
  readonly self: number;
  /** The calls that it has sent. */
  sent = 0;
  readonly #network: RpcNetwork;

  constructor(self: number, network: RpcNetwork) {
    this.self = self;
    this.#network = network;
    this.program.bind(this);
  }

  peers(): number[] {
    return this.#network.ids.filter((id) => id !== this.self);
  }

  refusal(): undefined {}

  call(node: number, procedure: string, payload: Uint8Array): Promise<RpcReply> {
    this.sent++;
    return this.#network.call(node, procedure, payload);
  }
}

/** The network between the nodes. */
export class RpcNetwork {
  /** The calls that were given to nodes to serve. */
  served = 0;
  readonly #nodes = new Map<number, RpcNetworkNode>();
  readonly #gone = new Set<number>();
  readonly #waiters = new Set<Waiter>();
  readonly #random: Random;
  readonly #underWay: (() => void)[] = [];
  #held = false;

  constructor(size: number, seed = 1) {
    this.#random = new Random(seed);
    // From the last to the first, since the peers of a node come in any order.
    for (let id = size; id >= 1; id--) this.#nodes.set(id, new RpcNetworkNode(id, this));
  }

  get ids(): number[] {
    return [...this.#nodes.keys()].filter((id) => !this.#gone.has(id));
  }

  node(id: number): RpcNetworkNode {
    return this.#nodes.get(id)!;
  }

  /** Holds all messages that are sent from now on. */
  hold(): void {
    this.#held = true;
  }

  /** Delivers the messages that were held. */
  release(): void {
    this.#held = false;
    for (let count = this.#underWay.length; count > 0; count--) this.#schedule();
  }

  /**
   * Has a node die: calls that wait for it fail, and messages under way to it or from it are lost.
   */
  kill(node: number): void {
    this.#gone.add(node);
    for (const waiter of this.#waiters) {
      if (waiter.node === node) waiter.reject(peerLostError("it", node));
    }
  }

  call(node: number, procedure: string, payload: Uint8Array): Promise<RpcReply> {
    const target = this.#nodes.get(node);
    if (target === undefined) return Promise.reject(peerAbsentError(procedure, node));
    if (this.#gone.has(node)) return Promise.reject(peerLostError(procedure, node));
    return new Promise((resolve, reject) => {
      const waiter = { node, reject };
      this.#waiters.add(waiter);
      // The network owns the bytes that arrive, and overwrites them after use.
      const frame = payload.slice();
      this.#send(node, () => {
        this.served++;
        const reply = target.program.serve(target, procedure, frame);
        frame.fill(0xc1);
        void reply.then(({ ok, payload }) =>
          this.#send(node, () => {
            this.#waiters.delete(waiter);
            resolve({ ok, payload });
          })
        );
      });
    });
  }

  #send(node: number, deliver: () => void): void {
    this.#underWay.push(() => {
      if (!this.#gone.has(node)) deliver();
    });
    if (!this.#held) this.#schedule();
  }

  #schedule(): void {
    queueMicrotask(() => {
      if (this.#held) return;
      const [deliver] = this.#underWay.splice(this.#random.below(this.#underWay.length), 1);
      deliver?.();
    });
  }
}

/**
 * A synchronizer, and nodes that send it one request after the other: for tests of exact sequences.
 */

import type { NodeId } from "../../runtime/protocol/coherence/messages.ts";
import {
  type BarrierTreeMessage,
  type GatherMessage,
  GatherStep,
  SyncOperation,
  type SyncReply,
  SyncStatus,
} from "../../runtime/protocol/sync/messages.ts";
import { Synchronizer } from "../../runtime/protocol/sync/synchronizer.ts";
import { type StuckWaits, SYNC_LIMITS, type SyncLimits } from "../../runtime/protocol/sync/desk.ts";

const kind = "sync";
const STATUS_NAMES = new Map(Object.entries(SyncStatus).map(([name, status]) => [status, name]));

const STEP_NAMES = new Map(Object.entries(GatherStep).map(([name, step]) => [step, name]));

/** Nodes and the directory's synchronizer, with no network between them. */
export class SyncRequesters {
  readonly synchronizer: Synchronizer;
  /** What was answered since {@linkcode SyncRequesters.answers} was last asked. */
  #replies: { to: NodeId; reply: SyncReply }[] = [];
  /** What was said of trees since {@linkcode SyncRequesters.told} was last asked. */
  readonly #told: { to: NodeId; message: BarrierTreeMessage | GatherMessage }[] = [];
  #violations: string[] = [];
  #stuck: StuckWaits[] = [];

  /** @param nodes How many there are. @param limits How much is remembered; by default as usual. */
  constructor(nodes = 3, limits: Partial<SyncLimits> = {}) {
    const assured = Object.keys(limits).length === 0
      ? {}
      : { objectsAssured: 0, waitingAssured: 0 };
    this.synchronizer = new Synchronizer({
      reply: (to, reply) => this.#replies.push({ to, reply }),
      tell: (to, message) => this.#told.push({ to, message }),
      violation: (node, reason) => this.#violations.push(`${node}: ${reason}`),
      stuck: (waits) => this.#stuck.push(waits),
    }, { ...SYNC_LIMITS, ...assured, ...limits });
    for (let node = 1; node <= nodes; node++) this.synchronizer.peerJoined(node);
  }

  acquire(node: NodeId, ticket: number, key = 7n): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.Acquire, ticket, key });
    return this;
  }

  tryAcquire(node: NodeId, ticket: number, key = 7n): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.TryAcquire, ticket, key });
    return this;
  }

  release(node: NodeId, ticket: number, count = 1, key = 7n): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.Release, ticket, key, count });
    return this;
  }

  makeSemaphore(node: NodeId, ticket: number, count: number): this {
    this.synchronizer.request(node, {
      kind,
      operation: SyncOperation.MakeSemaphore,
      ticket,
      count,
    });
    return this;
  }

  arrive(node: NodeId, ticket: number, count: number, name = "phase"): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.Arrive, ticket, name, count });
    return this;
  }

  lock(node: NodeId, ticket: number, name = "cells"): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.Lock, ticket, name });
    return this;
  }

  tryLock(node: NodeId, ticket: number, name = "cells"): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.TryLock, ticket, name });
    return this;
  }

  unlock(node: NodeId, ticket: number, lock: number): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.Unlock, ticket, lock });
    return this;
  }

  cancel(node: NodeId, ticket: number): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.Cancel, ticket });
    return this;
  }

  futexWait(node: NodeId, ticket: number, key = 8n): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.FutexWait, ticket, key });
    return this;
  }

  futexStay(node: NodeId, ticket: number): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.FutexStay, ticket });
    return this;
  }

  futexNotify(node: NodeId, ticket: number, count: number, key = 8n): this {
    const operation = SyncOperation.FutexNotify;
    this.synchronizer.request(node, { kind, operation, ticket, key, count });
    return this;
  }

  futexHeard(node: NodeId, key = 8n): this {
    const operation = SyncOperation.FutexHeard;
    this.synchronizer.request(node, { kind, operation, ticket: 0, key });
    return this;
  }

  futexReturn(node: NodeId, key = 8n): this {
    const operation = SyncOperation.FutexReturn;
    this.synchronizer.request(node, { kind, operation, ticket: 0, key });
    return this;
  }

  futexMoved(node: NodeId, ticket: number, key = 8n): this {
    this.synchronizer.request(node, { kind, operation: SyncOperation.FutexMoved, ticket, key });
    return this;
  }

  gather(node: NodeId, step: GatherStep, tree: number, generation: number): this {
    this.synchronizer.gather(node, { kind: "gather", step, tree, generation });
    return this;
  }

  lose(node: NodeId): this {
    this.synchronizer.peerLost(node);
    return this;
  }

  /** A node begins to leave. */
  part(node: NodeId): this {
    this.synchronizer.peerLeft(node);
    return this;
  }

  /** A node leaves, and has left. */
  leave(node: NodeId): this {
    this.part(node).synchronizer.peerGone(node);
    return this;
  }

  endThread(node: NodeId, thread: number): this {
    this.synchronizer.threadGone(node, thread);
    return this;
  }

  /** Lets time pass. */
  beat(times = 1): this {
    for (let time = 0; time < times; time++) this.synchronizer.beat();
    return this;
  }

  /**
   * What was answered since this was last asked, as "node.ticket status", with the value if any.
   */
  answers(): string[] {
    const replies = this.#replies;
    this.#replies = [];
    return replies.map(({ to, reply: { ticket, status, count, key } }) => {
      const value = count > 0 ? ` ${count}` : key > 0n ? ` ${key.toString(16)}` : "";
      return `${to}.${ticket} ${STATUS_NAMES.get(status)}${value}`;
    });
  }

  /**
   * What nodes were told of trees since this was last asked: of a new one
   * "node: tree under parent", otherwise "node: step of tree.generation".
   */
  told(): string[] {
    return this.#told.splice(0).map(({ to, message }) =>
      message.kind === "barrierTree"
        ? `${to}: ${message.tree} under ${message.parent}`
        : `${to}: ${STEP_NAMES.get(message.step)} of ${message.tree}.${message.generation}`
    );
  }

  /** What nodes did that they may not, since this was last asked. */
  violations(): string[] {
    return this.#violations.splice(0);
  }

  /** The waits that nobody may be left to end, as told since this was last asked. */
  stuck(): StuckWaits[] {
    return this.#stuck.splice(0);
  }

  /** Whether nothing is remembered. */
  get isEmpty(): boolean {
    return Object.values(this.synchronizer.usage).every((count) => count === 0);
  }
}

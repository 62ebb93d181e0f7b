/**
 * A node of the simulated cluster: what it has asked for, what it holds, and the bytes that are on
 * their way to and from the directory.
 */

import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import { BOUNDS, ofKind } from "../../support/frames.ts";
import { decodeFrame } from "../../../runtime/wire/page_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../../../runtime/wire/sync_frames.ts";
import {
  firstTicketOf,
  NODE_TICKET_MAX,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
  threadOf,
} from "../../../runtime/protocol/sync/messages.ts";
import { fail } from "./oracle.ts";

/** What a node's process is doing. */
export type Life = "working" | "leaving" | "dead";

/** What the directory takes a node for; one that parts asks for nothing, and is not gone yet. */
export type Stage = "member" | "parting" | "gone";

const scratch = new Uint8Array(SYNC_MAX_BYTES);

/** The threads of a node that ask by links of their own; 0 stands for the node's own link. */
export const THREADS: readonly number[] = [1, 2];

/** What one of a node's links carries to the directory, in order: frames, or the link's end. */
type Carried = Uint8Array | "end";

/** A node, and its connections. */
export class SyncNode {
  readonly id: NodeId;
  life: Life = "working";
  /** What the directory takes it for. */
  stage: Stage = "member";
  /** What is on its way to the directory, by the threads whose links carry it. */
  readonly toDirectory: readonly Carried[][] = [0, ...THREADS].map(() => []);
  /** Frames from the directory, in order. */
  readonly fromDirectory: Uint8Array[] = [];
  /** What was asked for and has no answer, by ticket. */
  readonly asked = new Map<number, SyncRequest>();
  /** The mutexes that it holds: their names by the tickets of their locks. */
  readonly locks = new Map<number, string>();
  /** The threads whose links have ended, as the directory will see. */
  readonly ended = new Set<number>();
  /** What threads had asked for whose links have ended, by ticket. */
  readonly #unread = new Map<number, SyncRequest>();
  readonly #nextTickets: number[];

  /** @param id The node. @param firstTicket The first ticket of its own link. */
  constructor(id: NodeId, firstTicket: number) {
    this.id = id;
    this.#nextTickets = [firstTicket, ...THREADS.map(firstTicketOf)];
  }

  /** A ticket of a thread that is not in use. */
  ticket(thread = 0): number {
    const ticket = this.#nextTickets[thread]!;
    this.#nextTickets[thread] = ticket === NODE_TICKET_MAX ? 0 : ticket + 1;
    return ticket;
  }

  /** The links on which something is on its way to the directory. */
  get busyLinks(): Carried[][] {
    return this.toDirectory.filter(({ length }) => length > 0);
  }

  /** A thread ends, and its link behind all that it has said. */
  endThread(thread: number): void {
    this.ended.add(thread);
    this.toDirectory[thread]!.push("end");
    for (const [ticket, request] of this.asked) {
      if (threadOf(ticket) !== thread) continue;
      this.asked.delete(ticket);
      this.#unread.set(ticket, request);
    }
    for (const ticket of this.locks.keys()) {
      if (threadOf(ticket) === thread) this.locks.delete(ticket);
    }
  }

  /** Sends a request, by the link whose thread has the ticket. */
  ask(request: SyncRequest): void {
    this.toDirectory[threadOf(request.ticket)]!.push(toBytes(request));
    if (request.operation === SyncOperation.Cancel) return;
    this.asked.set(request.ticket, request);
    if ("lock" in request) this.locks.delete(request.lock);
  }

  /** Takes the next answer. */
  receive(): SyncReply {
    const reply = fromBytes(this.fromDirectory.shift()!) as SyncReply;
    const { ticket, status } = reply;
    const unread = this.#unread.get(ticket);
    if (unread !== undefined) {
      this.#unread.delete(ticket);
      this.#giveBack(unread, status);
      return reply;
    }
    const request = this.asked.get(ticket) ?? fail(`${this.id}.${ticket} has an answer already`);
    this.asked.delete(ticket);
    const isGranted = status === SyncStatus.Done || status === SyncStatus.Abandoned;
    // At a node that leaves, no thread uses what it is still given.
    const isUsed = isGranted && this.life === "working";
    if (isUsed && "name" in request && request.operation !== SyncOperation.Arrive) {
      this.locks.set(ticket, request.name);
    }
    return reply;
  }

  /** A thread has not read that it was given a permit. */
  #giveBack(request: SyncRequest, status: SyncStatus): void {
    const { Acquire, TryAcquire, Release: operation } = SyncOperation;
    const isPermit = request.operation === Acquire || request.operation === TryAcquire;
    if (!isPermit || status !== SyncStatus.Done || this.life !== "working") return;
    this.ask({ kind: "sync", operation, ticket: this.ticket(), key: request.key, count: 1 });
  }

  /** Its process is no more; what it had sent may arrive. */
  die(): void {
    this.life = "dead";
    this.asked.clear();
    this.locks.clear();
    this.fromDirectory.length = 0;
    this.#unread.clear();
  }
}

/** A message as it travels. */
export function toBytes(message: SyncMessage): Uint8Array {
  return scratch.slice(0, encodeSync(message, scratch, 0));
}

/** A message as it arrives. */
export function fromBytes(bytes: Uint8Array): SyncMessage {
  return ofKind(decodeFrame(bytes, 0, bytes.length, BOUNDS), "sync").message;
}

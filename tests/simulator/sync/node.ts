/**
 * A node of the simulated cluster: what it has asked for, what it holds, and the bytes that are on
 * their way to and from the directory.
 */

import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import { BOUNDS, ofKind } from "../../support/frames.ts";
import { decodeFrame } from "../../../runtime/wire/page_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../../../runtime/wire/sync_frames.ts";
import {
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../../../runtime/protocol/sync/messages.ts";
import { fail } from "./oracle.ts";

/** What a node's process is doing. */
export type Life = "working" | "leaving" | "dead";

const scratch = new Uint8Array(SYNC_MAX_BYTES);

/** A node, and its connection. */
export class SyncNode {
  readonly id: NodeId;
  life: Life = "working";
  /** Whether the directory counts it as gone. */
  isLost = false;
  /** Frames to the directory, in order. */
  readonly toDirectory: Uint8Array[] = [];
  /** Frames from the directory, in order. */
  readonly fromDirectory: Uint8Array[] = [];
  /** What was asked for and has no answer, by ticket. */
  readonly asked = new Map<number, SyncRequest>();
  /** The mutexes that it holds: their names by the tickets of their locks. */
  readonly locks = new Map<number, string>();
  #nextTicket: number;

  /** @param id The node. @param firstTicket Its first ticket. */
  constructor(id: NodeId, firstTicket: number) {
    this.id = id;
    this.#nextTicket = firstTicket;
  }

  /** A ticket that is not in use. */
  ticket(): number {
    const ticket = this.#nextTicket;
    this.#nextTicket = (ticket + 1) >>> 0;
    return ticket;
  }

  /** Sends a request. */
  ask(request: SyncRequest): void {
    this.toDirectory.push(toBytes(request));
    if (request.operation === SyncOperation.Cancel) return;
    this.asked.set(request.ticket, request);
    if ("lock" in request) this.locks.delete(request.lock);
  }

  /** Takes the next answer. */
  receive(): SyncReply {
    const reply = fromBytes(this.fromDirectory.shift()!) as SyncReply;
    const { ticket, status } = reply;
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

  /** Its process is no more; what it had sent may arrive. */
  die(): void {
    this.life = "dead";
    this.asked.clear();
    this.locks.clear();
    this.fromDirectory.length = 0;
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

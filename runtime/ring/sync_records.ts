/**
 * Requests of synchronisation as they cross the rings between a program's threads and the engine:
 * in the fields of a record. Only a request that goes to another node becomes a frame.
 */

import {
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  type SyncStatus,
} from "../protocol/sync/messages.ts";
import { Call } from "./calls.ts";
import { newBody, NO_BYTES, type RecordBody } from "./ring.ts";

const encoder = new TextEncoder();
/** Keeps a byte order mark, since a mark at the beginning of a name is part of the name. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A request that has an answer. */
export type AnsweredRequest = Exclude<
  SyncRequest,
  {
    readonly operation:
      | typeof SyncOperation.Cancel
      | typeof SyncOperation.FutexStay
      | typeof SyncOperation.FutexHeard
      | typeof SyncOperation.FutexMoved
      | typeof SyncOperation.FutexReturn;
  }
>;

type Unnumbered<Request> = Request extends SyncMessage ? Omit<Request, "kind" | "ticket"> : never;
/** A request as the program's thread makes it: the engine numbers it. */
export type SyncDemand = Unnumbered<AnsweredRequest>;

/** An answer as the program's thread gets it; the ticket is the name of a lock that was taken. */
export type SyncAnswer = Omit<SyncReply, "kind">;

/**
 * Writes a request into the fields of a record: `code` is the operation, `count` permits,
 * parties or waits, `id` a lock, `key` a semaphore or a word, the payload a name in UTF-8.
 *
 * @param demand The request.
 * @returns The record's body.
 */
export function syncBody(demand: SyncDemand): RecordBody {
  return newBody(Call.Sync, {
    code: demand.operation,
    count: "count" in demand ? demand.count : 0,
    id: "lock" in demand ? demand.lock : 0,
    key: "key" in demand ? demand.key : 0n,
    payload: "name" in demand ? encoder.encode(demand.name) : NO_BYTES,
  });
}

/**
 * Reads what {@linkcode syncBody} wrote.
 *
 * @param body The record's body.
 * @param ticket The number that the engine gives to the request.
 * @returns The request.
 */
export function syncRequest(
  { code, count, id: lock, key, payload }: RecordBody,
  ticket: number,
): AnsweredRequest {
  const kind = "sync";
  const operation = code as SyncDemand["operation"];
  switch (operation) {
    case SyncOperation.Acquire:
    case SyncOperation.TryAcquire:
    case SyncOperation.FutexWait:
      return { kind, operation, ticket, key };
    case SyncOperation.Release:
    case SyncOperation.FutexNotify:
      return { kind, operation, ticket, key, count };
    case SyncOperation.MakeSemaphore:
      return { kind, operation, ticket, count };
    case SyncOperation.Arrive:
      return { kind, operation, ticket, name: decoder.decode(payload), count };
    case SyncOperation.Lock:
    case SyncOperation.TryLock:
      return { kind, operation, ticket, name: decoder.decode(payload) };
    case SyncOperation.Unlock:
    case SyncOperation.Abandon:
      return { kind, operation, ticket, lock };
    default:
      throw new Error(`A thread asks for operation ${operation satisfies never}, which is none`);
  }
}

/**
 * Writes an answer into the fields of a record: `code` is the status, `count` parties or a node,
 * `id` the ticket, `key` a semaphore.
 *
 * @param reply The answer.
 * @returns The fields.
 */
export function syncAnswerFields({ status, count, ticket, key }: SyncReply): Partial<RecordBody> {
  return { code: status, count, id: ticket, key };
}

/**
 * Reads what {@linkcode syncAnswerFields} wrote.
 *
 * @param body The record's body.
 * @returns The answer.
 */
export function syncAnswer({ code, count, id, key }: RecordBody): SyncAnswer {
  return { status: code as SyncStatus, count, ticket: id, key };
}

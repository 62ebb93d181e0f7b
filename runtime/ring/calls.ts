/**
 * What the program's threads ask of the engine, and how it answers: by the rings, in MessagePack.
 * No call is on the path of a page.
 */

import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { TdsmError, type TdsmErrorCode } from "../errors.ts";
import type { CallSlots, Ring, RingRecord } from "./ring.ts";
import { RingWriter } from "./writer.ts";

/** What can be asked. */
export const Call = {
  /** → the other nodes, as a list of `{ id, address, port }`. */
  Peers: 1,
  /** A node's id → nothing, once it has joined. */
  WaitForPeer: 2,
  /** → {@linkcode NodeStats}. */
  Stats: 3,
  /** → nothing, once the node has left and its links are closed. */
  Close: 4,
  /** A `SyncRequest` as a frame, without its ticket → the `SyncReply` as a frame. */
  Sync: 5,
  /** The number of a call of `Sync` that is given up; that call is answered. */
  SyncCancel: 6,
  /** `AllocationRequest` → `{ offset, dirtyBytes, created }`. */
  Allocate: 7,
  /** The offset of a named allocation that is zeroed now → nothing. */
  Zeroed: 8,
  /** `{ offset, bytes }` → nothing, once it is free. */
  Free: 9,
  /** A remote call as `packRpcCall` has it → its answer as `packRpcAnswer` has it. */
  Rpc: 10,
  /** The answer to a remote call that this thread served. */
  RpcServed: 11,
} as const;
/** One of {@linkcode Call}. */
export type Call = typeof Call[keyof typeof Call];

/** How a call ended. */
export const Answer = {
  Value: 0,
  Error: 1,
  /** No answer: a remote call that this thread is to serve, as `packRpcCall` has it. */
  Serve: 2,
} as const;

/** Answers a call; may take its time. */
export type CallHandler = (
  call: Call,
  argument: ValueType,
) => ValueType | undefined | Promise<ValueType | undefined>;

/** A call whose bytes are its own affair, and how to answer it. */
export interface RawCall {
  /** The thread that calls, and its number for the call: together, which call it is. */
  readonly slot: number;
  readonly call: number;
  readonly payload: Uint8Array;
  /**
   * Answers it.
   *
   * @param payload The answer.
   * @param quiet Whether nobody waits for it: the thread finds it when it looks for something else.
   */
  respond(payload: Uint8Array, quiet?: boolean): void;
  /** Answers it with an error. */
  reject(error: unknown): void;
}

/** Takes the calls of the kinds that are not in MessagePack. */
export interface RawHandlers {
  sync(call: RawCall): void;
  syncCancel(slot: number, call: number): void;
  rpc(call: RawCall): void;
  rpcServed(payload: Uint8Array): void;
}

/** How many calls are taken before what there is to say to them is sent. */
const CALL_BATCH = 64;

/** A call of one thread, as it came out of the ring. */
class ThreadCall implements RawCall {
  readonly slot: number;
  readonly call: number;
  readonly payload: Uint8Array;
  readonly #answers: RingWriter;

  constructor(slot: number, { call, payload }: RingRecord, answers: RingWriter) {
    this.slot = slot;
    this.call = call;
    this.payload = payload;
    this.#answers = answers;
  }

  respond(payload: Uint8Array, quiet = false): void {
    void this.#answers.push(Answer.Value, this.call, payload, quiet);
  }

  reject(error: unknown): void {
    void this.#answers.push(Answer.Error, this.call, encode({ ...packError(error) }));
  }
}

/** The engine's side of the rings. */
export class CallServer {
  readonly #slots: CallSlots;
  readonly #handler: CallHandler;
  readonly #raw: RawHandlers;
  readonly #taken: () => void;
  readonly #rings: { calls: Ring; answers: RingWriter }[] = [];

  /**
   * @param slots The rings.
   * @param handler Who answers.
   * @param raw Who answers what is raw.
   * @param taken Called after each batch of calls, to send to other nodes what they have led to.
   */
  constructor(
    slots: CallSlots,
    handler: CallHandler,
    raw: RawHandlers,
    taken: () => void = () => {},
  ) {
    this.#slots = slots;
    this.#handler = handler;
    this.#raw = raw;
    this.#taken = taken;
  }

  /** Takes every call that waits; whether there was one. */
  poll(): boolean {
    const { count } = this.#slots;
    while (this.#rings.length < count) this.#open();
    let taken = 0;
    for (let slot = 0; slot < this.#rings.length; slot++) {
      const { calls, answers } = this.#rings[slot]!;
      for (let record = calls.pop(); record !== undefined; record = calls.pop()) {
        this.#dispatch(slot, record, answers);
        if (++taken % CALL_BATCH === 0) this.#taken();
      }
    }
    if (taken % CALL_BATCH !== 0) this.#taken();
    return taken > 0;
  }

  /** Has the thread that joined serve a remote call. */
  serve(id: number, payload: Uint8Array): void {
    if (this.#rings.length === 0) this.#open();
    void this.#rings[0]!.answers.push(Answer.Serve, id, payload);
  }

  /** Takes note of one more slot. */
  #open(): void {
    const { calls, answers } = this.#slots.rings(this.#rings.length);
    this.#rings.push({ calls, answers: new RingWriter(answers) });
  }

  #dispatch(slot: number, record: RingRecord, answers: RingWriter): void {
    switch (record.kind) {
      case Call.Sync:
        return this.#raw.sync(new ThreadCall(slot, record, answers));
      case Call.Rpc:
        return this.#raw.rpc(new ThreadCall(slot, record, answers));
      case Call.RpcServed:
        return this.#raw.rpcServed(record.payload);
      case Call.SyncCancel:
        return this.#raw.syncCancel(slot, decode(record.payload) as number);
      default:
        void this.#serve(new ThreadCall(slot, record, answers), record.kind as Call);
    }
  }

  async #serve(call: ThreadCall, kind: Call): Promise<void> {
    // Number 0 stands for what nobody waits for.
    const awaited = call.call !== 0;
    try {
      const result = this.#handler(kind, decode(call.payload));
      const value = result instanceof Promise ? await result : result;
      if (awaited) call.respond(encode(value ?? null));
    } catch (error) {
      if (awaited) call.reject(error);
    }
  }
}

/** An error, as it crosses threads. */
export interface PackedError {
  readonly code: TdsmErrorCode;
  readonly message: string;
  readonly operation: string | null;
  readonly errno: number | null;
}

/** Makes an error fit to cross threads. What is no `TdsmError` is a fault of the engine. */
export function packError(error: unknown): PackedError {
  if (error instanceof TdsmError) {
    const { code, message, operation, errno } = error;
    return { code, message, operation: operation ?? null, errno: errno ?? null };
  }
  const message = error instanceof Error ? error.stack ?? error.message : String(error);
  return { code: "EngineFailed", message, operation: null, errno: null };
}

/** The error that {@linkcode packError} packed. */
export function unpackError({ code, message, operation, errno }: PackedError): TdsmError {
  return new TdsmError(code, message, {
    ...(operation === null ? {} : { operation }),
    ...(errno === null ? {} : { errno }),
  });
}

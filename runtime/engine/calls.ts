/**
 * What the program's threads ask of the engine, and how it answers: by the rings, in MessagePack.
 * No call is on the path of a page.
 */

// @ts-types="../std/msgpack_decode.d.ts"
import { decode } from "@std/msgpack/decode";
// @ts-types="../std/msgpack_encode.d.ts"
import { encode } from "@std/msgpack/encode";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { TdsmError, type TdsmErrorCode } from "../errors.ts";
import type { CallSlots, Ring, RingRecord } from "./ring.ts";

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
} as const;
/** One of {@linkcode Call}. */
export type Call = typeof Call[keyof typeof Call];

/** How a call ended. */
export const Answer = { Value: 0, Error: 1 } as const;

/** Answers a call; may take its time. */
export type CallHandler = (
  call: Call,
  argument: ValueType,
) => ValueType | undefined | Promise<ValueType | undefined>;

/** The engine's side of the rings. */
export class CallServer {
  readonly #slots: CallSlots;
  readonly #handler: CallHandler;
  readonly #rings: { calls: Ring; answers: Ring }[] = [];

  /** @param slots The rings. @param handler Who answers. */
  constructor(slots: CallSlots, handler: CallHandler) {
    this.#slots = slots;
    this.#handler = handler;
  }

  /** Takes every call that waits; whether there was one. */
  poll(): boolean {
    const { count } = this.#slots;
    while (this.#rings.length < count) this.#rings.push(this.#slots.rings(this.#rings.length));
    let any = false;
    for (const { calls, answers } of this.#rings) {
      for (let record = calls.pop(); record !== undefined; record = calls.pop()) {
        any = true;
        void this.#serve(record, answers);
      }
    }
    return any;
  }

  async #serve(record: RingRecord, answers: Ring): Promise<void> {
    try {
      const result = this.#handler(record.kind as Call, decode(record.payload));
      const value = result instanceof Promise ? await result : result;
      await answers.pushWhenRoom(Answer.Value, record.call, encode(value ?? null));
    } catch (error) {
      await answers.pushWhenRoom(Answer.Error, record.call, encode({ ...packError(error) }));
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

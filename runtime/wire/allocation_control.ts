/**
 * The messages by which nodes allocate and free, as control messages: interfaces for `Control`, and
 * their lines of its `SHAPES`.
 */

import { REGION_MAX_BYTES } from "../limits.ts";
import {
  type AllocationRequest,
  type ElementType,
  isAlignment,
  isAllocationName,
  isElementType,
} from "../protocol/allocation/messages.ts";
import { type FieldCodec, flag, integer, optional, text, word } from "./control_fields.ts";

/** Node → directory: allocate. */
export interface AllocateRequest extends AllocationRequest {
  readonly kind: "allocate";
  /** The node's number for this request, which the answer repeats. */
  readonly ticket: number;
  readonly packed: boolean;
}

/** Directory → node: here it is. */
export interface AllocateReply {
  readonly kind: "allocated";
  /** That of the request. */
  readonly ticket: number;
  /** Where it begins in the region, in bytes. */
  readonly offset: number;
  /** How many of its last bytes the node must zero; if it has a name, {@linkcode ZeroedNotice} follows. */
  readonly dirtyBytes: number;
  /** Whether nobody was given it before. */
  readonly created: boolean;
}

/** Node → directory: what the named allocation there was to zero is zero. */
export interface ZeroedNotice {
  readonly kind: "zeroed";
  /** Where it begins in the region, in bytes. */
  readonly offset: number;
}

/** Node → directory: free. */
export interface FreeRequest {
  readonly kind: "free";
  /** The node's number for this request, which the answer repeats. */
  readonly ticket: number;
  /** Where the allocation begins in the region, in bytes. */
  readonly offset: number;
  /** The size of what was allocated, in bytes. */
  readonly bytes: number;
}

/** Directory → node: it is free. */
export interface FreeReply {
  readonly kind: "freed";
  /** That of the request. */
  readonly ticket: number;
}

/** Directory → node: it could not be allocated, or freed. */
export interface AllocationFailure {
  readonly kind: "allocationFailed";
  /** That of the request. */
  readonly ticket: number;
  /** An `AllocationErrorCode`; a newer release may have more of them. */
  readonly code: string;
  /** Why, for people. */
  readonly reason: string;
}

/** What a node sends. */
export type AllocatorInput = AllocateRequest | ZeroedNotice | FreeRequest;
/** What it is answered. */
export type AllocatorOutput = AllocateReply | FreeReply | AllocationFailure;
/** A control message about allocations. */
export type AllocatorControl = AllocatorInput | AllocatorOutput;

const type: FieldCodec<ElementType> = {
  read: (value) => typeof value === "string" && isElementType(value) ? value : undefined,
  write: (value) => value,
  optional: false,
};
const name: FieldCodec<string> = {
  read: (value) => typeof value === "string" && isAllocationName(value) ? value : undefined,
  write: (value) => value,
  optional: false,
};
const ticket = integer(0, 0xffff_ffff);
const offset = integer(0, REGION_MAX_BYTES - 1);
/** A number of bytes or of elements. */
const size = integer(1, REGION_MAX_BYTES);
const align: FieldCodec<number> = {
  ...size,
  read(value) {
    const number = size.read(value);
    return number !== undefined && isAlignment(number) ? number : undefined;
  },
};

/** The fields of each kind, with the type that the interface says. */
type Shapes = {
  readonly [K in AllocatorControl["kind"]]: {
    readonly [F in Exclude<keyof Extract<AllocatorControl, { kind: K }>, "kind">]-?: FieldCodec<
      NonNullable<Extract<AllocatorControl, { kind: K }>[F]>
    >;
  };
};

/** How each field is checked, to be part of the `SHAPES` of control messages. */
export const ALLOCATOR_SHAPES: Shapes = {
  allocate: {
    ticket,
    type,
    length: size,
    align: optional(align),
    packed: flag,
    name: optional(name),
  },
  allocated: { ticket, offset, dirtyBytes: integer(0, REGION_MAX_BYTES), created: flag },
  zeroed: { offset },
  free: { ticket, offset, bytes: size },
  freed: { ticket },
  allocationFailed: { ticket, code: word, reason: text },
};

/**
 * What can be asked of the region's allocator, and what it answers: the messages, and which
 * requests make no sense.
 */

import { ALLOCATION_NAME_MAX_BYTES, REGION_MAX_BYTES } from "../../limits.ts";
import type { NodeId } from "../coherence/messages.ts";
import type { PageRun } from "../coherence/page.ts";

/** The bytes of an element of each kind of typed array. */
export const ELEMENT_BYTES = {
  Int8Array: 1,
  Uint8Array: 1,
  Uint8ClampedArray: 1,
  Int16Array: 2,
  Uint16Array: 2,
  Float16Array: 2,
  Int32Array: 4,
  Uint32Array: 4,
  Float32Array: 4,
  Float64Array: 8,
  BigInt64Array: 8,
  BigUint64Array: 8,
} as const;

/** The name of a kind of typed array. */
export type ElementType = keyof typeof ELEMENT_BYTES;

/** What is to be allocated. */
export interface AllocationRequest {
  /** The kind of typed array. */
  readonly type: ElementType;
  /** How many elements it has; at least 1. */
  readonly length: number;
  /**
   * What its offset in the region is a multiple of, in bytes: a power of two. It begins at least at
   * a multiple of the element's size, and, unless it is packed, of the page size.
   */
  readonly align?: number;
  /** Whether it may share pages with other packed allocations of the same node. */
  readonly packed?: boolean;
  /** Under this name every node gets the same cells. */
  readonly name?: string;
  /**
   * The node that is to be the home of its pages, where nodes can be; or the nodes are, chunk by
   * chunk. It then has its chunks to itself.
   */
  readonly home?: NodeId | "spread";
}

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
  /**
   * How many of its last bytes the node must zero; if it has a name, {@linkcode ZeroedNotice}
   * follows.
   */
  readonly dirtyBytes: number;
  /**
   * Whole pages of it that the node alone has, with what was on them: the node must zero these too.
   */
  readonly reused?: readonly PageRun[];
  /** Whether no thread was given it before. */
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

/** Node → directory: which node is the home of a page? The question gives none to it. */
export interface FindHomeRequest {
  readonly kind: "findHome";
  /** The node's number for this request, which the answer repeats. */
  readonly ticket: number;
  /** The page. */
  readonly page: number;
}

/** Directory → node: this one is. */
export interface HomeFoundReply {
  readonly kind: "homeFound";
  /** That of the request. */
  readonly ticket: number;
  /** The home; 0 where no node has needed a page of the chunk yet. */
  readonly node: NodeId | 0;
}

/** What a node sends. */
export type AllocatorInput = AllocateRequest | ZeroedNotice | FreeRequest | FindHomeRequest;
/** What it is answered. */
export type AllocatorOutput = AllocateReply | FreeReply | HomeFoundReply | AllocationFailure;
/** A control message about allocations. */
export type AllocatorControl = AllocatorInput | AllocatorOutput;

/** Why something could not be allocated or freed, as a stable word. The list only grows. */
export type AllocationErrorCode =
  /** The request makes no sense. */
  | "InvalidRequest"
  /** No hole of the region is large enough. */
  | "OutOfMemory"
  /** The name stands for something else. */
  | "NameConflict"
  /** What is to be freed is not what was allocated. */
  | "NotAllocated"
  /** A named bound of the runtime was reached. */
  | "LimitExceeded";

/** Why something could not be allocated or freed. */
export interface AllocationError {
  /** Tells it from a success. */
  readonly kind: "error";
  /** Why, for programs. */
  readonly code: AllocationErrorCode;
  /** Why, and what to do about it, for people. */
  readonly message: string;
}

/**
 * Makes an error.
 *
 * @param code Why, for programs.
 * @param message Why, for people.
 * @returns The error.
 */
export function allocationError(code: AllocationErrorCode, message: string): AllocationError {
  return { kind: "error", code, message };
}

/**
 * Whether a name is one of a kind of typed array.
 *
 * @param name Any text.
 * @returns Whether there is such a kind.
 */
export function isElementType(name: string): name is ElementType {
  return Object.hasOwn(ELEMENT_BYTES, name);
}

/**
 * Whether an offset can be a multiple of this.
 *
 * @param align Any number.
 * @returns Whether it is a power of two, and no larger than the largest region.
 */
export function isAlignment(align: number): boolean {
  if (!Number.isSafeInteger(align) || align < 1 || align > REGION_MAX_BYTES) return false;
  const bits = BigInt(align);
  return (bits & (bits - 1n)) === 0n;
}

/**
 * Whether text can be the name of an allocation.
 *
 * @param name Any text.
 * @returns Whether it is neither empty nor too long, and the same after a journey as UTF-8.
 */
export function isAllocationName(name: string): boolean {
  // Before it is encoded: whatever is too long in UTF-16 is too long in UTF-8.
  if (name === "" || name.length > ALLOCATION_NAME_MAX_BYTES || !name.isWellFormed()) return false;
  return new TextEncoder().encode(name).length <= ALLOCATION_NAME_MAX_BYTES;
}

/**
 * A request in words, as messages have it.
 *
 * @param request The request.
 * @returns Text such as `"grid" as packed Float64Array of 10, aligned to 64`.
 */
export function describe(request: AllocationRequest): string {
  const { type, length, align, packed, name, home } = request;
  const placed = home === undefined ? "" : home === "spread" ? ", spread" : ` with home ${home}`;
  const named = name === undefined ? "" : `${JSON.stringify(name)} as `;
  const aligned = align === undefined ? "" : `, aligned to ${align}`;
  return `${named}${packed === true ? "packed " : ""}${type} of ${length}${aligned}${placed}`;
}

/**
 * Looks for what is wrong with a request by itself. The thread that asks can do so before anything
 * is sent.
 *
 * @param request The request.
 * @returns What is wrong, or `undefined`.
 */
export function invalidRequest(request: AllocationRequest): AllocationError | undefined {
  const { type, length, align, packed, name, home } = request;
  const invalid = (reason: string): AllocationError =>
    allocationError("InvalidRequest", `Cannot allocate ${describe(request)}: ${reason}`);
  if (!isElementType(type)) {
    return invalid(`use one of ${Object.keys(ELEMENT_BYTES).join(", ")}`);
  }
  if (!Number.isSafeInteger(length) || length < 1 || length > REGION_MAX_BYTES) {
    return invalid(`the length must be a whole number from 1 to ${REGION_MAX_BYTES}`);
  }
  if (align !== undefined && !isAlignment(align)) {
    return invalid(`the alignment must be a power of two up to ${REGION_MAX_BYTES}`);
  }
  if (home !== undefined && packed === true) {
    return invalid("what is packed shares its pages, and so their home; leave one of the two out");
  }
  if (name !== undefined && !isAllocationName(name)) {
    return invalid(
      `a name must be Unicode text of 1 to ${ALLOCATION_NAME_MAX_BYTES} bytes of UTF-8`,
    );
  }
  return undefined;
}

/**
 * Encoding and decoding of messages of synchronisation. A permit that goes from one node to another
 * takes two frames of 44 bytes. As with pages, encoding allocates nothing except for a name, and
 * every field is checked before it is used.
 */

import {
  BARRIER_PARTIES_MAX,
  BARRIER_TREE_USES_MAX,
  FUTEX_COUNT_MAX,
  NODE_ID_MAX,
  SEMAPHORE_COUNT_MAX,
  SYNC_NAME_MAX_BYTES,
} from "../limits.ts";
import {
  type GatherMessage,
  GatherStep,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../protocol/sync/messages.ts";
import { getU32, putU32 } from "./bytes.ts";
import { checkBodySum } from "./check.ts";
import {
  FRAME_HEADER_BYTES,
  FRAME_PREFIX_BYTES,
  FrameType,
  Offset,
  putPrefix,
  sealFrame,
} from "./layout.ts";
import { type Malformed, malformed } from "./reason.ts";

/** The most bytes of a frame of synchronisation. */
export const SYNC_MAX_BYTES: number = FRAME_HEADER_BYTES + SYNC_NAME_MAX_BYTES;

/** The offset of each field, in bytes. */
export const SyncOffset = {
  /** u8, the operation of a request, the status of a reply, or a step in a barrier's tree. */
  Code: 8,
  /** Three bytes, zero. */
  Reserved: 9,
  /** u32, the requester's number of the request. */
  Ticket: 12,
  /** u32, permits, parties, waits, a node, or which use of a tree. */
  Count: 16,
  /** u32, of an unlock or an abandon the ticket of the lock; in a barrier's tree its number. */
  Lock: 20,
  /** u64, a semaphore, or the first byte of a word. */
  Key: 24,
  /** The name, in UTF-8, to the end of the frame. */
  Name: FRAME_HEADER_BYTES,
} as const;

/** The types of frames of synchronisation. */
export type SyncFrameType =
  | typeof FrameType.Sync
  | typeof FrameType.SyncReply
  | typeof FrameType.Gather;

/** The fields that an operation or a status uses. */
export interface SyncShape {
  readonly kind: "shape";
  /** Whether it is about a request, or answers one. */
  readonly ticket: boolean;
  readonly key: boolean;
  readonly lock: boolean;
  readonly name: boolean;
  readonly countMin: number;
  /** 0 where there is no count. */
  readonly countMax: number;
}

const NOTHING: SyncShape = {
  kind: "shape",
  ticket: true,
  key: false,
  lock: false,
  name: false,
  countMin: 0,
  countMax: 0,
};
const KEY: SyncShape = { ...NOTHING, key: true };
const NAME: SyncShape = { ...NOTHING, name: true };

/** What each operation uses. */
export const SHAPES_BY_OPERATION: Readonly<Record<SyncOperation, SyncShape>> = {
  [SyncOperation.Acquire]: KEY,
  [SyncOperation.TryAcquire]: KEY,
  [SyncOperation.Release]: { ...KEY, countMin: 1, countMax: SEMAPHORE_COUNT_MAX },
  [SyncOperation.MakeSemaphore]: { ...NOTHING, countMax: SEMAPHORE_COUNT_MAX },
  [SyncOperation.Arrive]: { ...NAME, countMin: 1, countMax: BARRIER_PARTIES_MAX },
  [SyncOperation.Lock]: NAME,
  [SyncOperation.TryLock]: NAME,
  [SyncOperation.Unlock]: { ...NOTHING, lock: true },
  [SyncOperation.Cancel]: NOTHING,
  [SyncOperation.Abandon]: { ...NOTHING, lock: true },
  [SyncOperation.FutexWait]: KEY,
  [SyncOperation.FutexStay]: NOTHING,
  [SyncOperation.FutexNotify]: { ...KEY, countMin: 1, countMax: FUTEX_COUNT_MAX },
  [SyncOperation.FutexHeard]: { ...KEY, ticket: false },
  [SyncOperation.FutexMoved]: KEY,
  [SyncOperation.FutexReturn]: { ...KEY, ticket: false },
};

/** What each status uses. */
export const SHAPES_BY_STATUS: Readonly<Record<SyncStatus, SyncShape>> = {
  [SyncStatus.Done]: NOTHING,
  [SyncStatus.Made]: KEY,
  [SyncStatus.Last]: NOTHING,
  [SyncStatus.Abandoned]: NOTHING,
  [SyncStatus.Unavailable]: NOTHING,
  [SyncStatus.Cancelled]: NOTHING,
  [SyncStatus.Overflow]: NOTHING,
  [SyncStatus.PartiesMismatch]: { ...NOTHING, countMin: 1, countMax: BARRIER_PARTIES_MAX },
  [SyncStatus.NotHolder]: NOTHING,
  [SyncStatus.LimitExceeded]: NOTHING,
  [SyncStatus.PeerLost]: { ...NOTHING, countMin: 1, countMax: NODE_ID_MAX },
  [SyncStatus.Registered]: NOTHING,
  [SyncStatus.Notified]: { ...NOTHING, countMax: FUTEX_COUNT_MAX },
  [SyncStatus.Quiet]: { ...KEY, countMax: FUTEX_COUNT_MAX },
  [SyncStatus.Stirred]: { ...KEY, ticket: false },
  [SyncStatus.Lent]: KEY,
  [SyncStatus.Moved]: KEY,
};

/** What each step in a barrier's tree uses. */
const STEP: SyncShape = {
  ...NOTHING,
  ticket: false,
  lock: true,
  countMax: BARRIER_TREE_USES_MAX,
};
const STEPS: ReadonlySet<number> = new Set(Object.values(GatherStep));

/** What {@linkcode decodeSyncFrame} found. */
export type SyncDecoded =
  | { readonly kind: "need"; readonly bytes: number }
  | { readonly kind: "sync"; readonly message: SyncMessage; readonly size: number }
  | Malformed;

const encoder = new TextEncoder();
/** Keeps a byte order mark, since a mark at the beginning of a name is part of the name. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const keyView = new DataView(new ArrayBuffer(8));

/**
 * Writes a message of synchronisation.
 *
 * @param message The message.
 * @param target Where to write; {@linkcode SYNC_MAX_BYTES} from `offset` on are enough for any.
 * @param offset Where the frame begins, in bytes.
 * @returns The bytes written.
 * @throws {RangeError} Where the target is too short, or a name is not 1 to 255 bytes of UTF-8.
 */
export function encodeSync(message: SyncMessage, target: Uint8Array, offset: number): number {
  if (offset + FRAME_HEADER_BYTES > target.length) {
    throw new RangeError(`Cannot encode a frame at ${offset} of ${target.length}`);
  }
  for (let at = FRAME_PREFIX_BYTES; at < FRAME_HEADER_BYTES; at++) target[offset + at] = 0;
  if (message.kind === "gather") return putGather(message, target, offset);
  putU32(target, offset + SyncOffset.Ticket, message.ticket);
  if (message.kind === "sync") {
    const size = putRequest(message, target, offset);
    sealFrame(target, offset, size);
    return size;
  }
  target[offset + SyncOffset.Code] = message.status;
  putU32(target, offset + SyncOffset.Count, message.count);
  if (message.key !== 0n) putKey(target, offset, message.key);
  putPrefix(target, offset, FRAME_HEADER_BYTES, FrameType.SyncReply);
  sealFrame(target, offset, FRAME_HEADER_BYTES);
  return FRAME_HEADER_BYTES;
}

/**
 * Decodes a frame of synchronisation whose header is there, as it was sent.
 *
 * @param type Which of the three.
 * @param bytes Where the frame is.
 * @param start Where it begins, in bytes.
 * @param available The bytes of it, and behind it, that have arrived.
 * @param length Its length, as it says.
 * @returns The message, or what is missing, or what is wrong.
 */
export function decodeSyncFrame(
  type: SyncFrameType,
  bytes: Uint8Array,
  start: number,
  available: number,
  length: number,
): SyncDecoded {
  const isRequest = type === FrameType.Sync;
  if (length < FRAME_HEADER_BYTES || length > (isRequest ? SYNC_MAX_BYTES : FRAME_HEADER_BYTES)) {
    return malformed("LengthOutOfBounds", length);
  }
  const code = bytes[start + SyncOffset.Code]!;
  const shape = shapeOf(type, code);
  if (shape.kind === "malformed") return shape;
  const wrong = checkFields(bytes, start, shape, length);
  if (wrong !== undefined) return wrong;
  if (available < length) return { kind: "need", bytes: length - available };
  const damaged = checkBodySum(bytes, start, length);
  if (damaged !== undefined) return damaged;
  const message = isRequest
    ? getRequest(code as SyncOperation, bytes, start, length)
    : type === FrameType.Gather
    ? getGather(code as GatherStep, bytes, start)
    : getReply(code as SyncStatus, bytes, start);
  return message.kind === "malformed" ? message : { kind: "sync", message, size: length };
}

/** What a frame with a code uses; or that there is no such code. */
function shapeOf(type: SyncFrameType, code: number): SyncShape | Malformed {
  switch (type) {
    case FrameType.Sync:
      return SHAPES_BY_OPERATION[code as SyncOperation] ?? malformed("SyncOperationUnknown", code);
    case FrameType.SyncReply:
      return SHAPES_BY_STATUS[code as SyncStatus] ?? malformed("SyncStatusUnknown", code);
    case FrameType.Gather:
      return STEPS.has(code) ? STEP : malformed("SyncStepUnknown", code);
  }
}

/** Checks that used fields are within their bounds, and all others zero. */
function checkFields(
  bytes: Uint8Array,
  start: number,
  shape: SyncShape,
  length: number,
): Malformed | undefined {
  for (let at = SyncOffset.Reserved; at < SyncOffset.Ticket; at++) {
    const reserved = bytes[start + at]!;
    if (reserved !== 0) return malformed("ReservedNotZero", reserved);
  }
  const sum = getU32(bytes, start + Offset.PayloadChecksum);
  if (sum !== 0) return malformed("UnusedFieldNotZero", sum);
  const count = getU32(bytes, start + SyncOffset.Count);
  if (shape.countMax === 0) {
    if (count !== 0) return malformed("UnusedFieldNotZero", count);
  } else if (count < shape.countMin || count > shape.countMax) {
    return malformed("SyncCountOutOfBounds", count);
  }
  const ticket = getU32(bytes, start + SyncOffset.Ticket);
  if (!shape.ticket && ticket !== 0) return malformed("UnusedFieldNotZero", ticket);
  const lock = getU32(bytes, start + SyncOffset.Lock);
  if (!shape.lock && lock !== 0) return malformed("UnusedFieldNotZero", lock);
  if (!shape.key) {
    const key = getU32(bytes, start + SyncOffset.Key) || getU32(bytes, start + SyncOffset.Key + 4);
    if (key !== 0) return malformed("UnusedFieldNotZero", key);
  }
  return shape.name === length > FRAME_HEADER_BYTES
    ? undefined
    : malformed("LengthMismatch", length);
}

/** Writes what is a request's own, and returns the bytes of the frame. */
function putRequest(request: SyncRequest, target: Uint8Array, offset: number): number {
  target[offset + SyncOffset.Code] = request.operation;
  let length = FRAME_HEADER_BYTES;
  switch (request.operation) {
    case SyncOperation.Acquire:
    case SyncOperation.TryAcquire:
    case SyncOperation.FutexWait:
    case SyncOperation.FutexHeard:
    case SyncOperation.FutexMoved:
    case SyncOperation.FutexReturn:
      putKey(target, offset, request.key);
      break;
    case SyncOperation.Release:
    case SyncOperation.FutexNotify:
      putKey(target, offset, request.key);
      putU32(target, offset + SyncOffset.Count, request.count);
      break;
    case SyncOperation.MakeSemaphore:
      putU32(target, offset + SyncOffset.Count, request.count);
      break;
    case SyncOperation.Arrive:
      putU32(target, offset + SyncOffset.Count, request.count);
      length += putName(target, offset, request.name);
      break;
    case SyncOperation.Lock:
    case SyncOperation.TryLock:
      length += putName(target, offset, request.name);
      break;
    case SyncOperation.Unlock:
    case SyncOperation.Abandon:
      putU32(target, offset + SyncOffset.Lock, request.lock);
      break;
    case SyncOperation.Cancel:
    case SyncOperation.FutexStay:
      break;
    default:
      request satisfies never;
  }
  putPrefix(target, offset, length, FrameType.Sync);
  return length;
}

/** Makes a request from fields that were checked, all but the name. */
function getRequest(
  operation: SyncOperation,
  bytes: Uint8Array,
  start: number,
  length: number,
): SyncRequest | Malformed {
  const kind = "sync";
  const ticket = getU32(bytes, start + SyncOffset.Ticket);
  const count = getU32(bytes, start + SyncOffset.Count);
  switch (operation) {
    case SyncOperation.Acquire:
    case SyncOperation.TryAcquire:
    case SyncOperation.FutexWait:
    case SyncOperation.FutexHeard:
    case SyncOperation.FutexMoved:
    case SyncOperation.FutexReturn:
      return { kind, operation, ticket, key: getKey(bytes, start) };
    case SyncOperation.Release:
    case SyncOperation.FutexNotify:
      return { kind, operation, ticket, key: getKey(bytes, start), count };
    case SyncOperation.MakeSemaphore:
      return { kind, operation, ticket, count };
    case SyncOperation.Arrive: {
      const name = getName(bytes, start, length);
      return typeof name === "string" ? { kind, operation, ticket, name, count } : name;
    }
    case SyncOperation.Lock:
    case SyncOperation.TryLock: {
      const name = getName(bytes, start, length);
      return typeof name === "string" ? { kind, operation, ticket, name } : name;
    }
    case SyncOperation.Unlock:
    case SyncOperation.Abandon:
      return { kind, operation, ticket, lock: getU32(bytes, start + SyncOffset.Lock) };
    case SyncOperation.Cancel:
    case SyncOperation.FutexStay:
      return { kind, operation, ticket };
  }
}

/** Writes a step in a barrier's tree, and returns the bytes of the frame. */
function putGather(
  { step, tree, generation }: GatherMessage,
  target: Uint8Array,
  offset: number,
): number {
  target[offset + SyncOffset.Code] = step;
  putU32(target, offset + SyncOffset.Count, generation);
  putU32(target, offset + SyncOffset.Lock, tree);
  putPrefix(target, offset, FRAME_HEADER_BYTES, FrameType.Gather);
  sealFrame(target, offset, FRAME_HEADER_BYTES);
  return FRAME_HEADER_BYTES;
}

function getGather(step: GatherStep, bytes: Uint8Array, start: number): GatherMessage {
  const generation = getU32(bytes, start + SyncOffset.Count);
  return { kind: "gather", step, tree: getU32(bytes, start + SyncOffset.Lock), generation };
}

function getReply(status: SyncStatus, bytes: Uint8Array, start: number): SyncReply {
  return {
    kind: "syncReply",
    ticket: getU32(bytes, start + SyncOffset.Ticket),
    status,
    count: getU32(bytes, start + SyncOffset.Count),
    key: getKey(bytes, start),
  };
}

function putKey(target: Uint8Array, offset: number, key: bigint): void {
  keyView.setBigUint64(0, key, true);
  putU32(target, offset + SyncOffset.Key, keyView.getUint32(0, true));
  putU32(target, offset + SyncOffset.Key + 4, keyView.getUint32(4, true));
}

function getKey(bytes: Uint8Array, start: number): bigint {
  const low = getU32(bytes, start + SyncOffset.Key);
  const high = getU32(bytes, start + SyncOffset.Key + 4);
  // Most replies have no key: a constant costs no allocation.
  if ((low | high) === 0) return 0n;
  keyView.setUint32(0, low, true);
  keyView.setUint32(4, high, true);
  return keyView.getBigUint64(0, true);
}

function putName(target: Uint8Array, offset: number, name: string): number {
  const at = offset + SyncOffset.Name;
  const room = target.subarray(at, at + SYNC_NAME_MAX_BYTES);
  const { read, written } = encoder.encodeInto(name, room);
  if (written === 0 || read < name.length || !name.isWellFormed()) {
    throw new RangeError(
      `Cannot encode a name of ${name.length} code units in ${room.length} bytes`,
    );
  }
  return written;
}

function getName(bytes: Uint8Array, start: number, length: number): string | Malformed {
  try {
    return decoder.decode(bytes.subarray(start + SyncOffset.Name, start + length));
  } catch {
    return malformed("SyncNameInvalid", length - FRAME_HEADER_BYTES);
  }
}

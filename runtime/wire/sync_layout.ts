/**
 * Where each field of a frame of synchronisation is, behind the first 8 bytes that all frames have,
 * and which operation or status uses which. Change it with `docs/protocol.md`, or not at all.
 */

import { BARRIER_PARTIES_MAX, SEMAPHORE_COUNT_MAX, SYNC_NAME_MAX_BYTES } from "../limits.ts";
import { FRAME_HEADER_BYTES } from "./layout.ts";

/** The most bytes of a frame of synchronisation. */
export const SYNC_MAX_BYTES: number = FRAME_HEADER_BYTES + SYNC_NAME_MAX_BYTES;

/** The offset of each field, in bytes. */
export const SyncOffset = {
  /** u8, the operation of a request, or the status of a reply. */
  Code: 8,
  /** Three bytes, zero. */
  Reserved: 9,
  /** u32, the requester's number of the request. */
  Ticket: 12,
  /** u32, permits or parties. */
  Count: 16,
  /** u32, of an unlock the ticket of its lock. */
  Lock: 20,
  /** u64, a semaphore. */
  Key: 24,
  /** The name, in UTF-8, to the end of the frame. */
  Name: FRAME_HEADER_BYTES,
} as const;

/** The fields that an operation or a status uses beside the ticket. */
export interface SyncShape {
  readonly key: boolean;
  readonly lock: boolean;
  readonly name: boolean;
  readonly countMin: number;
  /** 0 where there is no count. */
  readonly countMax: number;
}

const NOTHING: SyncShape = { key: false, lock: false, name: false, countMin: 0, countMax: 0 };
const KEY: SyncShape = { ...NOTHING, key: true };
const NAME: SyncShape = { ...NOTHING, name: true };

/** By operation; `undefined` for what is none. */
export const SHAPES_BY_OPERATION: readonly (SyncShape | undefined)[] = [
  /* no operation 0 */ undefined,
  /* acquire */ KEY,
  /* tryAcquire */ KEY,
  /* release */ { ...KEY, countMin: 1, countMax: SEMAPHORE_COUNT_MAX },
  /* makeSemaphore */ { ...NOTHING, countMax: SEMAPHORE_COUNT_MAX },
  /* arrive */ { ...NAME, countMin: 1, countMax: BARRIER_PARTIES_MAX },
  /* lock */ NAME,
  /* tryLock */ NAME,
  /* unlock */ { ...NOTHING, lock: true },
  /* cancel */ NOTHING,
];

/** By status; `undefined` for what is none. */
export const SHAPES_BY_STATUS: readonly (SyncShape | undefined)[] = [
  /* no status 0 */ undefined,
  /* done */ NOTHING,
  /* made */ KEY,
  /* last */ NOTHING,
  /* abandoned */ NOTHING,
  /* unavailable */ NOTHING,
  /* cancelled */ NOTHING,
  /* overflow */ NOTHING,
  /* partiesMismatch */ { ...NOTHING, countMin: 1, countMax: BARRIER_PARTIES_MAX },
  /* notHolder */ NOTHING,
  /* limitExceeded */ NOTHING,
];

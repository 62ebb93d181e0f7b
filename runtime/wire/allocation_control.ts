/**
 * The messages by which nodes allocate and free, as control messages: their lines of its `SHAPES`.
 */

import { REGION_MAX_BYTES, TICKET_MAX } from "../limits.ts";
import {
  type AllocatorControl,
  type ElementType,
  isAlignment,
  isAllocationName,
  isElementType,
} from "../protocol/allocation/messages.ts";
import {
  type FieldCodec,
  flag,
  integer,
  optional,
  type Shapes,
  text,
  word,
} from "./control_fields.ts";

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
const ticket = integer(0, TICKET_MAX);
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

/** How each field is checked, to be part of the `SHAPES` of control messages. */
export const ALLOCATOR_SHAPES: Shapes<AllocatorControl> = {
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

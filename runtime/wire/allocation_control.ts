/**
 * The messages by which nodes allocate and free, as control messages: their lines of its `SHAPES`.
 */

import type { ValueType } from "../std/msgpack_encode.d.ts";
import {
  NODE_ID_MAX,
  PAGE_SIZE_MIN_BYTES,
  REGION_MAX_BYTES,
  REUSE_MAX_PAGES,
  REUSED_RUNS_MAX,
  TICKET_MAX,
} from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
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
  node,
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
/** The name of an allocation. */
export const name: FieldCodec<string> = {
  read: (value) => typeof value === "string" && isAllocationName(value) ? value : undefined,
  write: (value) => value,
  optional: false,
};
const ticket = integer(0, TICKET_MAX);
const offset = integer(0, REGION_MAX_BYTES - 1);
/** A number of bytes or of elements. */
const size = integer(1, REGION_MAX_BYTES);
const page = integer(0, REGION_MAX_BYTES / PAGE_SIZE_MIN_BYTES - 1);
const pages = integer(1, REUSE_MAX_PAGES);
/** Runs of pages, each as `[first, count]`. */
const runs: FieldCodec<readonly PageRun[]> = {
  read(value) {
    if (!Array.isArray(value) || value.length > REUSED_RUNS_MAX) return undefined;
    const list: PageRun[] = [];
    for (const entry of value as readonly ValueType[]) {
      if (!Array.isArray(entry) || entry.length !== 2) return undefined;
      const [first, count] = [page.read(entry[0]!), pages.read(entry[1]!)];
      if (first === undefined || count === undefined) return undefined;
      list.push({ first, count });
    }
    return list;
  },
  write: (value) => value.map(({ first, count }) => [first, count]),
  optional: false,
};
const home: FieldCodec<NodeId | "spread"> = {
  read: (value) => value === "spread" ? value : node.read(value),
  write: (value) => value,
  optional: false,
};
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
    home: optional(home),
  },
  allocated: {
    ticket,
    offset,
    dirtyBytes: integer(0, REGION_MAX_BYTES),
    reused: optional(runs),
    created: flag,
  },
  zeroed: { offset },
  free: { ticket, offset, bytes: size },
  freed: { ticket },
  findHome: { ticket, page },
  homeFound: { ticket, node: integer(0, NODE_ID_MAX) },
  allocationFailed: { ticket, code: word, reason: text },
};

/**
 * The message by which a node learns its place in a barrier's tree, as a control message: its line
 * of `SHAPES`.
 */

import {
  BARRIER_PARTIES_MAX,
  BARRIER_TREE_USES_MAX,
  NODES_MAX,
  SYNC_NAME_MAX_BYTES,
} from "../limits.ts";
import type { BarrierTreeMessage } from "../protocol/sync/messages.ts";
import { type FieldCodec, flag, integer, list, node, type Shapes } from "./control_fields.ts";

const encoder = new TextEncoder();

const name: FieldCodec<string> = {
  read(value) {
    if (typeof value !== "string" || value === "" || !value.isWellFormed()) return undefined;
    return encoder.encode(value).length <= SYNC_NAME_MAX_BYTES ? value : undefined;
  },
  write: (value) => value,
  optional: false,
};

/** How each field is read and written. */
export const BARRIER_SHAPES: Shapes<BarrierTreeMessage> = {
  barrierTree: {
    tree: integer(1, BARRIER_TREE_USES_MAX),
    name,
    parties: integer(1, BARRIER_PARTIES_MAX),
    arrivals: integer(1, BARRIER_PARTIES_MAX),
    leads: flag,
    parent: node,
    children: list(node, NODES_MAX),
  },
};

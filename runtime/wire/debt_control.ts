/**
 * The messages by which a home finds a node that does not do its part in a transaction, as control
 * messages: their lines of its `SHAPES`. They travel between the messages about pages, in order.
 */

import { NODE_ID_MAX } from "../limits.ts";
import type { Debt, Default, Lacking } from "../protocol/coherence/debts.ts";
import { integer, node, optional, type Shapes, U32_MAX } from "./control_fields.ts";

/** Home → node: this transaction waits for you, as far as I know. */
export interface RemindControl extends Debt {
  readonly kind: "remind";
}

/** Node → home: I have done my part in that transaction; or, as its requester, what I lack. */
export interface SettledControl extends Debt {
  readonly kind: "settled";
  /** Of the requester: the node whose acknowledgement it lacks; 0 where it lacks the grant. */
  readonly lacks?: Lacking;
}

/** Home → directory node, which alone gives nodes up: this node has not done its part for long. */
export interface DefaultControl extends Default {
  readonly kind: "inDefault";
}

/** A message about what a node owes. */
export type DebtControl = RemindControl | SettledControl | DefaultControl;

const transaction = {
  first: integer(0, U32_MAX),
  requester: node,
  request: integer(0, U32_MAX),
};

/** How each field is read and written. */
export const DEBT_SHAPES: Shapes<DebtControl> = {
  remind: transaction,
  settled: { ...transaction, lacks: optional(integer(0, NODE_ID_MAX)) },
  inDefault: { node, page: integer(0, U32_MAX), opponent: integer(0, NODE_ID_MAX) },
};

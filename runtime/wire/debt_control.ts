/**
 * The messages by which the directory node finds a node that does not do its part in a
 * transaction, as control messages: their lines of its `SHAPES`. They travel between the messages
 * about pages, in order.
 */

import type { Debt } from "../protocol/coherence/debts.ts";
import { integer, node, type Shapes, U32_MAX } from "./control_fields.ts";

/** Home → node: this transaction waits for you, as far as I know. */
export interface RemindControl extends Debt {
  readonly kind: "remind";
}

/** Node → home: I have done my part in that transaction. */
export interface SettledControl extends Debt {
  readonly kind: "settled";
}

/** A message about what a node owes. */
export type DebtControl = RemindControl | SettledControl;

const transaction = {
  first: integer(0, U32_MAX),
  requester: node,
  request: integer(0, U32_MAX),
};

/** How each field is read and written. */
export const DEBT_SHAPES: Shapes<DebtControl> = { remind: transaction, settled: transaction };

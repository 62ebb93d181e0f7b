/**
 * What the simulator of the protocol counts: which inputs met which states at the caches, what
 * happened to transactions at the home, and which messages travelled.
 */

import { CORNERS_SHAPE } from "./corners.ts";
import { CoverageTable } from "./coverage.ts";
import { CACHE_SHAPE, DEMAND_SHAPE } from "./cache_coverage.ts";
import { TRANSACTION_SHAPE } from "./directory_coverage.ts";
import { MESSAGE_SHAPE } from "./message_coverage.ts";

/** All tables of the simulator. */
export class ProtocolCoverage {
  /** A page's state at a cache, and what happened then. */
  readonly cache = new CoverageTable(CACHE_SHAPE);
  /** A demand, and when it was met. */
  readonly demands = new CoverageTable(DEMAND_SHAPE);
  /** A sort of transaction, and what happened to it. */
  readonly transactions = new CoverageTable(TRANSACTION_SHAPE);
  /** A message, and what became of it. */
  readonly messages = new CoverageTable(MESSAGE_SHAPE);
  /** What takes more than one step. */
  readonly corners = new CoverageTable(CORNERS_SHAPE);
}

/**
 * Faults of nodes that are frozen, put in on purpose.
 */

import { Lease } from "../../../runtime/protocol/coherence/lease.ts";

/** How long a lease of the simulator is, in milliseconds. */
export const LEASE_MS = 1;

/** What may be wrong with nodes that are frozen. */
export interface FreezeBug {
  readonly name: string;
  readonly Lease?: typeof Lease;
  /** Whether a node looks at its clock only when it has done something. */
  readonly looksLast?: boolean;
  /** Whether a node that ends forgets the windows behind the first. */
  readonly oneWindow?: boolean;
}

/** Counts from when an answer is read, which may have waited for as long as the node was frozen. */
class HopefulLease extends Lease {
  #nowMs = 0;
  #hopeMs = 0;

  override get endMs(): number {
    return Math.max(super.endMs, this.#hopeMs);
  }

  override isOver(nowMs: number): boolean {
    this.#nowMs = nowMs;
    return super.isOver(nowMs);
  }

  override answered(): void {
    this.#hopeMs = this.#nowMs + LEASE_MS;
  }
}

/** Every such fault; the oracle of what threads read finds each. */
export const FREEZE_BUGS: readonly FreezeBug[] = [
  { name: "counts its lease from when an answer is read", Lease: HopefulLease },
  { name: "looks at the clock only when it has done something", looksLast: true },
  { name: "closes its first window only", oneWindow: true },
];

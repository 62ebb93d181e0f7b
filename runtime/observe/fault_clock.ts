/** Measures how long threads wait for pages: from the fault to the operation that maps the page. */

import { WATCHED_FAULTS_MAX } from "../limits.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import { Access, PageState, permits } from "../protocol/coherence/page.ts";

/**
 * What a fault was: `stale` had been served already; `upgrade` lacked only the right to write;
 * `zero` met a page that no node had written before; `read` and `write` needed bytes of another
 * node.
 */
export type FaultKind = "read" | "write" | "upgrade" | "zero" | "stale";
/** Every {@linkcode FaultKind}. */
export const FAULT_KINDS: readonly FaultKind[] = ["read", "write", "upgrade", "zero", "stale"];

/** A fault that is served. */
export interface ServedFault {
  readonly page: number;
  readonly kind: FaultKind;
  /** When the engine took it from the kernel, in microseconds. */
  readonly sinceUs: number;
  /** For how long its thread waited from then on, in microseconds. */
  readonly us: number;
}

interface Waiting {
  kind: FaultKind;
  access: Access;
  readonly sinceUs: number;
}

/** The faults of one node that threads wait for. */
export class FaultClock {
  readonly #waiting = new Map<number, Waiting>();
  readonly #served: (fault: ServedFault) => void;

  /** @param served Gets each fault once its thread can go on. */
  constructor(served: (fault: ServedFault) => void) {
    this.#served = served;
  }

  /** A thread has faulted. Further faults on the page are part of the first, until it is served. */
  fault(page: number, access: Access, state: PageState, nowUs: number): void {
    const waiting = this.#waiting.get(page);
    if (waiting !== undefined) {
      if (access === Access.Write) waiting.access = access;
      return;
    }
    if (this.#waiting.size === WATCHED_FAULTS_MAX) return;
    const kind = permits(state, access)
      ? "stale"
      : state === PageState.Shared
      ? "upgrade"
      : access === Access.Write
      ? "write"
      : "read";
    this.#waiting.set(page, { kind, access, sinceUs: nowUs });
  }

  /** A page operation is done. */
  operated(operation: PageOperation, nowUs: number): void {
    if (this.#waiting.size === 0) return;
    const { kind, first, count } = operation;
    if (kind === "protect" || kind === "evict" || kind === "discard") return;
    const isWritable = kind !== "install" || operation.writable;
    for (const [page, waiting] of this.#waiting) {
      if (page < first || page >= first + count) continue;
      if (waiting.access === Access.Write && !isWritable) continue;
      this.#waiting.delete(page);
      const served = kind === "installZero" ? "zero" : waiting.kind;
      const { sinceUs } = waiting;
      this.#served({ page, kind: served, sinceUs, us: nowUs - sinceUs });
    }
  }
}

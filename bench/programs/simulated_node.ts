/**
 * A node of the simulated cluster: the engine of the runtime, and one core that it has with a
 * program.
 */

import { PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import { Coherence, type CoherenceOptions } from "../../runtime/protocol/coherence/coherence.ts";
import type { NodeId } from "../../runtime/protocol/coherence/messages.ts";
import type { PageOperation } from "../../runtime/protocol/coherence/output.ts";
import {
  type Access,
  contains,
  type PageState,
  permits,
} from "../../runtime/protocol/coherence/page.ts";
import { Mmu } from "../../tests/simulator/coherence/mmu.ts";
import { type Counts, countsOf } from "./report.ts";
import type { Step, Steps, Touch } from "./program.ts";

/** Where a node was when it took a mark. */
export interface Mark {
  readonly atUs: number;
  readonly counts: Counts;
  /** How long its engine had worked. */
  readonly engineWorkUs: number;
  /** How long its port had sent. */
  readonly portWorkUs: number;
}

/** A page that a program cannot go on without. */
export interface Miss {
  readonly page: number;
  readonly access: Access;
}

/** One simulated node. */
export class SimulatedNode {
  readonly id: NodeId;
  readonly engine: Coherence;
  /** What its program does. */
  readonly steps: Steps;
  readonly marks: Mark[] = [];
  /** What the program waits for. */
  missing: Miss | undefined;
  /** Whether the program has come to its end. */
  finished = false;
  /** When the engine is done with what it has to do so far. */
  engineFreeUs = 0;
  /** How long the engine has had the core in all. */
  engineWorkUs = 0;
  /** When all that was sent so far has left. */
  portFreeUs = 0;
  /** How long the port has sent in all. */
  portWorkUs = 0;
  /** When the engine is to be told the time next. */
  tickAtUs = Infinity;
  messagesSent = 0;
  messagesReceived = 0;
  bytesSent = 0;
  /** The tickets of the locks that it holds, by name. */
  readonly locks = new Map<string, number>();
  #tickets = 0;
  /** What its page table allows; the engine can have a page that is not mapped. */
  readonly #mmu: Mmu;
  /** The step under way, and how far its accesses are. */
  #step: Step & { kind: "work" } | undefined;
  #touch = 0;
  #page = -1;

  /**
   * @param options What its engine must know.
   * @param steps What its program does.
   */
  constructor(options: CoherenceOptions, steps: Steps) {
    this.id = options.self;
    this.engine = new Coherence(options);
    this.#mmu = new Mmu(options.pageCount);
    this.steps = steps;
  }

  /** A number for a request about synchronisation. */
  ticket(): number {
    return ++this.#tickets;
  }

  /** Takes a mark. */
  mark(atUs: number): void {
    const counts = countsOf(this.engine.counters, this);
    const { engineWorkUs, portWorkUs } = this;
    this.marks.push({ atUs, counts, engineWorkUs, portWorkUs });
  }

  /**
   * Does to pages what the engine says.
   *
   * @param operations What, in order.
   * @returns Whether that wakes the program.
   */
  operate(operations: readonly PageOperation[]): boolean {
    const { missing } = this;
    let woken = false;
    for (const operation of operations) {
      const wakes = this.#mmu.operate(operation);
      if (wakes && missing !== undefined && contains(operation, missing.page)) woken = true;
    }
    // The page can be gone again by now; then the program faults once more.
    if (woken) this.missing = undefined;
    return woken;
  }

  /** Begins a step. */
  begin(step: Step & { kind: "work" }): void {
    this.#step = step;
    this.#touch = 0;
    this.#page = -1;
  }

  /**
   * Goes on with the step under way.
   *
   * @returns The units of work that come once all is touched; 0 where no step is under way;
   * `undefined` where a page is missing.
   */
  touchAll(): number | undefined {
    const step = this.#step;
    if (step === undefined) return 0;
    for (; this.#touch < step.touches.length; this.#touch++) {
      if (!this.#touchPages(step.touches[this.#touch]!)) return undefined;
      this.#page = -1;
    }
    this.#step = undefined;
    return step.units;
  }

  #touchPages({ byteOffset, bytes, access }: Touch): boolean {
    const table = this.#mmu.windows[0]!;
    const last = Math.floor((byteOffset + bytes - 1) / PAGE_SIZE_DEFAULT_BYTES);
    if (this.#page < 0) this.#page = Math.floor(byteOffset / PAGE_SIZE_DEFAULT_BYTES);
    for (; this.#page <= last; this.#page++) {
      if (permits(table[this.#page]! as PageState, access)) continue;
      this.missing = { page: this.#page, access };
      return false;
    }
    return true;
  }
}

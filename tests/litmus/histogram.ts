/** How often each outcome of a test was seen, and which outcomes the memory model forbids. */

import { type MemoryModel, outcomesOf } from "./models.ts";
import { isRelaxed, type LitmusTest, type Outcome, printOutcome } from "./program.ts";

/** One outcome that was seen. */
export interface Seen {
  readonly outcome: Outcome;
  readonly times: number;
  /** Whether the memory model allows it. */
  readonly allowed: boolean;
  /** Whether it is the one that the test is known for. */
  readonly relaxed: boolean;
}

/** The outcomes of one test under one memory model. */
export class Histogram {
  readonly test: LitmusTest;
  readonly model: MemoryModel;
  readonly #allowed: ReadonlySet<string>;
  readonly #seen = new Map<string, { outcome: Outcome; times: number }>();

  /**
   * @param test The test.
   * @param model What its runs have to obey.
   */
  constructor(test: LitmusTest, model: MemoryModel) {
    this.test = test;
    this.model = model;
    this.#allowed = new Set(outcomesOf(test, model).map((outcome) => outcome.join(" ")));
  }

  /** @param outcome What one more run ended with. */
  add(outcome: Outcome): void {
    const key = outcome.join(" ");
    const entry = this.#seen.get(key);
    if (entry === undefined) this.#seen.set(key, { outcome: [...outcome], times: 1 });
    else entry.times++;
  }

  /** @returns Every outcome that was seen, in order. */
  seen(): Seen[] {
    return [...this.#seen].sort(([a], [b]) => a < b ? -1 : 1).map(([key, { outcome, times }]) => ({
      outcome,
      times,
      allowed: this.#allowed.has(key),
      relaxed: isRelaxed(this.test, outcome),
    }));
  }

  /** How many outcomes the model allows. */
  get allowedCount(): number {
    return this.#allowed.size;
  }

  /** How many runs there were. */
  get runs(): number {
    return this.seen().reduce((sum, { times }) => sum + times, 0);
  }

  /** The outcomes that must not be. */
  get forbidden(): Seen[] {
    return this.seen().filter(({ allowed }) => !allowed);
  }

  /** How often the outcome that the test is known for was seen. */
  get relaxedTimes(): number {
    return this.seen().reduce((sum, { relaxed, times }) => relaxed ? sum + times : sum, 0);
  }

  /** @returns A line for each outcome: how often, what, and what is to say about it. */
  print(): string {
    return this.seen().map(({ outcome, times, allowed, relaxed }) => {
      const notes = `${relaxed ? "  relaxed" : ""}${allowed ? "" : "  FORBIDDEN"}`;
      return `${String(times).padStart(10)}  ${printOutcome(this.test, outcome)}${notes}`;
    }).join("\n");
  }
}

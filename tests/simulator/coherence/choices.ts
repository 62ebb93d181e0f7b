/**
 * The events that can happen next, with their weights. One object serves a whole schedule, so that
 * no step leaves garbage behind.
 */

import type { Random } from "./random.ts";

/** Weighted choices between calls of functions with one or two arguments. */
export class Choices {
  readonly #weights: number[] = [];
  readonly #acts: ((first: unknown, second: unknown) => void)[] = [];
  readonly #firsts: unknown[] = [];
  readonly #seconds: unknown[] = [];
  #length = 0;
  #total = 0;

  /** Forgets everything that was offered. */
  clear(): void {
    this.#length = 0;
    this.#total = 0;
  }

  /**
   * Adds a choice.
   *
   * @param weight How likely it is, compared with others; 0 for never.
   * @param act What to call.
   * @param first Its first argument.
   * @param second Its second one.
   */
  offer<First, Second>(
    weight: number,
    act: (first: First, second: Second) => void,
    first: First,
    second: Second,
  ): void {
    const index = this.#length++;
    this.#total += weight;
    this.#weights[index] = weight;
    this.#acts[index] = act as (first: unknown, second: unknown) => void;
    this.#firsts[index] = first;
    this.#seconds[index] = second;
  }

  /**
   * Draws one of the choices, and acts on it.
   *
   * @param random Says which.
   * @returns Whether there was any.
   */
  draw(random: Random): boolean {
    if (this.#total === 0) return false;
    let chosen = random.below(this.#total);
    let index = 0;
    for (; chosen >= this.#weights[index]!; index++) chosen -= this.#weights[index]!;
    this.#acts[index]!(this.#firsts[index], this.#seconds[index]);
    return true;
  }
}

/**
 * What is fuzzed, and how inputs are numbered: an input is made from its number alone, so the
 * number is all that is needed to repeat a failure.
 */

import { Random } from "../simulator/coherence/random.ts";

/** How often each outcome came out, by its name. */
export type Tally = Map<string, number>;

/** Something that broken inputs are thrown at. */
export interface Target {
  /** Its name, as the program's `--target` has it. */
  readonly name: string;
  /** Its share of the inputs, beside the shares of the others. */
  readonly weight: number;
  /**
   * Makes an input and tries it.
   *
   * @param random The only source of chance.
   * @returns What came out: the kind of what was accepted, or the reason of a refusal.
   * @throws {Error} Where something that must hold did not.
   */
  try(random: Random): string | Promise<string>;
}

/**
 * Tries a range of inputs.
 *
 * @param targets What to try them at; each input's number draws one of them.
 * @param seed The first input's number.
 * @param inputs How many.
 * @param stride The distance between two numbers.
 * @returns What came out, under `target: outcome`.
 * @throws {Error} Where a target failed; the message begins with the input's number and its target.
 */
export async function fuzz(
  targets: readonly Target[],
  seed: number,
  inputs: number,
  stride = 1,
): Promise<Tally> {
  const tally: Tally = new Map();
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  for (let done = 0; done < inputs; done++) {
    const input = seed + done * stride;
    const random = new Random(input);
    const target = draw(targets, random.below(total));
    try {
      const result = target.try(random);
      const outcome = `${target.name}: ${typeof result === "string" ? result : await result}`;
      tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(`Input ${input}, ${target.name}: ${what}`, { cause: error });
    }
  }
  return tally;
}

/**
 * Adds what came out elsewhere.
 *
 * @param tally Where to add.
 * @param more What to add.
 */
export function addTally(tally: Tally, more: Tally): void {
  for (const [name, times] of more) tally.set(name, (tally.get(name) ?? 0) + times);
}

function draw(targets: readonly Target[], ticket: number): Target {
  for (const target of targets) {
    if (ticket < target.weight) return target;
    ticket -= target.weight;
  }
  throw new RangeError("No target");
}

/**
 * A thread of a litmus test as JavaScript: straight-line code in a loop over instances, so that the
 * compiler and the processor are as free with its accesses as with those of any program.
 */

import { hasRegister, type Instruction, registersOf, type Thread } from "./program.ts";

/** The most registers of a thread, and final words of a test, that fit into a byte. */
const DIGITS_MAX = 2;
/** Stands for every value that no test writes. */
export const WRONG_VALUE = 7;

/**
 * Runs a thread once for each instance of a batch.
 *
 * @param words The region.
 * @param places Where the words of the instances are.
 * @param meet Is called before each instance, with its number.
 * @param skews For each access of each instance, how many turns to wait before it.
 * @param codes Is given what each instance's registers have: one octal digit each.
 * @param start Where in `codes` the batch begins.
 * @param instances How many there are.
 */
export type ThreadCode = (
  words: Int32Array,
  places: Int32Array,
  meet: (instance: number) => void,
  skews: Int32Array,
  codes: Uint8Array,
  start: number,
  instances: number,
) => void;

function expression(instruction: Instruction, atomic: boolean): string {
  const at = `w${instruction.word}`;
  switch (instruction.kind) {
    case "load":
      return atomic ? `Atomics.load(words, ${at})` : `words[${at}]`;
    case "store": {
      const { value } = instruction;
      return atomic ? `Atomics.store(words, ${at}, ${value})` : `words[${at}] = ${value}`;
    }
    case "add":
    case "exchange":
      return `Atomics.${instruction.kind}(words, ${at}, ${instruction.value})`;
    case "compareExchange": {
      const { expected, value } = instruction;
      return `Atomics.compareExchange(words, ${at}, ${expected}, ${value})`;
    }
    default:
      return instruction satisfies never;
  }
}

/**
 * Makes the code of a thread.
 *
 * @param thread The thread.
 * @param words How many words an instance has.
 * @param atomic Whether loads and stores are `Atomics`. A read-modify-write always is.
 * @returns The code.
 */
export function compileThread(thread: Thread, words: number, atomic: boolean): ThreadCode {
  if (registersOf(thread) > DIGITS_MAX) throw new RangeError("a thread has too many registers");
  const lines: string[] = [];
  for (let word = 0; word < words; word++) {
    lines.push(`const w${word} = places[i * ${words} + ${word}];`);
  }
  let registers = 0;
  for (const instruction of thread) {
    lines.push("for (let turns = skews[skew++]; turns > 0; turns--);");
    const what = expression(instruction, atomic);
    lines.push(hasRegister(instruction) ? `const r${registers++} = ${what};` : `${what};`);
  }
  const digits = Array.from({ length: registers }, (_, index) => {
    const register = `r${index}`;
    const digit = `(${register} >>> 0 < ${WRONG_VALUE} ? ${register} : ${WRONG_VALUE})`;
    return `${digit} * ${8 ** index}`;
  });
  return new Function(
    "words",
    "places",
    "meet",
    "skews",
    "codes",
    "start",
    "instances",
    `let skew = 0;
    for (let i = 0; i < instances; i++) {
      meet(i);
      ${lines.join("\n      ")}
      codes[start + i] = ${digits.join(" + ") || "0"};
    }`,
  ) as ThreadCode;
}

/**
 * Packs values as {@linkcode ThreadCode} does.
 *
 * @param values At most {@linkcode DIGITS_MAX}.
 * @returns An octal digit for each, the first lowest.
 */
export function packValues(values: readonly number[]): number {
  if (values.length > DIGITS_MAX) throw new RangeError("there are too many values for a byte");
  return values.reduceRight((code, value) => {
    return code * 8 + (value >>> 0 < WRONG_VALUE ? value : WRONG_VALUE);
  }, 0);
}

/**
 * @param code What was packed.
 * @param count How many values.
 * @returns The values; {@linkcode WRONG_VALUE} for any that no test writes.
 */
export function unpackValues(code: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => (code >> (3 * index)) & 7);
}

/** What a litmus test is: a few threads, a few words, and an outcome of weak memories only. */

/** A word of the test; words are numbered from 0 and start as 0. */
export type Word = number;

/** What a thread does next. All but `store` bring a value into the next register of the test. */
export type Instruction =
  | { readonly kind: "load"; readonly word: Word }
  | { readonly kind: "store"; readonly word: Word; readonly value: number }
  | { readonly kind: "add"; readonly word: Word; readonly value: number }
  | { readonly kind: "exchange"; readonly word: Word; readonly value: number }
  | {
    readonly kind: "compareExchange";
    readonly word: Word;
    readonly expected: number;
    readonly value: number;
  };

/** A thread of the test, in program order. */
export type Thread = readonly Instruction[];

/**
 * What one run of a test ended with: its registers, thread by thread in program order, and behind
 * them the final values of the words that the test looks at.
 */
export type Outcome = readonly number[];

/** A litmus test. Nothing in it says which outcomes are right: {@linkcode outcomesOf} finds out. */
export interface LitmusTest {
  /** Its name in the literature. */
  readonly name: string;
  /** What it asks, in a few words. */
  readonly about: string;
  /** Its threads, at most four. */
  readonly threads: readonly Thread[];
  /** The words whose final values belong to the outcome. */
  readonly finals: readonly Word[];
  /** The outcome that the test is known for; `undefined` where any value will do. */
  readonly relaxed: readonly (number | undefined)[];
}

/** The names of words in print. */
const WORD_NAMES = ["x", "y"] as const;

/** @returns Whether the instruction brings a value into a register. */
export function hasRegister({ kind }: Instruction): boolean {
  return kind !== "store";
}

/** @returns How many registers a thread fills. */
export function registersOf(thread: Thread): number {
  return thread.filter(hasRegister).length;
}

/** @returns How many words the test has. */
export function wordsOf({ threads }: LitmusTest): number {
  return 1 + Math.max(...threads.flat().map(({ word }) => word));
}

/** @returns What a read-modify-write leaves in a word that has `old`. */
export function modified(instruction: Instruction, old: number): number {
  switch (instruction.kind) {
    case "load":
      return old;
    case "store":
    case "exchange":
      return instruction.value;
    case "add":
      return old + instruction.value;
    case "compareExchange":
      return old === instruction.expected ? instruction.value : old;
    default:
      return instruction satisfies never;
  }
}

/** @returns Whether the outcome is the one that the test is known for. */
export function isRelaxed({ relaxed }: LitmusTest, outcome: Outcome): boolean {
  return relaxed.every((value, index) => value === undefined || value === outcome[index]);
}

/** @returns The outcome in print, as `0:r0=1 1:r1=0 x=2`. */
export function printOutcome({ threads, finals }: LitmusTest, outcome: Outcome): string {
  const names = threads.flatMap((thread, index) =>
    thread.filter(hasRegister).map(() => `${index}:r`)
  ).map((name, index) => `${name}${index}`);
  for (const word of finals) names.push(WORD_NAMES[word]!);
  return names.map((name, index) => `${name}=${outcome[index]}`).join(" ");
}

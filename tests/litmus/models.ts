/**
 * Memory models, as machines that are run in every way. The outcomes that they reach are the
 * allowed ones, so that no list of forbidden outcomes is written by hand.
 */

import { type Instruction, type LitmusTest, modified, type Outcome, wordsOf } from "./program.ts";

/**
 * `SC`: sequential consistency, one instruction of some thread after the other. `TSO`: total store
 * order, the machine of x86-64: stores of a thread wait in a queue of its own, in which only that
 * thread sees them, and a read-modify-write waits until that queue is empty.
 */
export type MemoryModel = "SC" | "TSO";

interface Store {
  readonly word: number;
  readonly value: number;
}

/** One state of the machine. States are not changed, but replaced. */
interface State {
  /** How many instructions each thread has behind it. */
  readonly next: readonly number[];
  readonly memory: readonly number[];
  /** The stores of each thread that are not in memory yet, oldest first. */
  readonly queues: readonly (readonly Store[])[];
  readonly registers: readonly (readonly number[])[];
}

function replaced<Item>(items: readonly Item[], index: number, item: Item): Item[] {
  return items.map((old, other) => other === index ? item : old);
}

/** The state after a thread's next instruction; `undefined` where that has to wait. */
function executed(
  state: State,
  thread: number,
  instruction: Instruction,
  model: MemoryModel,
): State | undefined {
  const { memory, registers } = state;
  const { word } = instruction;
  const next = replaced(state.next, thread, state.next[thread]! + 1);
  const queue = state.queues[thread]!;
  if (instruction.kind === "store" && model === "TSO") {
    const queues = replaced(state.queues, thread, [...queue, { word, value: instruction.value }]);
    return { ...state, next, queues };
  }
  if (instruction.kind === "store") {
    return { ...state, next, memory: replaced(memory, word, instruction.value) };
  }
  if (instruction.kind !== "load" && queue.length > 0) return undefined;
  const value = queue.findLast((store) => store.word === word)?.value ?? memory[word]!;
  const filled = replaced(registers, thread, [...registers[thread]!, value]);
  if (instruction.kind === "load") return { ...state, next, registers: filled };
  const written = replaced(memory, word, modified(instruction, value));
  return { ...state, next, registers: filled, memory: written };
}

/** Every state that one step leads to. */
function successors({ threads }: LitmusTest, state: State, model: MemoryModel): State[] {
  const found: State[] = [];
  for (const [index, thread] of threads.entries()) {
    const instruction = thread[state.next[index]!];
    const after = instruction && executed(state, index, instruction, model);
    if (after !== undefined) found.push(after);
    const [oldest, ...rest] = state.queues[index]!;
    if (oldest === undefined) continue;
    const memory = replaced(state.memory, oldest.word, oldest.value);
    found.push({ ...state, memory, queues: replaced(state.queues, index, rest) });
  }
  return found;
}

/**
 * Runs a test in every way that a memory model permits.
 *
 * @param test The test.
 * @param model The model.
 * @returns Every outcome that the model allows, none twice, in order.
 */
export function outcomesOf(test: LitmusTest, model: MemoryModel): Outcome[] {
  const start: State = {
    next: test.threads.map(() => 0),
    memory: Array.from({ length: wordsOf(test) }, () => 0),
    queues: test.threads.map(() => []),
    registers: test.threads.map(() => []),
  };
  const seen = new Set<string>();
  const outcomes = new Map<string, Outcome>();
  const open = [start];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const after = successors(test, state, model);
    open.push(...after);
    if (after.length > 0) continue;
    const { memory, registers } = state;
    const outcome = [...registers.flat(), ...test.finals.map((word) => memory[word]!)];
    outcomes.set(outcome.join(" "), outcome);
  }
  return [...outcomes].sort(([a], [b]) => a < b ? -1 : 1).map(([, outcome]) => outcome);
}

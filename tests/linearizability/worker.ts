/** One thread of the recorded runs: a Worker that makes random operations on a few words. */

import type { AttachedNode } from "../../mod.ts";
import { serveCrew } from "../litmus/crew_worker.ts";
import { Random } from "../simulator/coherence/random.ts";
import { Clock } from "./clock.ts";
import { RECORDED, type RecordedField } from "./history.ts";
import { OPERATIONS } from "./register.ts";

/** What a thread is to do. */
export interface WorkerTask {
  /** Which thread this is. */
  readonly thread: number;
  /** How many threads there are. */
  readonly threads: number;
  /** The words, by their numbers in the region. */
  readonly words: readonly number[];
  /** How many times all threads begin together. */
  readonly rounds: number;
  /** How many operations this one makes then. */
  readonly operations: number;
  /** What chance starts from. */
  readonly seed: number;
  /** From when the clock counts. */
  readonly startSeconds: number;
  /** Where to write the numbers of {@linkcode RECORDED} for each operation. */
  readonly file: string;
}

/** The longest pause is 2 to the power of this, in turns of an empty loop: about a page's stay. */
const PAUSE_BITS_MAX = 16;
/** Reads and writes are to be about as frequent, whatever their kinds. */
const KINDS = [...OPERATIONS, "load", "load", "load", "store"] as const;

/** Values that no other thread uses, and this one once. Kept from task to task. */
let unique = 0;

class Recorder {
  readonly #task: WorkerTask;
  readonly #words: Int32Array;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #rows: Float64Array;
  /** What this thread knows of each word. */
  readonly #known: Int32Array;
  #row = 0;

  constructor(task: WorkerTask, words: Int32Array, clock: Clock) {
    this.#task = task;
    this.#words = words;
    this.#clock = clock;
    this.#random = new Random(task.seed ^ Math.imul(task.thread + 1, 0x9e3779b1));
    // Behind its own operations it reads each word once more.
    const rows = task.rounds * task.operations + task.words.length;
    this.#rows = new Float64Array(rows * RECORDED.length);
    this.#known = new Int32Array(task.words.length);
  }

  get rows(): Float64Array {
    return this.#rows;
  }

  /** Makes one round of operations. */
  round(): void {
    const bits = this.#random.between(1, PAUSE_BITS_MAX);
    const favourite = this.#random.below(this.#task.words.length);
    for (let operation = 0; operation < this.#task.operations; operation++) {
      for (let turns = this.#random.below(1 << this.#random.below(bits)); turns > 0; turns--);
      const any = this.#random.below(this.#task.words.length);
      const index = this.#random.chance(40) ? favourite : any;
      this.operate(index, KINDS[this.#random.below(KINDS.length)]!);
    }
  }

  /** Makes one operation, and records it. */
  operate(index: number, kind: (typeof KINDS)[number]): void {
    const word = this.#task.words[index]!;
    const value = this.#value(kind);
    const expected = kind === "compareExchange" ? this.#known[index]! : 0;
    const invocation = this.#clock.before();
    const result = kind === "load"
      ? Atomics.load(this.#words, word)
      : kind === "compareExchange"
      ? Atomics.compareExchange(this.#words, word, expected, value)
      : Atomics[kind](this.#words, word, value);
    const response = this.#clock.after();
    this.#known[index] = result;
    const fields: Record<RecordedField, number> = {
      word: index,
      kind: OPERATIONS.indexOf(kind),
      value,
      expected,
      result,
      invocation,
      response,
    };
    for (const name of RECORDED) this.#rows[this.#row++] = fields[name];
  }

  #value(kind: (typeof KINDS)[number]): number {
    switch (kind) {
      case "load":
        return 0;
      case "and":
        return ~(1 << this.#random.below(32));
      case "or":
        return 1 << this.#random.below(32);
      default:
        return this.#task.thread + 1 + this.#task.threads * unique++;
    }
  }
}

function record(node: AttachedNode, task: WorkerTask): void {
  using clock = new Clock(task.startSeconds);
  const words = node.view(Int32Array, 0, node.size / 4);
  const barrier = node.barrier("round", task.threads);
  const recorder = new Recorder(task, words, clock);
  for (let round = 0; round < task.rounds; round++) {
    barrier.waitSync();
    recorder.round();
  }
  barrier.waitSync();
  for (const index of task.words.keys()) recorder.operate(index, "load");
  Deno.writeFileSync(task.file, new Uint8Array(recorder.rows.buffer));
}

serveCrew(record);

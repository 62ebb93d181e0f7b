/**
 * Given programs, run in the simulator under chance: for litmus tests, which ask what threads may
 * see of each other.
 */

import { PAGE_WORDS } from "./mmu.ts";
import { homeOf } from "./node.ts";
import type { AccessOperation, Operation } from "./operation.ts";
import { type Incident, makeSettings, makeThread } from "./plan.ts";
import { NO_BUG, type PlantedBug } from "./planted_bugs.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import { World, type WorldOptions } from "./world.ts";

/** Words 0 to this one of each page are the programs'; the one behind it is for warming up. */
export const WORD_MAX = PAGE_WORDS - 2;

/** One indivisible access of a program. All words are 0 at first; values are 32-bit integers. */
export type Instruction =
  | { readonly kind: "read"; readonly page: number; readonly word: number }
  | {
    readonly kind: "write" | "add" | "exchange";
    readonly page: number;
    readonly word: number;
    readonly value: number;
  }
  | {
    readonly kind: "compareExchange";
    readonly page: number;
    readonly word: number;
    readonly expected: number;
    readonly value: number;
  };

/** What one thread does, in this order. */
export type Program = readonly Instruction[];

/** What {@linkcode runPrograms} runs. */
export interface ProgramSet {
  /** How many pages the region has, at least 1. */
  readonly pages: number;
  /** For each node the programs of its threads; the first node is the directory node. */
  readonly nodes: readonly (readonly Program[])[];
  /** What is not said is drawn at random for each seed, but for the last three. */
  readonly options?: {
    /** The longest run, in pages. */
    readonly runPages?: number;
    /** The hold time, in microseconds. A message or a step of a thread takes a few. */
    readonly holdTimeUs?: number;
    /** Whether pages that migrate are handed over at a read. */
    readonly migration?: boolean;
    /** Whether walks have pages asked for ahead of them. */
    readonly readAhead?: boolean;
    /** The shortest run of a walk that does, in pages. */
    readonly readAheadMinPages?: number;
    /**
     * The most accesses to other words of random pages that each thread makes before its program:
     * they bring pages here and there, in walks too. 0 unless said.
     */
    readonly warmUp?: number;
    /** Whether the simulator checks each step by itself; true unless said. */
    readonly checked?: boolean;
    /** What is wrong with the nodes; nothing unless said. */
    readonly bug?: PlantedBug;
  };
}

/** What became of the programs. */
export interface ProgramResult {
  /**
   * For each thread, those of the first node first, what its instructions but plain writes found in
   * their words, in program order.
   */
  readonly registers: readonly (readonly number[])[];
  /** For each page the last values of its words from 0 to {@linkcode WORD_MAX}. */
  readonly memory: readonly (readonly number[])[];
}

function warmUp(random: Random, pages: number, most: number): Operation[] {
  const program: Operation[] = [];
  for (let left = random.below(most + 1); left > 0;) {
    const kind = (["read", "write", "add"] as const)[random.below(3)]!;
    const first = random.below(pages);
    const walk = random.chance(50) ? pages - first : 1;
    for (let page = first; page < first + walk && left > 0; page++, left--) {
      program.push({ kind, page, word: PAGE_WORDS - 1, value: 1, expected: 0 });
    }
  }
  return program;
}

function toOperation(instruction: Instruction): AccessOperation {
  const { page, word } = instruction;
  if (word < 0 || word > WORD_MAX) {
    throw new RangeError(`word ${word} is not from 0 to ${WORD_MAX}`);
  }
  return { value: 0, expected: 0, ...instruction, page, word };
}

/**
 * Runs programs once, in an order and with delays that the seed decides.
 *
 * @param set The programs, and where they run.
 * @param seed Any integer; the same one gives the same run again.
 * @returns What the threads found, and what is in memory at the end.
 * @throws {InvariantError} When a promise of the protocol is broken. With `checked: false` only
 *   when the run has no outcome: a node noticed a breach by itself, or a thread waits for ever.
 * @example
 * ```ts
 * import { runPrograms } from "./programs.ts";
 *
 * const { registers } = runPrograms({
 *   pages: 2,
 *   nodes: [
 *     [[{ kind: "write", page: 0, word: 0, value: 1 }, { kind: "read", page: 1, word: 0 }]],
 *     [[{ kind: "write", page: 1, word: 0, value: 1 }, { kind: "read", page: 0, word: 0 }]],
 *   ],
 * }, 42);
 * console.log(registers); // never [[0], [0]]
 * ```
 */
export function runPrograms(set: ProgramSet, seed: number): ProgramResult {
  const { pages, nodes, options = {} } = set;
  const { warmUp: most = 0, checked = true, bug = NO_BUG, ...settings } = options;
  const random = new Random(seed);
  const skipped: number[] = [];
  const threads = nodes.map((programs) =>
    programs.map((program) => {
      const before = warmUp(random, pages, most);
      skipped.push(before.filter(({ kind }) => kind !== "write").length);
      return makeThread(random, [...before, ...program.map(toOperation)]);
    })
  );
  const worldOptions: WorldOptions = {
    pageCount: pages,
    threads,
    checked,
    memoryPages: [],
    reservePages: [],
    ...makeSettings(random),
    ...settings,
  };
  const world = new World(worldOptions, random, bug, undefined);
  const incidents: Incident[] = [];
  for (const node of world.nodes) {
    if (random.chance(20)) incidents.push({ step: random.below(50), kind: "openWindow", node });
    if (node.id !== 1) incidents.push({ step: 0, kind: "join", node });
  }
  incidents.sort((a, b) => b.step - a.step);
  new Schedule(random, world, incidents).run();
  const registers = threads.flat().map((thread, index) => thread.registers.slice(skipped[index]));
  return { registers, memory: readMemory(world) };
}

function readMemory(world: World): number[][] {
  return Array.from({ length: world.pageCount }, (_, page) => {
    const owner = homeOf(world.nodes, page).directory.copies(page).owner;
    const start = page * PAGE_WORDS;
    // A page that no node has touched is zero.
    if (owner === 0) return Array<number>(WORD_MAX + 1).fill(0);
    return [...world.nodes[owner - 1]!.mmu.alias.subarray(start, start + WORD_MAX + 1)];
  });
}

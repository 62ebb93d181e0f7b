import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "./oracle.ts";
import { PLANTED_BUGS } from "./planted_bugs.ts";
import { type Program, type ProgramSet, runPrograms, WORD_MAX } from "./programs.ts";

const RUNS = 2_000;

const write = (page: number, value: number) => ({ kind: "write", page, word: 0, value }) as const;
const read = (page: number) => ({ kind: "read", page, word: 0 }) as const;

const STORE_BUFFERING: readonly (readonly Program[])[] = [
  [[write(0, 1), read(1)]],
  [[write(1, 1), read(0)]],
];

/** What was seen. */
function outcomes(set: ProgramSet): Set<string> {
  const seen = new Set<string>();
  for (let seed = 1; seed <= RUNS; seed++) {
    try {
      seen.add(runPrograms(set, seed).registers.flat().join(" "));
    } catch (error) {
      // Without checks: a run that had no outcome.
      if (set.options?.checked !== false || !(error instanceof InvariantError)) throw error;
    }
  }
  return seen;
}

Deno.test("programs see every outcome that an interleaving has, and no other", () => {
  const seen = outcomes({ pages: 2, nodes: STORE_BUFFERING, options: { warmUp: 6 } });
  assertEquals([...seen].sort(), ["0 1", "1 0", "1 1"]);
});

Deno.test("a planted bug shows in what programs see, if nothing else looks for it", () => {
  for (const name of ["writes with one acknowledgement missing", "reads the alias before"]) {
    const bug = PLANTED_BUGS.find((other) => other.name.startsWith(name))!;
    const options = { warmUp: 6, checked: false, bug };
    assert(outcomes({ pages: 2, nodes: STORE_BUFFERING, options }).has("0 0"), name);
  }
});

Deno.test("reads and changes of a word are one access", () => {
  const add: Program = Array(3).fill({ kind: "add", page: 0, word: WORD_MAX, value: 1 });
  const exchange = { kind: "compareExchange", page: 0, word: 0, expected: 0 } as const;
  for (let seed = 1; seed <= 200; seed++) {
    const { registers, memory } = runPrograms({
      pages: 1,
      nodes: [[add, add], [add, [{ ...exchange, value: 7 }]], [add, [{ ...exchange, value: 8 }]]],
    }, seed);
    const found = [0, 1, 2, 4].flatMap((thread) => registers[thread]!).sort((a, b) => a - b);
    assertEquals(found, Array.from({ length: 12 }, (_, index) => index));
    assertEquals(memory[0]!.at(-1), 12);
    const [first, second] = [registers[3]![0]!, registers[5]![0]!];
    assertEquals(memory[0]![0], first === 0 ? 7 : 8);
    assertEquals([first, second].sort(), [0, memory[0]![0]]);
  }
});

Deno.test("a seed gives the same run of programs again", () => {
  const set: ProgramSet = { pages: 2, nodes: STORE_BUFFERING, options: { warmUp: 9 } };
  assertEquals(runPrograms(set, 99), runPrograms(set, 99));
});

Deno.test("the word for warming up is no program's", () => {
  const program: Program = [{ kind: "read", page: 0, word: WORD_MAX + 1 }];
  assertThrows(() => runPrograms({ pages: 1, nodes: [[program]] }, 1), RangeError);
});

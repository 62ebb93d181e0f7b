import { assertEquals } from "@std/assert";
import {
  calls,
  LIBRARY,
  loads,
  LOCK,
  moduleOf,
  OF_ONE,
  OF_TWO,
  Own,
  PRIVATE_WAKE,
  result,
  SLEEP,
  type TestFunction,
  UNLOCK,
  WAIT,
} from "../../tests/support/c_library.ts";
import {
  counted,
  custom,
  section,
  sharedMemory,
  sized,
  text,
  wasmModule,
} from "../../tests/support/wasm_module.ts";
import { BARRIER_PARTIES_MAX } from "../limits.ts";
import { Section } from "./binary.ts";
import { rewriteModule } from "./rewrite.ts";

/** The library with another function, or without one. */
function replaced(name: string, ...others: readonly Partial<TestFunction>[]): TestFunction[] {
  return LIBRARY.flatMap((entry) =>
    entry.name === name ? others.map((other) => ({ ...entry, ...other })) : [entry]
  );
}

/** Another function at the end of the library. */
function added(name: string, code: readonly number[]): TestFunction[] {
  return [...LIBRARY, { name, type: OF_ONE, code }];
}

const lifted = (bytes: Uint8Array): readonly string[] =>
  rewriteModule(bytes, { lift: true }).lifted;

/** The library's functions, lifted, with what imports were called with and what each returns. */
function liftedLibrary(results: Record<string, number> = {}): {
  run: (index: number, ...parameters: number[]) => number;
  words: Int32Array;
  called: unknown[][];
} {
  const { bytes } = rewriteModule(moduleOf(LIBRARY), { lift: true });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const called: unknown[][] = [];
  const module = new WebAssembly.Module(bytes);
  const tdsm = Object.fromEntries(
    WebAssembly.Module.imports(module).map(({ name }) => [name, (...parameters: unknown[]) => {
      called.push([name, ...parameters]);
      return results[name] ?? 0;
    }]),
  );
  const { exports } = new WebAssembly.Instance(module, { tdsm: { ...tdsm, memory } });
  const functions = exports as Record<string, (...parameters: number[]) => number>;
  const run = (index: number, ...parameters: number[]): number =>
    functions[`${index}`]!(...parameters);
  return { run, words: new Int32Array(memory.buffer), called };
}

/** Where objects are in the memory, in bytes. */
const [OBJECT, MUTEX, DEADLINE] = [256, 512, 768];
const wordAt = (byte: number): number => byte / 4;

Deno.test("rewriteModule: lifts nothing where that is not wanted", () => {
  const bytes = moduleOf(LIBRARY);
  const plain = rewriteModule(bytes);
  assertEquals(plain.lifted, []);
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(plain.bytes));
  assertEquals(imports.length, 6);
});

Deno.test("rewriteModule: what a lifted signal or broadcast wakes, waits at the directory node", () => {
  const { run, words, called } = liftedLibrary({ wakeCond: 5 });
  assertEquals([run(1, OBJECT), run(2, OBJECT)], [5, 5]);
  assertEquals(called, [["wakeCond", OBJECT, 1], ["wakeCond", OBJECT, -1]]);
  words[wordAt(OBJECT)] = -1;
  assertEquals([run(1, OBJECT), run(2, OBJECT)], [Own.Signal, Own.Broadcast]);
  assertEquals(called.length, 2);
});

Deno.test("rewriteModule: a lifted wait unlocks the mutex between its two halves, and locks it", () => {
  const [TIMED_OUT, BUSY] = [73, 16];
  const waited = (mutex: readonly number[], begun = 0, ended = 0): unknown[] => {
    const results = { beginCondWait: begun, endCondWait: ended };
    const { run, words, called } = liftedLibrary(results);
    words.set(mutex, wordAt(MUTEX) + 1);
    return [run(0, OBJECT, MUTEX, DEADLINE), ...called];
  };
  const begin = ["beginCondWait", OBJECT, DEADLINE];
  assertEquals(waited([0, 0]), [0, begin, ["endCondWait", 0]]);
  assertEquals(waited([0, 0], 0, TIMED_OUT), [TIMED_OUT, begin, ["endCondWait", 0]]);
  // What locking says comes before the time-out; what unlocking says, before all.
  assertEquals(waited([0, BUSY], 0, TIMED_OUT), [BUSY, begin, ["endCondWait", 0]]);
  assertEquals(waited([1, BUSY]), [1, begin, ["endCondWait", 1]]);
  // A deadline that is none is the library's to refuse.
  assertEquals(waited([0, 0], 28), [Own.Wait, begin]);
  const { run, words, called } = liftedLibrary();
  words[wordAt(OBJECT)] = -1;
  assertEquals([run(0, OBJECT, MUTEX, DEADLINE), called], [Own.Wait, []]);
});

Deno.test("rewriteModule: a lifted barrier is one of the directory node's, but for one party or all processes", () => {
  const { run, words, called } = liftedLibrary({ waitAtBarrier: -1 });
  const waited = (limit: number): number => {
    words[wordAt(OBJECT) + 2] = limit;
    return run(3, OBJECT);
  };
  assertEquals([waited(1), waited(BARRIER_PARTIES_MAX - 1)], [-1, -1]);
  assertEquals(called, [
    ["waitAtBarrier", OBJECT, 2],
    ["waitAtBarrier", OBJECT, BARRIER_PARTIES_MAX],
  ]);
  for (const limit of [0, -1, -(2 ** 31), BARRIER_PARTIES_MAX, 2 ** 31 - 1]) {
    assertEquals([limit, waited(limit)], [limit, Own.Barrier]);
  }
  assertEquals(called.length, 2);
});

const [CONDITIONS, BARRIERS] = ["condition variables", "barriers"];
const OTHERS_ONLY: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["a function without a name", moduleOf(replaced("__private_cond_signal", { name: "" }))],
  ["a caller that is not known", moduleOf(replaced("sem_timedwait", { name: "other" }))],
  ["a wait of another type", moduleOf(replaced("__pthread_cond_timedwait", { type: OF_TWO }))],
  ["a signal of the program's own", moduleOf(replaced("pthread_cond_signal", { code: result(0) }))],
  [
    "a signal that reads other words",
    moduleOf(
      replaced("pthread_cond_signal", {
        code: [...loads(0, 16), ...calls(PRIVATE_WAKE), ...result(0)],
      }),
    ),
  ],
  [
    "a wait that locks nothing",
    moduleOf(
      replaced("__pthread_cond_timedwait", {
        code: [...loads(16, 0, 8, 12), ...calls(UNLOCK, SLEEP), ...result(0)],
      }),
    ),
  ],
  [
    "a lock of another type",
    moduleOf(LIBRARY.map((entry, index) => {
      if (index === LOCK) return { ...entry, type: OF_TWO };
      const code = [...loads(16, 0, 8, 12), ...calls(UNLOCK, SLEEP), 0x20, 0, ...calls(LOCK)];
      return index === 0 ? { ...entry, code: [...code, ...result(0)] } : entry;
    })),
  ],
  ["two functions that wait", moduleOf(added("pthread_cond_timedwait", result(0)))],
  ["two functions of one name", moduleOf(added("__timedwait_cp", result(0)))],
  ["a copy of a signal", moduleOf(added("work", [...calls(PRIVATE_WAKE), ...result(0)]))],
  ["a copy of a wait", moduleOf(added("work", [...calls(SLEEP), ...result(0)]))],
  ["a variant of a wait", moduleOf(added("__pthread_cond_timedwait.1", result(0)))],
  ["threads that are cancelled", moduleOf(added("pthread_cancel", result(0)))],
  [
    "a wake-up that may be called through a table",
    moduleOf(LIBRARY, section(Section.Element, [0, ...result(0), 0x0b, ...counted([4])])),
  ],
];

for (const [what, bytes] of OTHERS_ONLY) {
  Deno.test(`rewriteModule: lifts no condition variables where there is ${what}`, () => {
    assertEquals(lifted(bytes), [BARRIERS]);
  });
}

Deno.test("rewriteModule: lifts what wakes only as far as the program has it", () => {
  // The functions behind it keep their numbers.
  const other = { name: "other", code: result(0) };
  assertEquals(lifted(moduleOf(replaced("pthread_cond_broadcast", other))), [CONDITIONS, BARRIERS]);
});

const NO_BARRIERS: readonly (readonly [what: string, other: Partial<TestFunction>])[] = [
  ["of the program's own", { code: result(0) }],
  ["of another type", { type: OF_TWO }],
  ["that never waits", { code: [...loads(8, 0, 12), ...result(0)] }],
  ["that reads other words", { code: [...loads(8, 0), ...calls(WAIT), ...result(0)] }],
];

for (const [what, other] of NO_BARRIERS) {
  Deno.test(`rewriteModule: lifts no barrier ${what}`, () => {
    assertEquals(lifted(moduleOf(replaced("pthread_barrier_wait", other))), [CONDITIONS]);
  });
}

Deno.test("rewriteModule: a module of which nothing is lifted is what it is without lifting", () => {
  const own = LIBRARY.map((entry) => ({ ...entry, code: result(0) }));
  const misnamed = wasmModule(
    sharedMemory(1, 1),
    custom("name", [1, ...sized(counted(...LIBRARY.map(({ name }, at) => [at, ...text(name)])))]),
  );
  const unreadable = wasmModule(sharedMemory(1, 1), custom("name", [1, 9, 1]));
  for (const bytes of [moduleOf(own), misnamed, unreadable, wasmModule(sharedMemory(1, 1, true))]) {
    const { lifted, bytes: rewritten } = rewriteModule(bytes, { lift: true });
    assertEquals(lifted, []);
    assertEquals(rewritten, rewriteModule(bytes).bytes);
  }
});

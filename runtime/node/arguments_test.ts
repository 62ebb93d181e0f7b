import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import type { EngineClient } from "../ring/client.ts";
import { loadModule as loadModuleOn } from "./module.ts";
import { RpcProgram } from "../rpc/program.ts";
import { BareThread } from "../../tests/support/bare_thread.ts";

/** A node that asks its engine for nothing: whatever gets that far fails. */
const node = new BareThread({
  id: 2,
  address: "127.0.0.1",
  port: 4000,
  rank: undefined,
  nodeCount: 1,
  region: { window: () => new Uint8Array(4096) } as unknown as NativeRegion,
  shared: "it has no engine",
  client: { refusal: () => undefined } as unknown as EngineClient,
});

/** The same node as JavaScript sees it: without types. */
// deno-lint-ignore no-explicit-any
const untyped: any = node;

/** Loads a module, as far as its arguments are checked. */
function loadModule(path: string, symbols: unknown, options: unknown = {}): Promise<unknown> {
  const load = loadModuleOn as (...given: unknown[]) => Promise<unknown>;
  return load(node, undefined, undefined, path, symbols, options);
}

const SEMAPHORE = node.semaphore(7);
const BARRIER = node.barrier("b", 2);
const MUTEX = node.mutex("m");
const JOB = new RpcProgram().define("job", () => {});
const KEY = "give a bigint of at most 64 bits, or a whole number within ±(2^53 - 1)";
const NAME = "give a string of 1 to 255 bytes of UTF-8";
const TIME = "timeoutMs is a number from 0 to 2147483647; leave it out to wait for ever";
const PARTIES = "give a whole number from 1 to 65536";
const PERMITS = "give a whole number from 1 to 2147483647";
const NEW_PERMITS = "give a whole number from 0 to 2147483647";
const OPTIONS = 'give options as an object, such as { name: "grid" }';
const ALLOC = "use name or align or packed or home";
const SYMBOLS = "give its functions as Deno.dlopen takes them, or {} for none";
const PROCEDURE = 'is given as its procedure, write rpc("job", (…) => …)';
const ID = "give a whole number from 1 to 4294967294";
const LONG = "x".repeat(256);
const SHORTENED = `"${"x".repeat(64)}"… of 256 characters`;

/** An argument that is not to be had, what is thrown, and its message. */
type Case = readonly [
  argument: unknown,
  Wrong: ErrorConstructor | typeof TdsmError,
  message: string,
];

/**
 * Arguments that are missing, of the wrong type, or out of their bounds; by what they are given to.
 */
const TABLE: readonly (readonly [
  what: string,
  give: (argument: unknown) => unknown,
  cases: readonly Case[],
])[] = [
  ["alloc(Type, length, options)", (options) => untyped.alloc(Int32Array, 1, options), [
    ["grid", TypeError, `Cannot allocate with "grid": ${OPTIONS}`],
    [null, TypeError, `Cannot allocate with null: ${OPTIONS}`],
    [{ nam: "grid" }, TypeError, `Cannot allocate with the option nam: ${ALLOC}`],
    [{ name: 7 }, TypeError, "Cannot allocate with 7 as name: give a string"],
    [{ name: null }, TypeError, "Cannot allocate with null as name: give a string"],
    [{ align: "64" }, TypeError, 'Cannot allocate with "64" as align: give a number'],
    [{ packed: 1 }, TypeError, "Cannot allocate with 1 as packed: give a boolean"],
  ]],
  ["loadModule(path, symbols)", (symbols) => loadModule("./x.so", symbols), [
    [undefined, TypeError, `Cannot load ./x.so with undefined as its symbols: ${SYMBOLS}`],
    ["bump", TypeError, `Cannot load ./x.so with "bump" as its symbols: ${SYMBOLS}`],
  ]],
  ["loadModule(path, symbols, options)", (options) => loadModule("./x.so", {}, options), [
    [
      "x",
      TypeError,
      'Cannot load ./x.so with "x": give options as an object, such as { name: "counter 2" }',
    ],
    [{ nam: "x" }, TypeError, "Cannot load ./x.so with the option nam: the only one is name"],
  ]],
  ["rpc on(node)", (id) => JOB.on(id as number), [
    [
      undefined,
      TypeError,
      "Cannot call job on node undefined: ids are whole numbers from 1 to 4294967294",
    ],
    ["1", TypeError, 'Cannot call job on node "1": ids are whole numbers from 1 to 4294967294'],
    [0, RangeError, "Cannot call job on node 0: ids are whole numbers from 1 to 4294967294"],
  ]],
  ["rpc(name, procedure)", (given) => new RpcProgram().define("job", given as () => void), [
    [undefined, TdsmError, `Cannot define rpc job: undefined ${PROCEDURE}`],
    [{}, TdsmError, `Cannot define rpc job: an object ${PROCEDURE}`],
  ]],
  ["rpc(name)", (name) => new RpcProgram().define(name as string, () => {}), [
    [undefined, TdsmError, "Cannot define rpc undefined: a name has 1 to 255 bytes of UTF-8"],
    [() => {}, TdsmError, "Cannot define rpc a function: a name has 1 to 255 bytes of UTF-8"],
  ]],
  ["semaphore(key)", (key) => untyped.semaphore(key), [
    [undefined, TypeError, `Cannot use undefined as the key of a semaphore: ${KEY}`],
    [null, TypeError, `Cannot use null as the key of a semaphore: ${KEY}`],
    ["x", TypeError, `Cannot use "x" as the key of a semaphore: ${KEY}`],
    ["7", TypeError, `Cannot use "7" as the key of a semaphore: ${KEY}`],
    [true, TypeError, `Cannot use true as the key of a semaphore: ${KEY}`],
    [{}, TypeError, `Cannot use an object as the key of a semaphore: ${KEY}`],
    [1.5, RangeError, `Cannot use 1.5 as the key of a semaphore: ${KEY}`],
    [NaN, RangeError, `Cannot use NaN as the key of a semaphore: ${KEY}`],
    [2 ** 53, RangeError, `Cannot use 9007199254740992 as the key of a semaphore: ${KEY}`],
    [2n ** 64n, RangeError, `Cannot use ${2n ** 64n}n as the key of a semaphore: ${KEY}`],
    [
      -(2n ** 63n) - 1n,
      RangeError,
      `Cannot use ${-(2n ** 63n) - 1n}n as the key of a semaphore: ${KEY}`,
    ],
  ]],
  ["makeSemaphore(count)", (count) => untyped.makeSemaphore(count), [
    [
      undefined,
      TypeError,
      `Cannot use undefined as the count of permits of a new semaphore: ${NEW_PERMITS}`,
    ],
    ["1", TypeError, `Cannot use "1" as the count of permits of a new semaphore: ${NEW_PERMITS}`],
    [1n, TypeError, `Cannot use 1n as the count of permits of a new semaphore: ${NEW_PERMITS}`],
    [-1, RangeError, `Cannot use -1 as the count of permits of a new semaphore: ${NEW_PERMITS}`],
    [0.5, RangeError, `Cannot use 0.5 as the count of permits of a new semaphore: ${NEW_PERMITS}`],
    [
      2 ** 31,
      RangeError,
      `Cannot use 2147483648 as the count of permits of a new semaphore: ${NEW_PERMITS}`,
    ],
  ]],
  ["release(count)", (count) => untyped.semaphore(7).release(count), [
    [null, TypeError, `Cannot use null as the count of permits to release semaphore 7: ${PERMITS}`],
    ["2", TypeError, `Cannot use "2" as the count of permits to release semaphore 7: ${PERMITS}`],
    [
      [2],
      TypeError,
      `Cannot use an array as the count of permits to release semaphore 7: ${PERMITS}`,
    ],
    [0, RangeError, `Cannot use 0 as the count of permits to release semaphore 7: ${PERMITS}`],
    [-1, RangeError, `Cannot use -1 as the count of permits to release semaphore 7: ${PERMITS}`],
    [
      2 ** 31,
      RangeError,
      `Cannot use 2147483648 as the count of permits to release semaphore 7: ${PERMITS}`,
    ],
  ]],
  ["barrier(name)", (name) => untyped.barrier(name, 2), [
    [undefined, TypeError, `Cannot use undefined as the name of a barrier: ${NAME}`],
    [5, TypeError, `Cannot use 5 as the name of a barrier: ${NAME}`],
    [Symbol("s"), TypeError, `Cannot use Symbol(s) as the name of a barrier: ${NAME}`],
    ["", RangeError, `Cannot use "" as the name of a barrier: ${NAME}`],
    [LONG, RangeError, `Cannot use ${SHORTENED} as the name of a barrier: ${NAME}`],
    ["\ud800", RangeError, `Cannot use "\\ud800" as the name of a barrier: ${NAME}`],
  ]],
  ["barrier(…, parties)", (parties) => untyped.barrier("a", parties), [
    [
      undefined,
      TypeError,
      `Cannot use undefined as the number of parties of a barrier: ${PARTIES}`,
    ],
    ["2", TypeError, `Cannot use "2" as the number of parties of a barrier: ${PARTIES}`],
    [1.5, RangeError, `Cannot use 1.5 as the number of parties of a barrier: ${PARTIES}`],
    [0, RangeError, `Cannot use 0 as the number of parties of a barrier: ${PARTIES}`],
    [65_537, RangeError, `Cannot use 65537 as the number of parties of a barrier: ${PARTIES}`],
  ]],
  ["mutex(name)", (name) => untyped.mutex(name), [
    [undefined, TypeError, `Cannot use undefined as the name of a mutex: ${NAME}`],
    [5, TypeError, `Cannot use 5 as the name of a mutex: ${NAME}`],
    [() => {}, TypeError, `Cannot use a function as the name of a mutex: ${NAME}`],
    ["", RangeError, `Cannot use "" as the name of a mutex: ${NAME}`],
    [
      "é".repeat(128),
      RangeError,
      `Cannot use "${"é".repeat(64)}"… of 128 characters as the name of a mutex: ${NAME}`,
    ],
  ]],
  ["waitForPeer(id)", (id) => untyped.waitForPeer(id), [
    [undefined, TypeError, `Cannot use undefined as the id of a node to wait for: ${ID}`],
    ["2", TypeError, `Cannot use "2" as the id of a node to wait for: ${ID}`],
    [0, RangeError, `Cannot use 0 as the id of a node to wait for: ${ID}`],
    [2 ** 32 - 1, RangeError, `Cannot use 4294967295 as the id of a node to wait for: ${ID}`],
  ]],
];

/** The waits that there are: what each is for in words, without blocking and with. */
const WAITS: readonly (readonly [
  what: string,
  wait: (options: unknown) => unknown,
  block?: (options: unknown) => unknown,
])[] = [
  [
    "acquire semaphore 7",
    (options) => SEMAPHORE.acquire(options as never),
    (options) => SEMAPHORE.acquireSync(options as never),
  ],
  [
    'wait at barrier "b" of 2 parties',
    (options) => BARRIER.wait(options as never),
    (options) => BARRIER.waitSync(options as never),
  ],
  [
    'lock mutex "m"',
    (options) => MUTEX.lock(options as never),
    (options) => MUTEX.lockSync(options as never),
  ],
  ["wait for node 3", (options) => node.waitForPeer(3, options as never)],
  ["call job", (options) => JOB.on(3, options as never)],
  ["call job", (options) => JOB.onAll(options as never)],
];

/** What every wait refuses, in the words behind what it is for. */
const WAIT_CASES: readonly Case[] = [
  [null, TypeError, "with null: give options as an object, such as { timeoutMs: 1000 }"],
  [5, TypeError, "with 5: give options as an object, such as { timeoutMs: 1000 }"],
  [
    AbortSignal.timeout,
    TypeError,
    "with a function: give options as an object, such as { timeoutMs: 1000 }",
  ],
  [{ timeoutMs: "5" }, TypeError, `within "5" ms: ${TIME}`],
  [{ timeoutMs: null }, TypeError, `within null ms: ${TIME}`],
  [{ timeoutMs: 5n }, TypeError, `within 5n ms: ${TIME}`],
  [{ timeoutMs: -1 }, RangeError, `within -1 ms: ${TIME}`],
  [{ timeoutMs: NaN }, RangeError, `within NaN ms: ${TIME}`],
  [{ timeoutMs: Infinity }, RangeError, `within Infinity ms: ${TIME}`],
  [{ timeoutMs: 2 ** 31 }, RangeError, `within 2147483648 ms: ${TIME}`],
];

/** What those refuse that do not block, and those that do. */
const ASYNC_CASES: readonly Case[] = [
  [{ timeout: 5 }, TypeError, "with the option timeout: use timeoutMs or signal"],
  [
    new AbortController().signal,
    TypeError,
    "with an AbortSignal alone: give it as { signal }",
  ],
  [{ signal: "now" }, TypeError, 'with "now" as signal: give an AbortSignal'],
  [{ signal: new AbortController() }, TypeError, "with an object as signal: give an AbortSignal"],
];
const SYNC_CASES: readonly Case[] = [
  [{ timeout: 5 }, TypeError, "with the option timeout: the only one is timeoutMs"],
  [
    { signal: new AbortController().signal },
    TypeError,
    "with the option signal: the only one is timeoutMs",
  ],
];

/** Checks what an action throws, or rejects with. */
async function assertRefused(action: () => unknown, Wrong: Case[1], message: string) {
  const error = await assertRejects(async () => await action(), Error);
  assertEquals([error.constructor.name, error.message], [Wrong.name, message]);
}

for (const [what, give, cases] of TABLE) {
  Deno.test(`NodeThread checks what is given to ${what}, and says what can be`, async () => {
    for (const [argument, Wrong, message] of cases) {
      await assertRefused(() => give(argument), Wrong, message);
    }
  });
}

for (const [what, wait, block] of WAITS) {
  Deno.test(`checkWait: options that cannot be used to ${what} are named, and what can`, async () => {
    for (const [options, Wrong, message] of [...WAIT_CASES, ...ASYNC_CASES]) {
      await assertRefused(() => wait(options), Wrong, `Cannot ${what} ${message}`);
    }
    if (block === undefined) return;
    for (const [options, Wrong, message] of [...WAIT_CASES, ...SYNC_CASES]) {
      assertThrows(() => block(options), Wrong, `Cannot ${what} ${message}`);
    }
  });
}

Deno.test("semaphoreKey: keys are taken in each way to write them", () => {
  assertEquals(node.semaphore(-1).key, 2n ** 64n - 1n);
  assertEquals(node.semaphore(2n ** 64n - 1n).key, 2n ** 64n - 1n);
  assertEquals(node.semaphore(2 ** 53 - 1).key, 2n ** 53n - 1n);
  assertEquals(node.semaphore(-(2n ** 63n)).key, 2n ** 63n);
});

/** What must compile, and what must not: `deno check` fails where an expected error is not one. */

import { assertEquals } from "@std/assert";
import { RpcProgram } from "./program.ts";
import type { RpcAnswer } from "./types.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true
  : false;

/** Compiles only where the two types are the same. */
function same<A, B>(_same: Same<A, B>): void {}

const program = new RpcProgram();
const add = program.define("add", (a: number, b: number): number => a + b);
const find = program.define("find", async (name: string, from = 0): Promise<string | null> => {
  return await Promise.resolve(name.charAt(from) || null);
});
const bump = program.define("bump", (cells: Int32Array): void => {
  Atomics.add(cells, 0, 1);
});
const sum = program.define("sum", (...parts: bigint[]): { total: bigint } => ({
  total: parts.reduce((total, part) => total + part, 0n),
}));

/** Never run: what counts is whether it compiles. */
async function compiled(): Promise<void> {
  same<ReturnType<typeof add>, Promise<number>>(true);
  same<Parameters<typeof add>, [a: number, b: number]>(true);
  same<ReturnType<typeof find>, Promise<string | null>>(true);
  same<ReturnType<typeof bump>, Promise<void>>(true);
  same<ReturnType<ReturnType<typeof add.on>>, Promise<number>>(true);
  same<ReturnType<ReturnType<typeof sum.onAll>>, Promise<RpcAnswer<{ total: bigint }>[]>>(true);
  await add(1, 2);
  await find("a");
  await find.on(2, { timeoutMs: 1 })("a", 1);
  await sum();
  await sum.onAll({ signal: AbortSignal.timeout(1) })(1n, 2n, 3n);
  // @ts-expect-error: procedures are functions.
  program.define("number", 1);
  // @ts-expect-error: a parameter has no type.
  program.define("untyped", (value) => value);
  // @ts-expect-error: an argument is missing.
  await add(1);
  // @ts-expect-error: an argument is too many.
  await add(1, 2, 3);
  // @ts-expect-error: an argument is of another type.
  await add(1, "2");
  // @ts-expect-error: the same on a node.
  await add.on(2)(1, "2");
  // @ts-expect-error: the same on all nodes.
  await add.onAll()(1, "2");
  // @ts-expect-error: another kind of array.
  await bump(new Float64Array(1));
  // @ts-expect-error: the result is a number.
  (await add(1, 2)).length;
  // @ts-expect-error: the result is a promise.
  add(1, 2) + 1;
  // @ts-expect-error: nodes have numbers.
  add.remote = "2";
  // @ts-expect-error: so they have here.
  add.on("2");
  // @ts-expect-error: there is no such option.
  add.on(2, { timeout: 1 });
  // @ts-expect-error: the name is given once.
  add.name = "other";
}

Deno.test("RpcProgram: stubs bear the names of their procedures", () => {
  assertEquals([add, find, bump, sum].map(({ name }) => name), ["add", "find", "bump", "sum"]);
  assertEquals(typeof compiled, "function");
});

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { join } from "./join.ts";
import type { Node } from "./node.ts";
import type { ReducibleArray } from "./reduce.ts";

/** Three nodes that were started together, and one that came later. */
async function startThree(): Promise<AsyncDisposable & { nodes: Node[]; later: Node }> {
  const stack = new AsyncDisposableStack();
  const options = { nodes: 3, size: "16MiB" };
  const first = stack.use(await join({ ...options, directory: true, port: 0 }));
  const directoryAddress = `127.0.0.1:${first.port}`;
  const others = [2, 3, 4].map(() => join({ ...options, directoryAddress }));
  const all = (await Promise.all(others)).toSorted((a, b) => a.id - b.id);
  for (const node of all) stack.use(node);
  const nodes = [first, ...all.slice(0, 2)];
  return { nodes, later: all[2]!, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("reduce: every node gets what all arrays come to, in the order of the nodes", async () => {
  await using three = await startThree();
  const { nodes, later } = three;
  const all = <Values extends ReducibleArray>(
    of: (id: number) => Values,
    combine: (a: Values[number], b: Values[number]) => Values[number],
    options?: { name: string },
  ): Promise<Values[]> =>
    Promise.all(nodes.map((node) => node.reduce(of(node.id), combine, options)));
  const thrice = <Value>(value: Value): Value[] => [value, value, value];
  const mine = (id: number) => Float64Array.of(id, 2 * id);
  assertEquals(await all(mine, (a, b) => a + b), thrice(Float64Array.of(6, 12)));
  // One name, again and again.
  assertEquals(await all(mine, Math.max), thrice(Float64Array.of(3, 6)));
  assertEquals(await all(mine, (a, b) => 10 * a + b), thrice(Float64Array.of(123, 246)));
  // More than a page, and numbers of another kind.
  const long = (id: number) => new BigInt64Array(1000).fill(BigInt(id));
  const products = await all(long, (a, b) => a * b, { name: "products" });
  assertEquals(products, thrice(new BigInt64Array(1000).fill(6n)));

  // A function that throws on one node holds up no other one.
  const threw = nodes.map((node) =>
    node.reduce(mine(node.id), (a, b) => {
      if (node.id === 2) throw new Error("not here");
      return a + b;
    }).catch(({ message }: Error) => message)
  );
  assertEquals((await Promise.all(threw))[1], "not here");

  const error = await assertRejects(() => later.reduce(Int8Array.of(1), Math.min), TdsmError);
  assertEquals(error.code, "InvalidOption");
  assertStringIncludes(error.message, "node 4 is none of the 3 that were started together");
  const other = nodes[0]!.reduce(Float64Array.of(1), Math.min);
  const conflict = await assertRejects(() => other, TdsmError);
  assertEquals(conflict.code, "NameConflict");
});

Deno.test("reduce: what cannot be reduced is named", async () => {
  await using node = await join({ directory: true, port: 0 });
  const reduce = node.reduce.bind(node) as (...args: unknown[]) => Promise<unknown>;
  const cases: [args: unknown[], message: string][] = [
    [[[1], Math.max], "Cannot reduce an array: give a typed array with an element or more"],
    [[new Int8Array(), Math.max], "give a typed array with an element or more"],
    [[new DataView(new ArrayBuffer(8)), Math.max], "give a typed array with an element or more"],
    [[Int8Array.of(1), "sum"], 'Cannot reduce with "sum": give a function of two elements'],
    [[Int8Array.of(1), Math.max, { nam: "a" }], "nam"],
  ];
  for (const [args, message] of cases) {
    const error = await assertRejects(() => reduce(...args), TypeError);
    assertStringIncludes(error.message, message);
  }
  const values = Int32Array.of(1, 2);
  const result = await node.reduce(values, Math.max);
  assertEquals([result, result === values], [values, false]);
});

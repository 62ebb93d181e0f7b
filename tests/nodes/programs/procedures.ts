/** Remote procedures of tests. Loaded, they are in `procedures` of the global scope. */

import { rpc } from "../../../mod.ts";

const echo = rpc("echo", (value: unknown): unknown => value);
const describe = rpc("describe", (value: unknown): string => Deno.inspect(value, { depth: 9 }));
const processId = rpc("process id", (): number => Deno.pid);
const add = rpc("add", async (a: number, b: number): Promise<number> => {
  // Answers come in another order than calls.
  if (a % 3 === 0) await new Promise((resolve) => setTimeout(resolve, a % 7));
  return a + b;
});
const checksum = rpc("checksum", (bytes: Uint8Array): number => {
  return bytes.reduce((sum, byte) => Math.imul(sum, 31) + byte | 0, 0);
});
const produce = rpc("produce", (length: number): Uint8Array => new Uint8Array(length).fill(7));

/** Views of the region, inside of other values. */
interface Grid {
  readonly name: string;
  readonly rows: Int32Array[];
}
const bumpRows = rpc("bump rows", ({ name, rows }: Grid): Grid => {
  for (const row of rows) row.forEach((cell, index) => row[index] = cell + 1);
  return { name: `${name}!`, rows: rows.slice(1).map((row) => row.subarray(1)) };
});
const reject = rpc("reject", (): never => {
  throw Object.assign(new RangeError("no such cell", { cause: new Error("it is gone") }), {
    code: "NoCell",
  });
});
const wait = rpc("wait", (): Promise<void> => {
  console.error("waiting for ever");
  return new Promise((resolve) => setTimeout(resolve, 2 ** 30));
});
const countDown: Recursive = rpc(
  "count down",
  async (left: number, here: number, there: number): Promise<number[]> => {
    const rest = left === 0 ? [] : await countDown.on(there)(left - 1, there, here);
    return [Deno.pid, ...rest];
  },
);

/** `countDown` refers to itself, so its type must be written. */
type Recursive = ReturnType<
  typeof rpc<(left: number, here: number, there: number) => Promise<number[]>>
>;

/** All of them, by name. */
export interface Procedures {
  readonly echo: typeof echo;
  readonly describe: typeof describe;
  readonly processId: typeof processId;
  readonly add: typeof add;
  readonly checksum: typeof checksum;
  readonly produce: typeof produce;
  readonly bumpRows: typeof bumpRows;
  readonly reject: typeof reject;
  readonly wait: typeof wait;
  readonly countDown: typeof countDown;
}

const procedures: Procedures = {
  echo,
  describe,
  processId,
  add,
  checksum,
  produce,
  bumpRows,
  reject,
  wait,
  countDown,
};
Object.assign(globalThis, { procedures });

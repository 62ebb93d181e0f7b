import { assertEquals } from "@std/assert";
import { WASM_PAGE_BYTES } from "../limits.ts";
import { Errno } from "./errno.ts";
import { makeThreadImports, type ThreadContext } from "./thread_imports.ts";

/** The functions that a thread executes itself, and for how long it has slept. */
function ownFunctions(): {
  functions: Record<string, (...args: (number | bigint)[]) => number>;
  view: DataView;
  slept: number[];
} {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const slept: number[] = [];
  const context = {
    node: { id: 1, wasmImports: () => ({ memory }) },
    parts: {
      memory: { memory },
      memoryImport: { module: "env", name: "memory" },
      nodes: [1],
      clockOffsetNs: 0n,
    },
    call: () => Errno.Io,
    yield: () => {},
    sleep: (ms: number) => slept.push(ms),
  } as unknown as ThreadContext;
  const functions = makeThreadImports(context)["wasi_snapshot_preview1"] as ReturnType<
    typeof ownFunctions
  >["functions"];
  return { functions, view: new DataView(memory.buffer), slept };
}

Deno.test("makeThreadImports: what leads out of the memory is a fault, however much it would be", () => {
  const { functions } = ownFunctions();
  const { poll_oneoff, random_get, clock_time_get, clock_res_get } = functions;
  for (const count of [WASM_PAGE_BYTES / 48 + 1, 0x7fff_ffff, -1]) {
    assertEquals(poll_oneoff!(0, 0, count, 0), Errno.Fault);
  }
  assertEquals(random_get!(WASM_PAGE_BYTES - 8, 9), Errno.Fault);
  assertEquals(random_get!(0, -1), Errno.Fault);
  assertEquals(clock_time_get!(0, 0n, -4), Errno.Fault);
  assertEquals(clock_res_get!(0, WASM_PAGE_BYTES - 7), Errno.Fault);
});

Deno.test("makeThreadImports: poll_oneoff sleeps until the first clock is due, and tells that one", () => {
  const { functions, view, slept } = ownFunctions();
  const [EVENTS, FOUND, MILLISECOND_NS] = [1024, 2048, 1_000_000n];
  for (const [index, timeoutMs] of [30n, 20n].entries()) {
    view.setBigUint64(48 * index, BigInt(index + 7), true);
    view.setBigUint64(48 * index + 24, timeoutMs * MILLISECOND_NS, true);
  }
  assertEquals(functions["poll_oneoff"]!(0, EVENTS, 2, FOUND), Errno.Success);
  assertEquals([slept, view.getUint32(FOUND, true)], [[20], 1]);
  assertEquals(view.getBigUint64(EVENTS, true), 8n);
  assertEquals(functions["poll_oneoff"]!(0, EVENTS, 0, FOUND), Errno.Invalid);
});

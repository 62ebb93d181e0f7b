import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { NativeRegion } from "../../ffi/native.ts";
import { Call } from "../ring/calls.ts";
import { closedError, type EngineClient } from "../ring/client.ts";
import type { RecordBody } from "../ring/ring.ts";
import { TdsmError } from "../errors.ts";
import { show } from "../arguments/show.ts";
import { BareThread } from "../../tests/support/bare_thread.ts";

const SIZE = 4 * 4096;

/** A thread's node whose engine is the test. */
class Bench {
  readonly asked: [call: Call, argument: unknown][] = [];
  readonly posted: [call: number, key: bigint][] = [];
  /** What calls are answered with. */
  answer: () => unknown = () => null;
  readonly node: BareThread;
  /** Whether the node was closed, as `close` and `detach` do. */
  closed = false;

  constructor() {
    const client = {
      refusal: (what: string) => this.closed ? closedError(what) : undefined,
      call: (call: Call, argument: unknown) => {
        this.asked.push([call, argument]);
        return Promise.try(this.answer);
      },
      post: ({ kind, key }: RecordBody) => void this.posted.push([kind, key]),
    };
    const window = new Uint8Array(SIZE).fill(0xa5);
    const region = {
      size: SIZE,
      pageSize: 4096,
      userModeOnly: false,
      window: () => window,
      windowAddress: Deno.UnsafePointer.value(Deno.UnsafePointer.of(window)),
    };
    this.node = new BareThread({
      id: 2,
      address: "127.0.0.1",
      port: 4000,
      rank: undefined,
      nodeCount: 1,
      region: region as unknown as NativeRegion,
      shared: "it has no engine",
      client: client as unknown as EngineClient,
    });
  }
}

Deno.test("NodeThread.alloc zeroes the bytes that were used before, and no others", async () => {
  const bench = new Bench();
  const { node } = bench;
  bench.answer = () => ({ offset: 4096, dirtyBytes: 5, created: true });
  const cells = await node.alloc(Int32Array, 3, { packed: true, align: 64 });
  assertEquals([cells.byteOffset, cells.length], [4096, 3]);
  const around = node.memory.subarray(4096 - 2, 4096 + 12 + 2);
  const [old, zero] = [0xa5, 0];
  assertEquals([...around], [
    ...[old, old],
    ...[old, old, old, old, old, old, old, zero, zero, zero, zero, zero],
    ...[old, old],
  ]);
  assertEquals(bench.asked, [
    [Call.Allocate, { type: "Int32Array", length: 3, packed: true, align: 64 }],
  ]);
  // Else the engine would free them when this thread ends.
  assertEquals(bench.posted, [[Call.Taken, 4096n]]);
});

Deno.test("NodeThread.alloc zeroes the whole pages that its node has kept", async () => {
  const bench = new Bench();
  const { node } = bench;
  const reused = [{ first: 1, count: 1 }];
  bench.answer = () => ({ offset: 4096, dirtyBytes: 0, reused, created: true });
  const cells = await node.alloc(Uint8Array, 10);
  assertEquals(cells.length, 10);
  const old = 0xa5;
  const around = [4095, 4096, 4106, 8191, 8192].map((byte) => node.memory[byte]);
  assertEquals(around, [old, 0, 0, 0, old]);
});

Deno.test("NodeThread.alloc says when cells with a name are zero, if they were not", async () => {
  const bench = new Bench();
  bench.answer = () => ({ offset: 8192, dirtyBytes: 8, created: true });
  const cells = await bench.node.alloc(Float64Array, 1, { name: "grid" });
  assertEquals([cells[0], cells.byteOffset], [0, 8192]);
  assertEquals(bench.posted, [[Call.Taken, 8192n]]);
  bench.answer = () => ({ offset: 8192, dirtyBytes: 0, created: false });
  cells[0] = 42;
  const same = await bench.node.alloc(Float64Array, 1, { name: "grid" });
  assertEquals([same[0], bench.posted.length], [42, 1]);
});

Deno.test("NodeThread.alloc refuses what makes no sense before anybody is asked", async () => {
  const bench = new Bench();
  const { node } = bench;
  for (const length of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    await assertRejects(() => node.alloc(Int32Array, length), RangeError, "the length must be");
  }
  for (const align of [0, 3, -4, 0.5]) {
    await assertRejects(() => node.alloc(Int32Array, 1, { align }), RangeError, "power of two");
  }
  for (const name of ["", "x".repeat(256), "\ud800"]) {
    await assertRejects(() => node.alloc(Int32Array, 1, { name }), RangeError, "a name must be");
  }
  assertEquals(bench.asked, []);
});

Deno.test("NodeThread.alloc whose node is closed meanwhile touches no memory", async () => {
  const bench = new Bench();
  bench.answer = () => {
    bench.closed = true;
    return { offset: 0, dirtyBytes: 4, created: true };
  };
  const error = await assertRejects(() => bench.node.alloc(Int32Array, 1), TdsmError);
  assertEquals([error.code, bench.node.memory[0]], ["NodeClosed", 0xa5]);
});

Deno.test("NodeThread.alloc passes on why there is nothing", async () => {
  const bench = new Bench();
  bench.answer = () => {
    throw new TdsmError("OutOfMemory", "planted");
  };
  await assertRejects(() => bench.node.alloc(Int32Array, 1), TdsmError, "planted");
});

Deno.test("NodeThread.offsetOf and at lead from a view to its offset and back", () => {
  const { node } = new Bench();
  const cells = node.view(Float64Array, 4096, 2);
  assertEquals(node.offsetOf(cells.subarray(1)), 4104);
  const same = node.at(Float64Array, node.offsetOf(cells), 2);
  same[1] = 7;
  assertEquals(cells[1], 7);
  assertThrows(() => node.offsetOf(new Uint8Array(8)), RangeError, "not over the region");
  for (const none of [undefined, null, 4096, {}]) {
    const text = `Cannot tell the offset of ${show(none)}: give a typed array over the region`;
    assertThrows(() => node.offsetOf(none as never), TypeError, text);
  }
});

Deno.test("NodeThread.free asks for the whole view, and refuses what cannot be one", async () => {
  const bench = new Bench();
  const { node } = bench;
  await node.free(node.view(Float64Array, 4096, 2));
  assertEquals(bench.asked, [[Call.Free, { offset: 4096, bytes: 16 }]]);
  const foreign = [new Uint8Array(8), node.view(Int32Array, 0, 0)];
  for (const view of foreign) {
    const error = await assertRejects(() => node.free(view), TdsmError, "Cannot free");
    assertEquals(error.code, "NotAllocated");
  }
  for (const none of [undefined, null, 4096, {}]) {
    const text = `Cannot free ${show(none)}: give a typed array over the region`;
    await assertRejects(() => node.free(none as never), TypeError, text);
  }
  assertEquals(bench.asked.length, 1);
  bench.answer = () => {
    throw new TdsmError("NotAllocated", "planted");
  };
  await assertRejects(() => node.free(node.view(Int32Array, 0, 1)), TdsmError, "planted");
});

Deno.test("closedError names what was wanted", () => {
  const { code, message, operation } = closedError("free");
  assertEquals([code, message, operation], [
    "NodeClosed",
    "Cannot free: the node is closed",
    "free",
  ]);
});

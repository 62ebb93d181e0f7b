import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { TdsmLibrary } from "../../ffi/library.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import { Call } from "../ring/calls.ts";
import { closedError, type EngineClient } from "../ring/client.ts";
import type { RecordBody } from "../ring/ring.ts";
import { TdsmError } from "../errors.ts";
import { newNode, type Node } from "./node.ts";

const SIZE = 16 * 4096;

/** A node whose engine is the test. */
class Bench {
  readonly asked: [call: Call, argument: unknown][] = [];
  /** How often calls that were under way were ended. */
  ends = 0;
  /** How the engine was ended: whether it had closed before. */
  readonly terminations: boolean[] = [];
  closings = 0;
  /** What the engine answers when it is to close. */
  close: () => Promise<boolean> = () => Promise.resolve(true);
  /** What calls are answered with. */
  answer: (call: Call) => unknown = () => null;
  readonly node: Node;

  constructor() {
    const ask = (call: Call, argument: unknown): unknown => {
      this.asked.push([call, argument]);
      return this.answer(call);
    };
    const client = {
      refusal: (what: string) => this.closings > 0 ? closedError(what) : undefined,
      call: (call: Call, argument?: unknown) => Promise.try(ask, call, argument),
      callSync: ask,
      start: ({ kind, id }: RecordBody, what: string) => {
        assertEquals(what, `wait for node ${id}`);
        return { id: 1, answer: Promise.try(ask, kind as Call, id).then(() => ({ kind: 0 })) };
      },
      close: () => {
        this.closings++;
        return this.close();
      },
      end: () => void this.ends++,
    };
    const region = {
      size: SIZE,
      pageSize: 4096,
      userModeOnly: false,
      window: () => new Uint8Array(SIZE),
    };
    this.node = newNode({
      id: 2,
      address: "127.0.0.1",
      port: 4000,
      rank: undefined,
      nodeCount: 1,
      region: region as unknown as NativeRegion,
      client: client as unknown as EngineClient,
      library: { path: "libtdsm.so" } as TdsmLibrary,
      shared: "it has no engine",
      atomics: false,
      slots: new SharedArrayBuffer(0),
      closed: new Promise(() => {}),
      terminate: (orderly: boolean) => {
        this.terminations.push(orderly);
        return Promise.resolve();
      },
    });
  }
}

Deno.test("Node.view gives typed arrays over the region, that share its bytes", () => {
  const { node } = new Bench();
  const cells = node.view(Int32Array, 4096, 16);
  cells[3] = 0x01020304;
  assertEquals([...node.memory.subarray(4096 + 12, 4096 + 16)], [4, 3, 2, 1]);
  assertEquals(node.view(Float64Array, SIZE - 8, 1).length, 1);
  assertEquals(node.view(Uint8Array, 0, SIZE).length, SIZE);
  assertEquals(node.view(BigInt64Array, SIZE, 0).length, 0);
});

Deno.test("Node.view and Node.alloc refuse what is no constructor of typed arrays, by its name", async () => {
  const { node } = new Bench();
  const types: [Type: unknown, shown: string][] = [
    [Array, "Array"],
    [DataView, "DataView"],
    [undefined, "undefined"],
    ["Int32Array", '"Int32Array"'],
    [new Int32Array(1), "Int32Array(1) [ 0 ]"],
    [() => {}, "[Function (anonymous)]"],
  ];
  for (const [Type, shown] of types) {
    const rest = `${shown}: give the constructor of a typed array, such as Int32Array`;
    const given = Type as Int32ArrayConstructor;
    const viewed = assertThrows(() => node.view(given, 0, 1), TypeError);
    assertEquals(viewed.message, `Cannot view ${rest}`);
    const allocated = await assertRejects(() => node.alloc(given, 1), TypeError);
    assertEquals(allocated.message, `Cannot allocate ${rest}`);
  }
});

Deno.test("Node.view refuses what is outside of the region, or not aligned", () => {
  const { node } = new Bench();
  const outside: [byteOffset: number, length: number][] = [
    [-4, 1],
    [0, -1],
    [SIZE, 1],
    [SIZE - 4, 2],
    [0, SIZE / 4 + 1],
    [2 ** 60, 1],
  ];
  for (const [byteOffset, length] of outside) {
    assertThrows(
      () => node.view(Int32Array, byteOffset, length),
      RangeError,
      `Cannot view Int32Array of ${length} at byte ${byteOffset}: the region has ${SIZE} bytes`,
    );
  }
  assertThrows(() => node.view(Int32Array, 2, 1), RangeError, "must be a multiple of 4");
  const notWhole: [byteOffset: unknown, length: unknown, Wrong: ErrorConstructor, shown: string][] =
    [
      [0.5, 1, RangeError, "1 at byte 0.5"],
      [0, 1.5, RangeError, "1.5 at byte 0"],
      [NaN, 1, RangeError, "1 at byte NaN"],
      [0, Infinity, RangeError, "Infinity at byte 0"],
      [0, undefined, TypeError, "undefined at byte 0"],
      [0n, 1, TypeError, "1 at byte 0n"],
      ["4", 1, TypeError, '1 at byte "4"'],
    ];
  for (const [byteOffset, length, Wrong, shown] of notWhole) {
    assertThrows(
      () => node.view(Int32Array, byteOffset as number, length as number),
      Wrong,
      `Cannot view Int32Array of ${shown}: the byte and the length must be whole numbers`,
    );
  }
});

Deno.test("Node.waitForPeer refuses what is no id, and passes on what the engine answers", async () => {
  const bench = new Bench();
  for (const id of [0, -1, 1.5, NaN, Infinity, 2 ** 32 - 1]) {
    await assertRejects(() => bench.node.waitForPeer(id), RangeError, `Cannot use ${id} as the id`);
  }
  assertEquals(bench.asked, []);
  await bench.node.waitForPeer(3);
  assertEquals(bench.asked, [[Call.WaitForPeer, 3]]);
  bench.answer = () => {
    throw new TdsmError("PeerLost", "planted");
  };
  await assertRejects(() => bench.node.waitForPeer(3), TdsmError, "planted");
});

Deno.test("Node.peers and Node.stats give what the engine answers", () => {
  const bench = new Bench();
  bench.answer = (call) => call === Call.Peers ? [{ id: 1, address: "a", port: 2 }] : { faults: 3 };
  assertEquals(bench.node.peers(), [{ id: 1, address: "a", port: 2 }]);
  assertEquals(bench.node.stats().faults, 3);
});

Deno.test("Node.close leaves once, ends the engine, and empties every view", async () => {
  const bench = new Bench();
  const { node } = bench;
  const cells = node.view(Int32Array, 0, 4);
  const both = [node.close(), node[Symbol.asyncDispose]()];
  assertEquals(both[0], both[1]);
  assertEquals([node.memory.length, cells.length], [0, 0]);
  assertEquals(bench.terminations, []);
  await Promise.all(both);
  await node.close();
  assertEquals([bench.closings, bench.terminations], [1, [true]]);
});

Deno.test("Node that is closed, or closes, says so to each caller", async () => {
  const bench = new Bench();
  const { node } = bench;
  const gate = Promise.withResolvers<boolean>();
  bench.close = () => gate.promise;
  const closing = node.close();
  const refused = [
    () => node.view(Int32Array, 0, 1),
    () => node.peers(),
    () => node.stats(),
  ];
  for (const operation of refused) {
    const error = assertThrows(operation, TdsmError, "the node is closed");
    assertEquals((error as TdsmError).code, "NodeClosed");
  }
  await assertRejects(() => node.waitForPeer(3), TdsmError, "the node is closed");
  assertEquals(bench.ends, 0);
  gate.resolve(true);
  await closing;
  // Calls that were under way end too: nobody answers them any more.
  assertEquals(bench.ends, 1);
});

Deno.test("Node.close of a node that cannot go on ends its engine all the same", async () => {
  const bench = new Bench();
  bench.close = () => Promise.resolve(false);
  await bench.node.close();
  assertEquals([bench.terminations, bench.ends], [[false], 1]);
});

import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { RegionMemory } from "./memory.ts";

const SIZE = 64 * 4096;

/** A region all of whose pages are there. */
class Bench implements Disposable {
  readonly #library = openLibrary();
  readonly region = NativeRegion.open(this.#library, { size: SIZE, pageSize: 4096 });
  readonly memory: RegionMemory;

  constructor() {
    this.region.install(0, 64, true);
    this.memory = new RegionMemory(this.region);
  }

  [Symbol.dispose](): void {
    this.memory.end();
    this.region[Symbol.dispose]();
    this.#library[Symbol.dispose]();
  }
}

/** What takes a buffer away, and what has it then. */
const TAKINGS: Record<string, (view: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>> = {
  "the reader of a byte stream": async (view) => {
    const bytes = new ReadableStream({
      type: "bytes",
      start(controller) {
        controller.enqueue(new Uint8Array(view.length).fill(9));
        controller.close();
      },
    });
    const { value } = await bytes.getReader({ mode: "byob" }).read(view);
    return value!;
  },
  "structuredClone with a transfer": (view) => {
    const clone = structuredClone(view, { transfer: [view.buffer] });
    clone.fill(9);
    return Promise.resolve(clone);
  },
  "ArrayBuffer.transfer": (view) => {
    const { byteOffset, length } = view;
    const moved = new Uint8Array(view.buffer.transfer(), byteOffset, length);
    moved.fill(9);
    return Promise.resolve(moved);
  },
};

for (const [what, take] of Object.entries(TAKINGS)) {
  Deno.test(`RegionMemory: ${what} takes a buffer, and the next is over the same cells`, async () => {
    using bench = new Bench();
    const { memory } = bench;
    const before = memory.bytes;
    assertStrictEquals(memory.bytes, before);
    const taken = await take(before.subarray(4096, 4096 + 16));
    assertEquals(before.length, 0);
    // Not even before another buffer is asked for.
    assertEquals(memory.offsetOf(before), undefined);
    const after = memory.bytes;
    assertNotStrictEquals(after, before);
    assertEquals(after.length, SIZE);
    assertEquals([...after.subarray(4095, 4096 + 17)], [0, ...Array(16).fill(9), 0]);
    // What was taken still shows the region.
    assertEquals([taken.length, memory.offsetOf(taken)], [16, 4096]);
    assertEquals(memory.offsetOf(after.subarray(7)), 7);
  });
}

Deno.test("RegionMemory: views of other windows are of the region, all others are not", () => {
  using bench = new Bench();
  const { memory, region } = bench;
  const other = new Uint8Array(8192);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(other));
  assertEquals(memory.offsetOf(other), undefined);
  const remove = memory.addWindow({ address, size: 4096, regionByte: 8 * 4096 });
  assertEquals(memory.offsetOf(other.subarray(0, 1)), 8 * 4096);
  assertEquals(memory.offsetOf(new DataView(other.buffer, 4090, 6)), 8 * 4096 + 4090);
  // Half of it is elsewhere.
  assertEquals(memory.offsetOf(other.subarray(4090, 4097)), undefined);
  assertEquals(memory.offsetOf(other.subarray(4096)), undefined);
  assertEquals(memory.offsetOf(new Int32Array(new SharedArrayBuffer(4))), undefined);
  assertEquals(memory.offsetOf(region.alias()), undefined);
  remove();
  assertEquals(memory.offsetOf(other.subarray(0, 1)), undefined);
});

Deno.test("RegionMemory: once it has ended it is empty, also where its buffer had been taken", () => {
  using bench = new Bench();
  const { memory } = bench;
  memory.bytes.buffer.transfer();
  memory.end();
  assert(memory.ended);
  assertEquals(memory.bytes.length, 0);
  using other = new Bench();
  const { bytes } = other.memory;
  other.memory.end();
  other.memory.end();
  assertEquals([bytes.length, other.memory.bytes.length], [0, 0]);
  assertEquals(other.memory.offsetOf(bytes), undefined);
});

import { assertEquals, assertThrows } from "@std/assert";
import { ALLOCATION_NAME_MAX_BYTES } from "../../limits.ts";
import { type Allocation, Allocator, type AllocatorOptions } from "./allocator.ts";
import type { AllocationError, AllocationRequest } from "./messages.ts";

const PAGE = 4096;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;

function create(options: Partial<AllocatorOptions> = {}): Allocator {
  return new Allocator({ size: 16 * PAGE, pageSize: PAGE, reservedBytes: 0, ...options });
}

/** Allocates what there must be room for. */
function allocate(
  allocator: Allocator,
  node: number,
  type: AllocationRequest["type"],
  length: number,
  options: Partial<AllocationRequest> = {},
): Allocation {
  const result = allocator.allocate(node, { type, length, ...options });
  if (result.kind !== "allocated") throw new Error(`Not allocated: ${JSON.stringify(result)}`);
  return result;
}

/** Asks for what must be refused. */
function refusal(allocator: Allocator, request: AllocationRequest): [string, string] {
  const result = allocator.allocate(1, request) as AllocationError;
  assertEquals(result.kind, "error");
  return [result.code, result.message];
}

function freeRefusal(result: ReturnType<Allocator["free"]>): [string, string] {
  if (result.kind !== "error") throw new Error(`Freed: ${JSON.stringify(result)}`);
  return [result.code, result.message];
}

Deno.test("Allocator: whole pages, from the top of the region downwards", () => {
  const allocator = create();
  assertEquals(allocate(allocator, 1, "Uint8Array", 1).offset, 15 * PAGE);
  assertEquals(allocate(allocator, 2, "Float64Array", 513).offset, 13 * PAGE);
  assertEquals(allocate(allocator, 1, "Uint8Array", 13 * PAGE).offset, 0);
  assertEquals(allocator.statistics().freeBytes, 0);
});

Deno.test("Allocator: the highest hole that fits is taken, not the largest", () => {
  const allocator = create();
  const [high] = [1, 2, 3].map(() => allocate(allocator, 1, "Uint8Array", PAGE));
  allocator.free(2, high!.offset, PAGE);
  assertEquals(allocate(allocator, 3, "Int8Array", 2 * PAGE).offset, 11 * PAGE);
  assertEquals(allocate(allocator, 3, "Int8Array", 1).offset, high!.offset);
});

Deno.test("Allocator: reserved bytes are never given out", () => {
  const allocator = create({ reservedBytes: PAGE + 1 });
  assertEquals(allocate(allocator, 1, "Uint8Array", 14 * PAGE).offset, 2 * PAGE);
  assertEquals(refusal(allocator, { type: "Uint8Array", length: 1 })[0], "OutOfMemory");
  assertEquals(create({ reservedBytes: 16 * PAGE }).statistics().largestHoleBytes, 0);
});

Deno.test("Allocator: a region that is not made of whole pages is a bug of the caller", () => {
  assertThrows(() => create({ size: PAGE + 1 }), RangeError);
  assertThrows(() => create({ reservedBytes: 17 * PAGE }), RangeError);
  assertThrows(() => create({ pageSize: 4 }), RangeError);
});

Deno.test("Allocator: only bytes that were used before are to be zeroed", () => {
  const allocator = create();
  const first = allocate(allocator, 1, "Uint8Array", 2 * PAGE);
  assertEquals([first.dirtyBytes, first.created], [0, true]);
  allocator.free(1, first.offset, 2 * PAGE);
  // It takes the two used pages and one below them that no node had.
  const second = allocate(allocator, 1, "Uint8Array", 3 * PAGE - 100);
  assertEquals([second.offset, second.dirtyBytes], [13 * PAGE, 2 * PAGE - 100]);
  assertEquals(allocate(allocator, 1, "Uint8Array", PAGE).dirtyBytes, 0);
});

Deno.test("Allocator: a hole is dirty from its lowest used byte on", () => {
  const allocator = create({ size: 4 * PAGE });
  const [high, middle, low] = [3, 2, 1].map(() => allocate(allocator, 1, "Uint8Array", PAGE));
  for (const { offset } of [high!, low!, middle!]) allocator.free(1, offset, PAGE);
  assertEquals(allocate(allocator, 1, "Uint8Array", 4 * PAGE).dirtyBytes, 3 * PAGE);
});

Deno.test("Allocator: packed allocations of a node share pages, those of two nodes do not", () => {
  const allocator = create();
  const packed = { packed: true };
  assertEquals(allocate(allocator, 1, "Uint8Array", 3, packed).offset, 16 * PAGE - 8);
  assertEquals(allocate(allocator, 2, "Int32Array", 3, packed).offset, 15 * PAGE - 16);
  assertEquals(allocate(allocator, 1, "Float64Array", 2, packed).offset, 16 * PAGE - 24);
  assertEquals(allocate(allocator, 1, "Uint8Array", 1).offset, 13 * PAGE);
  const { freeBytes, arenaFreeBytes, arenas } = allocator.statistics();
  assertEquals([freeBytes, arenaFreeBytes, arenas], [13 * PAGE, 2 * PAGE - 40, 2]);
});

Deno.test("Allocator: a page of an arena goes back once nothing is on it, whichever node frees", () => {
  const allocator = create();
  const packed = { packed: true };
  const offsets = [1, 2, 3].map(() => allocate(allocator, 7, "Uint8Array", 3000, packed).offset);
  assertEquals(allocator.statistics().freeBytes, 13 * PAGE);
  allocator.free(1, offsets[1]!, 3000);
  assertEquals(allocator.statistics().freeBytes, 14 * PAGE);
  allocator.free(1, offsets[0]!, 3000);
  allocator.free(1, offsets[2]!, 3000);
  assertEquals(allocator.statistics(), {
    allocations: 0,
    names: 0,
    arenas: 0,
    freeBytes: 16 * PAGE,
    largestHoleBytes: 16 * PAGE,
    holes: 1,
    arenaFreeBytes: 0,
  });
});

Deno.test("Allocator: a packed allocation may be larger than a page, and others use what it leaves", () => {
  const allocator = create();
  const packed = { packed: true };
  const { offset } = allocate(allocator, 1, "Uint8Array", PAGE + 16, packed);
  assertEquals(offset, 15 * PAGE - 16);
  const rest = allocate(allocator, 1, "Uint8Array", PAGE - 16, packed);
  assertEquals(rest.offset, 14 * PAGE);
  assertEquals(allocator.statistics().arenaFreeBytes, 0);
});

Deno.test("Allocator: packed cells are dirty only where one was freed", () => {
  const allocator = create();
  const packed = { packed: true };
  const first = allocate(allocator, 1, "Float64Array", 2, packed);
  allocate(allocator, 1, "Float64Array", 2, packed);
  allocator.free(1, first.offset, 16);
  assertEquals(allocate(allocator, 1, "Float64Array", 1, packed), {
    kind: "allocated",
    offset: 16 * PAGE - 8,
    dirtyBytes: 8,
    created: true,
  });
  assertEquals(allocate(allocator, 1, "Float64Array", 2, packed).dirtyBytes, 0);
});

Deno.test("Allocator: an alignment is kept, also where only a small hole has an aligned place", () => {
  const allocator = create();
  const align = 4 * PAGE;
  assertEquals(allocate(allocator, 1, "Uint8Array", 1, { align }).offset, 12 * PAGE);
  assertEquals(allocate(allocator, 1, "Uint8Array", 3 * PAGE).offset, 13 * PAGE);
  assertEquals(allocate(allocator, 1, "Uint8Array", 11 * PAGE).offset, PAGE);
  assertEquals(allocate(allocator, 1, "Uint8Array", 1, { align }).offset, 0);
  const packed = create();
  assertEquals(allocate(packed, 1, "Uint8Array", 1, { packed: true, align: 64 }).offset % 64, 0);
  const { offset } = allocate(packed, 1, "Uint8Array", 5, { packed: true, align: 2 * PAGE });
  assertEquals(offset, 14 * PAGE);
  assertEquals(allocate(packed, 1, "Uint8Array", 9, { packed: true, align: 1 }).offset % 8, 0);
});

Deno.test("Allocator: a name stands for the same cells on every node", () => {
  const allocator = create();
  const grid = allocate(allocator, 1, "Float64Array", 10, { name: "grid" });
  const again = allocate(allocator, 2, "Float64Array", 10, { name: "grid", packed: false });
  assertEquals([grid.created, again.created], [true, false]);
  assertEquals(again.offset, grid.offset);
  assertEquals(allocator.statistics().allocations, 1);
  assertEquals(allocator.free(2, grid.offset, 80), { kind: "freed", name: "grid" });
  assertEquals(allocator.statistics().names, 0);
  assertEquals(allocate(allocator, 3, "Int8Array", 1, { name: "grid" }).created, true);
});

Deno.test("Allocator: a name that stands for something else is refused", () => {
  const allocator = create();
  allocate(allocator, 2, "Float64Array", 10, { name: "grid", packed: true });
  assertEquals(refusal(allocator, { type: "Int32Array", length: 10, packed: true, name: "grid" }), [
    "NameConflict",
    'Cannot allocate "grid" as packed Int32Array of 10: node 2 allocated it as packed ' +
    "Float64Array of 10; ask for the same, or use another name",
  ]);
  const requests: readonly Partial<AllocationRequest>[] = [
    { length: 11 },
    { packed: false },
    { align: 64 },
  ];
  for (const other of requests) {
    const request = { type: "Float64Array", length: 10, packed: true, name: "grid" } as const;
    assertEquals(refusal(allocator, { ...request, ...other })[0], "NameConflict");
  }
});

Deno.test("Allocator: a name is given to others once it is zeroed, or to the next when its node is lost", () => {
  const allocator = create();
  const used = allocate(allocator, 1, "Uint8Array", 100);
  allocator.free(1, used.offset, 100);
  const request = { type: "Uint8Array", length: 100, name: "n" } as const;
  assertEquals(allocator.allocate(1, request), { ...used, dirtyBytes: 100 });
  assertEquals(allocator.allocate(2, request), { kind: "pending" });
  assertEquals(allocator.allocate(1, request), { kind: "pending" });
  assertEquals(allocator.zeroed(2, used.offset), undefined);
  assertEquals(allocator.nodeLost(3), []);
  assertEquals(allocator.nodeLost(1), ["n"]);
  assertEquals(allocator.allocate(2, request), { ...used, dirtyBytes: 100 });
  assertEquals(allocator.zeroed(2, used.offset), "n");
  assertEquals(allocator.zeroed(2, used.offset), undefined);
  assertEquals(allocator.allocate(3, request), { ...used, created: false });
});

Deno.test("Allocator: what a lost node allocated stays, and any node may free it", () => {
  const allocator = create();
  const plain = allocate(allocator, 2, "Uint8Array", 8);
  const packed = allocate(allocator, 2, "Uint8Array", 8, { packed: true });
  assertEquals(allocator.nodeLost(2), []);
  assertEquals(allocator.statistics().allocations, 2);
  assertEquals(allocator.free(1, plain.offset, 8).kind, "freed");
  assertEquals(allocator.free(3, packed.offset, 8).kind, "freed");
  assertEquals(allocator.statistics().freeBytes, 16 * PAGE);
});

Deno.test("Allocator: only what was allocated can be freed, once", () => {
  const allocator = create();
  const { offset } = allocate(allocator, 1, "Uint8Array", 16);
  assertEquals(freeRefusal(allocator.free(1, offset + 8, 8)), [
    "NotAllocated",
    `Cannot free 8 bytes at ${offset + 8}: no allocation begins there; ` +
    "it was freed already, or never was one",
  ]);
  assertEquals(freeRefusal(allocator.free(1, offset, 8)), [
    "NotAllocated",
    `Cannot free 8 bytes at ${offset}: the allocation there has 16; free the view that alloc gave`,
  ]);
  assertEquals(allocator.free(1, offset, 16), { kind: "freed", name: undefined });
  assertEquals(freeRefusal(allocator.free(1, offset, 16))[0], "NotAllocated");
  assertEquals(freeRefusal(allocator.free(1, NaN, 16))[0], "NotAllocated");
});

Deno.test("Allocator: a name that is being zeroed can be given up by the node that zeroes, and by no other", () => {
  const allocator = create();
  const { offset } = allocate(allocator, 1, "Uint8Array", 16);
  allocator.free(1, offset, 16);
  allocate(allocator, 2, "Uint8Array", 16, { name: "n" });
  const expected = [
    "NotAllocated",
    `Cannot free 16 bytes at ${offset}: it was freed already, and what is there now is not ready`,
  ];
  assertEquals<string[]>(freeRefusal(allocator.free(1, offset, 16)), expected);
  assertEquals(allocator.free(2, offset, 16), { kind: "freed", name: "n" });
  assertEquals(allocator.nodeLost(2), []);
  allocate(allocator, 2, "Uint8Array", 16, { name: "n" });
  allocator.nodeLost(2);
  assertEquals<string[]>(freeRefusal(allocator.free(1, offset, 16)), expected);
});

/** An allocator that notes which pages it has cleared since it was last asked. */
function createClearing(): {
  allocator: Allocator;
  cleared: () => [page: number, count: number][];
} {
  const cleared: [page: number, count: number][] = [];
  const allocator = create({
    clear: (offset, bytes) => void cleared.push([offset / PAGE, bytes / PAGE]),
  });
  return { allocator, cleared: () => cleared.splice(0) };
}

Deno.test("Allocator: whole pages are cleared as they come free, and are given out anew", () => {
  const { allocator, cleared } = createClearing();
  const first = allocate(allocator, 1, "Uint8Array", 4 * PAGE);
  assertEquals([first.offset, cleared()], [12 * PAGE, []]);
  allocator.free(1, first.offset, 4 * PAGE);
  assertEquals(cleared(), [[12, 4]]);
  assertEquals(allocate(allocator, 2, "Uint8Array", PAGE + 1).dirtyBytes, 0);
  assertEquals(cleared(), [[14, 2]]);
  const packed = allocate(allocator, 2, "Uint8Array", 1, { packed: true });
  assertEquals([packed.dirtyBytes, cleared()], [0, [[13, 1]]]);
  const other = allocate(allocator, 2, "Uint8Array", 1, { packed: true });
  allocator.free(1, packed.offset, 1);
  assertEquals(cleared(), [], "the page is in use, by the node's own");
  assertEquals(allocate(allocator, 2, "Uint8Array", 1, { packed: true }).dirtyBytes, 1);
  allocator.free(1, packed.offset, 1);
  allocator.free(1, other.offset, 1);
  assertEquals(cleared(), [[13, 1]]);
});

Deno.test("Allocator: the pages of a name are cleared if the node that zeroes is lost", () => {
  const { allocator, cleared } = createClearing();
  const before = allocate(allocator, 1, "Uint8Array", 16, { packed: true });
  allocate(allocator, 1, "Uint8Array", 16, { packed: true });
  const request = { type: "Uint8Array", length: 16, packed: true, name: "cells" } as const;
  allocator.free(1, before.offset, 16);
  assertEquals(allocate(allocator, 1, "Uint8Array", 16, request).dirtyBytes, 16);
  allocator.nodeLost(1);
  assertEquals(allocate(allocator, 2, "Uint8Array", 16, request).created, true);
  assertEquals(cleared(), [], "others may be on its only page");
});

Deno.test("Allocator: exhaustion says what is free and how to have more", () => {
  const allocator = create();
  const offsets = Array.from({ length: 16 }, () => allocate(allocator, 1, "Int8Array", 1).offset);
  for (const index of [3, 4, 9]) allocator.free(1, offsets[index]!, 1);
  const free = "and 12KiB are free, at most 8KiB in one piece; free something, " +
    "or start the directory node with a larger --size than 64KiB";
  assertEquals(refusal(allocator, { type: "Float64Array", length: 1025, name: "grid" }), [
    "OutOfMemory",
    `Cannot allocate "grid" as Float64Array of 1025: it needs 12KiB, ${free}`,
  ]);
  assertEquals(refusal(allocator, { type: "Int8Array", length: 1, align: 64 * 1024 }), [
    "OutOfMemory",
    `Cannot allocate Int8Array of 1, aligned to 65536: it needs 4KiB at a multiple of 64KiB, ${free}`,
  ]);
  assertEquals(
    refusal(allocator, { type: "Int8Array", length: 8193, packed: true })[0],
    "OutOfMemory",
  );
  assertEquals(allocator.statistics().allocations, 13);
  assertEquals(allocator.statistics().names + allocator.statistics().arenas, 0);
});

Deno.test("Allocator: requests that make no sense are refused by their reason", () => {
  const length = "the length must be a whole number from 1 to 1099511627776";
  const align = "the alignment must be a power of two up to 1099511627776";
  const name = "a name must be Unicode text of 1 to 255 bytes of UTF-8";
  const cases: readonly (readonly [Partial<AllocationRequest>, string, string])[] = [
    [{ length: 0 }, "Int32Array of 0", length],
    [{ length: 1.5 }, "Int32Array of 1.5", length],
    [{ length: 2 * TIB }, "Int32Array of 2199023255552", length],
    [{ align: 3 }, "Int32Array of 4, aligned to 3", align],
    [{ align: 0 }, "Int32Array of 4, aligned to 0", align],
    [{ align: 2 * TIB }, "Int32Array of 4, aligned to 2199023255552", align],
    [{ name: "" }, '"" as Int32Array of 4', name],
    [{ name: "\ud800" }, '"\\ud800" as Int32Array of 4', name],
    [{ name: "ü".repeat(128) }, `"${"ü".repeat(128)}" as Int32Array of 4`, name],
    [
      { type: "Array" as "Int8Array" },
      "Array of 4",
      "use one of Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, " +
      "Float16Array, Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, " +
      "BigUint64Array",
    ],
  ];
  const allocator = create();
  for (const [request, what, reason] of cases) {
    assertEquals(refusal(allocator, { type: "Int32Array", length: 4, ...request }), [
      "InvalidRequest",
      `Cannot allocate ${what}: ${reason}`,
    ]);
  }
  allocate(allocator, 1, "Int8Array", 1, { name: "n".repeat(ALLOCATION_NAME_MAX_BYTES) });
});

Deno.test("Allocator: no more allocations live at one time than the bound, named ones counted once", () => {
  const allocator = create({ allocationsMax: 2 });
  const { offset } = allocate(allocator, 1, "Int8Array", 1);
  allocate(allocator, 1, "Int8Array", 1, { name: "n" });
  assertEquals(refusal(allocator, { type: "Int8Array", length: 1 }), [
    "LimitExceeded",
    "Cannot allocate Int8Array of 1: there are 2 allocations, which is the limit; free some, " +
    "or make one array of many small ones",
  ]);
  assertEquals(allocate(allocator, 1, "Int8Array", 1, { name: "n" }).created, false);
  allocator.free(1, offset, 1);
  allocate(allocator, 1, "Int8Array", 1);
});

Deno.test("Allocator: a region of 1 TiB is given out to its last byte", () => {
  const allocator = create({ size: TIB });
  assertEquals(allocate(allocator, 1, "Uint8Array", 1).offset, TIB - PAGE);
  const half = allocate(allocator, 2, "Float64Array", TIB / 16);
  assertEquals(half.offset, TIB / 2 - PAGE);
  const huge = allocate(allocator, 3, "Uint8Array", 1, { align: TIB / 4 });
  assertEquals(huge.offset, TIB / 4);
  const packed = allocate(allocator, 3, "Uint8Array", TIB / 8, { packed: true });
  assertEquals(packed.offset, TIB / 2 - TIB / 8 - PAGE);
  assertEquals(refusal(allocator, { type: "Float64Array", length: TIB }), [
    "OutOfMemory",
    `Cannot allocate Float64Array of ${TIB}: it needs 8TiB, and 384GiB are free, at most 256GiB in ` +
    "one piece; free something, or start the directory node with a larger --size than 1TiB",
  ]);
  allocator.free(1, half.offset, TIB / 2);
  allocator.free(1, huge.offset, 1);
  allocator.free(1, packed.offset, TIB / 8);
  allocator.free(1, TIB - PAGE, 1);
  assertEquals(allocator.statistics().largestHoleBytes, 1024 * GIB);
  assertEquals(allocate(allocator, 1, "Uint8Array", TIB).dirtyBytes, TIB * 3 / 4);
});

Deno.test("Allocator: what has a name is listed, the oldest first, until it is freed", () => {
  const allocator = create();
  const ask = (name?: string) =>
    allocate(allocator, 1, "Int32Array", 1025, name === undefined ? {} : { name });
  const [first] = [ask("b"), ask(), ask("a")];
  assertEquals([...allocator.named()], [
    { name: "b", offset: 14 * PAGE, bytes: 4100 },
    { name: "a", offset: 10 * PAGE, bytes: 4100 },
  ]);
  allocator.free(2, first!.offset, 4100);
  assertEquals([...allocator.named()].map(({ name }) => name), ["a"]);
});

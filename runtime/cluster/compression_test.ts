import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  joinPages,
  makePage,
  PAGE_KINDS,
  type PageKind,
} from "../../tests/fuzz/compression_pages.ts";
import { getU32, putU32 } from "../wire/bytes.ts";
import {
  describePackedReason,
  PACKED_REASONS,
  type PackedReason,
  unpackPages,
} from "./compression.ts";
import { packPages } from "./page_packer.ts";

const PAGE = 4096;

function makeRun(...kinds: PageKind[]): Uint8Array<ArrayBuffer> {
  return joinPages(kinds.map((kind, index) => makePage(kind, PAGE, index + 1)));
}

/** What a peer would receive. */
function pack(run: Uint8Array, pageSize = PAGE): Uint8Array | undefined {
  const target = new Uint8Array(run.length).fill(0xee);
  const size = packPages(run, pageSize, target);
  return size === undefined ? undefined : target.slice(0, size);
}

function unpack(payload: Uint8Array, count: number): Uint8Array | PackedReason {
  const target = new Uint8Array(count * PAGE).fill(0xee);
  return unpackPages(payload, PAGE, count, target) ?? target;
}

/** The stored length of each page. */
function tableOf(payload: Uint8Array, count: number): number[] {
  return Array.from({ length: count }, (_, page) => getU32(payload, 4 * page));
}

/** A payload with these lengths and so many bytes behind them. */
function makePayload(table: readonly number[], bytes: ArrayLike<number>): Uint8Array {
  const payload = new Uint8Array(4 * table.length + bytes.length);
  table.forEach((length, page) => putU32(payload, 4 * page, length));
  payload.set(bytes, 4 * table.length);
  return payload;
}

Deno.test("packPages: every kind of page comes back as it was, alone and among others", () => {
  const withoutGain: PageKind[] = [];
  for (const kind of PAGE_KINDS) {
    const alone = makeRun(kind);
    const payload = pack(alone);
    if (payload === undefined) withoutGain.push(kind);
    else assertEquals(unpack(payload, 1), alone, kind);

    const among = makeRun("zeros", kind, "text", kind, "noise");
    assertEquals(unpack(pack(among)!, 5), among, kind);
  }
  assertEquals(withoutGain, [
    "counters, 4 bytes",
    "doubles, random",
    "doubles, a curve",
    "base64",
    "noise",
  ]);
});

Deno.test("packPages: pages of every size come back as they were", () => {
  for (let pageSize = PAGE; pageSize <= 2 * 1024 * 1024; pageSize *= 2) {
    const run = joinPages([
      makePage("text", pageSize, 1),
      makePage("half noise, half zeros", pageSize, 2),
    ]);
    const payload = pack(run, pageSize)!;
    assert(payload.length < run.length, `pages of ${pageSize}`);
    const target = new Uint8Array(run.length);
    assertEquals(unpackPages(payload, pageSize, 2, target), undefined);
    assert(target.every((byte, at) => byte === run[at]), `pages of ${pageSize}`);
  }
});

Deno.test("packPages: a page of zeros takes no bytes, and one that does not compress its own", () => {
  const run = makeRun("zeros", "noise", "text", "zeros");
  const payload = pack(run)!;
  const [first, second, third, fourth] = tableOf(payload, 4);
  assertEquals([first, second, fourth], [0, PAGE, 0]);
  assert(third! > 0 && third! < PAGE);
  assertEquals(payload.length, 16 + PAGE + third!);
  assertEquals(payload.subarray(16, 16 + PAGE), run.subarray(PAGE, 2 * PAGE));
  assertEquals(pack(makeRun("zeros")), new Uint8Array(4));
});

Deno.test("packPages: pages that packing makes no smaller are left alone", () => {
  assertEquals(pack(makeRun("noise")), undefined);
  assertEquals(pack(makeRun("noise", "noise", "noise")), undefined);
  // The probe does not know better, but the compressor does.
  assertEquals(pack(makeRun("base64")), undefined);
  assertEquals(pack(makeRun("base64", "base64")), undefined);
});

Deno.test("packPages: the run is neither changed nor read beyond its ends", () => {
  const run = makeRun("text", "zeros", "noise");
  const amid = new Uint8Array(run.length + 2 * PAGE).fill(0x77);
  amid.set(run, PAGE);
  const before = amid.slice();
  const target = new Uint8Array(run.length + PAGE).fill(0xee);
  const size = packPages(amid.subarray(PAGE, PAGE + run.length), PAGE, target)!;
  assertEquals(amid, before);
  assertEquals(target.slice(0, size), pack(run));
  assertEquals(target.subarray(run.length), new Uint8Array(PAGE).fill(0xee));
});

Deno.test("unpackPages: a broken payload is refused with its reason", () => {
  const text = pack(makeRun("text"))!.subarray(4);
  const cases: readonly [name: string, payload: Uint8Array, reason: PackedReason][] = [
    ["nothing", new Uint8Array(0), "TableTruncated"],
    ["half a table", makePayload([0, 0], []).subarray(0, 7), "TableTruncated"],
    ["a byte too many", makePayload([0, 0], [1]), "StoredMismatch"],
    ["a byte too few", makePayload([0, text.length], text.subarray(1)), "StoredMismatch"],
    ["more than a page", makePayload([PAGE + 1, 0], new Uint8Array(PAGE + 1)), "StoredTooLong"],
    ["lengths that wrap around", makePayload([2 ** 32 - 1, 1], []), "StoredTooLong"],
    ["a block of a byte", makePayload([1, 0], [0xf0]), "BlockTruncated"],
    ["a block of literals", makePayload([3, 0], [0x20, 1, 2]), "BlockTooShort"],
    ["a block with offset 0", makePayload([0, 5], [0x10, 1, 0, 0, 0]), "BlockOffsetOutOfPage"],
    [
      "a block of two pages",
      makePayload([0, 40], [0x1f, 1, 1, 0, ...new Array(34).fill(255), 0, 0]),
      "BlockTooLong",
    ],
  ];
  for (const [name, payload, reason] of cases) assertEquals(unpack(payload, 2), reason, name);
  const said = PACKED_REASONS.map(describePackedReason);
  assertEquals(new Set(said).size, PACKED_REASONS.length);
  for (const reason of PACKED_REASONS) {
    assert(cases.some(([, , expected]) => expected === reason), `no case has ${reason}`);
  }
});

Deno.test("packPages: a wrong call is told so and does nothing", () => {
  const half = new Uint8Array(PAGE / 2);
  const page = new Uint8Array(PAGE);
  assertThrows(() => packPages(half, PAGE, page), RangeError, "2048 bytes as pages of 4096");
  assertThrows(() => packPages(page.subarray(0, 0), PAGE, page), RangeError, "Cannot pack 0 bytes");
  assertThrows(() => packPages(page, PAGE, half), RangeError, "into 2048");
  assertThrows(() => unpackPages(new Uint8Array(8), PAGE, 2, page), RangeError, "exactly");
});

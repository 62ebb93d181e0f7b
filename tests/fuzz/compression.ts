/**
 * Throws broken payloads at the unpacking of pages. A payload is either refused with a named
 * reason, or determines every byte of the pages; no byte outside of the pages is touched.
 */

import { assert, assertEquals } from "@std/assert";
import { decompress } from "lz4";
import { PACKED_REASONS, unpackPages } from "../../runtime/cluster/compression.ts";
import { packPages } from "../../runtime/cluster/page_packer.ts";
import { getU32, putU32 } from "../../runtime/wire/bytes.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { joinPages, makePage, PAGE_KINDS } from "./compression_pages.ts";
import { fillNoise } from "./mutate.ts";
import type { Target } from "./target.ts";

/** What is tried in place of {@linkcode unpackPages}, to see that its faults are found. */
export type Unpack = typeof unpackPages;

const PAGE_BYTES = 4096;
const PAGES_MAX = 3;
const GUARD_BYTES = 64;
/** How many accepted inputs of a hundred are packed again. */
const REPACK_PERCENT = 6;
/** Bytes and words at the edge of something. */
const EDGES = [0, 1, 2, 4, 14, 15, 16, 0x1f, 0x7f, 0x80, 0xf0, 0xf1, 0xfe, 0xff];
const LENGTHS = [0, 1, 2, 5, 4095, 4096, 4097, 8192, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

interface Sound {
  readonly payload: Uint8Array;
  readonly count: number;
}

const sounds: readonly Sound[] = makeSounds();

/**
 * What unpacks pages.
 *
 * @param unpack What to try.
 * @returns The target; `sound` comes out where a payload was accepted.
 */
export function packedTarget(unpack: Unpack = unpackPages): Target {
  return {
    name: "packed",
    weight: 10,
    try(random) {
      const { payload, count } = makeInput(random);
      return check(payload, count, unpack, random.chance(REPACK_PERCENT));
    },
  };
}

/** A payload of each kind of page that has one: alone, and between other pages. */
function makeSounds(): Sound[] {
  const found: Sound[] = [];
  PAGE_KINDS.forEach((kind, index) => {
    const page = makePage(kind, PAGE_BYTES, index);
    const zeros = new Uint8Array(PAGE_BYTES);
    for (const pages of [[page], [page, zeros], [zeros, page, makePage("text", PAGE_BYTES, 1)]]) {
      const target = new Uint8Array(PAGES_MAX * PAGE_BYTES);
      const size = packPages(joinPages(pages), PAGE_BYTES, target);
      if (size !== undefined) found.push({ payload: target.slice(0, size), count: pages.length });
    }
  });
  return found;
}

/** A sound payload, spoiled in a few places, or noise. */
function makeInput(random: Random): Sound {
  const count = random.between(1, PAGES_MAX);
  if (random.chance(2)) return { payload: makeNoise(random, random.below(40)), count };
  if (random.chance(10)) return makeBlock(random);
  const sound = sounds[random.below(sounds.length)]!;
  const payload = sound.payload.slice();
  for (let changes = random.below(4); changes > 0; changes--) spoil(payload, sound.count, random);
  if (random.chance(5)) {
    return { payload: payload.subarray(0, random.below(payload.length)), count };
  }
  return { payload, count: random.chance(2) ? count : sound.count };
}

function makeNoise(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  fillNoise(bytes, random);
  return bytes;
}

/** One page, of a few bytes that need not be a block at all. */
function makeBlock(random: Random): Sound {
  const block = makeNoise(random, random.below(24)).map((byte) =>
    random.chance(50) ? EDGES[random.below(EDGES.length)]! : byte
  );
  const payload = new Uint8Array(4 + block.length);
  putU32(payload, 0, block.length);
  payload.set(block, 4);
  return { payload, count: 1 };
}

function spoil(payload: Uint8Array, count: number, random: Random): void {
  const table = 4 * count;
  // Most changes are of the blocks: those of the table are seldom more than a wrong sum.
  const body = payload.length - table;
  const at = body > 0 && random.chance(85) ? table + random.below(body) : random.below(table);
  switch (random.below(6)) {
    case 0:
      payload[at]! ^= 1 << random.below(8);
      break;
    case 1:
      payload[at] = random.next() >>> 11;
      break;
    case 2:
      payload[at] = EDGES[random.below(EDGES.length)]!;
      break;
    case 3:
      payload.fill(random.chance(50) ? 0 : 255, at, at + random.between(2, 20));
      break;
    case 4:
      payload.copyWithin(at, table + random.below(body + 1));
      break;
    case 5:
      spoilTable(payload, count, random);
  }
}

/** Changes a length, or moves some of one page's bytes to another. */
function spoilTable(payload: Uint8Array, count: number, random: Random): void {
  const one = 4 * random.below(count);
  const two = 4 * random.below(count);
  if (random.chance(30)) {
    putU32(payload, one, LENGTHS[random.below(LENGTHS.length)]!);
  } else {
    const moved = random.between(1, 64);
    putU32(payload, one, getU32(payload, one) + moved);
    putU32(payload, two, getU32(payload, two) - moved);
  }
}

/** Unpacks amid bytes that must stay as they are. */
function unpackAmid(
  payload: Uint8Array,
  count: number,
  unpack: Unpack,
  background: number,
): { reason: string | undefined; pages: Uint8Array<ArrayBuffer> } {
  const amid = new Uint8Array(count * PAGE_BYTES + 2 * GUARD_BYTES).fill(background);
  const stop = GUARD_BYTES + count * PAGE_BYTES;
  const pages = amid.subarray(GUARD_BYTES, stop);
  const reason = unpack(payload, PAGE_BYTES, count, pages);
  for (let at = 0; at < GUARD_BYTES; at++) {
    assert(amid[at] === background, `wrote ${GUARD_BYTES - at} bytes before the pages`);
    assert(amid[stop + at] === background, `wrote ${at} bytes behind the pages`);
  }
  return { reason, pages };
}

/** Checks what every result must keep, and names it for the tally. */
function check(payload: Uint8Array, count: number, unpack: Unpack, repack: boolean): string {
  const { reason, pages } = unpackAmid(payload, count, unpack, 0xee);
  if (reason !== undefined) {
    assert((PACKED_REASONS as readonly string[]).includes(reason), reason);
    return reason;
  }
  // What was there before shows through where a byte comes from nowhere.
  const again = unpackAmid(payload, count, unpack, 0x11);
  assertEquals(again.reason, undefined);
  assertSame(again.pages, pages, "unpacked again");
  checkBlocks(payload, count, pages);
  if (repack) checkRepacked(pages, count);
  return "sound";
}

/** Checks each block against the package's own decoder, which may be trusted with accepted ones. */
function checkBlocks(payload: Uint8Array, count: number, pages: Uint8Array): void {
  let from = 4 * count;
  for (let page = 0; page < count; page++) {
    const stored = getU32(payload, 4 * page);
    if (stored > 0 && stored < PAGE_BYTES) {
      const prefixed = new Uint8Array(4 + stored);
      putU32(prefixed, 0, PAGE_BYTES);
      prefixed.set(payload.subarray(from, from + stored), 4);
      const start = page * PAGE_BYTES;
      const expected = decompress(prefixed);
      assertSame(pages.subarray(start, start + PAGE_BYTES), expected, `page ${page}`);
    }
    from += stored;
  }
}

function checkRepacked(pages: Uint8Array<ArrayBuffer>, count: number): void {
  const target = new Uint8Array(pages.length);
  const size = packPages(pages, PAGE_BYTES, target);
  if (size === undefined) return;
  const unpacked = new Uint8Array(pages.length);
  const reason = unpackPages(target.subarray(0, size), PAGE_BYTES, count, unpacked);
  assertEquals(reason, undefined);
  assertSame(unpacked, pages, "packed again");
}

function assertSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assertEquals(actual.length, expected.length);
  for (let at = 0; at < actual.length; at++) {
    if (actual[at] !== expected[at]) throw new Error(`Byte ${at} differs: ${what}`);
  }
}

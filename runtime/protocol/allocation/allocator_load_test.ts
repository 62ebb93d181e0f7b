/**
 * Allocating and freeing at the size that the directory must bear: a million of each.
 */

import { assert, assertEquals } from "@std/assert";
import { Random } from "../../../tests/simulator/coherence/random.ts";
import { Allocator } from "./allocator.ts";
import { roundDown, roundUp } from "./holes.ts";

const PAGE = 4096;
const UNIT = 8;
const SIZE = 1024 ** 3;
const ALLOCATIONS = 1_000_000;
/** Enough for holes of every size, few enough that the region is never full. */
const LIVE_MAX = 100_000;
const NODES = 3;
/** The owner of a page that is not shared. */
const WHOLE = 255;

/** Which node has each unit and each page of the region. */
class Map1GiB {
  readonly #units = new Uint32Array(SIZE / UNIT / 32);
  readonly #owners = new Uint8Array(SIZE / PAGE);
  readonly #counts = new Uint16Array(SIZE / PAGE);

  /** Takes a range of units, none of which any node may have. */
  take(offset: number, bytes: number, owner: number): void {
    this.#flip(offset, bytes, 0);
    for (let page = roundDown(offset, PAGE) / PAGE; page * PAGE < offset + bytes; page++) {
      if (this.#counts[page]! > 0 && (owner === WHOLE || this.#owners[page] !== owner)) {
        throw new Error(`Page ${page} is of ${this.#owners[page]} and of ${owner}`);
      }
      this.#owners[page] = owner;
      this.#counts[page]!++;
    }
  }

  /** Gives a range of units back. */
  give(offset: number, bytes: number): void {
    this.#flip(offset, bytes, 1);
    for (let page = roundDown(offset, PAGE) / PAGE; page * PAGE < offset + bytes; page++) {
      this.#counts[page]!--;
    }
  }

  #flip(offset: number, bytes: number, before: 0 | 1): void {
    for (let unit = offset / UNIT; unit < (offset + bytes) / UNIT; unit++) {
      const word = unit >>> 5;
      // Whole words at once: pages have many.
      if ((unit & 31) === 0 && unit + 32 <= (offset + bytes) / UNIT) {
        if (this.#units[word] !== (before === 0 ? 0 : 0xffff_ffff)) {
          throw new Error(`Unit ${unit} to ${unit + 31}: not ${before}`);
        }
        this.#units[word] = before === 0 ? 0xffff_ffff : 0;
        unit += 31;
      } else {
        if (((this.#units[word]! >>> (unit & 31)) & 1) !== before) {
          throw new Error(`Unit ${unit}: not ${before}`);
        }
        this.#units[word]! ^= 1 << (unit & 31);
      }
    }
  }
}

Deno.test("Allocator: a million allocations of three nodes, freed in random order: no overlap, no leak", () => {
  const random = new Random(7);
  const allocator = new Allocator({ size: SIZE, pageSize: PAGE, reservedBytes: 0 });
  const map = new Map1GiB();
  const offsets = new Float64Array(LIVE_MAX);
  /** The bytes asked for; negative where they are packed. */
  const sizes = new Int32Array(LIVE_MAX);
  let live = 0;
  let most = 0;

  const allocate = (): void => {
    const packed = random.chance(80);
    const length = random.between(1, packed ? 256 : 4 * PAGE);
    const node = random.between(1, NODES);
    const result = allocator.allocate(node, { type: "Uint8Array", length, packed });
    if (result.kind !== "allocated") throw new Error(JSON.stringify(result));
    map.take(result.offset, roundUp(length, packed ? UNIT : PAGE), packed ? node : WHOLE);
    offsets[live] = result.offset;
    sizes[live++] = packed ? -length : length;
  };
  const free = (): void => {
    const index = random.below(live);
    const [offset, size] = [offsets[index]!, sizes[index]!];
    offsets[index] = offsets[--live]!;
    sizes[index] = sizes[live]!;
    map.give(offset, roundUp(Math.abs(size), size < 0 ? UNIT : PAGE));
    const result = allocator.free(random.between(1, NODES), offset, Math.abs(size));
    if (result.kind !== "freed") throw new Error(JSON.stringify(result));
  };

  for (let allocated = 0; allocated < ALLOCATIONS;) {
    // It grows to the most, shrinks to a part of it, and so on: holes come and go.
    const least = random.below(LIVE_MAX / 2);
    while (live < LIVE_MAX && allocated < ALLOCATIONS) {
      if (live > 0 && random.chance(30)) free();
      else {
        allocate();
        allocated++;
      }
    }
    while (live > least) free();
    most = Math.max(most, allocator.statistics().holes);
  }
  while (live > 0) free();
  assert(most > 1_000, `only ${most} holes at once`);
  assertEquals(allocator.statistics(), {
    allocations: 0,
    names: 0,
    arenas: 0,
    freeBytes: SIZE,
    largestHoleBytes: SIZE,
    holes: 1,
    arenaFreeBytes: 0,
  });
});

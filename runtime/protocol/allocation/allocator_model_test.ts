/**
 * The allocator beside a model of it that is too simple to be wrong: it looks at every byte each
 * time.
 */

import { assert, assertEquals } from "@std/assert";
import { Random } from "../../../tests/simulator/coherence/random.ts";
import { type Allocation, Allocator } from "./allocator.ts";
import { roundDown, roundUp } from "./holes.ts";

const PAGE = 64;
const UNIT = 8;
const SIZE = 48 * PAGE;
const NODES = 3;
const SEEDS = 60;
const STEPS = 200;

interface Block {
  readonly node: number;
  readonly packed: boolean;
  readonly offset: number;
  readonly bytes: number;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The largest ranges of units that are free, the highest first. */
function ranges(isFree: (unit: number) => boolean, unit: number): Range[] {
  const found: Range[] = [];
  for (let end = SIZE; end > 0; end -= unit) {
    let start = end;
    while (start > 0 && isFree(start - unit)) start -= unit;
    if (start < end) found.push({ start, end });
    if (start < end) end = start + unit;
  }
  return found;
}

/** The place that the allocator promises: the highest, sure ones first. */
function place(holes: Range[], bytes: number, align: number, unit: number): number | undefined {
  const sure = bytes + Math.max(align - unit, 0);
  const hole = holes.find(({ start, end }) => end - start >= sure) ??
    holes.find(({ start, end }) => end - start >= bytes && roundDown(end - bytes, align) >= start);
  return hole && roundDown(hole.end - bytes, align);
}

class Model {
  readonly blocks: Block[] = [];
  /** The bytes that were ever given out. */
  readonly used = new Uint8Array(SIZE);

  /** The allocation that each byte is part of. */
  #owners(): (Block | undefined)[] {
    const owners: (Block | undefined)[] = Array(SIZE).fill(undefined);
    for (const block of this.blocks) {
      const unit = block.packed ? UNIT : PAGE;
      owners.fill(block, block.offset, block.offset + roundUp(block.bytes, unit));
    }
    return owners;
  }

  pageHoles(): Range[] {
    const owners = this.#owners();
    return ranges((page) => owners.slice(page, page + PAGE).every((owner) => !owner), PAGE);
  }

  arenaHoles(node: number): Range[] {
    const owners = this.#owners();
    const isFree = (unit: number): boolean => {
      const page = roundDown(unit, PAGE);
      const mine = owners.slice(page, page + PAGE).some((owner) =>
        owner?.packed === true && owner.node === node
      );
      return mine && owners[unit] === undefined;
    };
    return ranges(isFree, UNIT);
  }

  place(node: number, bytes: number, align: number, packed: boolean): number | undefined {
    const pageAlign = Math.max(align, PAGE);
    if (!packed) return place(this.pageHoles(), roundUp(bytes, PAGE), pageAlign, PAGE);
    const size = roundUp(bytes, UNIT);
    const offset = place(this.arenaHoles(node), size, align, UNIT);
    if (offset !== undefined) return offset;
    const pages = place(this.pageHoles(), roundUp(size, PAGE), pageAlign, PAGE);
    return pages === undefined ? undefined : roundDown(pages + roundUp(size, PAGE) - size, align);
  }

  add(block: Block, dirtyBytes: number): void {
    const end = block.offset + block.bytes;
    assert(this.used.subarray(block.offset, end - dirtyBytes).every((byte) => byte === 0));
    this.used.fill(1, block.offset, end);
    this.blocks.push(block);
  }
}

function sum(holes: readonly Range[]): number {
  return holes.reduce((bytes, { start, end }) => bytes + end - start, 0);
}

function checkStatistics(allocator: Allocator, model: Model): void {
  const holes = model.pageHoles();
  const nodes = Array.from({ length: NODES }, (_, index) => index + 1);
  const packing = new Set(model.blocks.filter(({ packed }) => packed).map(({ node }) => node));
  assertEquals(allocator.statistics(), {
    allocations: model.blocks.length,
    names: 0,
    arenas: packing.size,
    freeBytes: sum(holes),
    largestHoleBytes: Math.max(0, ...holes.map(({ start, end }) => end - start)),
    holes: holes.length,
    arenaFreeBytes: nodes.reduce((bytes, node) => bytes + sum(model.arenaHoles(node)), 0),
  });
}

interface Counts {
  allocated: number;
  exhausted: number;
  freed: number;
  refused: number;
  dirty: number;
}

function allocateOne(allocator: Allocator, model: Model, random: Random, counts: Counts): void {
  const node = random.between(1, NODES);
  const packed = random.chance(60);
  const length = random.between(1, random.chance(10) ? 12 * PAGE : packed ? 2 * UNIT : 2 * PAGE);
  const align = random.chance(20) ? 2 ** random.below(10) : 1;
  const offset = model.place(node, length, align, packed);
  const result = allocator.allocate(node, { type: "Uint8Array", length, align, packed });
  if (offset === undefined) {
    counts.exhausted++;
    return assertEquals(result.kind, "error");
  }
  const { dirtyBytes } = result as Allocation;
  assertEquals(result, { kind: "allocated", offset, dirtyBytes, created: true });
  model.add({ node, packed, offset, bytes: length }, dirtyBytes);
  counts.allocated++;
  if (dirtyBytes > 0) counts.dirty++;
}

function freeOne(allocator: Allocator, model: Model, random: Random, counts: Counts): void {
  const node = random.between(1, NODES);
  if (model.blocks.length === 0 || random.chance(10)) {
    const [offset, bytes] = [random.below(SIZE), random.between(1, UNIT)];
    if (model.blocks.some((block) => block.offset === offset && block.bytes === bytes)) return;
    counts.refused++;
    return assertEquals(allocator.free(node, offset, bytes).kind, "error");
  }
  const [block] = model.blocks.splice(random.below(model.blocks.length), 1);
  const result = allocator.free(node, block!.offset, block!.bytes);
  assertEquals(result, { kind: "freed", name: undefined });
  counts.freed++;
}

Deno.test("Allocator: does what the naive model says, byte by byte", () => {
  const counts: Counts = { allocated: 0, exhausted: 0, freed: 0, refused: 0, dirty: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const allocator = new Allocator({ size: SIZE, pageSize: PAGE, reservedBytes: 0 });
    const model = new Model();
    const allocating = random.between(45, 75);
    try {
      for (let step = 0; step < STEPS; step++) {
        const change = random.chance(allocating) ? allocateOne : freeOne;
        change(allocator, model, random, counts);
        if (step % 20 === 0) checkStatistics(allocator, model);
      }
      while (model.blocks.length > 0) freeOne(allocator, model, random, counts);
      checkStatistics(allocator, model);
      assertEquals(allocator.statistics().largestHoleBytes, SIZE);
    } catch (error) {
      throw new Error(`Seed ${seed}`, { cause: error });
    }
  }
  const rare = Object.entries(counts).filter(([, count]) => count < 300);
  assertEquals(rare, [], "too little of this happened");
});

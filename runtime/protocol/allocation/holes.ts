/**
 * The free ranges of something that is given out in parts: which of them is the highest that is
 * large enough, and which touch a range that comes back.
 *
 * A treap: a search tree by address in which each node also knows the largest hole below it. So one
 * walk down finds the highest hole that fits, and one finds both neighbours of a range: O(log n)
 * each, with memory in proportion to the holes alone. Random priorities keep it flat; they come
 * from a generator that always begins alike, since the protocol must do the same each time.
 */

import { PLACES_TRIED_MAX } from "../../limits.ts";

/** A range of free bytes. Its fields change only inside of {@linkcode Holes}. */
export interface Hole {
  /** Its first byte. */
  readonly start: number;
  /** The byte behind its last. */
  readonly end: number;
  /** From here on its bytes may have been used before; those below never were. */
  readonly dirtyFrom: number;
}

/** Where something was put. */
export interface Place {
  /** Its first byte. */
  readonly offset: number;
  /** From here on its bytes may have been used before; its end, when none was. */
  readonly dirtyFrom: number;
}

/** A hole as a node of the tree. */
interface TreeHole extends Hole {
  start: number;
  end: number;
  dirtyFrom: number;
  /** Greater than those of the nodes below it. */
  readonly priority: number;
  /** The size of the largest hole from here down. */
  largest: number;
  left: Tree;
  right: Tree;
}

type Tree = TreeHole | undefined;

/** Free ranges, of which no two touch. */
export class Holes {
  readonly #unit: number;
  #root: Tree = undefined;
  #count = 0;
  #bytes = 0;
  #random = 1;

  /** @param unit What every start and size is a multiple of, in bytes; a power of two. */
  constructor(unit: number) {
    this.#unit = unit;
  }

  /** The number of holes. */
  get count(): number {
    return this.#count;
  }

  /** The size of all holes together, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The size of the largest hole, in bytes; 0 when there is none. */
  get largest(): number {
    return this.#root?.largest ?? 0;
  }

  /**
   * Takes bytes from the highest hole in which they fit, as high in it as can be.
   *
   * With an alignment above the unit, this is the highest hole in which an aligned place is sure.
   * Only when there is none are the smaller ones looked through, which may take O(n).
   *
   * @param bytes How many, a multiple of the unit.
   * @param align What the place is a multiple of, in bytes; a power of two.
   * @param hindrance Returns the first byte from an offset on that keeps the place there from being
   * taken, if any does; {@linkcode PLACES_TRIED_MAX} places are looked at, from the highest on. Any
   * place will do where it is left out.
   * @returns The place, or `undefined` when the bytes fit nowhere.
   */
  take(
    bytes: number,
    align: number,
    hindrance?: (offset: number) => number | undefined,
  ): Place | undefined {
    if (hindrance !== undefined) return this.#takeFree(bytes, align, hindrance);
    const sure = bytes + Math.max(align - this.#unit, 0);
    const hole = highest(this.#root, sure) ?? highestAligned(this.#root, bytes, align);
    if (hole === undefined) return undefined;
    return this.#takeAt(hole, roundDown(hole.end - bytes, align), bytes);
  }

  #takeAt(hole: Hole, offset: number, bytes: number): Place {
    const dirtyFrom = clamp(hole.dirtyFrom, offset, offset + bytes);
    this.cut(hole, offset, offset + bytes);
    return { offset, dirtyFrom };
  }

  #takeFree(
    bytes: number,
    align: number,
    hindrance: (offset: number) => number | undefined,
  ): Place | undefined {
    let tries = 0;
    for (const hole of descending(this.#root, bytes)) {
      for (let end = hole.end;;) {
        if (tries++ === PLACES_TRIED_MAX) return undefined;
        const offset = roundDown(end - bytes, align);
        if (offset < hole.start) break;
        const before = hindrance(offset);
        if (before === undefined) return this.#takeAt(hole, offset, bytes);
        end = before;
      }
    }
    return undefined;
  }

  /**
   * Takes a certain part of a hole.
   *
   * @param hole The hole, as {@linkcode Holes.release} returned it.
   * @param start The first byte to take.
   * @param end The byte behind the last to take.
   */
  cut(hole: Hole, start: number, end: number): void {
    const node = hole as TreeHole;
    const upperEnd = node.end;
    const upperDirtyFrom = Math.max(node.dirtyFrom, end);
    this.#bytes -= end - start;
    if (start > node.start) {
      this.#resize(node, node.start, start, Math.min(node.dirtyFrom, start));
      if (end < upperEnd) this.#insert(end, upperEnd, upperDirtyFrom);
    } else if (end < upperEnd) {
      this.#resize(node, end, upperEnd, upperDirtyFrom);
    } else {
      this.#remove(node);
    }
  }

  /**
   * Takes a range back, and joins it with the holes that it touches.
   *
   * @param start Its first byte.
   * @param end The byte behind its last.
   * @param dirtyFrom From where on its bytes may have been used.
   * @returns The hole that it is now, or is part of.
   * @throws {RangeError} When part of it is free already: a bug of the caller.
   */
  release(start: number, end: number, dirtyFrom: number): Hole {
    const { lower, upper } = this.#neighbours(start);
    if ((lower?.end ?? start) > start || (upper?.start ?? end) < end) {
      throw new RangeError(`Bytes ${start} to ${end} are free already, in part at least`);
    }
    this.#bytes += end - start;
    const above = upper?.start === end ? upper : undefined;
    if (above !== undefined) {
      dirtyFrom = dirtyFrom < end ? dirtyFrom : above.dirtyFrom;
      end = above.end;
    }
    if (lower?.end === start) {
      if (above !== undefined) this.#remove(above);
      dirtyFrom = lower.dirtyFrom < start ? lower.dirtyFrom : dirtyFrom;
      return this.#resize(lower, lower.start, end, dirtyFrom);
    }
    if (above !== undefined) return this.#resize(above, start, end, dirtyFrom);
    return this.#insert(start, end, dirtyFrom);
  }

  /** The holes on both sides of an address that is in none. */
  #neighbours(address: number): { readonly lower: Tree; readonly upper: Tree } {
    let lower: Tree = undefined;
    let upper: Tree = undefined;
    for (let node = this.#root; node !== undefined;) {
      if (node.start < address) {
        lower = node;
        node = node.right;
      } else {
        upper = node;
        node = node.left;
      }
    }
    return { lower, upper };
  }

  /** Moves the bounds of a hole, not beyond its neighbours: so it stays where it is in the tree. */
  #resize(hole: TreeHole, start: number, end: number, dirtyFrom: number): Hole {
    hole.start = start;
    hole.end = end;
    hole.dirtyFrom = dirtyFrom;
    measurePath(this.#root!, hole);
    return hole;
  }

  #insert(start: number, end: number, dirtyFrom: number): Hole {
    const largest = end - start;
    const priority = this.#nextRandom();
    const hole = { start, end, dirtyFrom, priority, largest, left: undefined, right: undefined };
    this.#root = insert(this.#root, hole);
    this.#count++;
    return hole;
  }

  #remove(hole: TreeHole): void {
    this.#root = remove(this.#root!, hole);
    this.#count--;
  }

  /** Xorshift: all numbers of 32 bits but 0, in an order that looks random. */
  #nextRandom(): number {
    let random = this.#random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return this.#random = random;
  }
}

/**
 * Rounds down.
 *
 * @param value At least 0.
 * @param multiple What to round to.
 * @returns The greatest multiple that is not above the value.
 */
export function roundDown(value: number, multiple: number): number {
  return value - value % multiple;
}

/**
 * Rounds up.
 *
 * @param value At least 0.
 * @param multiple What to round to.
 * @returns The least multiple that is not below the value.
 */
export function roundUp(value: number, multiple: number): number {
  return roundDown(value + multiple - 1, multiple);
}

/**
 * Brings a value between two bounds.
 *
 * @param value Any number.
 * @param least The least result.
 * @param most The greatest result.
 * @returns What of the three is in the middle.
 */
export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** The highest hole of at least so many bytes. */
function highest(tree: Tree, bytes: number): Tree {
  if (tree === undefined || tree.largest < bytes) return undefined;
  for (let node = tree;;) {
    if (node.right !== undefined && node.right.largest >= bytes) node = node.right;
    else if (node.end - node.start >= bytes) return node;
    else node = node.left!;
  }
}

/** The holes of at least so many bytes, from the highest down. */
function* descending(tree: Tree, bytes: number): Generator<Hole> {
  if (tree === undefined || tree.largest < bytes) return;
  yield* descending(tree.right, bytes);
  if (tree.end - tree.start >= bytes) yield tree;
  yield* descending(tree.left, bytes);
}

/** The highest hole that has an aligned place for so many bytes. */
function highestAligned(tree: Tree, bytes: number, align: number): Tree {
  if (tree === undefined || tree.largest < bytes) return undefined;
  const above = highestAligned(tree.right, bytes, align);
  if (above !== undefined) return above;
  const last = tree.end - bytes;
  if (last >= tree.start && roundDown(last, align) >= tree.start) return tree;
  return highestAligned(tree.left, bytes, align);
}

/** Brings up to date what a node knows of the nodes below it. */
function measure(node: TreeHole): TreeHole {
  let largest = node.end - node.start;
  if (node.left !== undefined && node.left.largest > largest) largest = node.left.largest;
  if (node.right !== undefined && node.right.largest > largest) largest = node.right.largest;
  node.largest = largest;
  return node;
}

/** Brings up to date every node from a hole up to the root. */
function measurePath(tree: TreeHole, hole: TreeHole): void {
  if (tree !== hole) measurePath(hole.start < tree.start ? tree.left! : tree.right!, hole);
  measure(tree);
}

function insert(tree: Tree, hole: TreeHole): TreeHole {
  if (tree === undefined) return hole;
  if (hole.priority > tree.priority) {
    split(tree, hole);
    return measure(hole);
  }
  if (hole.start < tree.start) tree.left = insert(tree.left, hole);
  else tree.right = insert(tree.right, hole);
  return measure(tree);
}

/** Hangs what is below a hole's address under its left, and what is above under its right. */
function split(tree: Tree, hole: TreeHole): void {
  if (tree === undefined) {
    hole.left = hole.right = undefined;
  } else if (tree.start < hole.start) {
    split(tree.right, hole);
    tree.right = hole.left;
    hole.left = measure(tree);
  } else {
    split(tree.left, hole);
    tree.left = hole.right;
    hole.right = measure(tree);
  }
}

function remove(tree: TreeHole, hole: TreeHole): Tree {
  if (tree === hole) return merge(tree.left, tree.right);
  if (hole.start < tree.start) tree.left = remove(tree.left!, hole);
  else tree.right = remove(tree.right!, hole);
  return measure(tree);
}

/** Makes one tree of two, of which the first is all below the second. */
function merge(lower: Tree, upper: Tree): Tree {
  if (lower === undefined) return upper;
  if (upper === undefined) return lower;
  if (lower.priority > upper.priority) {
    lower.right = merge(lower.right, upper);
    return measure(lower);
  }
  upper.left = merge(lower, upper.left);
  return measure(upper);
}

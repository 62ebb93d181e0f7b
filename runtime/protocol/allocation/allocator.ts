/**
 * Which allocation has which part of the region: the allocator, as it runs on the directory node.
 *
 * - An allocation begins on a page of its own, so nothing that others write to moves its pages.
 *   Those that are `packed` share pages, but only with packed ones of the same node: its arena.
 * - Memory is taken from the top of the region downwards, since programs that use offsets of their
 *   own choice begin at the bottom. Nothing else keeps the two apart: the allocator gives out every
 *   byte, so a program that uses both must make the region large enough, and look at
 *   `statistics().freeBytes`.
 * - A name stands for the same cells on every node until a thread frees it, which must know that
 *   no other uses it any more. The same holds without a name, since views travel between nodes.
 * - What a node that died or left has allocated stays, since others may use it: named or not,
 *   packed or not. Any thread may free it. The free parts of its arena's pages stay free until all
 *   of the page is.
 * - Cells read as zeros when they are first seen. Whole pages that come free are cleared
 *   everywhere, and once more when they are given out anew, since a node may have touched them
 *   meanwhile: they are zeros once that is done. What is left of a page of an arena is zeroed by
 *   the thread that gets it; a name is given to no other thread until then, and if the thread's
 *   node dies first, the next that asks takes over. Memory that was never given out counts as zero:
 *   a program that writes to it by an offset of its own choice finds it so in a later allocation.
 */

import { ALLOCATIONS_MAX } from "../../limits.ts";
import { formatSize, readableSize } from "../../size.ts";
import {
  type AllocationError,
  allocationError,
  type AllocationRequest,
  describe,
  ELEMENT_BYTES,
  invalidRequest,
} from "./messages.ts";
import { clamp, Holes, type Place, roundDown, roundUp } from "./holes.ts";
import type { NodeId } from "../coherence/messages.ts";

/** Offset and size of every packed allocation are multiples of this: no element is larger. */
const PACKED_UNIT_BYTES = 8;

/** The region that is given out. */
export interface AllocatorOptions {
  /** Its size, in bytes; a multiple of the page size. */
  readonly size: number;
  /** The page size, in bytes; a power of two. */
  readonly pageSize: number;
  /** How many of the lowest bytes are never given out; 0 for none. Rounded up to whole pages. */
  readonly reservedBytes: number;
  /** How many allocations may live at one time; {@linkcode ALLOCATIONS_MAX} by default. */
  readonly allocationsMax?: number;
  /**
   * Is told of whole pages that no program needs what is on: they came free, or are given out anew.
   * They are zeros before the allocation is seen. Where nothing is said, the thread that gets them
   * zeroes.
   */
  readonly clear?: (offset: number, bytes: number) => void;
  /** The homes of pages; left out where all have the same. */
  readonly homes?: AllocationHomes;
}

/** The homes of pages, as far as the allocator has to do with them. */
export interface AllocationHomes {
  /** The bytes of a chunk, whose pages have one home. */
  readonly chunkBytes: number;
  /** Where the first chunk of a range begins that has another node as its home, if one has. */
  hindrance(offset: number, bytes: number, home: NodeId): number | undefined;
  /** Gives the chunks of a range that have no home one. */
  assign(offset: number, bytes: number, home: NodeId | "spread"): void;
}

/** An allocation. */
export interface Allocation {
  /** Tells it from an error. */
  readonly kind: "allocated";
  /** Where it begins in the region, in bytes. */
  readonly offset: number;
  /**
   * How many of its last bytes were used before: the thread that asked must zero them, and where
   * there is a name then say so to {@linkcode Allocator.zeroed}. The bytes before them are zero.
   */
  readonly dirtyBytes: number;
  /** Whether no thread was given it before: true but for a name that others have. */
  readonly created: boolean;
}

/** The name stands for cells that its first node is still zeroing. To be asked for again then. */
export interface AllocationPending {
  /** Tells it from an allocation. */
  readonly kind: "pending";
}

/** What was freed. */
export interface Freed {
  /** Tells it from an error. */
  readonly kind: "freed";
  /** The name that stands for nothing any more. */
  readonly name: string | undefined;
}

/** What a name stands for. */
export interface NamedAllocation {
  readonly name: string;
  /** Where it begins in the region, in bytes. */
  readonly offset: number;
  /** Its size, in bytes. */
  readonly bytes: number;
}

/** How the region is used. */
export interface AllocatorStatistics {
  /** The allocations. */
  readonly allocations: number;
  /** Those of them that have a name. */
  readonly names: number;
  /** The nodes that have packed allocations. */
  readonly arenas: number;
  /** The pages that can be given out, in bytes. */
  readonly freeBytes: number;
  /** The largest run of such pages, in bytes. */
  readonly largestHoleBytes: number;
  /** The number of such runs. */
  readonly holes: number;
  /** What is free on the pages of arenas: only for packed allocations of the same nodes. */
  readonly arenaFreeBytes: number;
}

/** The packed allocations of a node. */
interface Arena {
  readonly node: NodeId;
  /** What is free on its pages; never a whole page, which goes back to the region. */
  readonly holes: Holes;
  allocations: number;
}

/** An allocation that every thread can ask for. */
interface Named {
  readonly request: AllocationRequest & { readonly name: string };
  readonly offset: number;
  /** The node that asked first. */
  readonly creator: NodeId;
  /** How many of its last bytes had to be zeroed first. */
  readonly dirtyBytes: number;
  /** The node that zeroes; 0 when it is done, or the node died. */
  zeroing: NodeId;
}

interface Block {
  /**
   * What was asked for; the allocation is rounded up to pages, to chunks, or to the unit of packed
   * ones.
   */
  readonly bytes: number;
  /** What it is rounded up to, in bytes. */
  readonly unit: number;
  /** Where it is packed. */
  readonly arena: Arena | undefined;
  readonly named: Named | undefined;
}

/** Gives out the region. All it does is O(log n), but for what {@linkcode Holes.take} says. */
export class Allocator {
  readonly #options: AllocatorOptions;
  readonly #allocationsMax: number;
  readonly #pages: Holes;
  readonly #arenas = new Map<NodeId, Arena>();
  /** By offset. */
  readonly #blocks = new Map<number, Block>();
  readonly #names = new Map<string, Named>();
  /** The names whose cells are not all zero yet. */
  readonly #unready = new Set<Named>();

  /**
   * @param options The region.
   * @throws {RangeError} When it does not consist of whole pages: a bug of the caller.
   */
  constructor(options: AllocatorOptions) {
    const { size, pageSize, reservedBytes } = options;
    const start = roundUp(reservedBytes, pageSize);
    if (size % pageSize !== 0 || pageSize % PACKED_UNIT_BYTES !== 0 || start > size) {
      throw new RangeError(
        `No region of ${size} bytes has ${start} reserved, pages of ${pageSize}`,
      );
    }
    this.#options = options;
    this.#allocationsMax = options.allocationsMax ?? ALLOCATIONS_MAX;
    this.#pages = new Holes(pageSize);
    if (start < size) this.#pages.release(start, size, size);
  }

  /**
   * Allocates, or finds what has the name.
   *
   * @param node The node that asks.
   * @param request What it asks for.
   * @returns The allocation, or why there is none, or that it must be asked for again.
   */
  allocate(
    node: NodeId,
    request: AllocationRequest,
  ): Allocation | AllocationPending | AllocationError {
    const invalid = invalidRequest(request);
    if (invalid !== undefined) return invalid;
    const { type, length, packed, name } = request;
    const known = name === undefined ? undefined : this.#names.get(name);
    if (known !== undefined) return this.#share(node, request, known);
    if (this.#blocks.size >= this.#allocationsMax) return this.#tooMany(request);

    const bytes = length * ELEMENT_BYTES[type];
    const align = this.#alignment(request);
    const arena = packed === true ? this.#arena(node) : undefined;
    const unit = arena === undefined ? this.#unit(request) : PACKED_UNIT_BYTES;
    const place = arena === undefined
      ? this.#takePages(roundUp(bytes, unit), align, request.home)
      : this.#pack(arena, roundUp(bytes, PACKED_UNIT_BYTES), align);
    if (place === undefined) return this.#outOfMemory(request, bytes);

    const { offset } = place;
    const dirtyBytes = offset + bytes - Math.min(place.dirtyFrom, offset + bytes);
    const named = name === undefined
      ? undefined
      : this.#name(node, { ...request, name }, offset, dirtyBytes);
    this.#blocks.set(offset, { bytes, unit, arena, named });
    return { kind: "allocated", offset, dirtyBytes, created: true };
  }

  /**
   * Whether a name stands for an allocation.
   *
   * @param name The name.
   * @returns Whether it does, be its cells zero yet or not.
   */
  hasName(name: string): boolean {
    return this.#names.has(name);
  }

  /** The allocations that have a name, the oldest first. */
  *named(): Generator<NamedAllocation> {
    for (const [name, { request: { type, length }, offset }] of this.#names) {
      yield { name, offset, bytes: length * ELEMENT_BYTES[type] };
    }
  }

  /**
   * Frees an allocation, whichever node made it.
   *
   * @param node The node that asks.
   * @param offset Where the allocation begins, in bytes.
   * @param bytes The size of what was asked for. A view of another size is not the one that was
   * given.
   * @returns What was freed, or why nothing was.
   */
  free(node: NodeId, offset: number, bytes: number): Freed | AllocationError {
    const block = this.#blocks.get(offset);
    const refuse = (reason: string): AllocationError =>
      allocationError("NotAllocated", `Cannot free ${bytes} bytes at ${offset}: ${reason}`);
    if (block === undefined) {
      return refuse("no allocation begins there; it was freed already, or never was one");
    }
    if (block.bytes !== bytes) {
      return refuse(`the allocation there has ${block.bytes}; free the view that alloc gave`);
    }
    const { arena, named, unit } = block;
    // The node that zeroes may give it up. For others it is not there yet: what they had was freed.
    if (named !== undefined && this.#unready.has(named) && named.zeroing !== node) {
      return refuse("it was freed already, and what is there now is not ready");
    }
    this.#blocks.delete(offset);
    if (named !== undefined) {
      this.#names.delete(named.request.name);
      this.#unready.delete(named);
    }
    if (arena === undefined) {
      this.#releasePages(offset, offset + roundUp(bytes, unit), offset);
    } else {
      this.#unpack(arena, offset, roundUp(bytes, unit));
    }
    return { kind: "freed", name: named?.request.name };
  }

  /**
   * A node has zeroed what it was told to: from now on others get the name.
   *
   * @param node The node.
   * @param offset Where the allocation begins, in bytes.
   * @returns The name, or `undefined` when the node was not to zero anything there.
   */
  zeroed(node: NodeId, offset: number): string | undefined {
    const named = this.#blocks.get(offset)?.named;
    if (named === undefined || named.zeroing !== node) return undefined;
    named.zeroing = 0;
    this.#unready.delete(named);
    return named.request.name;
  }

  /**
   * A node is gone. What it was to zero is for the next that asks for it.
   *
   * @param node The node.
   * @returns The names that it has left unready.
   */
  nodeLost(node: NodeId): string[] {
    const left = [...this.#unready].filter((named) => named.zeroing === node);
    for (const named of left) named.zeroing = 0;
    return left.map((named) => named.request.name);
  }

  /**
   * How the region is used.
   *
   * @returns Counts and sizes of this moment.
   */
  statistics(): AllocatorStatistics {
    const arenas = [...this.#arenas.values()];
    return {
      allocations: this.#blocks.size,
      names: this.#names.size,
      arenas: arenas.length,
      freeBytes: this.#pages.bytes,
      largestHoleBytes: this.#pages.largest,
      holes: this.#pages.count,
      arenaFreeBytes: arenas.reduce((sum, { holes }) => sum + holes.bytes, 0),
    };
  }

  #alignment(request: AllocationRequest): number {
    const { type, align, packed } = request;
    return Math.max(align ?? 1, packed === true ? ELEMENT_BYTES[type] : this.#unit(request));
  }

  /** Whole pages, and where it has homes of its own whole chunks. */
  #unit({ home }: AllocationRequest): number {
    const { pageSize, homes } = this.#options;
    return home === undefined || homes === undefined ? pageSize : homes.chunkBytes;
  }

  #name(
    node: NodeId,
    request: AllocationRequest & { readonly name: string },
    offset: number,
    dirtyBytes: number,
  ): Named {
    const zeroing = dirtyBytes === 0 ? 0 : node;
    const named: Named = { request, offset, creator: node, dirtyBytes, zeroing };
    this.#names.set(request.name, named);
    if (zeroing !== 0) this.#unready.add(named);
    return named;
  }

  /** Gives what has a name to one more node. */
  #share(
    node: NodeId,
    request: AllocationRequest,
    named: Named,
  ): Allocation | AllocationPending | AllocationError {
    const { request: first, creator, offset, dirtyBytes } = named;
    const same = request.type === first.type && request.length === first.length &&
      (request.packed === true) === (first.packed === true) &&
      this.#alignment(request) === this.#alignment(first) && request.home === first.home;
    if (!same) {
      const { name: _, ...unnamed } = first;
      const message = `Cannot allocate ${describe(request)}: node ${creator} allocated it as ` +
        `${describe(unnamed)}; ask for the same, or use another name`;
      return allocationError("NameConflict", message);
    }
    if (!this.#unready.has(named)) {
      return { kind: "allocated", offset, dirtyBytes: 0, created: false };
    }
    if (named.zeroing !== 0) return { kind: "pending" };
    named.zeroing = node;
    this.#clearCells(named);
    return { kind: "allocated", offset, dirtyBytes, created: true };
  }

  /** The node that zeroed an allocation is gone, maybe with its pages: no program needs them. */
  #clearCells({ request, offset }: Named): void {
    const { pageSize } = this.#options;
    const end = offset + request.length * ELEMENT_BYTES[request.type];
    const start = roundUp(offset, pageSize);
    // On the last page of what is packed there may be others.
    const stop = request.packed === true ? roundDown(end, pageSize) : roundUp(end, pageSize);
    this.#clear(start, stop);
  }

  /** Takes whole pages from the region: no program needs what was on them. */
  #takePages(bytes: number, align: number, home?: NodeId | "spread"): Place | undefined {
    const { homes } = this.#options;
    const hindrance = typeof home === "number" && homes !== undefined
      ? (offset: number) => homes.hindrance(offset, bytes, home)
      : undefined;
    // What has a home keeps it: where each place is another node's, one of those has to do.
    const place = this.#pages.take(bytes, align, hindrance) ?? this.#pages.take(bytes, align);
    if (place !== undefined && home !== undefined) homes?.assign(place.offset, bytes, home);
    if (place === undefined || this.#options.clear === undefined) return place;
    const { offset, dirtyFrom } = place;
    this.#clear(dirtyFrom, offset + bytes);
    return { offset, dirtyFrom: offset + bytes };
  }

  /** Gives whole pages back to the region. */
  #releasePages(start: number, end: number, dirtyFrom: number): void {
    this.#pages.release(start, end, dirtyFrom);
    this.#clear(dirtyFrom, end);
  }

  /** Clears the pages from the one of a byte on. */
  #clear(dirtyFrom: number, end: number): void {
    const start = roundDown(dirtyFrom, this.#options.pageSize);
    if (start < end) this.#options.clear?.(start, end - start);
  }

  /** The arena of a node; it stays only once something is packed in it. */
  #arena(node: NodeId): Arena {
    return this.#arenas.get(node) ??
      { node, holes: new Holes(PACKED_UNIT_BYTES), allocations: 0 };
  }

  /** Takes bytes from an arena, which grows by the pages that it needs for them. */
  #pack(arena: Arena, bytes: number, align: number): Place | undefined {
    const place = arena.holes.take(bytes, align) ?? this.#grow(arena, bytes, align);
    if (place !== undefined) {
      arena.allocations++;
      this.#arenas.set(arena.node, arena);
    }
    return place;
  }

  /** Takes pages for something packed. What it leaves, less than a page, is free in the arena. */
  #grow({ holes }: Arena, bytes: number, align: number): Place | undefined {
    const { pageSize } = this.#options;
    const taken = roundUp(bytes, pageSize);
    const pages = this.#takePages(taken, Math.max(align, pageSize));
    if (pages === undefined) return undefined;
    const { offset: first, dirtyFrom } = pages;
    const offset = roundDown(first + taken - bytes, align);
    const end = offset + bytes;
    if (first < offset) holes.release(first, offset, Math.min(dirtyFrom, offset));
    if (end < first + taken) holes.release(end, first + taken, Math.max(dirtyFrom, end));
    return { offset, dirtyFrom: clamp(dirtyFrom, offset, end) };
  }

  /** Gives bytes back to an arena, and the pages on which then nothing is to the region. */
  #unpack(arena: Arena, offset: number, bytes: number): void {
    const { pageSize } = this.#options;
    const hole = arena.holes.release(offset, offset + bytes, offset);
    const first = roundUp(hole.start, pageSize);
    const end = roundDown(hole.end, pageSize);
    if (first < end) {
      const dirtyFrom = clamp(hole.dirtyFrom, first, end);
      arena.holes.cut(hole, first, end);
      this.#releasePages(first, end, dirtyFrom);
    }
    // An arena without allocations has no page, since each that was free is given back.
    if (--arena.allocations === 0) this.#arenas.delete(arena.node);
  }

  #outOfMemory(request: AllocationRequest, bytes: number): AllocationError {
    const { size, pageSize } = this.#options;
    const align = this.#alignment(request);
    const place = align > pageSize ? ` at a multiple of ${formatSize(align)}` : "";
    const message = `Cannot allocate ${describe(request)}: it needs ` +
      `${readableSize(roundUp(bytes, this.#unit(request)))}${place}, and ${
        readableSize(this.#pages.bytes)
      } are ` +
      `free, at most ${readableSize(this.#pages.largest)} in one piece; free something, or start ` +
      `the directory node with a larger --size than ${formatSize(size)}`;
    return allocationError("OutOfMemory", message);
  }

  #tooMany(request: AllocationRequest): AllocationError {
    const message = `Cannot allocate ${describe(request)}: there are ${this.#allocationsMax} ` +
      `allocations, which is the limit; free some, or make one array of many small ones`;
    return allocationError("LimitExceeded", message);
  }
}

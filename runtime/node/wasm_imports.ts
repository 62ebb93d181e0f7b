/**
 * What rewritten WebAssembly modules import: the functions that do across nodes what instructions
 * do within a process.
 */

import { WASM_PAGE_BYTES } from "../limits.ts";
import type { Futex } from "./futex.ts";
import type { RegionMemory } from "./memory.ts";

/**
 * A WebAssembly memory in the region. It can be sent to Workers by `postMessage`.
 *
 * @example Send a memory to a Worker
 * ```ts
 * import { type AttachedNode, join, type WasmMemory } from "@tdsm/runtime";
 *
 * // In the Worker; the program does worker.postMessage(await node.wasmMemory({ pages: 16 })).
 * function instantiate(node: AttachedNode, module: WebAssembly.Module, shared: WasmMemory) {
 *   return new WebAssembly.Instance(module, { tdsm: node.wasmImports(shared) });
 * }
 * ```
 */
export interface WasmMemory {
  /**
   * The memory, all of its maximum: accesses behind it trap, accesses between the pages in use and
   * the maximum do not.
   */
  readonly memory: WebAssembly.Memory;
  /** Where it begins in the region, in bytes. */
  readonly byteOffset: number;
  /** Where the region keeps how many pages are in use, in bytes. */
  readonly cardOffset: number;
  /** The most pages of 64 KiB that may be in use. */
  readonly maximum: number;
  /** The type of addresses. */
  readonly address: "i32" | "i64";
}

/** What {@linkcode makeWasmImports} needs of a thread's node. */
export interface WasmImportsParts {
  /** The thread's memory of the region. */
  readonly regionMemory: RegionMemory;
  /** The thread's way to wait. */
  readonly futex: Futex;
  /** The words of the memory's card. */
  readonly card: Int32Array<ArrayBuffer>;
}

/** The words of a {@linkcode WasmCard}. */
export const CARD_WORDS = 3;
const Word = { FirstPages: 0, GrownPages: 1, Address: 2 } as const;
/** The values of the word for the type of addresses. */
const ADDRESSES = { i32: 0, i64: 1 } as const;
/** Set in the words that have been written: all are zero at first. */
const WRITTEN = 1 << 31;

/** The record in the region by which nodes agree on a memory, and on its pages in use. */
export class WasmCard {
  readonly #words: Int32Array<ArrayBuffer>;

  /** @param words The words, which are zero at first. */
  constructor(words: Int32Array<ArrayBuffer>) {
    this.#words = words;
  }

  /** The pages that are in use. */
  get pages(): number {
    return this.#firstPages + Atomics.load(this.#words, Word.GrownPages);
  }

  /**
   * Writes what the memory is to be, or finds that it is that.
   *
   * @param pages The pages that are in use at first.
   * @param address The type of addresses.
   * @returns What is otherwise, for a message; `undefined` if nothing is.
   */
  agree(pages: number, address: keyof typeof ADDRESSES): string | undefined {
    if (!this.#write(Word.FirstPages, pages)) return `${this.#firstPages} pages in use at first`;
    return this.#write(Word.Address, ADDRESSES[address]) ? undefined : "another type of addresses";
  }

  /**
   * Has more pages in use.
   *
   * @param more How many more.
   * @param maximum The most that may be in use.
   * @returns How many were in use; -1 where there are not so many.
   */
  grow(more: number, maximum: number): number {
    for (;;) {
      const grown = Atomics.load(this.#words, Word.GrownPages);
      const pages = this.#firstPages + grown;
      if (pages + more > maximum) return -1;
      const next = grown + more;
      const seen = Atomics.compareExchange(this.#words, Word.GrownPages, grown, next);
      if (seen === grown) return pages;
    }
  }

  get #firstPages(): number {
    return Atomics.load(this.#words, Word.FirstPages) & ~WRITTEN;
  }

  #write(word: number, value: number): boolean {
    const written = value | WRITTEN;
    const seen = Atomics.compareExchange(this.#words, word, 0, written);
    return seen === 0 || seen === written;
  }
}

/**
 * Makes the functions that a rewritten module imports, for instances of this thread.
 *
 * @param parts The thread's node.
 * @param shared The memory.
 * @returns What the module imports from `"tdsm"`.
 */
export function makeWasmImports(
  { regionMemory, futex, card: cardWords }: WasmImportsParts,
  { memory, byteOffset, maximum, address }: WasmMemory,
): WebAssembly.ModuleImports {
  const { buffer } = memory;
  const size = maximum * WASM_PAGE_BYTES;
  const words = new Int32Array(buffer);
  seeIn(regionMemory, memory, byteOffset);
  const longs = new BigInt64Array(buffer);
  const card = new WasmCard(cardWords);
  const is64 = address === "i64";
  /** A number as the module takes it. */
  const own = (pages: number): Address => is64 ? BigInt(pages) : pages;
  /** A number that the module gives: it is unsigned. */
  const read = (value: Address): number =>
    is64 ? Number(BigInt.asUintN(64, value as bigint)) : (value as number) >>> 0;
  /** The element that an instruction is about. */
  const place = (at: Address, offset: Address, bytes: number): number => {
    const index = (read(at) + read(offset)) / bytes;
    if ((index + 1) * bytes > size) throw new WebAssembly.RuntimeError(OUT_OF_BOUNDS);
    if (!Number.isInteger(index)) throw new WebAssembly.RuntimeError(UNALIGNED);
    return index;
  };
  return {
    memory,
    wait32: (at: Address, expected: number, timeoutNs: bigint, offset: Address) =>
      ENDS.indexOf(futex.wait(words, place(at, offset, 4), expected, toMs(timeoutNs))),
    wait64: (at: Address, expected: bigint, timeoutNs: bigint, offset: Address) =>
      ENDS.indexOf(futex.wait(longs, place(at, offset, 8), expected, toMs(timeoutNs))),
    notify: (at: Address, count: number, offset: Address) =>
      futex.notify(words, place(at, offset, 4), count >>> 0),
    grow: (pages: Address) => own(card.grow(read(pages), maximum)),
    size: () => own(card.pages),
  };
}

/** An address, or a number of pages: a bigint where addresses have 64 bits. */
type Address = number | bigint;

/** What a wait returns for each of these ends is its place. */
const ENDS: readonly string[] = ["ok", "not-equal", "timed-out"];
/** The errors are those of the engine's own traps. */
const UNALIGNED = "operation does not support unaligned accesses";
const OUT_OF_BOUNDS = "memory access out of bounds";

/** The time after which a wait ends, of which a negative one is none. */
function toMs(timeoutNs: bigint): number {
  return timeoutNs < 0n ? Infinity : Number(timeoutNs) / 1e6;
}

/**
 * Has a thread know the views of a memory: what they are views of, and that to wait for a word of
 * them is to wait across nodes.
 *
 * @param regionMemory The thread's memory of the region.
 * @param memory The memory.
 * @param byteOffset Where it begins in the region, in bytes.
 */
export function seeIn(
  regionMemory: RegionMemory,
  memory: WebAssembly.Memory,
  byteOffset: number,
): void {
  const bytes = new Uint8Array(memory.buffer);
  if (regionMemory.offsetOf(bytes) !== undefined) return;
  const { length: size } = bytes;
  regionMemory.addWindow({ address: addressOf(memory), size, regionByte: byteOffset });
}

/** Where a memory begins in this process. */
export function addressOf(memory: WebAssembly.Memory): bigint {
  const first = new Uint8Array(memory.buffer, 0, 1);
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(first));
}

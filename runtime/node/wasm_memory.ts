/**
 * WebAssembly memories whose pages are the region's: the same cells on every node that asks for the
 * same name.
 */

import type { NativeRegion } from "../../ffi/native.ts";
import { checkOptions } from "../arguments/options.ts";
import { show } from "../arguments/show.ts";
import { TdsmError } from "../errors.ts";
import {
  WASM_MEMORY32_MAX_PAGES,
  WASM_MEMORY64_MAX_PAGES,
  WASM_NAME_MAX_BYTES,
  WASM_PAGE_BYTES,
} from "../limits.ts";
import { checkCount, checkName } from "./arguments.ts";
import { isWorker } from "./one_node.ts";
import { memoryOf, type NodeThread } from "./thread.ts";
import { addressOf, CARD_WORDS, seeIn, WasmCard, type WasmMemory } from "./wasm_imports.ts";

/**
 * How large a WebAssembly memory is. At least one of `pages` and `maximum` is needed.
 *
 * @example A memory of up to 64 MiB, of which 1 MiB is in use at first
 * ```ts
 * import { join, type WasmMemoryOptions } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0, size: "128MiB" });
 * const options: WasmMemoryOptions = { pages: 16, maximum: 1024 };
 * const { memory } = await node.wasmMemory(options);
 * console.log(memory.buffer.byteLength === 64 * 2 ** 20); // true
 * ```
 */
export interface WasmMemoryOptions {
  /** The name by which every node gets the same memory. Default: "memory". */
  readonly name?: string;
  /** The pages of 64 KiB that are in use before the first `memory.grow`. Default: `maximum`. */
  readonly pages?: number;
  /**
   * The most pages that may be in use, as the module declares it: up to 65,536, or 262,144 with
   * addresses of 64 bits. Default: `pages`.
   */
  readonly maximum?: number;
  /** The type of addresses, as the module declares it. Default: "i32". */
  readonly address?: "i32" | "i64";
}

const OPTIONS = [
  "name",
  "pages",
  "maximum",
  "address",
] as const satisfies (keyof WasmMemoryOptions)[];

/** The memories of each node of this process, by name. */
const made = new WeakMap<NodeThread, Map<string, WasmMemory>>();
/**
 * All memories that were made: were one collected, the engine would work on whatever is mapped at
 * its address next. A closed region leaves blank memory there, which costs addresses only.
 */
const kept: WebAssembly.Memory[] = [];

/**
 * Makes a memory of the region, or finds the one that this process has.
 *
 * @param node The node.
 * @param region The node's region.
 * @param options How large it is, and its name.
 * @returns The memory.
 * @throws {TdsmError} `OutOfMemory`, `NameConflict`, `InvalidArgument`.
 */
export async function makeWasmMemory(
  node: NodeThread,
  region: NativeRegion,
  options: WasmMemoryOptions,
): Promise<WasmMemory> {
  const { name, pages, maximum, address } = checkSize(options);
  if (isWorker()) {
    const message = "Cannot make a WebAssembly memory in a Worker that has joined: it would end " +
      "with the Worker, before the node does; join in the main thread, and attach in Workers";
    throw new TdsmError("InvalidArgument", message, { operation: "wasmMemory" });
  }
  const cells = await node.alloc(Uint8Array, maximum * WASM_PAGE_BYTES, { name: `wasm ${name}` });
  const card = await node.alloc(Int32Array, CARD_WORDS, { name: `wasm-card ${name}` });
  const differs = new WasmCard(card).agree(pages, address);
  if (differs !== undefined) {
    const message = `Cannot make the WebAssembly memory ${show(name)}: another node has made it ` +
      `with ${differs}; ask for the same on every node, or for another name`;
    throw new TdsmError("NameConflict", message, { operation: "wasmMemory" });
  }
  const memories = made.get(node) ?? new Map<string, WasmMemory>();
  made.set(node, memories);
  const found = memories.get(name);
  if (found !== undefined) return found;
  const memory = newMemory(maximum, address);
  const byteOffset = node.offsetOf(cells);
  const shared: WasmMemory = {
    memory,
    byteOffset,
    cardOffset: node.offsetOf(card),
    maximum,
    address,
  };
  region.addWindow(byteOffset, maximum * WASM_PAGE_BYTES, addressOf(memory));
  kept.push(memory);
  seeIn(memoryOf(node), memory, byteOffset);
  memories.set(name, shared);
  return shared;
}

function checkSize(options: WasmMemoryOptions): Required<WasmMemoryOptions> {
  checkOptions(options, OPTIONS, "make a WebAssembly memory", "{ pages: 16, maximum: 1024 }");
  const { name = "memory", address = "i32" } = options;
  checkName(name, "WebAssembly memory", WASM_NAME_MAX_BYTES);
  if (address !== "i32" && address !== "i64") {
    const Wrong = typeof address === "string" ? RangeError : TypeError;
    throw new Wrong(`Cannot use ${show(address)} as the type of addresses: give "i32" or "i64"`);
  }
  const most = address === "i32" ? WASM_MEMORY32_MAX_PAGES : WASM_MEMORY64_MAX_PAGES;
  const maximum = options.maximum ?? options.pages;
  const pages = options.pages ?? maximum;
  checkCount(maximum, 1, most, "the maximum of a WebAssembly memory, in pages of 64 KiB");
  checkCount(pages, 0, maximum!, "the first pages of a WebAssembly memory, of 64 KiB each");
  return { name, pages: pages!, maximum: maximum!, address };
}

function newMemory(maximum: number, address: "i32" | "i64"): WebAssembly.Memory {
  const pages = (address === "i64" ? BigInt(maximum) : maximum) as number;
  // All of it at once: to grow it later would make it larger on this node only.
  const descriptor = { initial: pages, maximum: pages, shared: true, address };
  return new WebAssembly.Memory(descriptor as WebAssembly.MemoryDescriptor);
}

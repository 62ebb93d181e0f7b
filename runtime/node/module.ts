/**
 * Native modules on a node: their shared variables are mapped onto cells of the region that every
 * node finds by the module's file name.
 */

import { fileURLToPath } from "node:url";
import type { TdsmLibrary } from "../../ffi/library.ts";
import { NativeModule } from "../../ffi/module.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import type { NodeThread } from "./thread.ts";

/**
 * A native module, loaded on a node.
 *
 * @example Keep a module for other functions
 * ```ts
 * import type { Node, NodeModule } from "@tdsm/runtime";
 *
 * const SYMBOLS = { bump: { parameters: [], result: "i32" } } as const;
 *
 * function load(node: Node): Promise<NodeModule<typeof SYMBOLS>> {
 *   return node.loadModule("./libcounter.so", SYMBOLS);
 * }
 * ```
 */
export interface NodeModule<Symbols extends Deno.ForeignLibraryInterface> extends Disposable {
  /** Its functions. */
  readonly symbols: Deno.DynamicLibrary<Symbols>["symbols"];
  /** Its shared variables: the `.rdma` section. */
  readonly memory: Uint8Array<ArrayBuffer>;
}

/** Words of the record in the region by which nodes check that they have loaded the same module. */
const Card = { Size: 0, LayoutHash: 1, Words: 2 } as const;

/**
 * Loads a module, and maps its shared variables onto the cells of its name.
 *
 * @param node The node.
 * @param library `libtdsm.so`.
 * @param region The node's region.
 * @param path The module's file.
 * @param symbols Its functions.
 * @returns The module.
 * @throws {TdsmError} `LibraryMismatch` when another node has loaded another version of the module.
 */
export async function loadModule<const Symbols extends Deno.ForeignLibraryInterface>(
  node: NodeThread,
  library: TdsmLibrary,
  region: NativeRegion,
  path: string | URL,
  symbols: Symbols,
): Promise<NodeModule<Symbols>> {
  const module = NativeModule.open(library, path, symbols);
  try {
    const file = (path instanceof URL ? fileURLToPath(path) : path).split("/").at(-1)!;
    const { size, layoutHash } = module.section;
    using _lock = await node.mutex(`module ${file}`).lock();
    const card = await node.alloc(BigUint64Array, Card.Words, { name: `module ${file} card` });
    if (card[Card.Size] === 0n) {
      card[Card.LayoutHash] = layoutHash;
      card[Card.Size] = BigInt(size);
    } else {
      const others = { size: Number(card[Card.Size]), layoutHash: card[Card.LayoutHash]! };
      module.requireLayout(others);
    }
    const bytes = module.regionBytes(node.pageSize);
    const cells = await node.alloc(Uint8Array, bytes, { name: `module ${file}` });
    module.mapOnto(region, node.offsetOf(cells));
    return module;
  } catch (error) {
    module[Symbol.dispose]();
    throw error;
  }
}

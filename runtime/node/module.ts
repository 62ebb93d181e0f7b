/**
 * Native modules on a node: their shared variables are mapped onto cells of the region that every
 * node finds by the module's name.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import { NativeModule } from "../../ffi/module.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import { checkName } from "./arguments.ts";
import { TdsmError } from "../errors.ts";
import { MODULE_NAME_MAX_BYTES } from "../limits.ts";
import { checkOptions } from "../arguments/options.ts";
import { show } from "../arguments/show.ts";
import { memoryOf, type NodeThread } from "./thread.ts";

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
  /** The name by which nodes share its variables. */
  readonly name: string;
  /** Its functions. */
  readonly symbols: Deno.DynamicLibrary<Symbols>["symbols"];
  /**
   * Its shared variables: the `.rdma` section. Views of them are views of the region: `offsetOf`
   * knows them, and remote calls send them by reference.
   */
  readonly memory: Uint8Array<ArrayBuffer>;
}

/**
 * How to load a native module.
 *
 * @example Two libraries with the same file name
 * ```ts
 * import type { LoadModuleOptions, Node } from "@tdsm/runtime";
 *
 * async function load(node: Node): Promise<void> {
 *   const debug: LoadModuleOptions = { name: "libcounter debug" };
 *   await node.loadModule("./release/libcounter.so", {});
 *   await node.loadModule("./debug/libcounter.so", {}, debug);
 * }
 * ```
 */
export interface LoadModuleOptions {
  /**
   * The name by which nodes share the module's variables, 1 to 240 bytes of UTF-8. Default: the
   * name of its file, without folders; where the path is a symbolic link, of the file that it leads
   * to.
   */
  readonly name?: string;
}

/** Words of the record in the region by which nodes check that they have loaded the same module. */
const Card = { Size: 0, LayoutHash: 1, Words: 2 } as const;

/** A library that a node uses, by the name of its module. */
interface Used {
  readonly native: NativeModule<Deno.ForeignLibraryInterface>;
  /** How many modules use it. */
  count: number;
}

/** The libraries that each node of this process uses, by name. */
const used = new WeakMap<NodeThread, Map<string, Used>>();

/** A module whose variables are shared. */
export class LoadedModule<Symbols extends Deno.ForeignLibraryInterface>
  implements NodeModule<Symbols> {
  readonly name: string;
  readonly #native: NativeModule<Symbols>;
  readonly #ended: () => void;
  #disposed = false;

  constructor(name: string, native: NativeModule<Symbols>, ended: () => void) {
    this.name = name;
    this.#native = native;
    this.#ended = ended;
  }

  get symbols(): Deno.DynamicLibrary<Symbols>["symbols"] {
    return this.#native.symbols;
  }

  get memory(): Uint8Array<ArrayBuffer> {
    return this.#native.memory;
  }

  [Symbol.dispose](): void {
    this.#end(() => this.#native[Symbol.dispose]());
  }

  /** The node is closed: as dispose, but the library stays loaded, since calls of it may go on. */
  retire(): void {
    this.#end(() => this.#native.retire());
  }

  #end(end: () => void): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#ended();
    end();
  }
}

/**
 * Loads a module, and maps its shared variables onto the cells of its name.
 *
 * @param node The node.
 * @param library `libtdsm.so`.
 * @param region The node's region.
 * @param path The module's file.
 * @param symbols Its functions.
 * @param options Its name.
 * @returns The module.
 * @throws {TdsmError} `LibraryMismatch` when another node has loaded another version of the module,
 * `NameConflict` when this node has loaded another library of that name.
 */
export async function loadModule<const Symbols extends Deno.ForeignLibraryInterface>(
  node: NodeThread,
  library: TdsmLibrary,
  region: NativeRegion,
  path: string | URL,
  symbols: Symbols,
  options: LoadModuleOptions,
): Promise<LoadedModule<Symbols>> {
  if (typeof symbols !== "object" || symbols === null) {
    const wanted = "give its functions as Deno.dlopen takes them, or {} for none";
    throw new TypeError(`Cannot load ${path} with ${show(symbols)} as its symbols: ${wanted}`);
  }
  checkOptions(options, ["name"], `load ${path}`, '{ name: "counter 2" }');
  if (options.name !== undefined) checkName(options.name, "native module", MODULE_NAME_MAX_BYTES);
  const native = NativeModule.open(library, path, symbols);
  const ends = new DisposableStack();
  try {
    const { file, section: { size, layoutHash, address } } = native;
    const name = options.name ?? file.slice(file.lastIndexOf("/") + 1);
    checkName(name, "native module", MODULE_NAME_MAX_BYTES);
    ends.defer(claimName(node, name, native));
    using _lock = await node.mutex(`module ${name}`).lock();
    const card = await node.alloc(BigUint64Array, Card.Words, { name: `module ${name} card` });
    if (card[Card.Size] === 0n) {
      card[Card.LayoutHash] = layoutHash;
      card[Card.Size] = BigInt(size);
    } else {
      const others = { size: Number(card[Card.Size]), layoutHash: card[Card.LayoutHash]! };
      native.requireLayout(others);
    }
    const bytes = native.regionBytes(node.pageSize);
    const cells = await node.alloc(Uint8Array, bytes, { name: `module ${name}` });
    const regionByte = node.offsetOf(cells);
    native.mapOnto(region, regionByte);
    ends.defer(memoryOf(node).addWindow({ address, size, regionByte }));
    const end = ends.move();
    return new LoadedModule(name, native, () => end.dispose());
  } catch (error) {
    ends.dispose();
    native[Symbol.dispose]();
    throw error;
  }
}

/**
 * Takes a name for a library of this process.
 *
 * @returns Gives it back.
 * @throws {TdsmError} `NameConflict` when another library has the name: their variables would be
 *   one.
 */
function claimName(
  node: NodeThread,
  name: string,
  native: NativeModule<Deno.ForeignLibraryInterface>,
): () => void {
  const names = used.get(node) ?? new Map<string, Used>();
  used.set(node, names);
  const holder = names.get(name) ?? { native, count: 0 };
  if (holder.native.library !== native.library) {
    const message = `Cannot load ${native.file}: this node shares the variables of ` +
      `${holder.native.file} by the name ${JSON.stringify(name)}; ` +
      "give one of the two another one on every node, by loadModule(path, symbols, { name })";
    throw new TdsmError("NameConflict", message, { operation: "load" });
  }
  holder.count++;
  names.set(name, holder);
  return () => {
    if (--holder.count === 0) names.delete(name);
  };
}

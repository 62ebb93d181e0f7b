/**
 * A node as the thread that joined sees it.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";

import type { TdsmError } from "../errors.ts";
import { logWritten } from "../log.ts";
import { extendAtomics } from "./atomics.ts";
import type { LoadedModule, LoadModuleOptions, NodeModule } from "./module.ts";
import type { ReducibleArray } from "./reduce.ts";
import { closedError, failedError } from "../ring/client.ts";
import { beginThread, memoryOf, NodeThread, type NodeThreadParts, settle } from "./thread.ts";
import type { WasmMemory } from "./wasm_imports.ts";
import type { WasmMemoryOptions } from "./wasm_memory.ts";

/** What a node is made of; made by `join` and `run`. */
export interface NodeParts extends NodeThreadParts {
  /** The library, open. */
  readonly library: TdsmLibrary;
  /** The rings. */
  readonly slots: SharedArrayBuffer;
  /** Whether `Atomics` of the thread that joined wait across nodes. */
  readonly atomics: boolean;
  /** Resolves when the cluster has ended well; rejects when this node cannot go on. */
  readonly closed: Promise<void>;
  /** Ends the engine's Worker, closed in good order or not. Returns why the node failed. */
  readonly terminate: (orderly: boolean, failure: TdsmError | undefined) => Promise<void>;
}

/**
 * What `attach` needs in another thread of the program. Send it there by `postMessage`.
 *
 * @example Send a node to a Worker
 * ```ts
 * import { attach, join, type NodeHandle } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const handle: NodeHandle = node.handle; // worker.postMessage(node.handle)
 * using attached = attach(handle); // in the Worker
 * console.log(attached.id === handle.id);
 * ```
 */
export interface NodeHandle {
  /** The node's id. */
  readonly id: number;
  /** The host name or IP address on which the node listens. */
  readonly address: string;
  /** The TCP port on which the node listens. */
  readonly port: number;
  /** The node's place among those that a launcher has started. */
  readonly rank: number | undefined;
  /** How many nodes were started together. */
  readonly nodeCount: number;
  /** The path of `libtdsm.so`. */
  readonly library: string;
  /** The library's number for the region. */
  readonly region: number;
  /** What `node.shared` is; or why this Deno has no such buffer. */
  readonly shared: SharedArrayBuffer | string;
  /** The rings. */
  readonly slots: SharedArrayBuffer;
}

/**
 * Makes a node. Set by the class: programs have no constructor of it.
 *
 * @param parts What the node is made of.
 * @returns The node.
 */
export let newNode: (parts: NodeParts) => Node;

/**
 * One of the nodes that share a region of memory. Made by `join` or `run`.
 *
 * @example Write and read shared memory
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const cells = node.view(Int32Array, 4096, 16);
 * Atomics.add(cells, 0, 1);
 * ```
 */
export class Node extends NodeThread implements AsyncDisposable {
  /**
   * Resolves when this node is closed, or the directory node has ended the cluster.
   * Rejects with a `TdsmError` when this node cannot go on, and when a `release` or an unlock of
   * the thread that joined has failed, as no call waits for these.
   */
  readonly closed: Promise<void>;
  #parts!: NodeParts;
  readonly #modules = new Set<LoadedModule<Deno.ForeignLibraryInterface>>();
  #closing: Promise<void> | undefined;
  #restoreAtomics = (): void => {};

  static {
    newNode = (parts) => {
      const node = new Node(parts.closed);
      beginThread(node, parts);
      node.#parts = parts;
      if (parts.atomics) node.#restoreAtomics = extendAtomics(node.futex, memoryOf(node));
      return node;
    };
  }

  /** `join` and `run` make nodes. */
  private constructor(closed: Promise<void>) {
    super();
    this.closed = closed;
  }

  /** What `attach` needs in a Worker of the program. Send it by `postMessage`. */
  get handle(): NodeHandle {
    const { id, address, port, rank, nodeCount, library, region, shared, slots } = this.#parts;
    const ids = { id, address, port, rank, nodeCount };
    return { ...ids, library: library.path, region: region.handle, shared, slots };
  }

  /**
   * Loads native code whose global variables in `.rdma` are the same cells on every node that loads
   * the same module. It must be linked with the package's `rdma.ld`.
   *
   * Nodes share the variables of modules of one name, whatever their folders: that of the file,
   * unless `options` have another.
   *
   * @param path The shared library: a path, or a `file:` URL.
   * @param symbols Its functions, as `Deno.dlopen` takes them.
   * @param options Its name.
   * @returns The module. When the node is closed, its variables are the process's own, and zero;
   * only when the module is disposed of is the library unloaded.
   * @throws {TdsmError} `LibraryNotFound`; `LibraryMismatch` when another node has loaded another
   * version of the module, whose section has another size or layout; `NameConflict` when this node
   * has loaded another library of that name; `InvalidOption` when the path is neither a path nor a
   * `file:` URL.
   * @throws {RangeError} When the name is too short or too long.
   */
  async loadModule<const Symbols extends Deno.ForeignLibraryInterface>(
    path: string | URL,
    symbols: Symbols,
    options: LoadModuleOptions = {},
  ): Promise<NodeModule<Symbols>> {
    if (this.#closing !== undefined) throw closedError("load a module");
    const { library, region } = this.#parts;
    // Imported on demand, since most programs load no native code.
    const { loadModule } = await import("./module.ts");
    const module = await loadModule(this, library, region, path, symbols, options);
    if (this.#closing !== undefined) {
      module[Symbol.dispose]();
      throw closedError("load a module");
    }
    this.#modules.add(module);
    return module;
  }

  /**
   * A WebAssembly memory whose pages are the region's: what an instance on one node stores,
   * instances on all nodes load. Every node gets the same memory by its name.
   *
   * A module that uses it has to be rewritten by `rewriteWasm`, and imports from `"tdsm"` what
   * {@linkcode NodeThread.wasmImports} returns. All of the maximum is allocated in the region;
   * pages that nobody touches take no memory.
   *
   * @param options How large it is.
   * @returns The memory, for this thread, and by `postMessage` for Workers that are attached.
   * @throws {TypeError} When the options are no such object, or one of them is of another type.
   * @throws {RangeError} When a size is out of its bounds.
   * @throws {TdsmError} `OutOfMemory` when the region has no room; `NameConflict` when another node
   *   has asked for another size by this name; `InvalidArgument` when a Worker has joined.
   *
   * @example An instance whose memory is the region
   * ```ts
   * import { join, rewriteWasm } from "@tdsm/runtime";
   *
   * // (module (memory 1 2 shared) (func (export "pages") (result i32) (memory.size)))
   * const text = "\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x05\x04\x01\x03" +
   *   "\x01\x02\x07\x09\x01\x05pages\0\0\x0a\x06\x01\x04\0\x3f\0\x0b";
   * const bytes = rewriteWasm(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
   *
   * await using node = await join({ directory: true, port: 0 });
   * const shared = await node.wasmMemory({ pages: 1, maximum: 2 });
   * const imports = { tdsm: node.wasmImports(shared) };
   * const { instance } = await WebAssembly.instantiate(bytes, imports);
   * console.log((instance.exports.pages as () => number)()); // 1
   * ```
   */
  async wasmMemory(options: WasmMemoryOptions): Promise<WasmMemory> {
    if (this.#closing !== undefined) throw closedError("make a WebAssembly memory");
    // Imported on demand, since most programs have no WebAssembly.
    const { makeWasmMemory } = await import("./wasm_memory.ts");
    return await makeWasmMemory(this, this.#parts.region, options);
  }

  /**
   * Combines arrays element by element, one of each of the nodes that were started together
   * (`nodeCount`); every node gets the result. Resolves once all have called it.
   *
   * Elements are combined in the order of the nodes, so that every node has the same result, also
   * where numbers are rounded. Each node reads the arrays of all others: for arrays of many pages
   * it is quicker if each node combines a part of them.
   *
   * @param values This node's array, of one length and type on all nodes; it is left as it is.
   * @param combine Combines two elements: `(a, b) => a + b`, `Math.max`.
   * @param options The name: those of one name come one after the other, and have arrays of one
   *   length and type. Cells of the region are kept for each name.
   * @returns A new array.
   * @throws {TypeError} When `values` is no typed array with elements, `combine` no function, or an
   *   option is unknown.
   * @throws {RangeError} When the name is too long.
   * @throws {TdsmError} `NameConflict` when another call by that name has another length or type,
   *   `OutOfMemory`, `InvalidOption` when the node is none of those, `PeerLost` when one of them is
   *   gone, or why this node cannot go on.
   *
   * @example Add up what the nodes have
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * const sums = await node.reduce(Float64Array.of(1, 2), (a, b) => a + b);
   * console.log(sums); // of all nodes, on all nodes
   * ```
   */
  async reduce<Values extends ReducibleArray>(
    values: Values,
    combine: (a: Values[number], b: Values[number]) => Values[number],
    options: { readonly name?: string } = {},
  ): Promise<Values> {
    // Imported on demand, since many programs have no use for it.
    const { reduce } = await import("./reduce.ts");
    return await reduce(this, values, combine, options);
  }

  /**
   * Leaves the cluster: other nodes take over the pages that only this node has. The directory node
   * waits until every node with a program has left, and then ends the cluster.
   *
   * From then on `memory` and every view are empty. Of Workers and native calls that go on, the
   * calls end with an error, and what they still read of the region is zeros.
   *
   * @returns Resolves when the node is closed.
   * @throws {TdsmError} Why the node could not go on: the node is closed all the same, and what
   * only it had is lost. Whatever touches the region from then on ends the process.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /**
   * Closes the node as {@linkcode Node.close} does, but does not throw when a call of this thread
   * has said before why the node cannot go on: such an error would hide the error that ended the
   * block.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const { toldFailure } = this.#parts.client;
    try {
      await this.close();
    } catch (error) {
      if (!toldFailure) throw error;
    }
  }

  async #close(): Promise<void> {
    const { client, terminate } = this.#parts;
    for (const module of this.#modules) module.retire();
    this.#restoreAtomics();
    memoryOf(this).end();
    settle(this);
    const orderly = await client.close();
    const { failure } = client;
    // Calls that still wait will get no answer, so they end here.
    client.end();
    await terminate(orderly, failure);
    // The program may end its process as soon as this resolves.
    await logWritten();
    if (failure !== undefined) throw failedError("close the node in good order", failure);
  }
}

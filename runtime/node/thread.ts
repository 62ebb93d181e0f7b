/**
 * A node as any thread of its program sees it: the region, and the objects that all nodes share.
 */

import type { NativeRegion } from "../../ffi/native.ts";
import { checkOptions } from "../arguments/options.ts";
import { show } from "../arguments/show.ts";
import { checkCount, checkName, semaphoreKey } from "./arguments.ts";
import { type Barrier, newBarrier } from "./barrier.ts";
import { Call, valueFields } from "../ring/calls.ts";
import type { EngineClient } from "../ring/client.ts";
import { newBody } from "../ring/ring.ts";
import { isTdsmError, TdsmError } from "../errors.ts";
import {
  ALLOCATION_NAME_MAX_BYTES,
  BARRIER_PARTIES_MAX,
  CONTROL_TEXT_MAX,
  DEATH_MESSAGE_MAX_MS,
  NODE_ID_MAX,
  SEMAPHORE_COUNT_MAX,
} from "../limits.ts";
import { type Futex, newFutex } from "./futex.ts";
import { RegionMemory } from "./memory.ts";
import { type Mutex, newMutex } from "./mutex.ts";
import type { NodeStats } from "../engine/news.ts";
import type { NodeSummary, PeerInfo, TypedArrayConstructor } from "./types.ts";
import { type AllocationRequest, invalidRequest } from "../protocol/allocation/messages.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { newSemaphore, type Semaphore } from "./semaphore.ts";
import type { ValueMap } from "../std/msgpack_encode.d.ts";
import { failureText } from "./report.ts";
import { inspectAsJson } from "./inspect.ts";
import { SyncClient, syncError } from "./sync_client.ts";
import { beginTrace, type Trace } from "./trace.ts";
import { waitFor, type WaitOptions } from "./waiting.ts";
import { CARD_WORDS, makeWasmImports, type WasmMemory } from "./wasm_imports.ts";

/**
 * How to allocate.
 *
 * @example Small cells that share a page
 * ```ts
 * import { type AllocOptions, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const small: AllocOptions = { packed: true };
 * const [a, b] = [await node.alloc(Int32Array, 2, small), await node.alloc(Int32Array, 2, small)];
 * console.log(Math.abs(a.byteOffset - b.byteOffset) < node.pageSize); // true
 * ```
 */
export interface AllocOptions {
  /** The name under which every node gets the same cells; the first request for it creates them. */
  readonly name?: string;
  /** The alignment of the offset in the region, in bytes: a power of two. */
  readonly align?: number;
  /**
   * Whether the allocation may share pages with other packed allocations of this node. By default
   * it has its pages to itself, so that there is no false sharing.
   */
  readonly packed?: boolean;
  /**
   * The node that keeps the order of the pages, their home: the id of one that is there, or
   * `"spread"` for all in turn, by chunks of 128 pages. The allocation then has its chunks to
   * itself, so it takes at least 512 KiB. Chunks that had another home before keep that, where the
   * region has no others. Where the setting `homes` is `"directory"`, node 1 is the home of all.
   */
  readonly home?: number | "spread";
}

/**
 * A typed array over the region: the properties that `offsetOf` and `free` need.
 *
 * @example Keep any view of the region
 * ```ts
 * import { join, type RegionView } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const view: RegionView = node.view(Float64Array, 4096, 8);
 * console.log(node.offsetOf(view)); // 4096
 * ```
 */
export interface RegionView {
  /** The memory below the view. */
  readonly buffer: ArrayBufferLike;
  /** Where the view begins in that memory, in bytes. */
  readonly byteOffset: number;
  /** The view's length, in bytes. */
  readonly byteLength: number;
}

/** What a thread's view of its node is made of. */
export interface NodeThreadParts {
  /** The node's id. */
  readonly id: number;
  /** Where it listens. */
  readonly address: string;
  /** The port on which it listens. */
  readonly port: number;
  /** Its place among the nodes that a launcher has started. */
  readonly rank: number | undefined;
  /** How many nodes were started together. */
  readonly nodeCount: number;
  /** This thread's way to the region. */
  readonly region: NativeRegion;
  /** The buffer over the region; or why this Deno has none, in words. */
  readonly shared: SharedArrayBuffer | string;
  /** This thread's way to the engine. */
  readonly client: EngineClient;
  /** Called when a release or an unlock of this thread has failed: no call waits for its answer. */
  readonly failed?: (error: TdsmError) => void;
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/**
 * Gives a thread's node what it is made of. Set by the class: programs have no constructor of it.
 *
 * @param node The node, which is blank.
 * @param parts What it is made of.
 */
export let beginThread: (node: NodeThread, parts: NodeThreadParts) => void;

/**
 * The memory of a thread's node. Set by the class: programs have the bytes, and no more.
 *
 * @param node The node.
 * @returns Its memory.
 */
export let memoryOf: (node: NodeThread) => RegionMemory;

/**
 * A thread's way to the engine of its node. Set by the class.
 *
 * @param node The node.
 */
export let clientOf: (node: NodeThread) => EngineClient;

/**
 * Whether a call of this thread has no answer yet. Set by the class.
 *
 * @param node The node.
 */
export let isWaiting: (node: NodeThread) => boolean;

/**
 * Blocks this thread until the directory node has taken what the thread has sent it by a link of
 * its own. Set by the class.
 *
 * @param node The node.
 */
export let settle: (node: NodeThread) => void;

/**
 * Tells the caller that a release or an unlock of this thread has failed. Set by the class.
 *
 * @param node The node.
 * @throws {TdsmError} Why, if one has and no call has thrown it.
 */
export let throwFailure: (node: NodeThread) => void;

/**
 * Says what the program has failed with. Where that is why its node cannot go on, it is said once:
 * by this call, or by what ends the process meanwhile. Set by the class.
 *
 * @param node The node.
 * @param error What the program has failed with.
 * @param say Says it.
 */
export let tellFailure: (node: NodeThread, error: unknown, say: () => void) => void;

/**
 * A node as every thread of its program can use it. The thread that joined has a `Node`, which can
 * do more; other threads get their node from `attach`.
 *
 * @example A function for either kind of thread
 * ```ts
 * import { join, type NodeThread } from "@tdsm/runtime";
 *
 * function count(node: NodeThread): number {
 *   return Atomics.add(node.view(Int32Array, 0, 1), 0, 1) + 1;
 * }
 *
 * await using node = await join({ directory: true, port: 0 });
 * console.log(count(node)); // 1
 * ```
 */
export abstract class NodeThread {
  /**
   * The node's id: 1, 2, 3 … in order of joining, or where a launcher gives ranks the rank + 1. The
   * node with id 1 hosts the directory.
   */
  readonly id!: number;
  /** The region's size, in bytes. */
  readonly size!: number;
  /** The size of a page, in bytes. Pages move between nodes as a whole. */
  readonly pageSize!: number;
  /** The host name or IP address on which the node listens. */
  readonly address!: string;
  /** The TCP port on which the node listens. */
  readonly port!: number;
  /** `Atomics.wait`, `waitAsync` and `notify` for words of the region, across nodes. */
  readonly futex!: Futex;
  /**
   * Its place among the nodes that a launcher has started together: 0, 1, 2 … The node with rank 0
   * is node 1, that with rank 1 node 2. A process that is started again in the place of another one
   * has the same rank, and a new id. `undefined` where no launcher gives ranks.
   */
  readonly rank!: number | undefined;
  /** How many nodes a launcher has started together; without one, the setting `nodes`. */
  readonly nodeCount!: number;
  /**
   * Whether system calls fail with `EFAULT` on pages of the region that this node has no copy of,
   * because the kernel lets this user serve only faults of user space.
   */
  readonly userModeOnly!: boolean;
  #client!: EngineClient;
  #sync!: SyncClient;
  #region!: NativeRegion;
  #memory!: RegionMemory;
  #shared!: SharedArrayBuffer | string;

  static {
    memoryOf = (node) => node.#memory;
    clientOf = (node) => node.#client;
    isWaiting = (node) => node.#client.waiting;
    settle = (node) => node.#sync.settle();
    throwFailure = (node) => node.#sync.throwFailure();
    tellFailure = (node, error, say) => {
      const { failure } = node.#client;
      if (!(isTdsmError(error) && error.code === failure?.code)) return say();
      // Where the process is being ended, this thread waits for that.
      node.#region.beginTelling(DEATH_MESSAGE_MAX_MS);
      try {
        say();
      } finally {
        node.#region.endTelling();
      }
    };
    beginThread = (node, parts) => {
      const { id, address, port, rank, nodeCount, region, shared, client, failed } = parts;
      const blank: Writable<NodeThread> = node;
      blank.id = id;
      blank.address = address;
      blank.port = port;
      blank.rank = rank;
      blank.nodeCount = nodeCount;
      blank.size = region.size;
      blank.pageSize = region.pageSize;
      blank.userModeOnly = region.userModeOnly;
      node.#shared = shared;
      node.#region = region;
      node.#memory = new RegionMemory(region);
      node.#client = client;
      const sync = node.#sync = new SyncClient(client, failed);
      const { wordMarks } = client;
      const giveWay = (): void => region.yield();
      blank.futex = newFutex({ client, sync, memory: node.#memory, wordMarks, giveWay });
    };
  }

  /** `join`, `run` and `attach` make nodes. */
  protected constructor() {}

  /**
   * The whole region. Reading or writing it fetches pages as needed; `Atomics` work across nodes.
   *
   * Where something has taken its buffer away from the program, as a byte stream's reader or a
   * transfer does, the views of that buffer are empty, and this is a new array over the same cells.
   */
  get memory(): Uint8Array<ArrayBuffer> {
    return this.#memory.bytes;
  }

  /**
   * The whole region as shared memory: the same cells as {@linkcode NodeThread.memory}. Sent to a
   * Worker by `postMessage`, it is the region there, too, whether that Worker attaches or not.
   *
   * Give each view a length: a view without one asks for the buffer's length at every access. Once
   * the node is closed, the buffer reads zeros.
   *
   * @throws {TdsmError} `DenoUnsupported` where this version of Deno lays such buffers out in
   * another way than the region needs.
   *
   * @example A view for any Worker
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * const cells = new Int32Array(node.shared, 4096, 16); // worker.postMessage(cells)
   * cells[0] = 42;
   * console.log(node.view(Int32Array, 4096, 16)[0]); // 42
   * ```
   */
  get shared(): SharedArrayBuffer {
    if (typeof this.#shared !== "string") return this.#shared;
    const message = `Cannot have the region as a SharedArrayBuffer on Deno ${Deno.version.deno}: ` +
      `${this.#shared}. Use node.memory`;
    throw new TdsmError("DenoUnsupported", message, { operation: "share the region" });
  }

  /**
   * A typed array over part of the region.
   *
   * @param Type The kind of array: `Int32Array`, `Float64Array`, …
   * @param byteOffset Where the array begins in the region, in bytes; a multiple of the element's
   *   size.
   * @param length The length of the array, in elements.
   * @returns The array; nothing is copied.
   * @throws {RangeError} When the array is not inside of the region, or not aligned.
   * @throws {TypeError} When `Type` is no constructor of typed arrays, or another argument no
   *   number.
   * @throws {TdsmError} When this node is closed or cannot go on.
   *
   * @example Sixteen integers on the second page
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * const cells = node.view(Int32Array, node.pageSize, 16);
   * cells[0] = 42;
   * ```
   */
  view<View>(Type: TypedArrayConstructor<View>, byteOffset: number, length: number): View {
    checkArrayType(Type, "view");
    const size = Type.BYTES_PER_ELEMENT;
    const what = `${Type.name} of ${show(length)} at byte ${show(byteOffset)}`;
    this.#check(`view ${what}`);
    if (!Number.isInteger(byteOffset) || !Number.isInteger(length)) {
      const numbers = typeof byteOffset === "number" && typeof length === "number";
      const Wrong = numbers ? RangeError : TypeError;
      throw new Wrong(`Cannot view ${what}: the byte and the length must be whole numbers`);
    }
    if (byteOffset < 0 || length < 0 || byteOffset + length * size > this.size) {
      throw new RangeError(`Cannot view ${what}: the region has ${this.size} bytes`);
    }
    if (byteOffset % size !== 0) {
      throw new RangeError(`Cannot view ${what}: the byte must be a multiple of ${size}`);
    }
    return new Type(this.memory.buffer, byteOffset, length);
  }

  /**
   * A typed array at an offset that {@linkcode NodeThread.offsetOf} returned: follows a link of a
   * structure in the region. The same as {@linkcode NodeThread.view}.
   *
   * @param Type The kind of array.
   * @param byteOffset Where the array begins in the region, in bytes.
   * @param length The length of the array, in elements.
   * @returns The array.
   * @throws {RangeError} When the array is not inside of the region, or not aligned.
   */
  at<View>(Type: TypedArrayConstructor<View>, byteOffset: number, length: number): View {
    return this.view(Type, byteOffset, length);
  }

  /**
   * Where a view begins in the region: the same number on every node.
   *
   * @param view A typed array over the region, or over the shared variables of a native module.
   * @returns The offset, in bytes.
   * @throws {RangeError} When the view is not over the region.
   * @throws {TypeError} When it is no view at all.
   * @throws {TdsmError} When this node is closed or cannot go on.
   */
  offsetOf(view: RegionView): number {
    checkView(view, "tell the offset of");
    this.#check("tell the offset of a view");
    const offset = this.#memory.offsetOf(view as ArrayBufferView);
    if (offset !== undefined) return offset;
    throw new RangeError("Cannot tell the offset of a view that is not over the region");
  }

  /**
   * Allocates cells in the region, all zero.
   *
   * @param Type The kind of array.
   * @param length The length of the array, in elements; at least 1.
   * @param options A name, by which all nodes get the same cells; an alignment; `packed`; `home`.
   * @returns The array.
   * @throws {RangeError} When the length, the name or the alignment is out of its bounds, or what
   * is packed is to have a home.
   * @throws {TypeError} When `Type` is no constructor of typed arrays, or an option is unknown or
   * of another type.
   * @throws {TdsmError} `OutOfMemory`, `NameConflict`, `InvalidOption` when `home` is a node that
   * is not there or leaves, or why the node cannot go on.
   *
   * @example A grid that every node finds by its name
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * const grid = await node.alloc(Float64Array, 1000, { name: "grid" });
   * grid[0] = 1;
   * await node.free(grid);
   * ```
   */
  async alloc<View>(
    Type: TypedArrayConstructor<View>,
    length: number,
    options: AllocOptions = {},
  ): Promise<View> {
    checkArrayType(Type, "allocate");
    checkAllocOptions(options);
    const { name, align, packed = false, home } = options;
    if (typeof home === "number") checkCount(home, 1, NODE_ID_MAX, "the home of an allocation");
    const request = {
      type: Type.name,
      length,
      packed,
      ...(name === undefined ? {} : { name }),
      ...(align === undefined ? {} : { align }),
      ...(home === undefined ? {} : { home }),
    } as AllocationRequest & { packed: boolean };
    const wrong = invalidRequest(request);
    if (wrong !== undefined) throw new RangeError(wrong.message);
    this.#check("allocate");
    const argument = request as unknown as ValueMap;
    const answer = await this.#client.call(Call.Allocate, argument, "allocate");
    // The node may have been closed since the engine answered.
    this.#check("allocate");
    const { offset, dirtyBytes, reused = [] } = answer as {
      offset: number;
      dirtyBytes: number;
      reused?: { first: number; count: number }[];
    };
    const bytes = length * Type.BYTES_PER_ELEMENT;
    const end = Number(offset) + bytes;
    // Cells that were in use before still hold old values.
    this.memory.fill(0, end - Number(dirtyBytes), end);
    for (const { first, count } of reused) {
      this.memory.fill(0, first * this.pageSize, (first + count) * this.pageSize);
    }
    // Until then the engine frees the cells if this thread ends. Others have the cells of a name
    // that are zero.
    if (name === undefined || Number(dirtyBytes) > 0) {
      this.#client.post(newBody(Call.Taken, { key: BigInt(offset) }));
    }
    return this.view(Type, Number(offset), length);
  }

  /**
   * Allocates a part for each node that is there, on chunks of its own, of which the node is the
   * home where the setting `homes` is not `"directory"`. Each node gets all parts when it asks for
   * the same name and length, and knows the same nodes: so ask once all have joined, as `run` does
   * with the setting `nodes`. A part is freed like any other array.
   *
   * @param Type The kind of array.
   * @param lengthEach The length of each part, in elements; at least 1.
   * @param options The name, which each part has with `/` and its node's id behind it.
   * @param options.name The name.
   * @returns The part of each node, by the node's id, in order of the ids; all zero.
   * @throws {RangeError} When the length or the name is out of its bounds.
   * @throws {TypeError} When `Type` is no constructor of typed arrays, or there is no name.
   * @throws {TdsmError} As {@linkcode NodeThread.alloc}.
   *
   * @example Each node writes its part, and reads the others'
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0, homes: "first-touch" });
   * const parts = await node.allocParts(Float64Array, 1000, { name: "rows" });
   * parts.get(node.id)!.fill(node.id);
   * for (const [id, part] of parts) console.log(id, part[0]); // 1 1
   * ```
   */
  async allocParts<View>(
    Type: TypedArrayConstructor<View>,
    lengthEach: number,
    options: { readonly name: string },
  ): Promise<Map<number, View>> {
    const given = checkOptions(options, ["name"], "allocate parts", '{ name: "rows" }');
    const name = checkName(given.name, "allocation", ALLOCATION_NAME_MAX_BYTES);
    this.#check("allocate parts");
    const ids = [this.id, ...this.#client.peers].sort((a, b) => a - b);
    const parts = ids.map(async (id) => {
      return [id, await this.alloc(Type, lengthEach, { name: `${name}/${id}`, home: id })] as const;
    });
    return new Map(await Promise.all(parts));
  }

  /**
   * Which node is the home of the page on which a view begins: the node that each miss of it is
   * asked of. Nothing comes to have a home by the question.
   *
   * @param view A typed array over the region.
   * @returns The node's id; `undefined` where no node has needed a page of the chunk yet.
   * @throws {RangeError} When the view is not over the region, or has no element.
   * @throws {TypeError} When it is no view at all.
   * @throws {TdsmError} When this node is closed or cannot go on.
   *
   * @example Where the pages of an array are ordered
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0, homes: "spread" });
   * const cells = await node.alloc(Int32Array, 1000, { home: node.id });
   * console.log(await node.homeOf(cells)); // 1
   * ```
   */
  async homeOf(view: RegionView): Promise<number | undefined> {
    const offset = this.offsetOf(view);
    if (view.byteLength === 0) throw new RangeError("Cannot tell the home of a view that is empty");
    const page = Math.floor(offset / this.pageSize);
    const home = Number(await this.#client.call(Call.HomeOf, page, "tell the home of a view"));
    return home === 0 ? undefined : home;
  }

  /**
   * Frees an array that {@linkcode NodeThread.alloc} returned on this node or any other.
   *
   * @param view The whole array.
   * @returns Resolves when the cells are free.
   * @throws {TypeError} When it is no array at all.
   * @throws {TdsmError} `NotAllocated` when the view is not a whole allocation, or is free already.
   */
  async free(view: RegionView): Promise<void> {
    checkView(view, "free");
    this.#check("free");
    const bytes = view.byteLength;
    if (bytes === 0) throw new TdsmError("NotAllocated", "Cannot free a view that is empty");
    const offset = this.#memory.offsetOf(view as ArrayBufferView);
    if (offset === undefined) {
      throw new TdsmError("NotAllocated", "Cannot free a view that is not over the region");
    }
    await this.#client.call(Call.Free, { offset, bytes }, "free");
  }

  /**
   * A semaphore, the same on every node. It starts without permits.
   *
   * @param key Any 64-bit number; as a plain number, `7` is the same key as `7n`. Keys from 2^63 on
   * are for {@linkcode NodeThread.makeSemaphore}.
   * @returns The semaphore. No message is sent yet.
   * @throws {TypeError} When the key is neither a bigint nor a number.
   * @throws {RangeError} When the key has more than 64 bits, or is no whole number.
   */
  semaphore(key: bigint | number): Semaphore {
    return newSemaphore(this.#sync, semaphoreKey(key));
  }

  /**
   * Makes a semaphore with a key that is not in use.
   *
   * @param count The permits that the semaphore starts with.
   * @returns The semaphore. Other nodes get the same one by its `key`.
   * @throws {TypeError} When the count is no number.
   * @throws {RangeError} When the count is not from 0 to 2^31 - 1.
   * @throws {TdsmError} Why the node cannot go on.
   */
  async makeSemaphore(count: number): Promise<Semaphore> {
    checkCount(count, 0, SEMAPHORE_COUNT_MAX, "the count of permits of a new semaphore");
    const { MakeSemaphore: operation } = SyncOperation;
    const reply = await this.#sync.ask({ operation, count }, "make a semaphore");
    if (reply.status !== SyncStatus.Made) throw syncError(reply, "make a semaphore");
    return newSemaphore(this.#sync, reply.key);
  }

  /**
   * A barrier, the same for every thread that uses its name, on any node.
   *
   * @param name Its name, 1 to 255 bytes of UTF-8.
   * @param parties How many arrivals complete a round; every thread has to give the same number.
   * @returns The barrier. No message is sent yet.
   * @throws {TypeError} When the name is no string, or `parties` no number.
   * @throws {RangeError} When the name is empty or too long, or `parties` out of its bounds.
   */
  barrier(name: string, parties: number): Barrier {
    checkName(name, "barrier");
    checkCount(parties, 1, BARRIER_PARTIES_MAX, "the number of parties of a barrier");
    return newBarrier(this.#sync, name, parties);
  }

  /**
   * A mutex, the same for every thread that uses its name, on any node.
   *
   * @param name Its name, 1 to 255 bytes of UTF-8.
   * @returns The mutex. No message is sent yet.
   * @throws {TypeError} When the name is no string.
   * @throws {RangeError} When the name is empty or too long.
   */
  mutex(name: string): Mutex {
    return newMutex(this.#sync, checkName(name, "mutex"));
  }

  /**
   * What modules that `rewriteWasm` has rewritten import from `"tdsm"`, for instances of this
   * thread.
   *
   * @param shared The memory of the instances, by `node.wasmMemory`.
   * @returns The functions, and the memory as `memory`. They throw a `WebAssembly.RuntimeError`
   *   where the instruction would trap.
   * @throws {TdsmError} When this node is closed or cannot go on.
   *
   * @example In a Worker that is sent the memory and a module
   * ```ts
   * import { attach, type NodeHandle, type WasmMemory } from "@tdsm/runtime";
   *
   * function start(handle: NodeHandle, shared: WasmMemory, module: WebAssembly.Module): void {
   *   using node = attach(handle);
   *   const imports = { tdsm: node.wasmImports(shared), env: { memory: shared.memory } };
   *   const { exports } = new WebAssembly.Instance(module, imports);
   *   (exports.main as () => void)();
   * }
   * ```
   */
  wasmImports(shared: WasmMemory): WebAssembly.ModuleImports {
    const card = this.view(Int32Array, shared.cardOffset, CARD_WORDS);
    return makeWasmImports({ regionMemory: this.#memory, futex: this.futex, card }, shared);
  }

  /**
   * The other nodes, in order of their ids.
   *
   * @returns Their ids and addresses.
   * @throws {TdsmError} When this node is closed or cannot go on.
   */
  peers(): PeerInfo[] {
    return this.#ask(Call.Peers, "list the other nodes") as unknown as PeerInfo[];
  }

  /**
   * Waits until a node has joined.
   *
   * @param id The node's id.
   * @param options A signal and a time-out, in milliseconds.
   * @returns Resolves when the node has joined; at once, if it had joined before.
   * @throws {TypeError} When the id is no number, or the options are none.
   * @throws {RangeError} When no node can have that id, or the time-out cannot be used.
   * @throws {TdsmError} `PeerLost` when that node has joined and is gone again, `TimedOut`, or why
   * this node cannot go on; or the signal's reason.
   *
   * @example Wait for the second node
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using first = await join({ directory: true, port: 0 });
   * const directoryAddress = `127.0.0.1:${first.port}`;
   * await using _second = await join({ directoryAddress, rpcServer: true });
   * await first.waitForPeer(2);
   * console.log(first.peers());
   * ```
   */
  async waitForPeer(id: number, options: WaitOptions = {}): Promise<void> {
    checkCount(id, 1, NODE_ID_MAX, "the id of a node to wait for");
    const what = `wait for node ${id}`;
    this.#check(what);
    await waitFor(this.#client, newBody(Call.WaitForPeer, { id }), what, options);
  }

  /**
   * The counters of this node since it joined.
   *
   * @returns Faults, misses, pages, messages and bytes.
   * @throws {TdsmError} When this node is closed or cannot go on.
   */
  stats(): NodeStats {
    return this.#ask(Call.Stats, "read the node's counters") as unknown as NodeStats;
  }

  /**
   * Begins a trace of this node, for Perfetto, as the setting `trace` does from the start on: of
   * faults, transactions, messages, waits and calls. A node writes one trace at a time; before and
   * after it, nothing is measured. Deno needs `--allow-write` for the folder.
   *
   * @param path A path, into which the node's id is put: `"phase.json"` as `phase.2.json`. What was
   *   in that file is gone.
   * @returns The trace, which goes on until it is stopped or disposed of, or the node is closed.
   * @throws {TypeError} When it is no path of a file.
   * @throws {TdsmError} `PermissionMissing`; `InvalidOption` when there can be no such file;
   *   `InvalidArgument` while this node writes another trace; `SystemCallFailed`; or why this node
   *   cannot go on.
   *
   * @example Trace a part of a program
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * const folder = await Deno.makeTempDir();
   * {
   *   await using _trace = await node.trace(`${folder}/first.json`);
   *   node.memory[0] = 1;
   * }
   * await Deno.remove(folder, { recursive: true });
   * ```
   */
  async trace(path: string): Promise<Trace> {
    this.#check("begin a trace");
    return await beginTrace(this.#client, path);
  }

  /**
   * Describes the node for a log; `console.log(node)` shows the same. Makes no call to the engine,
   * and reads no byte of the region.
   *
   * @returns Its id, address and port, the sizes of region and page in bytes, and the ids of its
   *   peers.
   *
   * @example Write a node to a log
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * console.log(JSON.stringify(node)); // {"id":1,"address":"127.0.0.1",…,"peers":[]}
   * ```
   */
  toJSON(): NodeSummary {
    const { id, address, port, size, pageSize } = this;
    return { id, address, port, size, pageSize, peers: this.#client.peers };
  }

  /**
   * Ends the cluster because something is wrong that no node can put right: every node ends with
   * `NodeFailed`. Under `run` their processes end; after `join` their `closed` rejects, and their
   * calls throw.
   *
   * A node that is being closed can still do so, as it may wait for other nodes.
   *
   * @param reason Why, for people: an error, or text, of which the first 1024 characters are kept.
   * @throws {TdsmError} When this node is closed or cannot go on.
   *
   * @example End the cluster over a wrong result
   * ```ts
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * node.abort("the totals differ");
   * await node.closed.catch(({ code }) => console.log(code)); // NodeFailed
   * ```
   */
  abort(reason: unknown): void {
    const refusal = this.#client.refusal("abort", true);
    if (refusal !== undefined) throw refusal;
    const text = failureText(reason).slice(0, CONTROL_TEXT_MAX);
    this.#client.foretellFailure();
    this.#client.post(newBody(Call.Abort, valueFields(text)));
  }

  #ask(call: Call, what: string): unknown {
    this.#check(what);
    return this.#client.callSync(call, null, what);
  }

  #check(operation: string): void {
    const refusal = this.#client.refusal(operation);
    if (refusal !== undefined) throw refusal;
  }
}

inspectAsJson(NodeThread);

/** Checks that a type is a typed array's, since only these can lie over the region. */
function checkArrayType(Type: unknown, operation: string): void {
  const size = typeof Type === "function" &&
    (Type as Partial<TypedArrayConstructor<unknown>>).BYTES_PER_ELEMENT;
  if (Number.isInteger(size)) return;
  const given = typeof Type === "function" && Type.name !== "" ? Type.name : Deno.inspect(Type);
  throw new TypeError(
    `Cannot ${operation} ${given}: give the constructor of a typed array, such as Int32Array`,
  );
}

/** Checks that a value is a view of some memory. */
function checkView(view: unknown, operation: string): void {
  if (ArrayBuffer.isView(view)) return;
  throw new TypeError(`Cannot ${operation} ${show(view)}: give a typed array over the region`);
}

/** The types of the options of an allocation. */
const ALLOC_OPTIONS = {
  name: "string",
  align: "number",
  packed: "boolean",
} as const satisfies Record<Exclude<keyof AllocOptions, "home">, string>;

/** Checks the options of an allocation: with a slip in `name`, each node would get other cells. */
function checkAllocOptions(options: unknown): void {
  const names = [...Object.keys(ALLOC_OPTIONS), "home"];
  const given = checkOptions(options, names, "allocate", '{ name: "grid" }');
  for (const [option, type] of Object.entries(ALLOC_OPTIONS)) {
    const value = given[option];
    if (value === undefined || typeof value === type) continue;
    throw new TypeError(`Cannot allocate with ${show(value)} as ${option}: give a ${type}`);
  }
  const { home } = given;
  if (home !== undefined && home !== "spread" && typeof home !== "number") {
    throw new TypeError(
      `Cannot allocate with ${show(home)} as home: give the id of a node, or "spread"`,
    );
  }
}

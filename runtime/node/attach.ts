/**
 * Using a node from another thread of its program: a Worker.
 */

import { checkOptions } from "../arguments/options.ts";
import { show } from "../arguments/show.ts";
import { extendAtomics } from "./atomics.ts";
import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { currentThread, NativeRegion } from "../../ffi/native.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { EngineClient } from "../ring/client.ts";
import type { NodeHandle } from "./node.ts";
import {
  beginThread,
  memoryOf,
  NodeThread,
  type NodeThreadParts,
  settle,
  throwFailure,
} from "./thread.ts";
import { bindRpc } from "../rpc/define.ts";
import { rpcTransport } from "./rpc_transport.ts";

/** Makes a node of another thread, which has opened the library. Set by the class. */
let newAttachedNode: (
  parts: NodeThreadParts,
  library: TdsmLibrary,
  atomics: boolean,
) => AttachedNode;

/**
 * How to attach.
 *
 * @example Leave `Atomics` of a Worker as they are
 * ```ts
 * import { attach, type AttachOptions, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const options: AttachOptions = { atomics: false };
 * using attached = attach(node.handle, options); // in a Worker, as a rule
 * console.log(attached.futex.notify(attached.view(Int32Array, 0, 1), 0)); // 0
 * ```
 */
export interface AttachOptions {
  /**
   * Whether `Atomics.wait`, `waitAsync` and `notify` of this thread work across nodes for words of
   * the region. Default: true. Without, use `node.futex` for such words, and never `Atomics`.
   */
  readonly atomics?: boolean;
}

/**
 * A node as a Worker of its program sees it. Made by `attach`.
 *
 * @example Stop using the node in a Worker
 * ```ts
 * import { attach, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const attached = attach(node.handle); // in a Worker, as a rule
 * attached.memory[0] = 1;
 * attached.detach();
 * console.log(node.memory[0]); // 1
 * ```
 */
export class AttachedNode extends NodeThread implements Disposable {
  #library!: TdsmLibrary;
  #client!: EngineClient;
  /** Takes the node from the calls of this thread; `undefined` once the node is detached. */
  #unbind: (() => void) | undefined;
  #restoreAtomics = (): void => {};

  static {
    newAttachedNode = (parts, library, atomics) => {
      const node = new AttachedNode();
      beginThread(node, parts);
      node.#library = library;
      node.#client = parts.client;
      if (atomics) node.#restoreAtomics = extendAtomics(node.futex, memoryOf(node));
      node.#unbind = bindRpc(rpcTransport(node, parts.client));
      return node;
    };
  }

  /** `attach` makes nodes of other threads. */
  private constructor() {
    super();
  }

  /**
   * Stops using the node in this thread: views are empty from here on. The node goes on. What this
   * thread waits for is given up, and mutexes that it holds are abandoned. A thread that ends
   * without a word is found out, and treated the same.
   *
   * @throws {TdsmError} Why a `release` or an unlock of this thread has failed, if no call has
   *   thrown it.
   */
  detach(): void {
    if (this.#unbind === undefined) return;
    this.#unbind();
    this.#unbind = undefined;
    this.#restoreAtomics();
    memoryOf(this).end();
    settle(this);
    this.#client.detach();
    this.#library[Symbol.dispose]();
    throwFailure(this);
  }

  /** The same as {@linkcode AttachedNode.detach}. */
  [Symbol.dispose](): void {
    this.detach();
  }
}

/**
 * Uses a node in a Worker of its program: memory, views, semaphores, barriers, mutexes, allocations
 * and outgoing remote calls work there as in the thread that joined.
 *
 * @param handle The node's `handle`, sent by `postMessage`.
 * @param options What to leave as it is.
 * @returns The node, as this thread sees it.
 * @throws {TypeError} When that is no handle, or an option is unknown or of another type.
 * @throws {TdsmError} `NodeClosed` when the node is closed by now, or why it cannot go on;
 * `LimitExceeded` when 64 threads use it, and none of them ends within a second.
 *
 * @example In a Worker
 * ```ts
 * import { attach, type NodeHandle } from "@tdsm/runtime";
 *
 * // In the Worker; the program does worker.postMessage(node.handle).
 * function onHandle({ data }: MessageEvent<NodeHandle>): void {
 *   using node = attach(data);
 *   Atomics.add(node.view(Int32Array, 0, 1), 0, 1);
 * }
 * ```
 */
export function attach(handle: NodeHandle, options: AttachOptions = {}): AttachedNode {
  checkHandle(handle);
  const { atomics = true } = checkAttachOptions(options);
  const library = openLibrary({ path: handle.library, forProgram: true });
  try {
    const region = NativeRegion.attach(library, { handle: handle.region });
    const slots = new CallSlots(handle.slots);
    const client = new EngineClient(slots, region, currentThread(library), library);
    const refusal = client.refusal("attach to the node");
    if (refusal !== undefined) {
      client.detach();
      throw refusal;
    }
    const { id, address, port, rank, nodeCount, shared } = handle;
    const parts = { id, address, port, rank, nodeCount, region, shared, client };
    return newAttachedNode(parts, library, atomics);
  } catch (error) {
    library[Symbol.dispose]();
    throw error;
  }
}

/** Checks that something is a handle, as far as native code relies on it. */
function checkHandle(given: unknown): void {
  if (typeof given === "object" && given !== null) {
    const { library, region, slots }: Partial<NodeHandle> = given;
    const isHandle = typeof library === "string" && Number.isInteger(region) &&
      slots instanceof SharedArrayBuffer;
    if (isHandle) return;
  }
  const wanted = "give node.handle of the thread that joined, sent here by postMessage";
  throw new TypeError(`Cannot attach to ${show(given)}: ${wanted}`);
}

/** Checks the options of {@linkcode attach}. */
function checkAttachOptions(options: unknown): AttachOptions {
  const { atomics } = checkOptions(options, ["atomics"], "attach", "{ atomics: false }");
  if (atomics === undefined || typeof atomics === "boolean") return { atomics: atomics ?? true };
  throw new TypeError(`Cannot attach with ${show(atomics)} as atomics: give true or false`);
}

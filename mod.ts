/**
 * Distributed shared memory: programs on several machines share one region of memory and use it as
 * plain memory. Imported, this is the library. Run, it is a node without a program of its own:
 *
 * ```sh
 * deno run --allow-ffi --allow-net mod.ts --help
 * ```
 *
 * @module
 */

export { attach, AttachedNode } from "./runtime/attach.ts";
export { Barrier } from "./runtime/barrier.ts";
export { type NodeOptions } from "./runtime/config.ts";
export { TdsmError, type TdsmErrorCode, type TdsmErrorInit } from "./runtime/errors.ts";
export { join } from "./runtime/join.ts";
export { Mutex, MutexLock } from "./runtime/mutex.ts";
export { Node, type NodeHandle } from "./runtime/node.ts";
export { type NodeModule } from "./runtime/node_module.ts";
export { type AllocOptions, NodeThread, type RegionView } from "./runtime/node_thread.ts";
export { type NodeStats, type PeerInfo, type TypedArrayConstructor } from "./runtime/node_types.ts";
export { rpc } from "./runtime/rpc.ts";
export { RemoteError, type RemoteErrorInit } from "./runtime/rpc_error.ts";
export { type Rpc, type RpcAnswer, type RpcOf, type RpcOptions } from "./runtime/rpc_types.ts";
export { run } from "./runtime/run.ts";
export { Semaphore } from "./runtime/semaphore.ts";
export { type BlockOptions, type WaitOptions } from "./runtime/sync_client.ts";
export { VERSION } from "./runtime/version.ts";

import { main } from "./runtime/main.ts";

if (import.meta.main) await main(Deno.args);

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

export { attach, AttachedNode, type AttachOptions } from "./runtime/node/attach.ts";
export { Barrier } from "./runtime/node/barrier.ts";
export type { NodeOptions } from "./runtime/settings/types.ts";
export { TdsmError, type TdsmErrorCode, type TdsmErrorInit } from "./runtime/errors.ts";
export { Futex, type FutexView, type FutexWaitAsync } from "./runtime/node/futex.ts";
export type { FutexOutcome } from "./runtime/protocol/sync/futex_wait.ts";
export { join } from "./runtime/node/join.ts";
export { Mutex, MutexLock } from "./runtime/node/mutex.ts";
export { Node, type NodeHandle } from "./runtime/node/node.ts";
export type { LoadModuleOptions, NodeModule } from "./runtime/node/module.ts";
export { type AllocOptions, NodeThread, type RegionView } from "./runtime/node/thread.ts";
export type { NodeSummary, PeerInfo, TypedArrayConstructor } from "./runtime/node/types.ts";
export type { AllocationMoves } from "./runtime/engine/page_moves.ts";
export type { NodeStats } from "./runtime/engine/news.ts";
export type { ReducibleArray } from "./runtime/node/reduce.ts";
export { rpc } from "./runtime/rpc/define.ts";
export { RemoteError, type RemoteErrorInit } from "./runtime/rpc/error.ts";
export type { Rpc, RpcAnswer, RpcOf, RpcOptions } from "./runtime/rpc/types.ts";
export { run, type RunOptions } from "./runtime/node/run.ts";
export { Semaphore } from "./runtime/node/semaphore.ts";
export { Trace } from "./runtime/node/trace.ts";
export type { BlockOptions, WaitOptions } from "./runtime/node/waiting.ts";
export type { WasmMemory } from "./runtime/node/wasm_imports.ts";
export type { WasmMemoryOptions } from "./runtime/node/wasm_memory.ts";
export { rewriteWasm } from "./runtime/wasm/rewrite.ts";
export { VERSION } from "./runtime/version.ts";

if (import.meta.main) {
  const { main } = await import("./runtime/cli/main.ts");
  await main(Deno.args);
}

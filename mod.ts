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

export { type NodeOptions } from "./runtime/config.ts";
export { TdsmError, type TdsmErrorCode, type TdsmErrorInit } from "./runtime/errors.ts";
export { join } from "./runtime/join.ts";
export { Node, type NodeStats, type PeerInfo, type TypedArrayConstructor } from "./runtime/node.ts";
export { run } from "./runtime/run.ts";
export { VERSION } from "./runtime/version.ts";

import { main } from "./runtime/main.ts";

if (import.meta.main) await main(Deno.args);

/**
 * One node for a program and its Workers. `import.meta.main` is true also in a Worker that runs the
 * program's own file; without this check the Worker would start a second node, and wait for itself.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import { setVariables } from "../../ffi/machine.ts";
import { setEnvironment } from "../../ffi/native.ts";
import { TdsmError } from "../errors.ts";

/**
 * Set while the main thread has a node. All threads of a process share its environment, even if
 * each has loaded another copy of the runtime. The value has the process id, so a child process is
 * not affected.
 */
const MARK = `TDSM_NODE_OF_PROCESS_${Deno.pid}`;

/** The nodes of this thread. */
let nodes = 0;

/**
 * Checks that this thread may start a node.
 *
 * @throws {TdsmError} `AlreadyJoined` in a Worker of a program whose main thread has a node.
 */
export function requireNoNode(): void {
  if (!isWorker() || setVariables([MARK]).length === 0) return;
  const message = "Cannot join: this is a Worker of a program that has a node already. " +
    "Send it node.handle by postMessage, and use attach(handle) here";
  throw new TdsmError("AlreadyJoined", message, { operation: "join" });
}

/**
 * Marks the process: its main thread has a node. Does nothing in a Worker.
 *
 * @param library The library.
 * @returns To be called when the node is closed.
 */
export function markNode(library: TdsmLibrary): () => void {
  if (isWorker()) return () => {};
  if (nodes++ === 0) setEnvironment(library, MARK, "1");
  return () => {
    if (--nodes === 0) setEnvironment(library, MARK, "");
  };
}

/** Whether this thread is a Worker. */
export function isWorker(): boolean {
  return "WorkerGlobalScope" in globalThis;
}

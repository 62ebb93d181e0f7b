/** A Worker with an instance of `cells.c` in the memory that it is sent. */

import { attach, type NodeHandle, type WasmMemory } from "../../../mod.ts";

/** What the Worker is sent. */
export interface CellsTask {
  readonly handle: NodeHandle;
  readonly shared: WasmMemory;
  readonly module: WebAssembly.Module;
  /** The function to call, and with what. */
  readonly name: string;
  readonly parameters: readonly number[];
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<CellsTask>) => void) | null;
  postMessage(answer: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data: { handle, shared, module, name, parameters } }) => {
  using node = attach(handle);
  const imports = { tdsm: node.wasmImports(shared), env: { memory: shared.memory } };
  const { exports } = new WebAssembly.Instance(module, imports);
  scope.postMessage((exports[name] as (...parameters: number[]) => number)(...parameters));
};

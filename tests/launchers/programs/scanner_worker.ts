/** A Worker of `scanner.ts`: executes a thread of the module once it is ordered to. */

import { WASI } from "node:wasi";
import { attach } from "../../../mod.ts";
import { Cell, ORDERS, semaphoreOf, type WorkerTask } from "./scanner_orders.ts";

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerTask>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data: { handle, shared, module, place, orders } }) => {
  using node = attach(handle);
  const cells = node.at(Int32Array, orders, ORDERS);
  node.semaphore(semaphoreOf(place)).acquireSync();
  const first = Cell.First + place * Cell.Each;
  cells[first + Cell.Node] = node.id;

  const { memory, ...tdsm } = node.wasmImports(shared);
  const wasi = new WASI({ version: "preview1" });
  const known: WebAssembly.Imports = { tdsm, wasi_snapshot_preview1: wasi.wasiImport };
  const imports: Record<string, WebAssembly.ModuleImports> = { env: { memory: memory! } };
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function") continue;
    const mainThreads = (): never => {
      throw new Error(`${name} is the main thread's`);
    };
    (imports[from] ??= {})[name] = known[from]?.[name] ?? mainThreads;
  }
  const { exports } = new WebAssembly.Instance(module, imports);
  wasi.initialize({ exports: { memory: shared.memory } });
  const start = exports.wasi_thread_start as (thread: number, argument: number) => void;
  start(cells[first + Cell.Thread]!, cells[first + Cell.Argument]!);
};

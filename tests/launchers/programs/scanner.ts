/**
 * Tailwind's scanner, as npm has it for wasm32-wasip1-threads, with the threads of its rayon on two
 * nodes. It is an addon for Node.js, so emnapi gives it the functions of Node-API; all else it has
 * of the runtime: its memory, its waits, and its threads, which are Workers that wait for an order.
 *
 * The argument is the folder in which the package and emnapi are installed.
 */

import { WASI } from "node:wasi";
import { rewriteWasm, run } from "../../../mod.ts";
import { Cell, ORDERS, SCANNER_THREADS, semaphoreOf, type WorkerTask } from "./scanner_orders.ts";

/** What is used of emnapi, and of the scanner. */
interface Emnapi {
  instantiateNapiModuleSync(
    module: WebAssembly.Module,
    options: Record<string, unknown>,
  ): { readonly napiModule: { readonly exports: { readonly Scanner: ScannerClass } } };
  getDefaultContext(): unknown;
}
type ScannerClass = new (options: { sources: unknown[] }) => {
  scanFiles(files: { content: string; extension: string }[]): string[];
};

const NODES = 2;
const WORKERS = SCANNER_THREADS / NODES;
/** The pages that the module needs at first, and the most that it declares. */
const PAGES = { pages: 1024, maximum: 65_536 };
const FILES = 50;
const CLASSES = 100;

const folder = Deno.args[0]!;
const path =
  `${folder}/node_modules/@tailwindcss/oxide-wasm32-wasi/tailwindcss-oxide.wasm32-wasi.wasm`;
const emnapiOf = async (name: string, file: string): Promise<Emnapi> =>
  await import(`file://${folder}/node_modules/@emnapi/${name}/dist/${file}`);

await run(async (node) => {
  const module = new WebAssembly.Module(rewriteWasm(await Deno.readFile(path)));
  const shared = await node.wasmMemory({ name: "scanner", ...PAGES });
  const orders = await node.alloc(Int32Array, ORDERS, { name: "orders" });
  for (let at = 0; at < WORKERS; at++) {
    const worker = new Worker(new URL("scanner_worker.ts", import.meta.url), { type: "module" });
    const place = (node.id - 1) * WORKERS + at;
    const task = { handle: node.handle, shared, module, place, orders: node.offsetOf(orders) };
    worker.postMessage(task satisfies WorkerTask);
  }
  const { instantiateNapiModuleSync } = await emnapiOf("core", "emnapi-core.mjs");
  const { getDefaultContext } = await emnapiOf("runtime", "emnapi.mjs");
  if (node.id === 1) {
    const { memory, ...tdsm } = node.wasmImports(shared);
    /** Gives a thread to the next Worker, each node's in turn, beginning with the other one. */
    const spawn = (argument: number): number => {
      const thread = Atomics.add(orders, Cell.Threads, 1) + 1;
      if (thread > SCANNER_THREADS) return -1;
      const place = (thread % NODES) * WORKERS + ((thread - 1) >> 1);
      orders[Cell.First + place * Cell.Each + Cell.Thread] = thread;
      orders[Cell.First + place * Cell.Each + Cell.Argument] = argument;
      node.semaphore(semaphoreOf(place)).release();
      return thread;
    };
    const { napiModule } = instantiateNapiModuleSync(module, {
      context: getDefaultContext(),
      wasi: new WASI({
        version: "preview1",
        env: { RAYON_NUM_THREADS: String(SCANNER_THREADS) },
      }),
      overwriteImports: ({ env, napi, emnapi, ...others }: WebAssembly.Imports) => ({
        ...others,
        env: { ...env, ...napi, ...emnapi, memory: memory! },
        wasi: { "thread-spawn": spawn },
        tdsm,
      }),
      beforeInit({ instance: { exports } }: { instance: WebAssembly.Instance }) {
        for (const [name, value] of Object.entries(exports)) {
          if (name.startsWith("__napi_register__")) (value as () => void)();
        }
      },
    });
    const files = Array.from({ length: FILES }, (_, file) => ({
      extension: "html",
      content: Array.from(
        { length: CLASSES },
        (_, at) => `<p class="w-[${file}px] m-[${file * CLASSES + at}px]"></p>`,
      ).join("\n"),
    }));
    const found = new Set(new napiModule.exports.Scanner({ sources: [] }).scanFiles(files));
    const wanted = files.flatMap(({ content }) => content.match(/[wm]-\[\d+px\]/g)!);
    const missing = wanted.filter((name) => !found.has(name)).length;
    console.log(`${found.size} names found, ${missing} missing`);
    const places = Array.from({ length: SCANNER_THREADS }, (_, place) => place);
    const ran = places.map((place) => orders[Cell.First + place * Cell.Each + Cell.Node]);
    console.log(`threads ran on nodes ${ran.join(" ")}`);
  }
  await node.barrier("scanned", NODES).wait();
  // The threads of rayon wait for work for ever.
  Deno.exit();
});

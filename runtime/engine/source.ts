/**
 * The engine's code as text, which `bundle.ts` made when the checkout was built.
 */

import { TdsmError } from "../errors.ts";

/**
 * What the Worker runs first: the engine's code comes as a message. Were the code the Worker's
 * module, Deno would parse all of it in search of imports, which takes longer than everything else
 * of a join. A Worker may start from a data URL where it may not from a file: without
 * `--allow-read`.
 */
const BOOTSTRAP = "data:text/javascript,onmessage=({data})=>(0,eval)(data)";

/**
 * Starts the engine's Worker, which from then on takes an `EngineStart`.
 *
 * @param source The engine's code, as {@linkcode loadEngineSource} returns it.
 * @returns The Worker.
 */
export function startEngineWorker(source: string): Worker {
  const worker = new Worker(BOOTSTRAP, { type: "module", name: "tdsm engine" });
  worker.postMessage(source);
  return worker;
}

/**
 * Loads the engine's code. The import is dynamic, so that in a checkout that is not built only
 * `run` and `join` fail, with an error that says what to do.
 *
 * @returns The text of one script, for {@linkcode startEngineWorker}.
 * @throws {TdsmError} `LibraryNotFound` in a checkout that is not built.
 */
export async function loadEngineSource(): Promise<string> {
  try {
    return (await import("./worker.bundle.js")).default;
  } catch (cause) {
    const folder = import.meta.dirname?.replace(/\/runtime\/engine$/, "");
    const where = folder === undefined ? "" : ` in ${folder}`;
    throw new TdsmError(
      "LibraryNotFound",
      `Cannot start a node: this checkout is not built. Run \`./tdsm build\`${where}`,
      { operation: "load", cause },
    );
  }
}

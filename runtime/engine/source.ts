/**
 * The engine's code as text, which `bundle.ts` made when the checkout was built.
 */

import { TdsmError } from "../errors.ts";

/**
 * Loads the engine's code. The import is dynamic, so that in a checkout that is not built only `run` and
 * `join` fail, with an error that says what to do.
 *
 * @returns The text of one module, from which a Worker is started.
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

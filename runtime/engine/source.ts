/**
 * The engine's code as text, which `bundle.ts` made when the checkout was built.
 */

import { TdsmError } from "../errors.ts";

/**
 * Loads the engine's code. It is imported on demand, so that in a checkout that is not built only what
 * needs the engine fails, and says what to do.
 *
 * @returns The text of one module, to start a Worker from.
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

/** The release, as `deno.json` has it. */

import manifest from "../deno.json" with { type: "json" };

/**
 * The release of this runtime: `0.1.0`.
 *
 * @example Print it
 * ```ts
 * import { VERSION } from "@tdsm/runtime";
 *
 * console.log(`tdsm ${VERSION}`);
 * ```
 */
export const VERSION: string = manifest.version;

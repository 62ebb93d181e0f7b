/** The release. */

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
export const VERSION: string = "0.1.0";

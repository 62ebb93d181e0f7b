/** The release, and what it needs of Deno. */

import { TdsmError } from "./errors.ts";

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

/** The oldest Deno that nodes run on: before it a node that leaves waits for ever. */
export const DENO_MIN_VERSION = "2.8.0";

/**
 * Whether a version of Deno is new enough.
 *
 * @param version The version, such as `2.9.8`.
 * @returns Whether nodes run on it.
 */
export function isDenoSupported(version: string): boolean {
  const [major, minor] = parse(version);
  const [majorMin, minorMin] = parse(DENO_MIN_VERSION);
  return major > majorMin || (major === majorMin && minor >= minorMin);
}

/**
 * Refuses a Deno that is too old.
 *
 * @throws {TdsmError} `DenoUnsupported`, naming the oldest that works.
 */
export function requireDeno(): void {
  const { deno } = Deno.version;
  if (isDenoSupported(deno)) return;
  const message =
    `Cannot run a node on Deno ${deno}: it needs Deno ${DENO_MIN_VERSION} or newer. ` +
    "Run `deno upgrade`";
  throw new TdsmError("DenoUnsupported", message, { operation: "join" });
}

function parse(version: string): [major: number, minor: number] {
  const [major = 0, minor = 0] = version.split(".").map((part) => parseInt(part));
  return [major, minor];
}

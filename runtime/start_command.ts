/**
 * How the programs of the runtime are started: in a package, and over the network, there is no
 * `mod.ts`.
 */

/** The name of this file in a checkout, which no bundle keeps. */
const OWN_NAME = "/runtime/start_command.ts";

/**
 * Says how the program is started.
 *
 * @param url Where this module, or the bundle that it is in, was loaded from.
 * @returns A command to which flags of the program can be added.
 */
export function startCommandOf(url: string): string {
  const { protocol, host } = new URL(url);
  const deno = "deno run --allow-ffi --allow-net";
  if (protocol.startsWith("http")) return `${deno} --allow-import=${host} ${url}`;
  return `${deno} ${url.endsWith(OWN_NAME) ? "mod.ts" : "npm:@tdsm/runtime"}`;
}

/** How this program is started. */
export const START_COMMAND: string = startCommandOf(import.meta.url);

/**
 * Says how the launcher is started.
 *
 * @param url Where this module, or the bundle that it is in, was loaded from.
 * @returns A command to which arguments can be added.
 */
export function launchCommandOf(url: string): string {
  return url.endsWith(OWN_NAME) ? "./tdsm launch" : "deno run -A npm:@tdsm/runtime/launch";
}

/** How the launcher of this program is started. */
export const LAUNCH_COMMAND: string = launchCommandOf(import.meta.url);

/** How WebAssembly programs are run. */
export const WASM_COMMAND: string = import.meta.url.endsWith(OWN_NAME)
  ? "./tdsm wasm"
  : "deno run -A npm:@tdsm/runtime wasm";

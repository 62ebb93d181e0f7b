/**
 * How the programs of the runtime are started: in a package, and over the network, there is no
 * `mod.ts`.
 */

/** The name of this file in a checkout, which no bundle keeps. */
const OWN_NAME = "/runtime/start_command.ts";

/** What a shell takes as it stands. */
const PLAIN_WORD = /^[\w./@+-]+$/;

/**
 * Says how the program is started. In a checkout that is by its own `./tdsm`, as no Deno need be on
 * the PATH; elsewhere than in its folder, by whole paths.
 *
 * @param url Where this module, or the bundle that it is in, was loaded from.
 * @param flags The flags of `deno run`: by default, those of a node.
 * @param folder The current folder; `undefined` where it is not known.
 * @returns A command to which flags of the program can be added.
 */
export function startCommandOf(
  url: string,
  flags: readonly string[] = ["--allow-ffi", "--allow-net"],
  folder: string | undefined = currentFolder(),
): string {
  const { protocol, host } = new URL(url);
  const deno = ["deno", "run", ...flags];
  if (protocol.startsWith("http")) return [...deno, `--allow-import=${host}`, url].join(" ");
  const path = checkoutPath(url, folder);
  if (path === undefined) return [...deno, "npm:@tdsm/runtime"].join(" ");
  return [path("./tdsm"), ...deno, path("mod.ts")].join(" ");
}

/** How this program is started. */
export const START_COMMAND: string = startCommandOf(import.meta.url);

/** What shows the state of a cluster, also of one whose key is in the environment. */
export const STATUS_COMMAND: string = `${
  startCommandOf(import.meta.url, ["--allow-ffi", "--allow-net", "--allow-env"])
} --status`;

/** What prints a new key, which needs no permission. */
export const NEW_KEY_COMMAND: string = `${startCommandOf(import.meta.url, [])} --new-key`;

/**
 * Says how the launcher is started.
 *
 * @param url Where this module, or the bundle that it is in, was loaded from.
 * @param folder The current folder; `undefined` where it is not known.
 * @returns A command to which arguments can be added.
 */
export function launchCommandOf(
  url: string,
  folder: string | undefined = currentFolder(),
): string {
  const path = checkoutPath(url, folder);
  return path === undefined ? "deno run -A npm:@tdsm/runtime/launch" : `${path("./tdsm")} launch`;
}

/** How the launcher of this program is started. */
export const LAUNCH_COMMAND: string = launchCommandOf(import.meta.url);

/** How WebAssembly programs are run. */
export const WASM_COMMAND: string = import.meta.url.endsWith(OWN_NAME)
  ? "./tdsm wasm"
  : "deno run -A npm:@tdsm/runtime wasm";

/** Names a file of the checkout from the current folder; `undefined` where there is no checkout. */
function checkoutPath(
  url: string,
  folder: string | undefined,
): ((name: string) => string) | undefined {
  const { pathname, protocol } = new URL(url);
  if (protocol !== "file:" || !pathname.endsWith(OWN_NAME)) return undefined;
  const root = decodeURIComponent(pathname.slice(0, -OWN_NAME.length));
  if (folder === root) return (name) => name;
  return (name) => {
    const path = `${root}/${name.replace("./", "")}`;
    return PLAIN_WORD.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  };
}

function currentFolder(): string | undefined {
  try {
    return Deno.cwd();
  } catch {
    // It was removed, or may not be known.
    return undefined;
  }
}

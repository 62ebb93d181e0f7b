/**
 * Runs a WebAssembly program whose threads are spread over nodes:
 *
 * ```sh
 * deno run -A mod.ts wasm -n 2 program.wasm
 * ```
 */

import { isLoopback } from "../address.ts";
import { errorText, exitCodeOf, exitCodeOfStart, reasonOf, TdsmError } from "../errors.ts";
import { WASM_PAGE_BYTES, WASM_REGION_SPARE_BYTES } from "../limits.ts";
import { startNode } from "../node/join.ts";
import type { Node } from "../node/node.ts";
import { printError } from "../node/report.ts";
import { tellWhileAlone } from "../node/waits_told.ts";
import { DIRECTORY_NODE } from "../protocol/coherence/messages.ts";
import { refused } from "../settings/flags.ts";
import { type Environment, readEnvironment, resolveSettings } from "../settings/settings.ts";
import { SETTINGS } from "../settings/table.ts";
import type { NodeOptions, Settings } from "../settings/types.ts";
import { loadProgram, type WasiProgram } from "../wasi/program.ts";
import { runProgram, serveProgram } from "../wasi/run.ts";
import { NO_LIFT, parseWasm, type WasmArguments, wasmHelp } from "./wasm_arguments.ts";
import { isOfHome, OtherNodes } from "./wasm_nodes.ts";

/**
 * Runs the command.
 *
 * @param args Its arguments.
 * @returns Resolves when the program has ended; the exit code is set, or the process ends.
 */
export async function main(args: readonly string[]): Promise<void> {
  let exitCodeOfError = exitCodeOfStart;
  try {
    const what = parseWasm(args, readEnvironment());
    if (what === undefined) return console.log(wasmHelp());
    const { nodes, directory, rendezvous, address } = resolve(what, readEnvironment());
    const hosts = directory && rendezvous.kind === "flags";
    // Threads of one node wait faster by its memory.
    const program = await loadProgram(what.program, what.lift && !(hosts && nodes === 1));
    await checkFolders(what);
    const settings = settingsOf(what, program, readEnvironment());
    const startsOthers = hosts && isLoopback(address) && nodes > 1;
    await using others = startsOthers ? new OtherNodes(nodes, what.settings) : undefined;
    const own = others === undefined
      ? settings
      : settingsOf(what, program, others.environment(readEnvironment()));
    const node = await startNode(own, true);
    others?.start(node, [...what.lift ? [] : [NO_LIFT], what.program]);
    exitCodeOfError = exitCodeOf;
    try {
      await execute(node, program, what, own, others);
    } catch (error) {
      abort(node, error);
      throw error;
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    // The node that has started this one tells why the program has ended.
    const isTold = isOfHome() && ["NodeFailed", "DirectoryLost"].includes(error.code);
    if (!isTold) printError(errorText(error));
    Deno.exit(exitCodeOfError(error));
  }
}

/** Executes the program, or threads of it. */
async function execute(
  node: Node,
  program: WasiProgram,
  { args, env, folders, threadsPerNode }: WasmArguments,
  settings: Settings,
  others: OtherNodes | undefined,
): Promise<void> {
  if (node.id !== DIRECTORY_NODE) {
    await serveProgram(node, program);
    await node.close();
    Deno.exit(0);
  }
  const environment = { args: [program.path, ...args], env, folders };
  const nodes = Math.max(settings.nodes, node.nodeCount);
  // Those on this machine are on their way.
  using _hint = nodes > 1 && others === undefined ? tellWhileAlone(node, settings) : undefined;
  const run = runProgram(node, program, { environment, nodes, threadsPerNode });
  const code = await Promise.race([run, ...others === undefined ? [] : [others.failed]]);
  await others?.[Symbol.asyncDispose]();
  // Threads may still run, and a read of standard input be under way.
  Deno.exit(code);
}

/** The settings of this node, as far as they do not depend on the program. */
function resolve(
  { settings: flags }: WasmArguments,
  environment: Environment,
  options: NodeOptions = {},
): Settings {
  return resolveSettings(options, flags, environment, { names: [], others: "none" }).settings;
}

/** The settings of this node. The region has room for the program's memory, unless it is told. */
function settingsOf(
  what: WasmArguments,
  { memory: { maximum } }: WasiProgram,
  environment: Environment,
): Settings {
  const isGiven = (name: "size" | "port"): boolean => {
    const { flag, environment: [variable] } = SETTINGS[name];
    return what.settings.some((arg) => arg === `--${flag}` || arg.startsWith(`--${flag}=`)) ||
      Boolean(environment(variable!));
  };
  const settings = resolve(what, environment);
  const mayHost = settings.directory || settings.rendezvous.kind !== "flags";
  const size = maximum * WASM_PAGE_BYTES + WASM_REGION_SPARE_BYTES;
  const options = {
    ...(mayHost && !isGiven("size") ? { size } : {}),
    // Nobody has to know the port of a node that only this machine reaches.
    ...(settings.directory && !isGiven("port") && isLoopback(settings.address) ? { port: 0 } : {}),
  };
  return resolve(what, environment, options);
}

/** Checks that the folders of a program are there, so that one message says so by their names. */
async function checkFolders({ folders }: WasmArguments): Promise<void> {
  for (const path of Object.values(folders)) {
    try {
      if ((await Deno.stat(path)).isDirectory) continue;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) {
        const message = `Cannot use --dir ${path}: it may not be read. Run Deno with --allow-read`;
        throw new TdsmError("PermissionMissing", message, { operation: "configure", cause });
      }
      const missing = cause instanceof Deno.errors.NotFound;
      const why = missing ? `there is no such folder in ${Deno.cwd()}` : reasonOf(cause);
      throw refused(`Cannot use --dir ${path}: ${why}`, cause);
    }
    throw refused(`Cannot use --dir ${path}: it is no folder`);
  }
}

/** Tells the other nodes that the program has failed. */
function abort(node: Node, error: unknown): void {
  if (node.id !== DIRECTORY_NODE) return;
  try {
    node.abort(error);
  } catch {
    // This node cannot go on, and so the cluster ends.
  }
}

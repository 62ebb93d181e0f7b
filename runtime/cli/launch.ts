/**
 * Starts the nodes of a program on this machine:
 *
 * ```sh
 * deno run -A runtime/cli/launch.ts -n 4 program.ts
 * ```
 *
 * @module
 */

import { errorText, exitCodeOfStart, TdsmError } from "../errors.ts";
import { printError } from "../node/report.ts";
import { refused } from "../settings/flags.ts";
import { readEnvironment } from "../settings/settings.ts";
import { LAUNCH_HELP, parseLaunch } from "./launch_arguments.ts";
import { launch } from "./local_nodes.ts";
import type { Launch } from "./node_process.ts";

const URL_PATTERN = /^[a-z][a-z0-9+.-]+:/i;

/** Checks that the program exists, so that one message says so instead of one for each node. */
async function requireProgram({ program }: Launch): Promise<void> {
  if (URL_PATTERN.test(program)) return;
  try {
    if ((await Deno.stat(program)).isFile) return;
  } catch (cause) {
    // Deno itself reports any other problem of the file.
    if (!(cause instanceof Deno.errors.NotFound)) return;
    throw refused(`Cannot launch ${program}: there is no such file in ${Deno.cwd()}`, cause);
  }
  throw refused(`Cannot launch ${program}: it is no file`);
}

/**
 * Runs the launcher.
 *
 * @param args Its arguments.
 * @returns Resolves when all nodes have ended; the exit code is set.
 */
export async function main(args: readonly string[]): Promise<void> {
  try {
    const what = parseLaunch(args, readEnvironment());
    if (what === undefined) return console.log(LAUNCH_HELP);
    await requireProgram(what);
    Deno.exitCode = await launch(what);
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    printError(errorText(error));
    Deno.exitCode = exitCodeOfStart(error);
  }
}

if (import.meta.main) await main(Deno.args);

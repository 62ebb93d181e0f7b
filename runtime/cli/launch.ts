/**
 * Starts the nodes of a program, on this machine or by ssh on others:
 *
 * ```sh
 * deno run -A runtime/cli/launch.ts -n 4 program.ts
 * deno run -A runtime/cli/launch.ts --hosts a,b:2 program.ts
 * ```
 *
 * @module
 */

import { errorText, exitCodeOfStart, TdsmError } from "../errors.ts";
import { printError } from "../node/report.ts";
import { refused } from "../settings/flags.ts";
import { noSuchFile } from "../settings/no_such_file.ts";
import { readEnvironment } from "../settings/settings.ts";
import { LAUNCH_HELP, parseLaunch } from "./launch_arguments.ts";
import { launchHere } from "./local_nodes.ts";
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
    throw refused(`Cannot launch ${program}: ${noSuchFile(program)}`, cause);
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
    if (what.hosts === undefined) {
      await requireProgram(what);
      Deno.exitCode = await launchHere(what);
    } else {
      const { launchThere } = await import("./remote_nodes.ts");
      const code = await launchThere(what, what.hosts);
      // A read of the input for node 1 may be under way, and cannot be given up.
      Deno.exit(code);
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    printError(errorText(error));
    Deno.exitCode = exitCodeOfStart(error);
  }
}

if (import.meta.main) await main(Deno.args);

/**
 * `mod.ts` as a program: a node that serves, and says how others join.
 */

import { ABI_VERSION } from "../ffi/abi.ts";
import { formatAddress } from "./address.ts";
import { readEnvironment, resolveSettings } from "./config.ts";
import { settingsHelp } from "./config_help.ts";
import { TdsmError } from "./errors.ts";
import { startNode } from "./join.ts";
import type { Node } from "./node.ts";
import { PROTOCOL_VERSION } from "./protocol/frame_layout.ts";
import { serve } from "./run.ts";
import { formatSize } from "./size.ts";
import { VERSION } from "./version.ts";

const HELP = `tdsm ${VERSION}: distributed shared memory for Deno

Usage: deno run --allow-ffi --allow-net mod.ts [OPTIONS]

Without --directory-address, hosts a directory and says how other nodes join it.
With it, joins that directory and serves until it ends.
Ctrl-C ends the node.

Options:
${settingsHelp()}  --help     Show this
  --version  Show the versions
`;

/**
 * Runs the program.
 *
 * @param args Its arguments.
 * @returns Resolves when it has ended; the exit code is set.
 */
export async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) return console.log(HELP);
  if (args.includes("--version")) {
    return console.log(
      `tdsm ${VERSION} (protocol ${PROTOCOL_VERSION}, library ABI ${ABI_VERSION})`,
    );
  }
  try {
    const { settings, rest } = resolveSettings({}, args, readEnvironment());
    if (rest.length > 0) {
      const message = `Cannot use ${rest.join(" ")}: --help tells what there is`;
      throw new TdsmError("InvalidOption", message);
    }
    // It has no work of its own, so the directory need not wait for it.
    const node = await startNode({ ...settings, rpcServer: true });
    try {
      await serve(node, greet);
    } finally {
      await node.close();
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    console.error(`tdsm: error: ${error.message} (${error.code})`);
    Deno.exitCode = error.code === "InvalidOption" ? 2 : 1;
  }
}

function greet({ id, size, pageSize, address, port }: Node): void {
  const region = `${formatSize(size)} in pages of ${formatSize(pageSize)}`;
  const at = formatAddress({ hostname: address, port });
  if (id !== 1) return console.log(`Node ${id} serves ${region} at ${at}. Ctrl-C ends it.`);
  const wildcard = address === "0.0.0.0" || address === "::";
  const reached = wildcard ? `HOST:${port}` : at;
  console.log(`Directory of ${region} at ${at}. Others join with

  deno run --allow-ffi --allow-net mod.ts --directory-address ${reached}
${wildcard ? "\nwhere HOST is a name or address of this machine,\n" : ""}
or with that flag on a program of their own. Ctrl-C ends the directory.`);
}

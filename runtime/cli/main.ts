/**
 * `mod.ts` as a program: a node that serves, and says how others join.
 */

import { ABI_VERSION } from "../../ffi/abi.ts";
import { findLibrary } from "../../ffi/embedded.ts";
import { type Address, formatAddress, isWildcard } from "../address.ts";
import { readEnvironment, resolveSettings } from "../settings/settings.ts";
import type { Settings } from "../settings/types.ts";
import { type ProgramFlags, refused } from "../settings/flags.ts";
import { settingsHelp } from "../settings/help.ts";
import { errorText, exitCodeOf, exitCodeOfStart, TdsmError } from "../errors.ts";
import { printError } from "../node/report.ts";
import { startNode } from "../node/join.ts";
import type { Node } from "../node/node.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import { formatSize } from "../size.ts";
import { newKey, readKey } from "../settings/key.ts";
import { namesAddresses, requirePermissions } from "../settings/permissions.ts";
import { VERSION } from "../version.ts";
import type { Dashboard } from "./dashboard.ts";
import { type DashboardAddress, takeDashboardFlag } from "./dashboard_flag.ts";
import { paintOf } from "./paint.ts";
import { START_COMMAND, WASM_COMMAND } from "../start_command.ts";

/** The actions of the program other than to be a node. */
const MODES = ["doctor", "status", "watch", "json", "new-key"] as const;
type Mode = typeof MODES[number];
/** Every flag of the program but the settings. */
const FLAGS: ProgramFlags = { names: [...MODES, "dashboard", "help", "version"], others: "none" };

/** The text of `--help`. */
const help = (): string =>
  `tdsm ${VERSION}: distributed shared memory for Deno

Usage: ${START_COMMAND} [OPTIONS]
       ${WASM_COMMAND} PROGRAM.wasm, to run a WebAssembly program

Without --directory-address, hosts a directory and says how other nodes join it.
With it, joins that directory and serves until it ends.
Ctrl-C ends the node. The directory node decides the settings for all nodes.

Options:
${
    settingsHelp([
      ["--status", "Show what every node of the directory's cluster holds and has moved, and end"],
      ["--watch", "With --status, show once a second what they do, what moves most on top"],
      ["--doctor", "Show what this machine lacks for a node to run, and what mends it, and end"],
      [
        "--dashboard [[HOST:]PORT]",
        "Serve a page for browsers that shows the cluster, at 127.0.0.1:9635 by default; with " +
        "--directory-address without joining",
      ],
      ["--new-key", "Print a new key for --key-file of every node, and end"],
      ["--json", "With --status or --doctor, as JSON"],
      ["--merge-traces OUT FILE …", "Put traces of nodes into one, on one time line, and end"],
      ["--help", "Show this"],
      ["--version", "Show the versions"],
    ])
  }`;

/**
 * Runs the program.
 *
 * @param args Its arguments.
 * @returns Resolves when it has ended; the exit code is set.
 */
export async function main(args: readonly string[]): Promise<void> {
  if (args[0] === "wasm") {
    const { main: runWasm } = await import("./wasm.ts");
    return await runWasm(args.slice(1));
  }
  if (args.includes("--help") || args.includes("-h")) return console.log(help());
  if (args.includes("--version")) {
    return console.log(
      `tdsm ${VERSION} (protocol ${PROTOCOL_VERSION}, library ABI ${ABI_VERSION})`,
    );
  }
  let exitCodeOfError = exitCodeOfStart;
  try {
    if (args[0] === "--merge-traces") {
      const { mergeTraces } = await import("./merge_traces.ts");
      return await print(await mergeTraces(args.slice(1)));
    }
    const { at, rest: others } = takeDashboardFlag(args);
    const { settings, rest } = resolveSettings({}, others, readEnvironment(), FLAGS);
    const { doctor, status, watch, json, "new-key": makeKey } = readModes(rest, at !== undefined);
    if (makeKey) return console.log(newKey());
    if (doctor) return await showDoctor(settings, json);
    if (status) return await showStatus(settings, json, watch);
    if (at !== undefined && settings.directoryAddress !== undefined) {
      const { watchCluster } = await import("./dashboard_command.ts");
      return await watchCluster(settings, settings.directoryAddress, at, tellOf);
    }
    if (at !== undefined && namesAddresses(settings)) requirePermissions(settings, [at]);
    // Before the node starts, as the port may be taken.
    let directory: Address | undefined = undefined;
    await using dashboard = at && await openDashboard(settings, at, () => directory);
    // This node has no program, so the directory node need not wait for it.
    const node = await startNode({ ...settings, rpcServer: true }, true);
    exitCodeOfError = exitCodeOf;
    const { address, port } = node;
    directory = { hostname: isWildcard(address) ? "127.0.0.1" : address, port };
    try {
      await greet(node);
      if (dashboard !== undefined) await tellOf(dashboard.url);
      await node.closed;
      console.log(`The directory has closed the cluster, and node ${node.id} has ended with it.`);
    } finally {
      // `closed` says why a node cannot go on.
      await node.close().catch(() => {});
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    printError(errorText(error));
    Deno.exitCode = exitCodeOfError(error);
  }
}

/** The action that the arguments ask for, other than settings. */
function readModes(
  rest: readonly string[],
  dashboard: boolean,
): Readonly<Record<Mode, boolean>> {
  const modes = Object.fromEntries(MODES.map((mode) => [mode, rest.includes(`--${mode}`)]));
  const { doctor, status, watch, json } = modes;
  if (doctor && status) {
    throw refused("Cannot use --doctor and --status together: use one, and then the other");
  }
  if (json && !doctor && !status) {
    throw refused("Cannot use --json alone: it goes with --doctor or --status");
  }
  if (watch && !status) {
    throw refused("Cannot use --watch alone: it goes with --status");
  }
  const other = MODES.find((mode) => modes[mode]);
  if (dashboard && other !== undefined) {
    throw refused(`Cannot use --dashboard and --${other} together: use one, and then the other`);
  }
  return modes as Record<Mode, boolean>;
}

async function openDashboard(
  settings: Settings,
  at: DashboardAddress,
  directory: () => Address | undefined,
): Promise<Dashboard> {
  const command = await import("./dashboard_command.ts");
  return await command.openDashboard(settings, at, directory);
}

async function showDoctor(settings: Settings, json: boolean): Promise<void> {
  // Imported on demand, since most starts do not need these modules.
  const { canRun, examine, formatChecks } = await import("./doctor.ts");
  const checks = await examine(settings);
  const healthy = canRun(checks);
  const text = json
    ? `${JSON.stringify({ canRun: healthy, checks })}\n`
    : formatChecks(checks, await paintOf(Deno.stdout));
  await print(text);
  if (!healthy) Deno.exitCode = 1;
}

async function showStatus(settings: Settings, json: boolean, watches: boolean): Promise<void> {
  const { fetchStatus, formatStatus, statusOf } = await import("./status.ts");
  const { address: hostname, port, directoryAddress = { hostname, port }, rendezvous } = settings;
  if (rendezvous.kind !== "flags") {
    throw refused(
      `Cannot get the status by rendezvous ${rendezvous.kind}: ` +
        "name the directory with --directory-address HOST:PORT",
    );
  }
  if (directoryAddress.port === 0) {
    throw refused(
      "Cannot get the status at port 0, which is any free port: " +
        "name the directory with --directory-address HOST:PORT",
    );
  }
  const read = await readKey(settings.key);
  // Only a connection that is sealed needs the library.
  using library = read === undefined ? undefined : await findLibrary({ path: settings.library });
  const secret = read === undefined
    ? undefined
    : { ...read, plain: settings.plain, library: library! };
  const options = { directory: directoryAddress, secret };
  const paint = await paintOf(Deno.stdout);
  if (watches) {
    const { watch } = await import("./watch.ts");
    const { ClusterLook } = await import("./look.ts");
    using kept = new ClusterLook(options);
    const look = async () => statusOf(await kept.look(), directoryAddress);
    const size = () => {
      if (!Deno.stdout.isTerminal()) return undefined;
      const { columns, rows } = Deno.consoleSize();
      // A terminal that was never told its size says 0: then it has the size of the first ones.
      return { columns: columns || 80, rows: rows || 24 };
    };
    return await watch(look, { size, paint, write: print }, json);
  }
  const status = await fetchStatus(options, settings.joinTimeoutMs);
  await print(json ? `${JSON.stringify(status)}\n` : formatStatus(status, paint));
}

/** Writes a whole text to stdout. */
function print(text: string): Promise<void> {
  return new Blob([text]).stream().pipeTo(Deno.stdout.writable, { preventClose: true });
}

async function greet({ id, size, pageSize, address, port }: Node): Promise<void> {
  const region = `${formatSize(size)} in pages of ${formatSize(pageSize)}`;
  const at = formatAddress({ hostname: address, port });
  if (id !== 1) return console.log(`Node ${id} serves ${region} at ${at}. Ctrl-C ends it.`);
  const wildcard = isWildcard(address);
  const command = `${START_COMMAND} --directory-address ${wildcard ? `HOST:${port}` : at}`;
  const paint = await paintOf(Deno.stdout);
  console.log(`Directory of ${region} at ${at}. Others join with

  ${paint(command, "bold")}

${wildcard ? "where HOST is a name or address of this machine, " : ""}\
or with that flag on a program of their own.
Ctrl-C ends the directory.`);
}

/** Says where the dashboard is. */
async function tellOf(url: string): Promise<void> {
  const paint = await paintOf(Deno.stdout);
  console.log(`\nThe dashboard is at ${paint(url, "bold")}`);
}

/** The launcher's arguments, and its help text. */

import { NODES_MAX } from "../limits.ts";
import { refused } from "../settings/flags.ts";
import { nearestName } from "../settings/near.ts";
import { type Environment, resolveSettings } from "../settings/settings.ts";
import { type Setting, SETTINGS } from "../settings/table.ts";
import { type LaunchHost, parseHosts } from "./host_list.ts";
import type { Launch } from "./node_process.ts";
import type { Settings } from "../settings/types.ts";
import { LAUNCH_COMMAND, NEW_KEY_COMMAND, STATUS_COMMAND } from "../start_command.ts";

/** The text of `--help`. */
export const LAUNCH_HELP = `Starts nodes of one program, on this machine or by ssh on others.

Usage: ${LAUNCH_COMMAND} [DENO'S FLAGS] -n N PROGRAM [ARGUMENTS]
       ${LAUNCH_COMMAND} [DENO'S FLAGS] --hosts HOST[:N],… PROGRAM [ARGUMENTS]

  -n N, --nodes N   How many nodes on this machine, 1 to ${NODES_MAX}
  --hosts LIST      On which machines, and how many on each: a,b:2,user@10.0.0.3
  --ssh COMMAND     What stands for ssh: --ssh "ssh -p 2222"
  --port PORT       The port of node 1, the directory node (PORT); default any
  --rpc-server      Only node 1 executes the main of run; others serve its calls
  --help            Show this

Other flags before PROGRAM are those of deno run: "deno run --help=full" lists
them. Nodes have the permissions --allow-ffi, --allow-net=127.0.0.1 and
--allow-env for the settings' variables; a program that needs more is given
more, as by --allow-read. All after PROGRAM is the program's, also settings:

  ${LAUNCH_COMMAND} -n 4 program.ts --size 1GiB

Each node is told its role and its address by environment variables; other
settings can be set in the environment:

  SIZE=1GiB ${LAUNCH_COMMAND} -n 4 program.ts

The nodes have a key that nobody else has, unless TDSM_KEY is set. So to look at
them from another console, set it in both, to what --new-key prints:

  export TDSM_KEY=$(${NEW_KEY_COMMAND})
  ${LAUNCH_COMMAND} --port 7000 -n 4 program.ts
  ${STATUS_COMMAND} \\
    --directory-address 127.0.0.1:7000

With --hosts, ssh must reach each machine without a password, and the machines
each other by the names in the list. Program, folder and Deno are where they are
here (or a deno is on the PATH there). Nodes then have all of --allow-net, and
of the environment only the settings. They make a key that no command line has.

Each line that a node prints is shown with the number of the node before it.
Node 1 has the standard input, the others have none. SIGINT (Ctrl-C), SIGTERM
and SIGHUP are passed on to every node; the second signal kills them all. The
first node that fails ends the others, and its exit code is the launcher's: 0
says that all nodes have ended well, 128 and more is for a signal.
`;

const ROWS: readonly Setting<unknown>[] = Object.values(SETTINGS);
/** What the launcher tells each node by itself. */
const TOLD: readonly Setting<unknown>[] = [
  SETTINGS.directory,
  SETTINGS.directoryAddress,
  SETTINGS.rendezvous,
  SETTINGS.address,
];
/** The one flag of Deno that is near to a setting, `--checksums`. */
const DENO_CHECK = "check";
/** What Deno's own flag `--log-level` takes; the setting is a number. */
const DENO_LOG_LEVEL = /^[a-z]/i;

/** The launcher's own flags, without their dashes. */
const OWN_FLAGS = ["nodes", "hosts", "ssh", "port", "rpc-server", "help"] as const;
/**
 * The flags of `deno run` whose value may be the next word, needed to find the program among the
 * words.
 */
const DENO_FLAGS_WITH_VALUE: ReadonlySet<string> = new Set([
  "--cert",
  "--conditions",
  "--config",
  "-c",
  "--ext",
  "--import-map",
  "--inspect-publish-uid",
  "--location",
  "--lock",
  "--log-level",
  "-L",
  "--min-dep-age",
  "--node-modules-linker",
  "--preload",
  "--require",
  "--seed",
]);

/**
 * Reads the launcher's arguments.
 *
 * @param args The arguments: flags, the program, and the program's own arguments.
 * @param environment Reads an environment variable.
 * @returns What to run; `undefined` where the arguments ask for help.
 * @throws {TdsmError} `InvalidOption`: what is missing, wrong or nearly right.
 */
export function parseLaunch(
  args: readonly string[],
  environment: Environment,
): Launch | undefined {
  const denoFlags: string[] = [];
  // The settings that differ from node to node.
  let { rpcServer: rpcServers, port, isPortGiven } = nodeSettings([], environment);
  let nodes: number | undefined;
  let hosts: readonly LaunchHost[] | undefined;
  let ssh: readonly string[] | undefined;
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at]!;
    if (!arg.startsWith("-") || arg === "-" || arg === "--") break;
    // Written as `-n4`, `-n 4`, `-n=4`, `--nodes 4` or `--nodes=4`.
    const own = /^(?:-n|--nodes)(?:=(.*)|$)|^-n(\d.*)$/.exec(arg);
    if (own !== null) {
      const value = own[1] ?? own[2];
      nodes = countOf(value ?? args[++at]);
    } else if (/^--hosts(?:=|$)/.test(arg)) {
      hosts = parseHosts(valueIn(arg) ?? args[++at]);
    } else if (/^--ssh(?:=|$)/.test(arg)) {
      ssh = wordsOf(valueIn(arg) ?? args[++at]);
    } else if (arg === "--help" || arg === "-h") {
      return undefined;
    } else if (/^--port(?:=|$)/.test(arg)) {
      const value = valueIn(arg) ?? args[++at] ?? "";
      ({ port, isPortGiven } = nodeSettings([`--port=${value}`]));
    } else if (isRpcServerFlag(arg)) {
      rpcServers = saysRpcServer(arg);
    } else {
      refuseSetting(arg, args[at + 1]);
      refuseNearlyRight(arg);
      denoFlags.push(arg);
      const next = args[at + 1];
      const takesNext = DENO_FLAGS_WITH_VALUE.has(arg) && next !== undefined;
      if (takesNext && !next.startsWith("-")) denoFlags.push(args[++at]!);
    }
  }
  if (args[at] === "--") at += 1;
  const program = args[at];
  if (program === undefined || program === "") {
    throw refused(`Cannot launch: no program is named. Write ${LAUNCH_COMMAND} -n 4 program.ts`);
  }
  nodes = totalOf(program, nodes, hosts, ssh);
  if (program === "-") {
    throw refused("Cannot launch what stands on standard input: write it to a file");
  }
  const own = args.slice(at + 1);
  const start = hosts === undefined ? `-n ${nodes}` : "--hosts …";
  const ofNode = own.slice(0, own.includes("--") ? own.indexOf("--") : own.length);
  if (ofNode.filter(isRpcServerFlag).some(saysRpcServer)) {
    throw refused(
      `Cannot launch ${program} with --rpc-server behind it: node 1, too, would only serve calls. ` +
        `Write ${LAUNCH_COMMAND} --rpc-server ${start} ${program}`,
    );
  }
  const there = { ...(hosts && { hosts }), ...(ssh && { ssh }) };
  const hosted = isPortGiven ? port : 0;
  return { program, nodes, args: own, denoFlags, port: hosted, rpcServers, ...there };
}

/** What a flag has behind its sign; `undefined` where its value is the next word. */
function valueIn(arg: string): string | undefined {
  const at = arg.indexOf("=");
  return at < 0 ? undefined : arg.slice(at + 1);
}

/** The words of a command. */
function wordsOf(text: string | undefined): readonly string[] {
  const words = (text ?? "").split(/\s+/).filter((word) => word !== "");
  if (words.length > 0) return words;
  throw refused('Cannot use --ssh without a command: write --ssh "ssh -p 2222"');
}

/** How many nodes there are, by one of the two ways to say it. */
function totalOf(
  program: string,
  nodes: number | undefined,
  hosts: readonly LaunchHost[] | undefined,
  ssh: readonly string[] | undefined,
): number {
  if (hosts !== undefined) {
    if (nodes === undefined) return hosts.reduce((sum, host) => sum + host.nodes, 0);
    throw refused("Cannot use -n with --hosts: write how many behind each machine, as a:2,b:2");
  }
  if (ssh !== undefined) throw refused("Cannot use --ssh without --hosts, which names machines");
  if (nodes !== undefined) return nodes;
  throw refused(`Cannot launch ${program}: the number of nodes is missing. Write -n 4 before it`);
}

/** Whether an argument says if a node is only to serve calls. */
function isRpcServerFlag(arg: string): boolean {
  return /^--(?:no-)?rpc-server(?:=|$)/.test(arg);
}

/** Whether such an argument says that it is. */
function saysRpcServer(arg: string): boolean {
  return nodeSettings([arg]).rpcServer;
}

/**
 * The settings of a node of which the launcher makes its own for each: of the environment only what
 * these are read from, since the nodes themselves read the rest.
 */
function nodeSettings(
  flags: readonly string[],
  environment: Environment = () => undefined,
): Pick<Settings, "rpcServer" | "port" | "isPortGiven"> {
  const names = [SETTINGS.rpcServer, SETTINGS.port].flatMap(({ environment }) => environment);
  const read: Environment = (name) => names.includes(name) ? environment(name) : undefined;
  return resolveSettings({}, flags, read).settings;
}

/** The number of nodes that a text gives. */
function countOf(text: string | undefined): number {
  const nodes = /^\d+$/.test(text ?? "") ? Number(text) : NaN;
  if (nodes >= 1 && nodes <= NODES_MAX) return nodes;
  const what = text === undefined ? "-n without a number" : `${JSON.stringify(text)} of -n`;
  throw refused(`Cannot use ${what}: it must be a whole number of nodes from 1 to ${NODES_MAX}`);
}

/** Refuses a setting of the node: before the program stand flags of the launcher and of Deno. */
function refuseSetting(arg: string, next: string | undefined): void {
  const [flag] = arg.split("=", 1);
  const setting = ROWS.find(({ flag: name }) => [`--${name}`, `--no-${name}`].includes(flag!));
  if (setting === undefined) return;
  const { environment: [variable] } = setting;
  if (TOLD.includes(setting)) {
    throw refused(`Cannot use flag ${flag}: the launcher itself tells each node where to join`);
  }
  const takesValue = setting.kind.placeholder !== undefined;
  const given = valueIn(arg) ?? (takesValue ? next : flag!.startsWith("--no-") ? "0" : "1");
  if (setting === SETTINGS.logLevel && DENO_LOG_LEVEL.test(given ?? "")) return;
  const value = given === undefined || given.startsWith("-") ? "…" : given;
  throw refused(
    `Cannot use flag ${flag} before the program: it is a setting of the node. ` +
      `Write it behind the program, or ${variable}=${value} before ${LAUNCH_COMMAND}`,
  );
}

/**
 * Refuses a flag that resembles one of the launcher's or a setting: `deno run` would not know the
 * flag either.
 */
function refuseNearlyRight(arg: string): void {
  // Other launchers have `-np 4`.
  if (/^(?:-n[a-z]+|--np?)=?\d*$/i.test(arg)) {
    throw refused(`Cannot use flag ${arg}: did you mean -n?`);
  }
  const [, name] = /^--([^=]+)/.exec(arg) ?? [];
  if (name === undefined || name === DENO_CHECK) return;
  const near = nearestName(name, OWN_FLAGS);
  if (near !== undefined) throw refused(`Cannot use flag ${arg}: did you mean --${near}?`);
  const meant = nearestName(name, ROWS.map(({ flag }) => flag));
  if (meant === undefined) return;
  const remedy = TOLD.some(({ flag }) => flag === meant)
    ? "The launcher itself tells each node where to join"
    : "It goes behind the program";
  throw refused(`Cannot use flag ${arg}: did you mean --${meant}? ${remedy}`);
}

/** The process of a launcher's node: its permissions, its settings, and its part of the memory. */

import { availableMemory } from "../../ffi/memory_available.ts";
import { type Address, formatAddress } from "../address.ts";
import { partOfMemory } from "../engine/memory_limit.ts";
import { TURN_VARIABLE } from "../engine/turn.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { newKey } from "../settings/key.ts";
import { readEnvironment } from "../settings/settings.ts";
import { SETTINGS } from "../settings/table.ts";
import type { LaunchHost } from "./host_list.ts";

/** The program to launch, and its nodes. */
export interface Launch {
  /** The program that each node runs: a path or a URL. */
  readonly program: string;
  /** How many nodes. */
  readonly nodes: number;
  /** The arguments of the program. */
  readonly args: readonly string[];
  /** Flags of `deno run`, beside those that a node needs. */
  readonly denoFlags: readonly string[];
  /** The TCP port on which node 1 hosts the directory; 0 for any that is free. */
  readonly port: number;
  /** Whether only node 1 executes the program's main, and all others serve its calls. */
  readonly rpcServers: boolean;
  /** The machines on which they run, where that is not this one. */
  readonly hosts?: readonly LaunchHost[];
  /** The words of the command that stands for `ssh`. */
  readonly ssh?: readonly string[];
}

/** Where nodes of a launcher listen: only this machine reaches them. */
export const HOSTNAME = "127.0.0.1";
/** Where nodes of several machines listen: others use the address that connections come from. */
export const EVERYWHERE = "0.0.0.0";
/**
 * Set where the launcher shows a node's stderr on a terminal, though the node writes into a pipe.
 */
const TERMINAL_VARIABLE = "TDSM_TERMINAL";
/** Set where that terminal shows colours; the name is Deno's own. */
const COLOUR_VARIABLE = "FORCE_COLOR";

/** The variables of all settings. */
export const SETTING_VARIABLES: readonly string[] = Object.values(SETTINGS)
  .flatMap(({ environment }) => environment);

/** What the settings of all nodes have in common. */
export interface CommonSettings {
  /** Where nodes listen. */
  readonly address: string;
  /** Where node 1 listens. */
  readonly directory: Address;
  /** The memory of each node, as the setting has it; `undefined` where it is left to the node. */
  readonly memoryLimit: string | undefined;
  /** The variables by which all nodes have the same key. */
  readonly keyVariables: Readonly<Record<string, string>>;
}

/**
 * Makes a key of the nodes' own, so that nobody else can join them, unless their user has given
 * one. On one machine nothing is sealed with it: a user that may listen on loopback may read their
 * memory, too.
 *
 * @param launch The program, and its nodes.
 * @param isOneMachine Whether they are on one machine.
 * @returns The variables by which nodes have the key.
 */
export function makeKey(
  { args }: Pick<Launch, "args">,
  isOneMachine: boolean,
): Record<string, string> {
  const { key, plain } = SETTINGS;
  const environment = readEnvironment();
  const isGiven = key.environment.some((name) => environment(name)) ||
    args.some((arg) => arg === `--${key.flag}` || arg.startsWith(`--${key.flag}=`));
  if (isGiven) return {};
  const plainly = isOneMachine ? { [plain.environment[0]!]: "1" } : {};
  return { [key.environment[0]!]: newKey(), ...plainly };
}

/**
 * Starts the process of a node.
 *
 * @param launch The program, and its nodes.
 * @param id The id that the node will have.
 * @param ticket What the launcher tells the node.
 * @param common What the settings of all nodes have in common.
 * @returns The process.
 * @throws {TdsmError} When it cannot be started.
 */
export function spawnNode(
  launch: Launch,
  id: number,
  ticket: string,
  common: CommonSettings,
): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), {
    args: denoArguments(launch, HOSTNAME),
    env: { ...environmentOf(launch, id, common), [TURN_VARIABLE]: ticket },
    // A session of its own: a terminal's Ctrl-C comes to this process alone, which passes it on.
    detached: true,
    // Only node 1 gets standard input: several readers would take the input from each other.
    stdin: id === 1 ? "inherit" : "null",
    stdout: "piped",
    stderr: "piped",
  });
  return startProcess(`node ${id}`, () => command.spawn());
}

/**
 * The arguments of `deno` by which a node runs its program.
 *
 * @param launch The program, and its nodes.
 * @param net The one host that nodes may reach; `undefined` lets them reach any.
 * @returns The arguments.
 */
export function denoArguments(launch: Launch, net: string | undefined): string[] {
  const { program, args, denoFlags } = launch;
  return [
    "run",
    "--no-prompt",
    ...neededPermissions(denoFlags, net),
    ...denoFlags,
    program,
    ...args,
  ];
}

/**
 * Starts a process.
 *
 * @param what The process in words: "node 1".
 * @param start Starts it.
 * @returns What that returns.
 * @throws {TdsmError} When it cannot be started; the message says why.
 */
export function startProcess<Process>(what: string, start: () => Process): Process {
  try {
    return start();
  } catch (cause) {
    const refused = cause instanceof Deno.errors.NotCapable;
    // Deno's own reason names the permission as well, in more words.
    const why = refused ? "run Deno with --allow-run" : reasonOf(cause);
    const code = refused ? "PermissionMissing" : "SystemCallFailed";
    const message = `Cannot start ${what}: ${why}`;
    throw new TdsmError(code, message, { operation: "launch", cause });
  }
}

/**
 * Sends a signal; nothing happens when the process has ended.
 *
 * @param pid The process; a group is the negative number of its first one.
 * @param signal The signal.
 */
export function sendSignal(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * A node's part of the memory of this machine: no node knows of the others, and would take most of
 * it.
 *
 * @param nodes How many nodes there are.
 * @returns The part, in bytes; `undefined` where the user has set it, or it cannot be known.
 */
export function shareOfMemory(nodes: number): number | undefined {
  if (readEnvironment()(SETTINGS.memoryLimit.environment[0]!)) return undefined;
  const available = availableMemory();
  return available && partOfMemory(available.bytes, nodes);
}

/**
 * The settings of a node, as environment variables. An empty variable counts as not set.
 *
 * @param launch The program, and its nodes.
 * @param id The id that the node will have.
 * @param common What the settings of all nodes have in common.
 * @returns The variables.
 */
export function environmentOf(
  { nodes, rpcServers }: Pick<Launch, "nodes" | "rpcServers">,
  id: number,
  { address: listening, directory, memoryLimit, keyVariables }: CommonSettings,
): Record<string, string> {
  const [address, ...otherSpellings] = SETTINGS.directoryAddress.environment;
  const first = id === 1;
  const variables: Record<string, string> = {
    ...Object.fromEntries(otherSpellings.map((name) => [name, ""])),
    [address!]: first ? "" : formatAddress(directory),
    [SETTINGS.directory.environment[0]!]: first ? "1" : "",
    [SETTINGS.rendezvous.environment[0]!]: "",
    [SETTINGS.address.environment[0]!]: listening,
    [SETTINGS.port.environment[0]!]: first ? String(directory.port) : "0",
    [SETTINGS.rpcServer.environment[0]!]: rpcServers && !first ? "1" : "",
    [SETTINGS.nodes.environment[0]!]: String(nodes),
    [TERMINAL_VARIABLE]: Deno.stderr.isTerminal() ? "1" : "",
  };
  if (memoryLimit !== undefined) {
    variables[SETTINGS.memoryLimit.environment[0]!] = memoryLimit;
  }
  Object.assign(variables, keyVariables);
  const terminals = Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  if (terminals && !Deno.noColor) variables[COLOUR_VARIABLE] = "1";
  // Deno's own errors have colours in a pipe too, unless told otherwise.
  else if (!readEnvironment()(COLOUR_VARIABLE)) variables["NO_COLOR"] = "1";
  return variables;
}

/** The permissions that any node needs, as far as `denoFlags` do not give all of a kind. */
function neededPermissions(denoFlags: readonly string[], net: string | undefined): string[] {
  // With all permissions no single one may be named; and with a list, Deno takes no more than the
  // list.
  if (givesAll(denoFlags, "all", "A")) return [];
  const names = [...SETTING_VARIABLES, TURN_VARIABLE, TERMINAL_VARIABLE, COLOUR_VARIABLE].join();
  return [
    ...(givesAll(denoFlags, "ffi") ? [] : ["--allow-ffi"]),
    ...(givesAll(denoFlags, "net", "N")
      ? []
      : [net === undefined ? "--allow-net" : `--allow-net=${net}`]),
    ...(givesAll(denoFlags, "env", "E") ? [] : [`--allow-env=${names}`]),
  ];
}

/**
 * Whether flags of `deno run` give all permissions of a kind: `--allow-net`, `-N`, or as in `-RN`.
 */
function givesAll(denoFlags: readonly string[], kind: string, letter?: string): boolean {
  return denoFlags.some((flag) =>
    flag === `--allow-${kind}` ||
    letter !== undefined && /^-[AEINRSWq]+$/.test(flag) && flag.includes(letter)
  );
}

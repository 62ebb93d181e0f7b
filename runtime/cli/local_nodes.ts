/**
 * Nodes of one program on this machine: each is a process that this one starts, watches and ends.
 */

import type { Address } from "../address.ts";
import { type NodeProcess, runNodes, type Starter } from "./launched_nodes.ts";
import {
  type CommonSettings,
  HOSTNAME,
  type Launch,
  makeKey,
  sendSignal,
  shareOfMemory,
  spawnNode,
  startProcess,
} from "./node_process.ts";
import { Turns } from "./turns.ts";
import { Watchdog } from "./watchdog.ts";

/**
 * Runs a program on nodes of this machine.
 *
 * @param launch The program and its nodes.
 * @returns The exit code, as of {@linkcode runNodes}.
 * @throws {TdsmError} When nodes cannot be started.
 */
export async function launchHere(launch: Launch): Promise<number> {
  const directory = launch.port === 0
    ? await reservePort()
    : { hostname: HOSTNAME, port: launch.port };
  using turns = new Turns(launch.nodes, directory);
  await using watchdog = startProcess(
    "sh, which ends the nodes of a launcher that is killed",
    () => new Watchdog(),
  );
  await watchdog.watch(turns.secret);
  return await runNodes(launch, new LocalStarter(launch, directory, turns));
}

/**
 * Finds a free port for the directory, and keeps it free until node 1 listens. A connection to the
 * port is made and closed from the listening side. While the kernel remembers that connection
 * (TIME_WAIT, 60 s), it gives the port only to a socket that asks for this very port, not to one
 * that asks for any.
 */
async function reservePort(): Promise<Address> {
  using listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const { port } = listener.addr;
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: HOSTNAME, port }),
    listener.accept(),
  ]);
  far.close();
  // The other side closed first: its end of the connection is the one in TIME_WAIT.
  await near.read(new Uint8Array(1));
  near.close();
  return { hostname: HOSTNAME, port };
}

/** Starts nodes on this machine. */
class LocalStarter implements Starter {
  /** So that what nodes print is shown in the order of their numbers, until all have joined. */
  readonly inOrder = true;
  readonly #launch: Launch;
  readonly #common: CommonSettings;
  readonly #turns: Turns;

  constructor(launch: Launch, directory: Address, turns: Turns) {
    this.#launch = launch;
    this.#turns = turns;
    this.#common = {
      address: HOSTNAME,
      directory,
      memoryLimit: shareOfMemory(launch.nodes)?.toString(),
      keyVariables: makeKey(launch, true),
    };
  }

  start(id: number): NodeProcess {
    const child = spawnNode(this.#launch, id, this.#turns.ticket(id), this.#common);
    // The node leads a process group, so that its child processes are killed too.
    const killGroup = (): void => sendSignal(-child.pid, "SIGKILL");
    return {
      stdout: child.stdout,
      stderr: child.stderr,
      started: Promise.resolve(),
      status: child.status.then(({ code, signal }) => ({
        code,
        how: signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`,
      })),
      signal: (signal) => sendSignal(child.pid, signal),
      kill: killGroup,
      killRest: killGroup,
    };
  }

  let(id: number): Promise<void> {
    return this.#turns.let(id);
  }

  knewOtherGone(id: number): Promise<boolean> {
    return this.#turns.knewOtherGone(id);
  }

  triesToJoin(id: number): boolean {
    return this.#turns.hasCome(id);
  }
}

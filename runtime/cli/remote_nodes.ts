/**
 * Nodes of one program on several machines, which `ssh` reaches: the program, Deno and the folder
 * are where they are on this machine. Whatever a node is told, its key among that, goes there by
 * the input of `ssh`; what a node says to its launcher comes among its output.
 */

import { type Address, isLoopback } from "../address.ts";
import { formatTicket, TURN_VARIABLE, TurnWord } from "../engine/turn.ts";
import { ExitCode, reasonOf } from "../errors.ts";
import { MEMORY_SHARE_DEFAULT_PERCENT } from "../limits.ts";
import { readEnvironment } from "../settings/settings.ts";
import { SETTINGS } from "../settings/table.ts";
import { isOneMachine, type LaunchHost } from "./host_list.ts";
import { type NodeProcess, type NodeStatus, runNodes, type Starter } from "./launched_nodes.ts";
import { MarkedOutput } from "./marked_output.ts";
import {
  denoArguments,
  environmentOf,
  EVERYWHERE,
  HOSTNAME,
  type Launch,
  makeKey,
  SETTING_VARIABLES,
} from "./node_process.ts";
import { RemoteHost } from "./remote_host.ts";
import { quote } from "./shell_words.ts";
import type { SshSession } from "./ssh_session.ts";

/**
 * Runs a program on nodes of several machines.
 *
 * @param launch The program.
 * @param hosts The machines, and how many nodes each has.
 * @returns The exit code, as of {@linkcode runNodes}.
 * @throws {TdsmError} When `ssh` cannot be started.
 */
export async function launchThere(
  launch: Launch,
  hosts: readonly LaunchHost[],
): Promise<number> {
  await using starter = new RemoteStarter(launch, hosts);
  return await runNodes(launch, starter);
}

/** Starts nodes by `ssh`. */
class RemoteStarter implements Starter, AsyncDisposable {
  /** An id is kept for each node, so they may join in any order. */
  readonly inOrder = false;
  readonly #launch: Launch;
  /** The machine of each node, in the order of their ids. */
  readonly #places: readonly LaunchHost[];
  readonly #hosts = new Map<string, RemoteHost>();
  readonly #nodes = new Map<number, RemoteNode>();
  readonly #keyVariables: Readonly<Record<string, string>>;
  readonly #isOneMachine: boolean;
  /** The port of the directory; where node 1 is to choose, once that node has told it. */
  #port: number;

  constructor(launch: Launch, hosts: readonly LaunchHost[]) {
    this.#launch = launch;
    this.#port = launch.port;
    this.#places = hosts.flatMap((host) => Array.from({ length: host.nodes }, () => host));
    this.#isOneMachine = isOneMachine(hosts);
    this.#keyVariables = makeKey(launch, this.#isOneMachine);
    for (const host of hosts) {
      const { destination } = host;
      if (this.#hosts.has(destination)) continue;
      this.#hosts.set(destination, new RemoteHost(launch.ssh ?? ["ssh"], host));
    }
  }

  start(id: number): NodeProcess {
    const { destination } = this.#places[id - 1]!;
    const node = new RemoteNode(destination, this.#hosts.get(destination)!);
    this.#nodes.set(id, node);
    return node;
  }

  async let(id: number): Promise<void> {
    const node = this.#nodes.get(id)!;
    await node.begin(this.#scriptOf(id), id === 1);
    const port = await node.joined;
    if (id === 1) this.#port = port;
  }

  knewOtherGone(id: number): Promise<boolean> {
    return this.#nodes.get(id)!.knewOtherGone;
  }

  triesToJoin(): boolean {
    return false;
  }

  /** What runs a node on its machine. */
  #scriptOf(id: number): string {
    const variables = this.#variablesOf(id);
    const exports = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
    const deno = quote(Deno.execPath());
    const isOneAddress = new Set(this.#places.map(({ hostname }) => hostname)).size === 1;
    const words = denoArguments(this.#launch, isOneAddress ? this.#listensAt(id) : undefined);
    return [
      `cd ${quote(Deno.cwd())} || exit`,
      `export ${exports.join(" ")}`,
      `deno=${deno}`,
      `[ -x "$deno" ] || deno=deno`,
      `command -v "$deno" >/dev/null || {`,
      `  echo "tdsm: there is no Deno here: neither "${deno}" nor deno on the PATH" >&2`,
      `  exit 127`,
      `}`,
      `sh -c ${quote(START)} sh "$deno" ${words.map(quote).join(" ")}`,
      `code=$?`,
      `printf '\\036%s ended %s\\n' "\${${TURN_VARIABLE}##*/}" "$code"`,
      `exit "$code"`,
    ].join("\n");
  }

  /** The environment of a node: settings that this process has been given, and its own. */
  #variablesOf(id: number): Record<string, string> {
    const environment = readEnvironment();
    const given = SETTING_VARIABLES.flatMap((name) => {
      const value = environment(name);
      return value === undefined ? [] : [[name, value] as const];
    });
    const { hostname } = this.#places[0]!;
    const directory: Address = {
      hostname: this.#isOneMachine ? this.#listensAt(1) : hostname,
      port: this.#port,
    };
    const ticket = formatTicket({
      launcher: "stdout",
      directoryPort: directory.port,
      node: id,
      secret: this.#hosts.get(this.#places[id - 1]!.destination)!.secret,
    });
    return {
      ...Object.fromEntries(given),
      ...environmentOf(this.#launch, id, {
        address: this.#listensAt(id),
        directory,
        memoryLimit: this.#memoryLimit(id),
        keyVariables: this.#keyVariables,
      }),
      [TURN_VARIABLE]: ticket,
    };
  }

  /** Where a node listens. */
  #listensAt(id: number): string {
    const { hostname } = this.#places[id - 1]!;
    if (this.#isOneMachine) return isLoopback(hostname) ? hostname : HOSTNAME;
    return this.#places[0]!.hostname.includes(":") ? "::" : EVERYWHERE;
  }

  /** The part of its machine's memory that a node has, which has others there. */
  #memoryLimit(id: number): string | undefined {
    if (readEnvironment()(SETTINGS.memoryLimit.environment[0]!)) return undefined;
    const { hostname } = this.#places[id - 1]!;
    // Several users of one machine share its memory, too.
    const neighbours = this.#isOneMachine
      ? this.#places.length
      : this.#places.filter((other) => other.hostname === hostname).length;
    if (neighbours === 1) return undefined;
    return `${Math.floor(1000 * MEMORY_SHARE_DEFAULT_PERCENT / neighbours) / 1000}%`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [id, node] of this.#nodes) {
      node[Symbol.dispose]();
      if (node.mayRun) this.#hosts.get(this.#places[id - 1]!.destination)!.leaveNone();
    }
    await Promise.all([...this.#hosts.values()].map((host) => host[Symbol.asyncDispose]()));
  }
}

/** What a node runs by: tells its process and group first, and becomes Deno. */
const START = "read -r pid name state parent group rest </proc/$$/stat; " +
  `printf '\\036%s started %s %s\\n' "\${${TURN_VARIABLE}##*/}" "$pid" "$group"; exec "$@"`;

/** The process of a node on another machine. */
class RemoteNode implements NodeProcess, Disposable {
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  readonly started: Promise<void>;
  readonly status: Promise<NodeStatus>;
  readonly #starting = Promise.withResolvers<void>();
  readonly #destination: string;
  readonly #host: RemoteHost;
  readonly #session: Promise<SshSession>;
  readonly #joined = Promise.withResolvers<number>();
  /** What the node knew of others when it ended. */
  #otherGone = false;
  /** The process and its group, once they are known. */
  #process: { readonly pid: number; readonly group: number } | undefined;
  /** The signals that came before that. */
  readonly #pending: Deno.Signal[] = [];
  /** Whether the node is to be killed, with its group. */
  #isKilled = false;
  #code: number | undefined;
  readonly #ending = Promise.withResolvers<void>();
  /** Resolves when all that the node has printed is read, or nobody is to read on. */
  readonly #heardAll = Promise.withResolvers<void>();
  #isBegun = false;
  /** Whether the script that starts the node was sent. */
  #isRun = false;

  constructor(destination: string, host: RemoteHost) {
    this.#destination = destination;
    this.#host = host;
    this.#session = host.connect();
    const words = new MarkedOutput(
      host.secret,
      (word) => this.#heard(word),
      this.#heardAll.resolve,
    );
    this.stdout = later(this.#session.then(({ stdout }) => stdout)).pipeThrough(words);
    this.stderr = later(this.#session.then(({ stderr }) => stderr));
    this.started = this.#starting.promise;
    this.status = this.#ended();
  }

  /** Resolves when the node has joined, with its port; never, where it does not. */
  get joined(): Promise<number> {
    return this.#joined.promise;
  }

  /** Whether the node knew that another one had failed or was gone; it has ended. */
  get knewOtherGone(): Promise<boolean> {
    return Promise.resolve(this.#otherGone);
  }

  /** Whether the node may run on although it was killed: its process was not known. */
  get mayRun(): boolean {
    return this.#isKilled && this.#isRun && this.#process === undefined;
  }

  /**
   * Starts the node, if its machine can be reached.
   *
   * @param script What to run there.
   * @param hasInput Whether the node has the input of this process.
   */
  async begin(script: string, hasInput: boolean): Promise<void> {
    const session = await this.#session.catch(() => undefined);
    this.#isBegun = true;
    if (session === undefined) return;
    if (!await session.ready || !await this.#host.watched || this.#isKilled) {
      await session.endInput();
      return session.endSoon();
    }
    this.#isRun = true;
    await session.run(script);
    if (hasInput) session.pass(Deno.stdin.readable);
    else await session.endInput();
  }

  signal(signal: Deno.Signal): void {
    if (this.#process !== undefined) this.#host.signal(signal, this.#process.pid);
    else if (this.#isBegun) this.#pending.push(signal);
    else this.#withSession((session) => void session.endInput());
  }

  kill(): void {
    this.#heardAll.resolve();
    this.#isKilled = true;
    this.killRest();
    this.#withSession((session) => {
      if (!this.#isBegun) void session.endInput();
      session.endSoon();
    });
  }

  /** Kills the process and its group, if they are known. */
  killRest(): void {
    if (this.#process === undefined) return;
    const { pid, group } = this.#process;
    this.#host.signal("SIGKILL", pid, -group);
  }

  /** Does something with the connection; where there is none, `status` says so. */
  #withSession(act: (session: SshSession) => void): void {
    void this.#session.then(act, () => {});
  }

  #heard(word: string): void {
    const [what, first, second] = word.split(" ");
    const number = Number(first);
    if (what === "started") {
      this.#process = { pid: number, group: Number(second) };
      this.#starting.resolve();
      for (const signal of this.#pending) this.#host.signal(signal, number);
      if (this.#isKilled) this.killRest();
    } else if (what === "ended") {
      this.#code = number;
      this.#ending.resolve();
    } else if (what === String(TurnWord.Joined)) this.#joined.resolve(number);
    else if (what === String(TurnWord.OtherGone)) this.#otherGone = true;
  }

  /** A process that the node leaves behind may hold the connection, so its word counts. */
  async #ended(): Promise<NodeStatus> {
    let session: SshSession;
    try {
      session = await this.#session;
    } catch (error) {
      return { code: ExitCode.Node, how: `could not be started: ${reasonOf(error)}` };
    }
    await Promise.race([session.code, this.#ending.promise]);
    if (this.#isBegun) await Promise.race([this.#heardAll.promise, this.#ending.promise]);
    if (this.#code !== undefined) {
      return { code: this.#code, how: `ended with exit code ${this.#code}` };
    }
    const why = `ssh ended with exit code ${await session.code}`;
    const how = this.#process === undefined
      ? `could not be started on ${this.#destination}: ${why}`
      : `on ${this.#destination} is out of reach: ${why}`;
    return { code: ExitCode.Node, how };
  }

  [Symbol.dispose](): void {
    this.#withSession((session) => session.endSoon(0));
  }
}

/** A stream that stands for one that is yet to come; empty, where there never is one. */
function later(source: Promise<ReadableStream<Uint8Array>>): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  // That nobody reads on is for the source to know.
  source.then((stream) => stream.pipeTo(writable), () => writable.close()).catch(() => {});
  return readable;
}

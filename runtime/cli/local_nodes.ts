/** Nodes of one program on this machine: each is a process that this one starts, watches and ends. */

import { availableMemory } from "../../ffi/memory_available.ts";
import { type Address, formatAddress } from "../address.ts";
import { ExitCode, reasonOf, TdsmError } from "../errors.ts";
import {
  LAUNCH_CAUSE_MAX_MS,
  LAUNCH_END_MAX_MS,
  LAUNCH_ORPHAN_LOOK_MS,
  LAUNCH_OUTPUT_MAX_MS,
  LAUNCH_REMINDER_MS,
} from "../limits.ts";
import { asksForHelp } from "../settings/help.ts";
import { readEnvironment } from "../settings/settings.ts";
import { partOfMemory } from "../engine/memory_limit.ts";
import { SETTINGS } from "../settings/table.ts";
import { END_SIGNALS, type EndSignal, SignalEcho } from "../signals.ts";
import { NodeOutput, type Paints } from "./node_output.ts";
import { paintOf } from "./paint.ts";
import { TURN_VARIABLE } from "../engine/turn.ts";
import { Turns } from "./turns.ts";
import { Watchdog } from "./watchdog.ts";

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
  /** Whether only node 1 executes the program's main, and all others serve its calls. */
  readonly rpcServers: boolean;
}

/** Where nodes of a launcher listen: only this machine reaches them. */
const HOSTNAME = "127.0.0.1";
/** Set where the launcher shows a node's stderr on a terminal, though the node writes into a pipe. */
const TERMINAL_VARIABLE = "TDSM_TERMINAL";
/** Set where that terminal shows colours; the name is Deno's own. */
const COLOUR_VARIABLE = "FORCE_COLOR";
/** What the settings of all nodes have in common. */
interface CommonSettings {
  readonly directory: Address;
  readonly memoryLimit: number | undefined;
}

/** One node's process. */
interface LocalNode {
  readonly id: number;
  readonly process: Deno.ChildProcess;
  /** Resolves when it is the node's turn to join: what it prints, and how it ends, counts from then on. */
  readonly turn: PromiseWithResolvers<void>;
  /** Resolves when the node has ended and all its output is passed on. */
  ended: Promise<void>;
  /** Resolves when the process has ended. */
  readonly exited: PromiseWithResolvers<void>;
  /** Whether the node's turn has come. */
  begun: boolean;
  /** The node's exit code, once it has ended. */
  code: number | undefined;
}

/**
 * Runs a program on nodes of this machine: passes on their output, and to them the signals that this
 * process gets. Ends all nodes when the first one fails.
 *
 * @param launch The program and its nodes.
 * @returns 0 when every node ended well; else 128 and the signal that this process got, or the exit
 * code of the node that failed first.
 * @throws {TdsmError} When nodes cannot be started.
 */
export async function launch(launch: Launch): Promise<number> {
  const directory = await reservePort();
  using turns = new Turns(launch.nodes, directory);
  await using watchdog = startProcess(
    "sh, which ends the nodes of a launcher that is killed",
    () => new Watchdog(),
  );
  await watchdog.watch(turns.secret);
  const paint = { stdout: await paintOf(Deno.stdout), stderr: await paintOf(Deno.stderr) };
  const nodes = new LocalNodes(launch, directory, turns, paint);
  const echo = new SignalEcho();
  const listeners = (Object.keys(END_SIGNALS) as EndSignal[]).map((signal) =>
    [signal, (): void => {
      if (!echo.repeats(signal, performance.now())) nodes.pass(signal);
    }] as const
  );
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  const look = whenOrphaned(() => nodes.pass("SIGTERM"));
  try {
    return await nodes.run();
  } finally {
    clearInterval(look);
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  }
}

/**
 * Calls back when the `deno task` that started this process was killed. To its user that task is the
 * launcher, and SIGKILL is the one signal that the task cannot pass on.
 */
function whenOrphaned(act: () => void): ReturnType<typeof setInterval> | undefined {
  // Only a task has this variable. Another parent, such as a shell, may end and leave a launcher alone.
  if (!readEnvironment()("INIT_CWD")) return undefined;
  const parent = Deno.ppid;
  if (isStranger(parent)) act();
  const look = setInterval(() => {
    if (Deno.ppid === parent) return;
    clearInterval(look);
    act();
  }, LAUNCH_ORPHAN_LOOK_MS);
  return look;
}

/**
 * Whether a parent process has only adopted this one: its task was killed before this process could look.
 * Then it is of another session, while a process that leads its own session was started so; or it is
 * the first process of the machine, of whose session all may be. In a container that can be a task.
 */
function isStranger(parent: number): boolean {
  const [own, theirs] = [statOf(Deno.pid), statOf(parent)];
  if (own === undefined || theirs === undefined) return false;
  if (parent === 1 && !/^(deno|node|npm)/.test(theirs.program)) return true;
  return own.session !== theirs.session && own.session !== Deno.pid;
}

/** The name of a process's program, and its session; `undefined` where they cannot be read. */
function statOf(pid: number): { program: string; session: number } | undefined {
  try {
    // The name may have any character. Behind it are state, parent, group and session.
    const [, program, session] = /\((.*)\) \S+ \d+ \d+ (\d+) /s.exec(
      Deno.readTextFileSync(`/proc/${pid}/stat`),
    )!;
    return { program: program!, session: Number(session) };
  } catch {
    return undefined;
  }
}

/**
 * Finds a free port for the directory, and keeps it free until node 1 listens. A connection to the port
 * is made and closed from the listening side. While the kernel remembers that connection (TIME_WAIT, 60
 * s), it gives the port only to a socket that asks for this very port, not to one that asks for any.
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

class LocalNodes {
  readonly #launch: Launch;
  readonly #directory: Address;
  /** The memory of each node, in bytes; `undefined` where the user has set it, or it cannot be known. */
  readonly #memoryLimit: number | undefined;
  readonly #turns: Turns;
  readonly #output: NodeOutput;
  readonly #started: LocalNode[] = [];
  /**
   * The cause of the end: none yet; a signal, which every node has got; a node that failed, so that the
   * others were told to end; or every node was killed.
   */
  #end: "none" | "signalled" | "failed" | "killed" = "none";
  /** Resolves when the cause is no longer "none". */
  readonly #ending = Promise.withResolvers<void>();
  #code: number | undefined;
  /** The exit code where a signal came first, unless every node has ended with 0 all the same. */
  #signalCode: number | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  /** Ends the wait for output: a process that a node has started may hold it open after the node's end. */
  readonly #letGo = new AbortController();
  #lettingGo: ReturnType<typeof setTimeout> | undefined;

  constructor(launch: Launch, directory: Address, turns: Turns, paint: Paints) {
    this.#launch = launch;
    this.#directory = directory;
    this.#turns = turns;
    const { stdout, stderr } = Deno;
    const { nodes } = launch;
    this.#memoryLimit = shareOfMemory(nodes);
    const broken = (): void => void this.#fail(ExitCode.Program);
    this.#output = new NodeOutput({ stdout, stderr }, { nodes, paint, broken });
  }

  /** Starts the nodes, and waits until all have ended; returns the exit code. */
  async run(): Promise<number> {
    const { nodes } = this.#launch;
    try {
      // Every node would show the help of the program.
      const together = asksForHelp(this.#launch.args) ? 1 : nodes;
      for (let id = 1; id <= together && this.#end === "none"; id++) this.#start(id);
      for (let id = 1; id <= nodes && this.#end === "none"; id++) {
        const node = this.#started[id - 1] ?? this.#start(id);
        const joined = this.#begin(node);
        this.#remind(node, joined);
        // Ids are given in order of joining, so each node must join before the next one does. Then the
        // number before a line is the id of its node.
        if (id < nodes && !await this.#untilJoined(node, joined)) break;
      }
      await Promise.all(this.#started.map(({ ended }) => ended));
      // After a signal, nodes whose turn has never come have not ended well.
      const all = this.#begun.length === nodes;
      return this.#code ?? (all ? 0 : this.#signalCode ?? 0);
    } catch (error) {
      this.#kill();
      await Promise.all(this.#started.map(({ ended }) => ended));
      throw error;
    } finally {
      clearTimeout(this.#patience);
      clearTimeout(this.#lettingGo);
    }
  }

  /** Passes on a signal that this process got; the second one kills all nodes. */
  pass(signal: EndSignal): void {
    if (this.#end !== "none") return this.#kill();
    this.#end = "signalled";
    this.#ending.resolve();
    this.#signalCode = ExitCode.Signal + END_SIGNALS[signal];
    this.#signal(signal);
    this.#endIfAllHave();
  }

  /** Where no node is left to end by a signal, only what nodes have started holds this process up. */
  #endIfAllHave(): void {
    if (this.#end === "signalled" && this.#running.length === 0) this.#kill();
  }

  /** The nodes that have not ended. */
  get #running(): LocalNode[] {
    return this.#started.filter(({ code }) => code === undefined);
  }

  /** The nodes whose turn has come. */
  get #begun(): LocalNode[] {
    return this.#started.filter(({ begun }) => begun);
  }

  #start(id: number): LocalNode {
    const node: LocalNode = {
      id,
      process: spawn(this.#launch, id, this.#turns.ticket(id), {
        directory: this.#directory,
        memoryLimit: this.#memoryLimit,
      }),
      turn: Promise.withResolvers(),
      exited: Promise.withResolvers(),
      begun: false,
      code: undefined,
      ended: Promise.resolve(),
    };
    this.#started.push(node);
    node.ended = this.#follow(node);
    return node;
  }

  /** Passes on the output of a node, and acts on its end; all of that once its turn has come. */
  async #follow(node: LocalNode): Promise<void> {
    const { id, process } = node;
    const turn = Promise.race([node.turn.promise, this.#ending.promise]);
    const passed = turn.then(() => this.#pass(node));
    const { code, signal } = await process.status;
    node.code = code;
    node.exited.resolve();
    await turn;
    if (!node.begun) {
      // As if it had never been started.
      this.#endIfAllHave();
      return await passed;
    }
    if (code !== 0) await this.#untilCauseIsKnown(node);
    // Nodes that have lost this one may have ended before it.
    const others = this.#begun.some((other) => other !== node && other.code !== 0);
    const told = code === 0 || !this.#fail(code);
    this.#endIfAllHave();
    const held = `node ${id} has ended, but a process that it has started holds its output open`;
    const reminder = setTimeout(() => this.#output.say(held), LAUNCH_REMINDER_MS);
    await passed;
    clearTimeout(reminder);
    if (told) return;
    const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    await this.#output.say(`node ${id} ${how}${others ? ", so the others are ended" : ""}`);
  }

  /** Passes on the output of a node, until both of its streams end. */
  async #pass({ id, begun, process: { stdout, stderr } }: LocalNode): Promise<void> {
    await Promise.all(
      begun
        ? [
          this.#output.pass(id, stdout, "stdout", this.#letGo.signal),
          this.#output.pass(id, stderr, "stderr", this.#letGo.signal),
        ]
        : [stdout.cancel(), stderr.cancel()],
    );
  }

  /**
   * Waits a while for another failure, if a node may have ended because of one. A node that cannot go on,
   * or knows that another is gone, has mostly lost a node that failed, whose exit code tells more; but the
   * failed node can be the later one to end.
   */
  async #untilCauseIsKnown({ id, code }: LocalNode): Promise<void> {
    if (this.#begun.length === 1) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LAUNCH_CAUSE_MAX_MS);
    const known = Promise.race([promise, this.#ending.promise]);
    const isEffect = code === ExitCode.Node ||
      await Promise.race([this.#turns.knewOtherGone(id), known]);
    if (isEffect) await known;
    clearTimeout(timer);
  }

  /** Lets a node join; what it has printed so far is passed on. Resolves once the node has joined. */
  #begin(node: LocalNode): Promise<void> {
    node.begun = true;
    node.turn.resolve();
    return this.#turns.let(node.id);
  }

  /** Says after a while that a node has not joined, and why that may be: all wait for it. */
  #remind(node: LocalNode, joined: Promise<void>): void {
    const { port, directory, directoryAddress } = SETTINGS;
    const [variable] = (node.id === 1 ? port : directoryAddress).environment;
    const flags = [port, directory, directoryAddress].map(({ flag }) => `--${flag}`);
    const slow = `node ${node.id} has not joined for ${LAUNCH_REMINDER_MS / 1000} s: ` +
      `its program must take ${variable} from the environment, and be given no flag such as ` +
      flags.join(", ").replace(/, (?=[^,]*$)/, " or ");
    const reminder = setTimeout(() => this.#output.say(slow), LAUNCH_REMINDER_MS);
    Promise.race([joined, node.exited.promise, this.#ending.promise])
      .then(() => clearTimeout(reminder));
  }

  /**
   * Waits until a node has joined, or has ended, or all are to end.
   *
   * @returns Whether it is the next node's turn.
   */
  async #untilJoined(node: LocalNode, joined: Promise<void>): Promise<boolean> {
    const first = this.#started[0]!;
    await Promise.race([joined, node.exited.promise, first.exited.promise, this.#ending.promise]);
    // A failure ends all nodes, as soon as its cause is known.
    if ([node, first].some(({ code = 0 }) => code !== 0)) await this.#ending.promise;
    if (this.#end !== "none") return false;
    if (first.code === undefined) return true;
    // It has shown its help, and that was all.
    if (asksForHelp(this.#launch.args)) return false;
    this.#fail(ExitCode.Program);
    await this.#output.say(
      "node 1 has ended, and the cluster with it, before all nodes had joined: " +
        "a program that does not use run must join, and wait for its nodes, with waitForPeer",
    );
    return false;
  }

  /**
   * Ends all nodes because of a failure. The first failure decides the exit code.
   *
   * @param code The exit code.
   * @returns Whether this was the first failure.
   */
  #fail(code: number): boolean {
    // After a signal nodes may lose each other, so their exit codes tell less than the signal.
    this.#code ??= this.#signalCode ?? code;
    // After a signal every node is leaving already, and a second one would end it at once.
    const ends = this.#end === "none";
    if (ends) {
      this.#end = "failed";
      this.#ending.resolve();
      this.#signal("SIGTERM");
    }
    this.#patience ??= setTimeout(() => this.#endLate(), LAUNCH_END_MAX_MS);
    return ends;
  }

  #endLate(): void {
    if (this.#running.length > 0) {
      const names = this.#running.map(({ id }) => `node ${id}`).join(", ");
      this.#output.say(`killed, since not ended within ${LAUNCH_END_MAX_MS / 1000} s: ${names}`);
    }
    this.#kill();
  }

  #kill(): void {
    this.#end = "killed";
    this.#ending.resolve();
    // The node leads a process group, so that its child processes are killed too.
    for (const { process } of this.#running) send(-process.pid, "SIGKILL");
    this.#lettingGo ??= setTimeout(() => this.#letGo.abort(), LAUNCH_OUTPUT_MAX_MS);
  }

  #signal(signal: Deno.Signal): void {
    for (const { process } of this.#running) send(process.pid, signal);
  }
}

/** Starts the process of a node. */
function spawn(
  launch: Launch,
  id: number,
  ticket: string,
  common: CommonSettings,
): Deno.ChildProcess {
  const { program, args, denoFlags } = launch;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...neededPermissions(denoFlags), ...denoFlags, program, ...args],
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

function startProcess<Process>(what: string, start: () => Process): Process {
  try {
    return start();
  } catch (cause) {
    const refused = cause instanceof Deno.errors.NotCapable;
    const remedy = refused ? ". Run Deno with --allow-run" : "";
    const code = refused ? "PermissionMissing" : "SystemCallFailed";
    const message = `Cannot start ${what}: ${reasonOf(cause)}${remedy}`;
    throw new TdsmError(code, message, { operation: "launch", cause });
  }
}

/** A node's part of the memory of this machine, in bytes: no node knows of the others, and would take most of it. */
function shareOfMemory(nodes: number): number | undefined {
  if (readEnvironment()(SETTINGS.memoryLimit.environment[0]!)) return undefined;
  const available = availableMemory();
  return available && partOfMemory(available.bytes, nodes);
}

/** The settings of a node, as environment variables. An empty variable counts as not set. */
function environmentOf(
  { nodes, rpcServers }: Launch,
  id: number,
  { directory, memoryLimit }: CommonSettings,
): Record<string, string> {
  const [address, ...otherSpellings] = SETTINGS.directoryAddress.environment;
  const first = id === 1;
  const variables: Record<string, string> = {
    ...Object.fromEntries(otherSpellings.map((name) => [name, ""])),
    [address!]: first ? "" : formatAddress(directory),
    [SETTINGS.directory.environment[0]!]: first ? "1" : "",
    [SETTINGS.address.environment[0]!]: HOSTNAME,
    [SETTINGS.port.environment[0]!]: first ? String(directory.port) : "0",
    [SETTINGS.rpcServer.environment[0]!]: rpcServers && !first ? "1" : "",
    [SETTINGS.nodes.environment[0]!]: String(nodes),
    [TERMINAL_VARIABLE]: Deno.stderr.isTerminal() ? "1" : "",
  };
  if (memoryLimit !== undefined) {
    variables[SETTINGS.memoryLimit.environment[0]!] = String(memoryLimit);
  }
  const terminals = Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  if (terminals && !Deno.noColor) variables[COLOUR_VARIABLE] = "1";
  // Deno's own errors have colours in a pipe too, unless told otherwise.
  else if (!readEnvironment()(COLOUR_VARIABLE)) variables["NO_COLOR"] = "1";
  return variables;
}

/** The permissions that any node of this machine needs, as far as `denoFlags` do not give all of a kind. */
function neededPermissions(denoFlags: readonly string[]): string[] {
  // With all permissions no single one may be named; and with a list, Deno takes no more than the list.
  if (givesAll(denoFlags, "all", "A")) return [];
  const variables = Object.values(SETTINGS).flatMap(({ environment }) => environment);
  const names = [...variables, TURN_VARIABLE, TERMINAL_VARIABLE, COLOUR_VARIABLE].join();
  return [
    ...(givesAll(denoFlags, "ffi") ? [] : ["--allow-ffi"]),
    ...(givesAll(denoFlags, "net", "N") ? [] : [`--allow-net=${HOSTNAME}`]),
    ...(givesAll(denoFlags, "env", "E") ? [] : [`--allow-env=${names}`]),
  ];
}

/** Whether flags of `deno run` give all permissions of a kind: `--allow-net`, `-N`, or as in `-RN`. */
function givesAll(denoFlags: readonly string[], kind: string, letter?: string): boolean {
  return denoFlags.some((flag) =>
    flag === `--allow-${kind}` ||
    letter !== undefined && /^-[AEINRSWq]+$/.test(flag) && flag.includes(letter)
  );
}

/** Sends a signal; nothing happens when the process has ended. */
function send(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

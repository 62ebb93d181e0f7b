/**
 * The life of a program on a node: join, run its main or serve, leave.
 */

import { exitCodeOf, exitCodeOfStart, TdsmError } from "../errors.ts";
import { readEnvironment, resolveSettings } from "../settings/settings.ts";
import type { NodeOptions, Settings } from "../settings/types.ts";
import { type ProgramFlags, refused } from "../settings/flags.ts";
import { show } from "../arguments/show.ts";
import { asksForHelp, HELP_FLAGS, settingsHelp } from "../settings/help.ts";
import { START_COMMAND } from "../start_command.ts";
import { VERSION } from "../version.ts";
import { startNode } from "./join.ts";
import { tellFailure, throwFailure } from "./thread.ts";
import { tellWhileAlone } from "./waits_told.ts";
import type { Node } from "./node.ts";
import { isWorker } from "./one_node.ts";
import { failureText, printError, report, reportedExitCode } from "./report.ts";
import { memoryOf } from "./thread.ts";

/** What `--help` shows. */
const help = (): string =>
  `This program is a node of tDSM ${VERSION}. The settings of its node:

${settingsHelp()}
The directory node decides the settings for all nodes. Other flags, and all
arguments behind --, are those of the program.`;

/**
 * The options of {@linkcode run}: the settings of the node, and how the program's flags are read.
 *
 * @example A program with a flag of its own, which is nearly one of the runtime
 * ```ts ignore
 * import { run } from "@tdsm/runtime";
 *
 * // Without being named, `--sort` would be refused: it is near to `--port`.
 * await run(main, { programFlags: ["sort"] });
 * ```
 */
export interface RunOptions extends NodeOptions {
  /**
   * All flags of the program's own, with or without dashes, `help` among them where the program
   * prints a help text of its own. Any other flag is then refused, unless it stands behind `--`.
   * Where this is left out, flags that resemble no setting are the program's.
   */
  readonly programFlags?: readonly string[] | undefined;
}

/**
 * Joins a cluster, runs a program on its node, and leaves.
 *
 * Settings come from `options`, then from the program's arguments, then from the environment as
 * far as it may be read, then from the defaults. An argument that is nearly a flag of the runtime
 * is refused; others are left for the program, unless `programFlags` names those that it has. All
 * behind `--` is the program's. `--help` shows the settings and ends the process. With `rpcServer`
 * the program is not executed: the node serves until the directory node ends the cluster. With
 * `nodes` the program begins once so many nodes have joined.
 *
 * An error is printed at once. An error that `main` throws, or that nothing in the program catches,
 * ends the cluster: every node ends with `NodeFailed`; with `onError: "leave"` this node only
 * leaves. A program that catches what `run` throws decides how its process ends; otherwise the exit
 * code is 1, 2 where a flag or setting is wrong, and 70 where the node could not start or go on.
 *
 * On SIGINT, SIGTERM and SIGHUP the node leaves before the process ends, with exit code 128 plus
 * the signal's number; on `Deno.exit` it leaves too. With `signals: false` the program handles
 * signals.
 *
 * @param main The program, which is called with the node.
 * @param options The node's settings, and how flags are read.
 * @returns Resolves when the program has ended and the node is closed.
 * @throws {TdsmError} Why the node could not join, or could not go on.
 * @throws {TypeError} When `main` is no function.
 * @throws Whatever `main` throws.
 *
 * @example Count on every node
 * ```ts
 * import { run } from "@tdsm/runtime";
 *
 * await run((node) => {
 *   const counter = node.view(Int32Array, 0, 1);
 *   console.log(`node ${node.id}: ${Atomics.add(counter, 0, 1) + 1}`);
 * }, { port: 0 });
 * ```
 */
export async function run(
  main: (node: Node) => void | Promise<void>,
  { programFlags, ...options }: RunOptions = {},
): Promise<void> {
  if (typeof main !== "function") {
    // Here, before the node joins: a cluster must not end over it.
    throw new TypeError(`Cannot run ${show(main)}: write run(async (node) => { … }, options)`);
  }
  const { node, settings } = await start(options, programFlags);
  using program = new RunningProgram(node, settings);
  try {
    await execute(node, settings, main);
    await program.close();
    // What `main` released last, the directory node may have refused. A node that only serves may
    // have released something after the end of the cluster, which is no failure.
    if (!settings.rpcServer) throwFailure(node);
  } catch (error) {
    // Printed before the node closes, which can take a while.
    program.fail(error);
    await program.close();
    throw error;
  }
}

/** Executes the program, or serves until the cluster ends. */
async function execute(
  node: Node,
  settings: Settings,
  main: (node: Node) => void | Promise<void>,
): Promise<void> {
  // Until the node closes: then it has no peers to look for any more.
  using _hint = tellWhileAlone(node, settings);
  if (settings.rpcServer) await node.closed;
  else await Promise.race([begin(node, main), untilEnded(node)]);
}

/** The events by which errors come that nothing in the program catches. */
const UNCAUGHT = ["error", "unhandledrejection"] as const;

/**
 * A program while `run` has a node for it. Its first failure is told, and ends the cluster unless
 * the settings say otherwise. An error that nothing catches is a failure, too.
 */
class RunningProgram implements EventListenerObject, Disposable {
  readonly #node: Node;
  readonly #settings: Settings;
  /**
   * What ends the program, once something does: its own failure, or its node, which could not go on
   * or whose cluster has ended. A program that has closed its node itself goes on without one.
   */
  #endedBy: "failure" | "node" | undefined;
  /** Whether the program's failure was told. */
  #told = false;
  /** Whether the node is closed, or cannot go on. */
  #isOver = false;

  constructor(node: Node, settings: Settings) {
    this.#node = node;
    this.#settings = settings;
    const ended = (): void => {
      this.#isOver = true;
      if (!isClosed(node)) this.#endedBy ??= "node";
    };
    node.closed.then(ended, ended);
    for (const type of UNCAUGHT) addEventListener(type, this);
  }

  [Symbol.dispose](): void {
    for (const type of UNCAUGHT) removeEventListener(type, this);
  }

  /** The program fails: prints why, and tells the other nodes. */
  fail(error: unknown): void {
    this.#endedBy ??= "failure";
    this.#told = true;
    tellFailure(this.#node, error, () => {
      report(error, exitCodeOf(error), `The program of node ${this.#node.id} has failed`);
    });
    if (this.#node.userModeOnly && isBadAddress(error)) printError(BAD_ADDRESS);
    this.#abort(error);
  }

  #abort(error: unknown): void {
    if (this.#settings.onError !== "abort") return;
    try {
      this.#node.abort(error);
    } catch {
      // A node that is closed, or cannot go on, ends no other.
    }
  }

  /**
   * Closes the node.
   *
   * @throws {TdsmError} Why the node could not go on, unless the program has failed or knows.
   */
  async close(): Promise<void> {
    // What a close of the program's own has thrown is for the program to act on.
    const known = this.#told || this.#isOver && isClosed(this.#node);
    try {
      await this.#node.close();
    } catch (error) {
      if (!known) throw error;
    }
  }

  handleEvent(event: ErrorEvent | PromiseRejectionEvent): void {
    if (event.defaultPrevented) return;
    event.preventDefault();
    // What fails now follows from what ends the program, as where a Worker waits for what never
    // comes.
    if (this.#endedBy !== undefined) return;
    // Of an error in a Worker the main thread gets only the message.
    const error = "reason" in event ? event.reason : event.error ?? event.message;
    // Another `run` of this program may have printed the error.
    const exitCode = reportedExitCode(error);
    if (exitCode === undefined) this.fail(error);
    else this.#abort(error);
    if (isWorker()) return void this.#failWorker(error);
    // `Deno.exit` runs the listeners that hand over pages; Deno's end after an uncaught error runs
    // none.
    Deno.exit(exitCode ?? exitCodeOf(error));
  }

  /**
   * Ends a Worker by the error, so that the main thread gets it: `Deno.exit` would end the Worker
   * silently.
   */
  async #failWorker(error: unknown): Promise<void> {
    await this.close();
    this[Symbol.dispose]();
    reportError(error);
  }
}

async function start(
  options: NodeOptions,
  programFlags: readonly string[] | undefined,
): Promise<{ node: Node; settings: Settings }> {
  try {
    const names = flagNames(programFlags);
    const program: ProgramFlags = programFlags === undefined
      ? { names }
      : { names: [...names, ...HELP_FLAGS], others: "arguments" };
    const { settings, rest } = resolveSettings(options, Deno.args, readEnvironment(), program);
    if (asksForHelp(rest, names)) {
      console.log(help());
      Deno.exit(0);
    }
    return { node: await startNode(settings, true), settings };
  } catch (error) {
    report(error, exitCodeOfStart(error), "The node cannot start");
    throw error;
  }
}

/** The flags of the program's own, without their dashes. */
function flagNames(programFlags: readonly string[] = []): string[] {
  if (Array.isArray(programFlags)) return programFlags.map((name) => name.replace(/^--?/, ""));
  const given = Deno.inspect(programFlags);
  throw refused(`Cannot use ${given} of option programFlags: it must be a list of flags`);
}

/** The most likely cause of EFAULT at a node in user mode only. */
const BAD_ADDRESS =
  "A system call has met memory of the region that is not here: this node serves page faults of user " +
  "space only. Copy through an array of your own, or give the node its full right: " +
  `see ${START_COMMAND} --doctor`;

/** Whether a system call has failed with EFAULT. */
function isBadAddress(error: unknown): boolean {
  return failureText(error).includes("(os error 14)");
}

/** Rejects when the node cannot go on, or its cluster has ended; never resolves. */
async function untilEnded(node: Node): Promise<never> {
  await node.closed;
  // A `main` that has closed the node itself may still have work to do.
  if (isClosed(node)) return await new Promise<never>(() => {});
  const message =
    "Cannot go on: the directory node has closed the cluster. See what node 1 printed";
  throw new TdsmError("DirectoryLost", message);
}

/** Whether the program has closed its node. */
function isClosed(node: Node): boolean {
  return memoryOf(node).ended;
}

/**
 * Executes a program once so many nodes have joined. Otherwise a short program of the directory
 * node would end, and the cluster with it, before the other nodes have joined.
 */
async function begin(
  node: Node,
  main: (node: Node) => void | Promise<void>,
): Promise<void> {
  // Nodes with ranks, for which ids are kept, join in any order. Without ranks ids are given in
  // order of joining, so every node with a lower id has joined.
  const first = node.rank === undefined ? node.id + 1 : 1;
  for (let id = first; id <= node.nodeCount; id++) await untilJoined(node, id);
  await main(node);
}

/** Waits until a node has joined, even if that node has left since. */
async function untilJoined(node: Node, id: number): Promise<void> {
  try {
    await node.waitForPeer(id);
  } catch (error) {
    if (!(error instanceof TdsmError && error.code === "PeerLost")) throw error;
  }
}

/**
 * The nodes of one program that a launcher has started: what they print is passed on, and to them
 * the signals that the launcher gets; when one fails, the others are ended. Where their processes
 * are is up to the starter.
 */

import { ExitCode } from "../errors.ts";
import {
  LAUNCH_CAUSE_MAX_MS,
  LAUNCH_END_MAX_MS,
  LAUNCH_OUTPUT_MAX_MS,
  LAUNCH_REMINDER_MS,
} from "../limits.ts";
import { asksForHelp } from "../settings/help.ts";
import { SETTINGS } from "../settings/table.ts";
import { END_SIGNALS, type EndSignal, SignalEcho } from "../signals.ts";
import { NodeOutput, type Paints } from "./node_output.ts";
import type { Launch } from "./node_process.ts";
import { whenOrphaned } from "./orphan.ts";
import { paintOf } from "./paint.ts";

/** How the process of a node has ended. */
export interface NodeStatus {
  /** Its exit code, or what stands for it. */
  readonly code: number;
  /** How that came about, behind the node's name: "ended with exit code 3". */
  readonly how: string;
}

/** The process of a node, wherever it runs. */
export interface NodeProcess {
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when the program is started; never, where its machine is not reached. */
  readonly started: Promise<void>;
  /** Resolves when the process has ended. */
  readonly status: Promise<NodeStatus>;
  /** Sends a signal to the process; nothing happens when it has ended. */
  signal(signal: Deno.Signal): void;
  /** Kills the process, and those of its group. */
  kill(): void;
  /** Kills what is left of its group once the process has ended. */
  killRest(): void;
}

/** Starts the processes of nodes, and knows how far they are. */
export interface Starter {
  /** Whether nodes are let join one after the other; else all at once, behind node 1. */
  readonly inOrder: boolean;
  /** Starts the process of a node, which waits for its turn to join. */
  start(id: number): NodeProcess;
  /** Lets a node join. Resolves once it has joined; never, where it does not. */
  let(id: number): Promise<void>;
  /** Whether a node knew, when it ended, that another one had failed or was gone. */
  knewOtherGone(id: number): Promise<boolean>;
  /** Whether it is known of a node that it is to join, or is joining. */
  triesToJoin(id: number): boolean;
}

/** One node's process. */
interface LaunchedNode {
  readonly id: number;
  readonly process: NodeProcess;
  /**
   * Resolves when it is the node's turn to join: what it prints, and how it ends, counts from then
   * on.
   */
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
 * Runs a program on nodes: passes on their output, and to them the signals that this process gets.
 * Ends all nodes when the first one fails.
 *
 * @param launch The program and its nodes.
 * @param starter Starts them.
 * @returns 0 when every node ended well; else 128 and the signal that this process got, or the exit
 * code of the node that failed first.
 * @throws {TdsmError} When nodes cannot be started.
 */
export async function runNodes(launch: Launch, starter: Starter): Promise<number> {
  const paint = { stdout: await paintOf(Deno.stdout), stderr: await paintOf(Deno.stderr) };
  const nodes = new LaunchedNodes(launch, starter, paint);
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

class LaunchedNodes {
  readonly #launch: Launch;
  readonly #starter: Starter;
  readonly #output: NodeOutput;
  readonly #started: LaunchedNode[] = [];
  /**
   * The cause of the end: none yet; a signal, which every node has got; a node that failed, so that
   * the others were told to end; or every node was killed.
   */
  #end: "none" | "signalled" | "failed" | "killed" = "none";
  /** Resolves when the cause is no longer "none". */
  readonly #ending = Promise.withResolvers<void>();
  #code: number | undefined;
  /** The exit code where a signal came first, unless every node has ended with 0 all the same. */
  #signalCode: number | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  /**
   * Ends the wait for output: a process that a node has started may hold it open after the node's
   * end.
   */
  readonly #letGo = new AbortController();
  #lettingGo: ReturnType<typeof setTimeout> | undefined;

  constructor(launch: Launch, starter: Starter, paint: Paints) {
    this.#launch = launch;
    this.#starter = starter;
    const { stdout, stderr } = Deno;
    const { nodes } = launch;
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
      const joining: Promise<boolean>[] = [];
      for (let id = 1; id <= nodes && this.#end === "none"; id++) {
        const node = this.#started[id - 1] ?? this.#start(id);
        const joined = this.#begin(node);
        this.#remind(node, joined);
        if (id === nodes) break;
        const isDone = this.#untilJoined(node, joined);
        // A mistake that every node makes is then shown once.
        if (id > 1 && !this.#starter.inOrder) joining.push(isDone);
        else if (!await isDone) break;
      }
      await Promise.all(joining);
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

  /**
   * Where no node is left to end by a signal, only what nodes have started holds this process up.
   */
  #endIfAllHave(): void {
    if (this.#end === "signalled" && this.#running.length === 0) this.#kill();
  }

  /** The nodes that have not ended. */
  get #running(): LaunchedNode[] {
    return this.#started.filter(({ code }) => code === undefined);
  }

  /** The nodes whose turn has come. */
  get #begun(): LaunchedNode[] {
    return this.#started.filter(({ begun }) => begun);
  }

  #start(id: number): LaunchedNode {
    const node: LaunchedNode = {
      id,
      process: this.#starter.start(id),
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
  async #follow(node: LaunchedNode): Promise<void> {
    const { id, process } = node;
    const turn = Promise.race([node.turn.promise, this.#ending.promise]);
    const passed = turn.then(() => this.#pass(node));
    const { code, how } = await process.status;
    node.code = code;
    // A node that was killed could not end what it had started.
    if (code !== 0) process.killRest();
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
    await this.#output.say(`node ${id} ${how}${others ? ", so the others are ended" : ""}`);
  }

  /** Passes on the output of a node, until both of its streams end. */
  async #pass({ id, begun, process: { stdout, stderr } }: LaunchedNode): Promise<void> {
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
   * Waits a while for another failure, if a node may have ended because of one. A node that cannot
   * go on, or knows that another is gone, has mostly lost a node that failed, whose exit code tells
   * more; but the failed node can be the later one to end.
   */
  async #untilCauseIsKnown({ id, code }: LaunchedNode): Promise<void> {
    if (this.#begun.length === 1) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LAUNCH_CAUSE_MAX_MS);
    const known = Promise.race([promise, this.#ending.promise]);
    const isEffect = code === ExitCode.Node ||
      await Promise.race([this.#starter.knewOtherGone(id), known]);
    if (isEffect) await known;
    clearTimeout(timer);
  }

  /**
   * Lets a node join; what it has printed so far is passed on. Resolves once the node has joined.
   */
  #begin(node: LaunchedNode): Promise<void> {
    node.begun = true;
    node.turn.resolve();
    return this.#starter.let(node.id);
  }

  /** Says after a while that a node has not joined, and why that may be: all wait for it. */
  #remind(node: LaunchedNode, joined: Promise<void>): void {
    const over = Promise.race([joined, node.exited.promise, this.#ending.promise]);
    // What it takes to reach its machine is not the program's.
    void Promise.race([node.process.started, over]).then(() => {
      const reminder = setTimeout(() => this.#output.say(this.#whySlow(node)), LAUNCH_REMINDER_MS);
      void over.then(() => clearTimeout(reminder));
    });
  }

  #whySlow({ id }: LaunchedNode): string {
    const slow = `node ${id} has not joined for ${LAUNCH_REMINDER_MS / 1000} s`;
    if (this.#starter.triesToJoin(id)) {
      return `${slow}, though it tries: its machine has much to do, or its way to node 1 is slow`;
    }
    const { port, directory, directoryAddress } = SETTINGS;
    const [variable] = (id === 1 ? port : directoryAddress).environment;
    const flags = [port, directory, directoryAddress].map(({ flag }) => `--${flag}`);
    return `${slow}: if it is not just slow to start, its program has to call run or join, take ` +
      `${variable} from the environment, and be given no flag such as ` +
      flags.join(", ").replace(/, (?=[^,]*$)/, " or ");
  }

  /**
   * Waits until a node has joined, or has ended, or all are to end.
   *
   * @returns Whether it is the next node's turn.
   */
  async #untilJoined(node: LaunchedNode, joined: Promise<void>): Promise<boolean> {
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
    for (const { process } of this.#running) process.kill();
    this.#lettingGo ??= setTimeout(() => this.#letGo.abort(), LAUNCH_OUTPUT_MAX_MS);
  }

  #signal(signal: Deno.Signal): void {
    for (const { process } of this.#running) process.signal(signal);
  }
}

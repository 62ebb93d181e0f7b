/** Running of a program: the home node's part, and that of every other node. */

import { errorText, reasonOf, TdsmError } from "../errors.ts";
import type { Node } from "../node/node.ts";
import { printError } from "../node/report.ts";
import { postCall } from "../node/thread_calls.ts";
import { rpc } from "../rpc/define.ts";
import { clockNs, measureOffsetNs } from "./clock.ts";
import { ProgramHome } from "./home.ts";
import {
  ENDED,
  EXECUTE,
  type HomeCall,
  type HomeNode,
  type ProgramEnd,
  type ThreadParts,
} from "./messages.ts";
import { MAIN_THREAD, Placement, type PlacementParts } from "./placement.ts";
import type { WasiProgram } from "./program.ts";
import { type ProgramEnvironment, WasiSystem } from "./system.ts";
import { ThreadPool } from "./thread_pool.ts";

/** How a program is run. */
export interface RunProgramOptions {
  /** What the program is given. */
  readonly environment: ProgramEnvironment;
  /** How many nodes take part: those with the lowest ids. */
  readonly nodes: number;
  /** How many threads a node may have at one time. */
  readonly threadsPerNode: number;
}

/** The exit code of a program that has trapped: that of SIGABRT, as of other runtimes. */
export const TRAP_EXIT_CODE = 134;

/** What this process does: one of these resolves. */
const home = Promise.withResolvers<ProgramHome>();
const serving = Promise.withResolvers<ServingNode>();
/** What executes threads here, at the home node as at others. */
const executing = Promise.withResolvers<ThreadPool>();

/** What other nodes ask of the home node. */
const atHome = {
  call: rpc("tdsm.wasm.call", async (call: HomeCall) => await (await home.promise).call(call)),
  end: rpc("tdsm.wasm.end", async (end: ProgramEnd) => (await home.promise).end(end)),
  clock: rpc("tdsm.wasm.clock", (): bigint => clockNs()),
};

/** What the home node asks of others. */
const atNode = {
  prepare: rpc(
    "tdsm.wasm.prepare",
    async (hash: string, lifted: string[], nodes: number[], threads: number): Promise<string> =>
      await (await serving.promise).prepare(hash, lifted, nodes, threads),
  ),
  attend: rpc("tdsm.wasm.attend", async () => await (await serving.promise).stopped),
  stop: rpc("tdsm.wasm.stop", async () => (await serving.promise).stop()),
};

// Called by threads, past this one as long as a Worker waits.
rpc(
  EXECUTE,
  async (thread: number, argument: number) =>
    (await executing.promise).execute({ thread, argument }),
);
rpc(ENDED, async (thread: number) => (await home.promise).ended(thread));

/**
 * Runs a program from the home node, node 1.
 *
 * @param node The node.
 * @param program The program.
 * @param options How it is run.
 * @returns The program's exit code. Its node is closed; the process is to end then, with all
 * threads.
 * @throws {TdsmError} `NodeFailed` when a node is lost that has threads of the program or pages of
 * its memory; or why this node cannot go on.
 */
export async function runProgram(
  node: Node,
  program: WasiProgram,
  { environment, nodes: count, threadsPerNode }: RunProgramOptions,
): Promise<number> {
  for (let id = node.id + 1; id <= count; id++) await node.waitForPeer(id);
  const others = node.peers().map(({ id }) => id).filter((id) => id <= count);
  const nodes = [node.id, ...others];
  const placement = new Placement({ nodes, threadsPerNode });
  const parts = await partsOf(node, program, nodes, 0n, placement.parts);
  const system = await WasiSystem.open(environment, parts.memory.memory);
  const execute = (place: number, thread: number, argument: number): void =>
    postCall(node, place, EXECUTE, [thread, argument]);
  const started = new ProgramHome({ system, placement, execute });
  const pool = new ThreadPool(parts, started, (reason) => started.fail(workerFailed(reason)));
  executing.resolve(pool);
  home.resolve(started);
  node.closed.catch((error) => started.fail(error));
  const getReady = async (): Promise<void> => {
    const prepared = others.map((id) => prepareNode(id, program, nodes, threadsPerNode));
    await Promise.all([pool.warm(threadsPerNode), ...prepared]);
    for (const id of others) {
      const fail = (error: unknown): void =>
        started.fail(lost(`Node ${id}`, placement.threadsOf(id), error));
      atNode.attend.on(id)().catch(fail);
    }
    execute(node.id, MAIN_THREAD, 0);
  };
  try {
    getReady().catch((error) => started.fail(error));
    const end = await started.done;
    await system.flush();
    if (end.kind === "trap") printError(end.text);
    // All leave at the same time, so that none takes over pages of another; also those that came
    // too late to take part.
    await Promise.allSettled(node.peers().map(({ id }) => atNode.stop.on(id)()));
    await node.close();
    return end.kind === "exit" ? end.code : TRAP_EXIT_CODE;
  } catch (error) {
    throw isLoss(error) ? lost("A node", [], error) : error;
  }
}

/** Has another node get ready for threads. */
async function prepareNode(
  id: number,
  { hash, lifted, path }: WasiProgram,
  nodes: number[],
  threadsPerNode: number,
): Promise<void> {
  const problem = await atNode.prepare.on(id)(hash, [...lifted], nodes, threadsPerNode);
  if (problem !== "") throw new TdsmError("NodeFailed", `Cannot run ${path}: ${problem}`);
}

/**
 * Executes threads of a program for the home node.
 *
 * @param node The node.
 * @param program The program, which must be that of the home node.
 * @returns Resolves when the program has ended: the process is to end then, with its threads.
 * @throws {TdsmError} Why the node cannot go on.
 */
export async function serveProgram(node: Node, program: WasiProgram): Promise<void> {
  const own = new ServingNode(node, program);
  serving.resolve(own);
  await Promise.race([node.closed, own.stopped]);
}

/** A node that executes threads for the home node. */
class ServingNode {
  readonly #node: Node;
  readonly #program: WasiProgram;
  readonly #stopped = Promise.withResolvers<void>();

  constructor(node: Node, program: WasiProgram) {
    this.#node = node;
    this.#program = program;
    this.#stopped.promise.catch(() => {});
  }

  /** Resolves when the program has ended; rejects when this node cannot execute its threads. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Gets ready for threads; returns what is in the way, if something is. */
  async prepare(
    hash: string,
    lifted: readonly string[],
    nodes: number[],
    threads: number,
  ): Promise<string> {
    const { id } = this.#node;
    if (hash !== this.#program.hash) {
      return `node ${id} has another program, or another version of it; give all nodes the same file`;
    }
    if (lifted.join() !== this.#program.lifted.join()) {
      const what = [this.#program.lifted, lifted].map((all) => all.join(" and ") || "nothing");
      return `node ${id} lifts ${what[0]}, and node ${nodes[0]} ${what[1]}; ` +
        "give --no-lift to all nodes or to none";
    }
    try {
      const offsetNs = await measureOffsetNs(atHome.clock.on(nodes[0]!));
      const parts = await partsOf(this.#node, this.#program, nodes, offsetNs);
      const pool = new ThreadPool(
        parts,
        toHome(nodes[0]!),
        (reason) => this.#stopped.reject(workerFailed(reason)),
      );
      executing.resolve(pool);
      await pool.warm(threads);
      return "";
    } catch (error) {
      const reason = error instanceof TdsmError ? errorText(error) : reasonOf(error);
      return `node ${id} cannot take part: ${reason}`;
    }
  }

  stop(): void {
    this.#stopped.resolve();
  }
}

/** The home node as threads of another node see it. */
function toHome(id: number): HomeNode {
  // Where a call fails the home node is gone, and this node ends with it.
  return {
    call: atHome.call.on(id),
    end: (end) => void atHome.end.on(id)(end).catch(() => {}),
  };
}

async function partsOf(
  node: Node,
  { module, memory: memoryImport }: WasiProgram,
  nodes: readonly number[],
  clockOffsetNs: bigint,
  placement?: PlacementParts,
): Promise<ThreadParts> {
  const { pages, maximum } = memoryImport;
  const memory = await node.wasmMemory({ name: "program", pages, maximum });
  const { handle } = node;
  const parts = { handle, module, memory, memoryImport, nodes, clockOffsetNs };
  return { ...parts, ...(placement && { placement }) };
}

/** Whether an error comes of the loss of another node. */
function isLoss(error: unknown): boolean {
  const codes = ["PageLost", "PeerLost", "PeerUnreachable"];
  return error instanceof TdsmError && codes.includes(error.code);
}

/** The error that a program cannot go on without a node. */
function lost(node: string, threads: readonly number[], cause: unknown): TdsmError {
  const word = threads.length === 1 ? "thread" : "threads";
  const held = threads.length === 0 ? "" : `, and with it ${word} ${threads.join(", ")}`;
  const isGone = cause instanceof TdsmError && cause.code === "PeerLost";
  const reason = cause instanceof TdsmError ? errorText(cause) : reasonOf(cause);
  const what = isLoss(cause) ? "is lost" : "cannot go on";
  const message = `${node} of the program ${what}${held}${isGone ? "" : `: ${reason}`}`;
  return new TdsmError("NodeFailed", message, { operation: "run", cause });
}

function workerFailed(reason: string): TdsmError {
  return new TdsmError("NodeFailed", `A thread cannot be executed: ${reason}`);
}

/**
 * Nodes as processes of their own, for behaviour that only real processes, sockets and faults show.
 * Every wait is bounded, says what every process printed when it fails, and no process outlives its
 * test.
 */

import { fileURLToPath } from "node:url";
import { RemoteNode } from "./remote_node.ts";
import { type SpawnOptions, TestProcess } from "./test_process.ts";

export { RemoteError, RemoteNode } from "./remote_node.ts";
export type { Exit, TestProcess } from "./test_process.ts";

/**
 * How long any one wait may take, in milliseconds: far more than any needs, far less than a hang.
 */
const WAIT_MAX_MS = 60_000;
const REMOTE_NODE = fileURLToPath(new URL("../nodes/programs/remote_node.ts", import.meta.url));

/** The processes of one test. */
export class ProcessCluster implements AsyncDisposable {
  readonly #processes: TestProcess[] = [];
  readonly #waitMaxMs: number;

  /**
   * @param waitMaxMs How long any one wait may take, in milliseconds: more only for programs that
   *   compute for long.
   */
  constructor(waitMaxMs: number = WAIT_MAX_MS) {
    this.#waitMaxMs = waitMaxMs;
  }

  /**
   * Starts a process.
   *
   * @param name What to call it in messages.
   * @param options How to start it.
   * @returns The process.
   */
  spawn(name: string, options: SpawnOptions): TestProcess {
    const process = new TestProcess(name, options, (what, promise) => this.bounded(what, promise));
    this.#processes.push(process);
    return process;
  }

  /**
   * Starts a node that does what the test tells it to.
   *
   * @param flags Its flags.
   * @param options What else its process is started with.
   * @returns Its process; `RemoteNode.ready` waits for the node.
   */
  spawnNode(flags: readonly string[], options: Omit<SpawnOptions, "args"> = {}): TestProcess {
    const args = ["run", "-A", "--no-prompt", REMOTE_NODE, ...flags];
    return this.spawn(`process ${this.#processes.length + 1}`, { ...options, args });
  }

  /**
   * Starts a directory on a free port.
   *
   * @param flags More flags for it.
   * @returns Its node.
   */
  host(...flags: string[]): Promise<RemoteNode> {
    return RemoteNode.ready(this.spawnNode(["--directory", "--port=0", ...flags]));
  }

  /**
   * Starts a node that joins.
   *
   * @param directory The node to join.
   * @param flags More flags for it.
   * @returns Its node.
   */
  join(directory: RemoteNode, ...flags: string[]): Promise<RemoteNode> {
    return RemoteNode.ready(this.spawnNode([`--directory-address=${directory.at}`, ...flags]));
  }

  /**
   * Starts a directory and nodes that join it one after the other, so that ids are in order.
   *
   * @param nodes How many in all.
   * @param flags More flags for the directory.
   * @returns The nodes.
   */
  async start(nodes: number, ...flags: string[]): Promise<RemoteNode[]> {
    const all = [await this.host(...flags)];
    while (all.length < nodes) all.push(await this.join(all[0]!));
    return all;
  }

  /**
   * Waits, but not for ever.
   *
   * @param what What is waited for.
   * @param promise Resolves when it is there.
   * @returns What `promise` resolves with.
   * @throws {Error} With all that every process has printed.
   */
  async bounded<Value>(what: string, promise: Promise<Value>): Promise<Value> {
    const timeout = Promise.withResolvers<never>();
    const late = (): void => timeout.reject(new Error(`nothing within ${this.#waitMaxMs} ms`));
    const timer = setTimeout(late, this.#waitMaxMs);
    try {
      return await Promise.race([promise, timeout.promise]);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${what}: ${why}\n${this.#printed()}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #printed(): string {
    return this.#processes
      .map(({ name, stdout, stderr }) =>
        `--- ${name}, stdout ---\n${stdout}--- stderr ---\n${stderr}`
      )
      .join("");
  }

  /** Ends every process that is still there. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) process.kill();
    await Promise.all(this.#processes.map(({ ended }) => ended));
  }
}

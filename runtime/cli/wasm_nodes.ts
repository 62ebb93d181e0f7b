/** The other nodes of a WebAssembly program on this machine: processes that the first starts. */

import { TdsmError } from "../errors.ts";
import { LAUNCH_CAUSE_MAX_MS, LAUNCH_END_MAX_MS } from "../limits.ts";
import type { Node } from "../node/node.ts";
import { type Environment, readEnvironment } from "../settings/settings.ts";
import { SETTINGS } from "../settings/table.ts";
import { environmentOf, makeKey, sendSignal, shareOfMemory, startProcess } from "./node_process.ts";

/** Set where the first node of a program has started this one. */
const HOME_VARIABLE = "TDSM_WASM_HOME";

/** Whether the first node of a program has started this process: it tells what goes wrong. */
export function isOfHome(): boolean {
  return Boolean(readEnvironment()(HOME_VARIABLE));
}

/** The nodes of a program beside the first one. They end with it. */
export class OtherNodes implements AsyncDisposable {
  readonly #nodes: number;
  readonly #flags: readonly string[];
  readonly #memoryLimit: string | undefined;
  readonly #keyVariables: Readonly<Record<string, string>>;
  readonly #running = new Set<Deno.ChildProcess>();
  readonly #failed = Promise.withResolvers<never>();
  readonly #kill = (): void => {
    // The process leads a group, so that what it has started is killed too.
    for (const { pid } of this.#running) sendSignal(-pid, "SIGKILL");
  };

  /**
   * @param nodes How many nodes there are, with the first one.
   * @param flags The settings of the first one, as flags.
   */
  constructor(nodes: number, flags: readonly string[]) {
    this.#nodes = nodes;
    this.#flags = flags.filter((flag) => !isOfFirst(flag));
    this.#memoryLimit = shareOfMemory(nodes)?.toString();
    this.#keyVariables = makeKey({ args: flags }, true);
    this.#failed.promise.catch(() => {});
    addEventListener("unload", this.#kill);
  }

  /** Rejects when one of them has ended before the program, and other than well. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** The environment by which the first node has the same key, and its part of the memory. */
  environment(given: Environment): Environment {
    const limit = this.#memoryLimit;
    const variables: Record<string, string> = {
      ...this.#keyVariables,
      ...(limit === undefined ? {} : { [SETTINGS.memoryLimit.environment[0]!]: limit }),
    };
    return (name) => variables[name] ?? given(name);
  }

  /**
   * Starts them.
   *
   * @param first The first node.
   * @param words What else each is given: the command's own flags, and the file of the program.
   */
  start({ address: hostname, port }: Node, words: readonly string[]): void {
    const permissions = ["--allow-ffi", `--allow-net=${hostname}`, "--allow-read", "--allow-env"];
    for (let id = 2; id <= this.#nodes; id++) {
      const variables = environmentOf({ nodes: this.#nodes, rpcServers: true }, id, {
        address: hostname,
        directory: { hostname, port },
        memoryLimit: this.#memoryLimit,
        keyVariables: this.#keyVariables,
      });
      const command = new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-prompt", ...permissions, Deno.mainModule, "wasm"],
          ...[...this.#flags, ...words],
        ],
        env: { ...variables, [HOME_VARIABLE]: "1" },
        // A session of its own: a terminal's Ctrl-C comes to the first node alone, which ends all.
        detached: true,
        stdin: "null",
        stdout: "null",
        stderr: "inherit",
      });
      void this.#follow(startProcess(`node ${id}`, () => command.spawn()));
    }
  }

  async #follow(process: Deno.ChildProcess): Promise<void> {
    this.#running.add(process);
    const { code, signal } = await process.status;
    this.#running.delete(process);
    if (code === 0) return;
    const how = signal === null ? `has ended with exit code ${code}` : `was ended by ${signal}`;
    const message = `A node of the program ${how}`;
    const error = new TdsmError("NodeFailed", message, { operation: "run" });
    // Of a node that had joined, the cluster soon knows more: which threads it had.
    Deno.unrefTimer(setTimeout(() => this.#failed.reject(error), LAUNCH_CAUSE_MAX_MS));
  }

  /** Waits until they have ended, but not for long. */
  async [Symbol.asyncDispose](): Promise<void> {
    const late = setTimeout(this.#kill, LAUNCH_END_MAX_MS);
    await Promise.all([...this.#running].map(({ status }) => status));
    clearTimeout(late);
    removeEventListener("unload", this.#kill);
  }
}

/** Whether a flag is for the first node alone. */
function isOfFirst(flag: string): boolean {
  const { nodes, port, address, directory } = SETTINGS;
  return [nodes, port, address, directory].some((setting) =>
    flag === `--${setting.flag}` || flag.startsWith(`--${setting.flag}=`)
  );
}

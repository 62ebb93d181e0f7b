/** The program of the family "threads", which runs on nodes of its own as users run programs. */

import { fileURLToPath } from "node:url";
import { buildC, findTarget } from "../../tests/wasi/rust_target.ts";
import { LineProcess } from "../process.ts";

const SOURCE = fileURLToPath(new URL("threads.c", import.meta.url));
const MODULE = fileURLToPath(new URL("../../mod.ts", import.meta.url));

/** Why there is no such program, where {@linkcode buildThreadsProgram} has built none. */
export const NO_TARGET =
  "the C library with pthreads is that of Rust's target: rustup target add wasm32-wasip1-threads";

/**
 * Builds the program.
 *
 * @param folder Where it is put.
 * @returns Its path; `undefined` where there is no C library with threads.
 */
export async function buildThreadsProgram(folder: string): Promise<string | undefined> {
  const libraries = await findTarget();
  if (libraries === undefined) return undefined;
  const path = `${folder}/threads.wasm`;
  await buildC(libraries, SOURCE, path);
  return path;
}

/** The program on nodes that are processes of this machine. */
export class ThreadsProgram implements AsyncDisposable {
  /** The home node, which has the streams of the program, and then the others. */
  readonly #processes: readonly LineProcess[];

  private constructor(processes: readonly LineProcess[]) {
    this.#processes = processes;
  }

  /**
   * Starts the program.
   *
   * @param program Flags of the command, and where the program is.
   * @param nodes On how many nodes.
   * @param cores The core of each node; empty to tie none.
   * @param folder Where the nodes meet by a file.
   * @returns The program, which waits for measurements.
   */
  static async start(
    program: readonly string[],
    nodes: number,
    cores: readonly number[],
    folder: string,
  ): Promise<ThreadsProgram> {
    // The nodes are started apart, so that each can be tied to a core of its own.
    const meeting = `--rendezvous=file:${folder}/${crypto.randomUUID()}`;
    const words = nodes > 1 ? [meeting, `--nodes=${nodes}`] : [];
    const args = ["run", "-A", "--no-prompt", MODULE, "wasm", ...words, ...program];
    const processes: LineProcess[] = [];
    for (let index = 0; index < nodes; index++) {
      const core = cores[index] ?? cores.at(-1);
      processes.push(new LineProcess(Deno.execPath(), { args, core }));
    }
    try {
      // Only the home node prints.
      const home = await Promise.race(processes.map(async (process) => {
        await process.line();
        return process;
      }));
      return new ThreadsProgram([home, ...processes.filter((process) => process !== home)]);
    } catch (error) {
      for (const process of processes) process.kill();
      throw error;
    }
  }

  /**
   * Takes a round of a measurement.
   *
   * @param what Its name in the program.
   * @param amount How many times, or for how many milliseconds.
   * @returns The samples.
   */
  async measure(what: string, amount: number): Promise<number[]> {
    return await this.#processes[0]!.ask([what, amount]) as number[];
  }

  /** Ends the program. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()));
  }
}

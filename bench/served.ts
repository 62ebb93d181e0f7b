/** A process that runs `serve`, as the coordinator of the benchmark sees it. */

import { LineProcess } from "./floor/line_process.ts";
import type { Answer, Asked } from "./serve.ts";

/** How long anything may take that it is asked for, in milliseconds: far more than any needs. */
const ANSWER_MAX_MS = 120_000;

/** What every such process says of itself when it is ready. */
export interface Ready {
  /** Its process id. */
  readonly pid: number;
}

/** A process of the benchmark. */
export class Served<Its extends Ready> implements AsyncDisposable {
  /** What it said of itself. */
  readonly ready: Its;
  readonly #process: LineProcess;

  private constructor(process: LineProcess, ready: Its) {
    this.#process = process;
    this.ready = ready;
  }

  /**
   * Starts a program of this folder.
   *
   * @param program Its name.
   * @param args Its arguments.
   * @param env Environment variables, beside those of this process.
   * @returns It, once it is ready.
   * @throws {Error} When it ends before; it says why on stderr.
   */
  static async start<Its extends Ready>(
    program: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Served<Its>> {
    const path = new URL(program, import.meta.url).pathname;
    const words = ["run", "-A", "--no-prompt", path, ...args];
    const process = new LineProcess(Deno.execPath(), { args: words, env });
    try {
      return new Served(process, await process.line() as Its);
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Has it do something; one thing at a time.
   *
   * @param action What.
   * @param args The action's arguments, as JSON.
   * @returns The action's result.
   * @throws {Error} What the action throws, or that the process has ended or does not answer.
   */
  async ask(action: string, args: unknown): Promise<unknown> {
    const asked: Asked = { action, args };
    const answer = this.#process.ask([JSON.stringify(asked)]) as Promise<Answer>;
    const { value, error } = await this.#bounded(action, answer);
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** Closes its stdin, at which it ends, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bounded("its end", this.#process[Symbol.asyncDispose]());
  }

  /** Ends it at once, whatever it has. */
  async kill(): Promise<void> {
    this.#kill();
    await this.#process[Symbol.asyncDispose]();
  }

  /** Ends a process that does not answer, so that nobody waits for it. */
  async #bounded<Value>(what: string, promise: Promise<Value>): Promise<Value> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#kill();
    }, ANSWER_MAX_MS);
    try {
      return await promise;
    } catch (cause) {
      if (!late) throw cause;
      throw new Error(`Process ${this.ready.pid} did not get done with ${what}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #kill(): void {
    try {
      Deno.kill(this.ready.pid, "SIGKILL");
    } catch (error) {
      // It has ended.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

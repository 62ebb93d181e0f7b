/**
 * Both ends of a process of the benchmark. The coordinator tells it what to do in lines and gets a
 * line of JSON for each; between two the process sleeps in a read of stdin, and with its stdin it
 * ends. Run as a program this file is a process that does nothing: what starting Deno costs by
 * itself.
 */

import { fileURLToPath } from "node:url";

/** How a process is started. */
export interface ProcessOptions {
  /** Its words. */
  readonly args: readonly string[];
  /** Environment variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** The core that all its threads are tied to; none where they run as the kernel likes. */
  readonly core?: number | undefined;
}

/** A process that answers each line with a line of JSON. It never outlives this one. */
export class LineProcess implements AsyncDisposable {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #text = "";

  /**
   * @param program The path of what to run.
   * @param options How.
   * @throws {Error} When it cannot be run; or is to be tied to a core, and there is no `taskset`.
   */
  constructor(program: string, { args, env = {}, core }: ProcessOptions) {
    this.#name = [program.slice(program.lastIndexOf("/") + 1), ...args].join(" ");
    // `taskset` becomes the program, so that the process id stays.
    const words = core === undefined ? [] : ["taskset", "--cpu-list", String(core)];
    const [command, ...rest] = [...words, program, ...args];
    this.#child = new Deno.Command(command!, {
      args: rest,
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Waits for the next line.
   *
   * @returns What it says.
   * @throws {Error} If the process has ended; it said why on stderr.
   */
  async line(): Promise<unknown> {
    for (let end = -1;;) {
      if ((end = this.#text.indexOf("\n")) >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return JSON.parse(line);
      }
      const { value, done } = await this.#output.read();
      if (done) {
        const { code } = await this.#child.status;
        throw new Error(`${this.#name} ended with status ${code}`);
      }
      this.#text += value;
    }
  }

  /**
   * Tells it something, and waits for its answer. One call at a time.
   *
   * @param command The words of the line.
   * @returns What it answers.
   * @throws {Error} If the process has ended; it said why on stderr.
   */
  async ask(command: readonly (string | number)[]): Promise<unknown> {
    // If it is gone, the missing answer says so better than the broken pipe.
    await this.#input.write(new TextEncoder().encode(`${command.join(" ")}\n`)).catch(() => {});
    return await this.line();
  }

  /** Ends it at once, whatever it has. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Ends it, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Either fails where the process is gone already.
    await this.#input.close().catch(() => {});
    await this.#output.cancel().catch(() => {});
    await this.#child.status;
  }
}

/** What a line asks of a process that runs {@linkcode serve}, as JSON. */
interface Asked {
  readonly action: string;
  readonly args: unknown;
}

/** What the process answers with, as JSON. */
interface Answer {
  /** The action's result. */
  readonly value?: unknown;
  /** Why there is none. */
  readonly error?: string;
}

/** What such a process says of itself when it is ready. */
export interface Ready {
  /** Its process id. */
  readonly pid: number;
}

/** How long anything may take that it is asked for, in milliseconds: far more than any needs. */
const ANSWER_MAX_MS = 120_000;

/** A process that runs {@linkcode serve}, as the coordinator sees it. */
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
   * @param program Its path below this folder.
   * @param options Its words, environment and core.
   * @returns It, once it is ready.
   * @throws {Error} When it ends before; it says why on stderr.
   */
  static async start<Its extends Ready>(
    program: string,
    { args = [], ...options }: Partial<ProcessOptions> = {},
  ): Promise<Served<Its>> {
    const path = fileURLToPath(new URL(program, import.meta.url));
    const words = ["run", "-A", "--no-prompt", path, ...args];
    const process = new LineProcess(Deno.execPath(), { ...options, args: words });
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

  /** Ends it at once, whatever it has, and waits for that. */
  async kill(): Promise<void> {
    this.#process.kill();
    await this.#process[Symbol.asyncDispose]();
  }

  /** Ends a process that does not answer, so that the run goes on. */
  async #bounded<Value>(what: string, promise: Promise<Value>): Promise<Value> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#process.kill();
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
}

/**
 * Says that this process is ready, then does what it is asked to, one thing at a time, until stdin
 * ends.
 *
 * @param ready What to say of this process.
 * @param act Does an action; what it returns must be JSON.
 * @returns Resolves when stdin has ended.
 */
export async function serve(
  ready: Ready,
  act: (action: string, args: unknown) => unknown,
): Promise<void> {
  const print = (line: unknown): void => console.log(JSON.stringify(line));
  print(ready);
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const { action, args } = JSON.parse(line) as Asked;
      let answer: Answer;
      try {
        answer = { value: await act(action, args) ?? null };
      } catch (error) {
        answer = { error: `${action}: ${error instanceof Error ? error.message : error}` };
      }
      print(answer);
    }
  }
}

if (import.meta.main) await serve({ pid: Deno.pid }, () => undefined);

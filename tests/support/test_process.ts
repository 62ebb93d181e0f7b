/** A process of a test: what it prints, what it is told, and how it ends. */

import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/**
 * What a process needs of the environment; settings of the runtime must come from the test alone.
 */
const ENVIRONMENT = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR"];
/** The variable with a key that the nodes of all tests share, unless a test gives them another. */
const TEST_KEY = "TDSM_TEST_KEY";
/** The variable with the homes that pages have in all tests, unless a test decides that itself. */
const TEST_HOMES = "TDSM_TEST_HOMES";

/** Waits for `promise`, but not for ever; `what` is for the message. */
export type Bounded = <Value>(what: string, promise: Promise<Value>) => Promise<Value>;

/** How a process is started. */
export interface SpawnOptions {
  /** The words after `deno`; paths are relative to the project. */
  readonly args: readonly string[];
  /** Environment variables, beside those that any program has. */
  readonly env?: Readonly<Record<string, string>>;
  /** The current folder; the project, where none is given. */
  readonly cwd?: string;
  /** Words before `deno`: another user, another limit. */
  readonly prefix?: readonly string[];
}

/** How a process ended. */
export interface Exit {
  /** The exit code; 128 and more for a signal. */
  readonly code: number;
  /** All that it wrote to stdout. */
  readonly stdout: string;
  /** All that it wrote to stderr. */
  readonly stderr: string;
}

/** One process of a test. */
export class TestProcess {
  /** What the test calls it. */
  readonly name: string;
  /** All that it has written to stdout so far. */
  stdout = "";
  /** All that it has written to stderr so far. */
  stderr = "";
  /**
   * Resolves when it has ended and all that it wrote is read. Not bounded: see {@linkcode exit}.
   */
  readonly ended: Promise<Exit>;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #bounded: Bounded;
  readonly #watchers = new Set<() => void>();
  #exit: Exit | undefined;

  /**
   * @param name What to call it in messages.
   * @param options How to start it.
   * @param bounded Bounds what it waits for.
   */
  constructor(
    name: string,
    { args, cwd = ROOT, env = {}, prefix = [] }: SpawnOptions,
    bounded: Bounded,
  ) {
    this.name = name;
    this.#bounded = bounded;
    const [program, ...words] = [...prefix, Deno.execPath(), ...args];
    const inherited = ENVIRONMENT.map((name) => [name, Deno.env.get(name)] as const);
    const key = Deno.env.get(TEST_KEY);
    const homes = Deno.env.get(TEST_HOMES);
    this.#child = new Deno.Command(program!, {
      args: words,
      cwd,
      clearEnv: true,
      env: {
        ...Object.fromEntries(inherited.filter(([, value]) => value !== undefined)),
        NO_COLOR: "1",
        ...(key !== undefined && { TDSM_KEY: key }),
        ...(homes !== undefined && { HOMES: homes }),
        ...env,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.ended = this.#run();
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  async #run(): Promise<Exit> {
    const collect = async (from: ReadableStream<Uint8Array>, to: "stdout" | "stderr") => {
      for await (const text of from.pipeThrough(new TextDecoderStream())) {
        this[to] += text;
        for (const watcher of this.#watchers) watcher();
      }
    };
    const { stdout, stderr, status } = this.#child;
    await Promise.all([collect(stdout, "stdout"), collect(stderr, "stderr")]);
    const { code } = await status;
    await this.#input.close().catch(() => {});
    this.#exit = { code, stdout: this.stdout, stderr: this.stderr };
    for (const watcher of this.#watchers) watcher();
    return this.#exit;
  }

  /**
   * Waits for something to be seen in what the process prints.
   *
   * @param what What is waited for, for the message.
   * @param look Looks for it; `undefined` where it is not there yet.
   * @returns What `look` found.
   * @throws {Error} When the process ends without it, or the time is up.
   */
  async until<Found>(what: string, look: () => Found | undefined): Promise<Found> {
    const { promise, resolve, reject } = Promise.withResolvers<Found>();
    const watcher = (): void => {
      let found: Found | undefined;
      try {
        found = look();
      } catch (error) {
        return reject(error);
      }
      if (found !== undefined) resolve(found);
      else if (this.#exit !== undefined) {
        reject(new Error(`${this.name} ended with code ${this.#exit.code} before ${what}`));
      }
    };
    this.#watchers.add(watcher);
    watcher();
    try {
      return await this.#bounded(`${this.name}: ${what}`, promise);
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  /**
   * Waits for a line on stdout or stderr.
   *
   * @param pattern What it looks like.
   * @returns The match.
   */
  untilPrinted(pattern: RegExp): Promise<RegExpExecArray> {
    const look = () => pattern.exec(this.stdout) ?? pattern.exec(this.stderr) ?? undefined;
    return this.until(`printing ${pattern}`, look);
  }

  /**
   * Waits until the process has ended.
   *
   * @returns How it ended.
   */
  exit(): Promise<Exit> {
    return this.#bounded(`${this.name}: its end`, this.ended);
  }

  /**
   * Reads a file of `/proc/PID`. Deno itself reads none there without every permission.
   *
   * @param file Its path there.
   * @returns Its text.
   */
  async proc(file: string): Promise<string> {
    const cat = new Deno.Command("cat", { args: [`/proc/${this.pid}/${file}`] });
    return new TextDecoder().decode((await cat.output()).stdout);
  }

  /**
   * Sends a signal; nothing happens when the process has ended.
   *
   * @param signal Which.
   */
  kill(signal: Deno.Signal = "SIGKILL"): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /**
   * Writes a line to its stdin.
   *
   * @param line The line, without its end.
   */
  async write(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(line + "\n"));
  }

  /** Ends its stdin. */
  async endInput(): Promise<void> {
    await this.#input.close();
  }
}

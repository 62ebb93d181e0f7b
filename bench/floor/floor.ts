/**
 * The floor: what a remote page costs at least on this machine. Two native processes, userfaultfd
 * and TCP, no coherence, no TypeScript. `main.zig` is what runs.
 */

import { buildZig } from "./build.ts";
import { LineProcess } from "../process.ts";

/**
 * How both processes wait: asleep in their system calls, or in loops of calls that do not block.
 */
export type Waiting = "blocking" | "spinning";

/**
 * Where fetched pages go: to memory that was never used for them (`"new"`, as where a node reads a
 * page for the first time), or to memory that has an old copy (`"kept"`, as where it was
 * invalidated).
 */
export type Memory = "new" | "kept";

/** What a scan came to. */
export interface Scan {
  /** Bytes fetched. */
  readonly bytes: number;
  /** How long it took, in microseconds. */
  readonly us: number;
}

/** How a scan is made. */
export interface ScanOptions {
  /** Whether each page is written, not read. Default: false. */
  readonly write?: boolean;
  /** Where the pages go. Default: `"new"`. */
  readonly memory?: Memory;
}

interface SampleAnswer {
  readonly samplesNs: readonly number[];
}

interface ScanAnswer {
  readonly bytes: number;
  readonly ns: number;
}

/**
 * Two processes that measure. Between calls both sleep in the kernel. One call at a time; arguments
 * out of range end the processes, and the call throws.
 */
export class Floor implements AsyncDisposable {
  readonly #owner: LineProcess;
  readonly #requester: LineProcess;

  private constructor(owner: LineProcess, requester: LineProcess) {
    this.#owner = owner;
    this.#requester = requester;
  }

  /**
   * Builds the program if it is stale, which takes some seconds, and starts both processes.
   *
   * @param cores The cores that the owner and the requester are tied to, if any.
   * @returns Them.
   * @throws {Error} If the program cannot be built or started.
   */
  static async start(cores: readonly number[] = []): Promise<Floor> {
    const main = new URL("main.zig", import.meta.url);
    const program = await buildZig({ name: "floor", kind: "executable", main });
    const args = ["owner", "127.0.0.1", "0"];
    const owner = new LineProcess(program, { args, core: cores[0] });
    try {
      const { port } = await owner.line() as { port: number };
      const args = ["requester", "127.0.0.1", String(port)];
      const requester = new LineProcess(program, { args, core: cores[1] });
      return new Floor(owner, requester);
    } catch (error) {
      await owner[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Misses, one page of 4 KiB each, every third page. Timed in the thread that loads.
   *
   * @param how How both processes wait.
   * @param count How many, up to 21845.
   * @param memory Where the pages go.
   * @returns What each took, in microseconds.
   */
  async miss(how: Waiting, count: number, memory: Memory = "new"): Promise<number[]> {
    return await this.#samples(["miss", how, count, memory]);
  }

  /**
   * Misses after silence, of both processes, which block in their system calls.
   *
   * @param count How many, up to 21845.
   * @param silenceMs How long to sleep before each, up to 60 000 ms.
   * @returns What each took, in microseconds.
   */
  async missAfterSilence(count: number, silenceMs = 1000): Promise<number[]> {
    return await this.#samples(["silence", count, silenceMs]);
  }

  /**
   * One word of each page, in order. Nothing is fetched ahead: a miss fetches its page and those
   * behind.
   *
   * @param how How both processes wait.
   * @param runPages Pages a request, up to 1024.
   * @param pages How many pages, up to 65536.
   * @param options Reads or writes, and where the pages go.
   * @returns Bytes, and the time for all.
   */
  async scan(
    how: Waiting,
    runPages: number,
    pages: number,
    { write = false, memory = "new" }: ScanOptions = {},
  ): Promise<Scan> {
    const access = write ? "write" : "read";
    const answer = await this.#requester.ask(["scan", how, runPages, pages, access, memory]);
    const { bytes, ns } = answer as ScanAnswer;
    return { bytes, us: ns / 1000 };
  }

  /**
   * Plain TCP between the two: so many bytes out, so many back. No page is touched.
   *
   * @param how How both processes wait.
   * @param requestBytes Bytes out, 32 to 1 MiB.
   * @param answerBytes Bytes back, 1 to 1 MiB.
   * @param count How many times, up to 100 000.
   * @returns What each took, in microseconds.
   */
  async ping(
    how: Waiting,
    requestBytes: number,
    answerBytes: number,
    count: number,
  ): Promise<number[]> {
    return await this.#samples(["ping", how, requestBytes, answerBytes, count]);
  }

  /**
   * Turns at one word, at which a program on each side looks without a pause: its page is handed
   * over, by threads that are asleep in one poll while nothing happens.
   *
   * @param ms How long, 1 to 60 000 ms.
   * @returns What each turn took, in microseconds: half of the time between two of one side. It is
   * the time of all where there was none between.
   */
  async flag(ms: number): Promise<number[]> {
    const turns = await this.#samples(["flag", ms]);
    return turns.length > 0 ? turns : [ms * 1000];
  }

  /**
   * First writes to plain memory, a memory file that a process has mapped for itself: one word of
   * each page, in order.
   *
   * @param pages How many pages, up to 65536.
   * @returns How long a page took, in microseconds.
   */
  async fresh(pages: number): Promise<number> {
    const { ns } = await this.#requester.ask(["fresh", pages]) as ScanAnswer;
    return ns / 1000 / pages;
  }

  /** The process that has the pages. */
  get ownerPid(): number {
    return this.#owner.pid;
  }

  async #samples(command: readonly (string | number)[]): Promise<number[]> {
    const { samplesNs } = await this.#requester.ask(command) as SampleAnswer;
    return samplesNs.map((ns) => ns / 1000);
  }

  /** Ends both processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requester[Symbol.asyncDispose]();
    await this.#owner[Symbol.asyncDispose]();
  }
}

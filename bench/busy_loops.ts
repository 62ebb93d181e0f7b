/**
 * A loop that computes on each core, for what nodes do beside programs that need the cores. Run as
 * a program this file is one of them: it spins in a Worker while it is told to.
 */

import { type Ready, serve, Served } from "./process.ts";

/** One loop for each core; they spin or rest together. */
export class BusyLoops implements AsyncDisposable {
  readonly #loops: readonly Served<Ready>[];

  private constructor(loops: readonly Served<Ready>[]) {
    this.#loops = loops;
  }

  /**
   * Starts loops, which rest.
   *
   * @param cores How many cores there are; each has a loop that is tied to it.
   * @returns The loops.
   */
  static async start(cores: number): Promise<BusyLoops> {
    const started = Array.from(
      { length: cores },
      (_, core) => Served.start<Ready>("busy_loops.ts", { core }),
    );
    return new BusyLoops(await Promise.all(started));
  }

  /** Has all spin from here on. */
  async spin(): Promise<void> {
    await this.#tell(true);
  }

  /** Has all rest; none spins any more when it resolves. */
  async rest(): Promise<void> {
    await this.#tell(false);
  }

  /** The process ids of the loops. */
  get pids(): number[] {
    return this.#loops.map(({ ready }) => ready.pid);
  }

  async #tell(spins: boolean): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.ask("spin", spins)));
  }

  /** Ends all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop[Symbol.asyncDispose]()));
  }
}

/** What a loop is: word 0 says whether it may spin, word 1 whether it rests. */
const LOOP = `onmessage = ({ data }) => {
  for (;;) {
    while (Atomics.load(data, 0) === 1);
    Atomics.store(data, 1, 1);
    Atomics.notify(data, 1);
    Atomics.wait(data, 0, 0);
    Atomics.store(data, 1, 0);
  }
};`;

if (import.meta.main) {
  const words = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(LOOP)}`, { type: "module" });
  worker.postMessage(words);
  await serve({ pid: Deno.pid }, async (_action, spins) => {
    Atomics.store(words, 0, spins === true ? 1 : 0);
    Atomics.notify(words, 0);
    if (spins !== true) await Atomics.waitAsync(words, 1, 0).value;
  });
  // A Worker that waits does not hear that it is to end.
  Deno.exit();
}

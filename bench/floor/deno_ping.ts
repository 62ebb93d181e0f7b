/**
 * Plain Deno TCP between two processes: what a message costs that a TypeScript engine sends. Asleep,
 * both wait as a program of Deno waits. Polling, both keep their event loops awake while a round runs,
 * and have them look at sockets at each turn.
 */

import { LineProcess } from "./line_process.ts";

/** How both processes wait for the other. */
export type DenoWaiting = "asleep" | "polling";

/** Two processes that measure. Between calls both sleep in the kernel. One call at a time. */
export class DenoPing implements AsyncDisposable {
  readonly #echo: LineProcess;
  readonly #pinger: LineProcess;

  private constructor(echo: LineProcess, pinger: LineProcess) {
    this.#echo = echo;
    this.#pinger = pinger;
  }

  /**
   * Starts both processes.
   *
   * @param how How they wait while a round runs.
   * @returns Them.
   * @throws {Error} If one does not start.
   */
  static async start(how: DenoWaiting): Promise<DenoPing> {
    const spawn = (...words: string[]): LineProcess => {
      const file = new URL("deno_ping_process.ts", import.meta.url).pathname;
      const config = new URL("../../deno.json", import.meta.url).pathname;
      const args = ["run", "--allow-net=127.0.0.1", "--config", config, file, how, ...words];
      // By default the runtime looks at sockets each 61st turn of a busy event loop.
      const env: Record<string, string> = how === "polling"
        ? { DENO_TOKIO_EVENT_INTERVAL: "1" }
        : {};
      return new LineProcess(Deno.execPath(), { args, env });
    };
    const echo = spawn();
    try {
      const { port } = await echo.line() as { port: number };
      return new DenoPing(echo, spawn(String(port)));
    } catch (error) {
      await echo[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * So many bytes out, so many back.
   *
   * @param requestBytes Bytes out, 1 to 1 MiB.
   * @param answerBytes Bytes back, 1 to 1 MiB.
   * @param count How many times.
   * @returns What each took, in microseconds.
   */
  async ping(requestBytes: number, answerBytes: number, count: number): Promise<number[]> {
    const answer = await this.#pinger.ask([requestBytes, answerBytes, count]);
    return (answer as { samplesUs: number[] }).samplesUs;
  }

  /** Ends both processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pinger[Symbol.asyncDispose]();
    await this.#echo[Symbol.asyncDispose]();
  }
}

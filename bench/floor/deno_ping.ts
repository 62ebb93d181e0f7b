/**
 * Plain Deno TCP between two processes: what a message costs that a TypeScript engine sends.
 * Asleep, both wait as a program of Deno waits. Polling, both keep their event loops awake while a
 * round runs, and have them look at sockets at each turn.
 */

import { Served } from "../process.ts";
import type { EchoReady, Exchange } from "./deno_socket.ts";

/** How a Deno process waits for another. */
export type DenoWaiting = "asleep" | "polling";

/** A Deno process that connects, and is timed while it asks and is answered. */
export class DenoClient implements AsyncDisposable {
  readonly #served: Served<EchoReady>;

  private constructor(served: Served<EchoReady>) {
    this.#served = served;
  }

  /**
   * Starts one, and connects it.
   *
   * @param how How it waits while a round runs.
   * @param port Where it connects to, on this machine.
   * @param core The core that it is tied to, if any.
   * @returns It.
   */
  static async start(how: DenoWaiting, port: number, core?: number): Promise<DenoClient> {
    return new DenoClient(await startSocket(how, [String(port)], core));
  }

  /**
   * Sends, and waits for an answer of a known length, again and again. One call at a time.
   *
   * @param exchange What.
   * @returns What each took, in microseconds.
   */
  async ask(exchange: Exchange): Promise<number[]> {
    return await this.#served.ask("ask", exchange) as number[];
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served[Symbol.asyncDispose]();
  }
}

/** Two processes that measure. Between calls both sleep in the kernel. One call at a time. */
export class DenoPing implements AsyncDisposable {
  readonly #echo: Served<EchoReady>;
  readonly #client: DenoClient;

  private constructor(echo: Served<EchoReady>, client: DenoClient) {
    this.#echo = echo;
    this.#client = client;
  }

  /**
   * Starts both processes.
   *
   * @param how How they wait while a round runs.
   * @param cores The cores that the one that answers, and the one that asks, are tied to, if any.
   * @returns Them.
   * @throws {Error} If one does not start.
   */
  static async start(how: DenoWaiting, cores: readonly number[] = []): Promise<DenoPing> {
    const echo = await startSocket(how, [], cores[0]);
    try {
      return new DenoPing(echo, await DenoClient.start(how, echo.ready.port!, cores[1]));
    } catch (error) {
      await echo[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * So many bytes out, so many back.
   *
   * @param requestBytes Bytes out, at least 1.
   * @param answerBytes Bytes back, at least 1.
   * @param count How many times.
   * @returns What each took, in microseconds.
   */
  async ping(requestBytes: number, answerBytes: number, count: number): Promise<number[]> {
    // One more than is timed: the first wakes the process that answers.
    const answering = this.#echo.ask("answer", { requestBytes, answerBytes, count: count + 1 });
    const samples = await this.#client.ask({ request: requestBytes, answerBytes, count });
    await answering;
    return samples;
  }

  /** Ends both processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#echo[Symbol.asyncDispose]();
  }
}

function startSocket(how: DenoWaiting, args: string[], core?: number): Promise<Served<EchoReady>> {
  return Served.start("floor/deno_socket.ts", {
    args: [how, ...args],
    // By default Deno's runtime looks at sockets each 61st turn of a busy event loop.
    env: how === "polling" ? { DENO_TOKIO_EVENT_INTERVAL: "1" } : {},
    core,
  });
}

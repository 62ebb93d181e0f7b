/** Two processes of the prototype, as a coordinator has them. */

import { fileURLToPath } from "node:url";
import { buildZig } from "../floor/build.ts";
import { LineProcess } from "../process.ts";
import type { Round, Waiting } from "./native.ts";
import type { RoundResult } from "./process.ts";

/** An owner and an requester. */
export class Pair implements AsyncDisposable {
  readonly #owner: LineProcess;
  readonly #requester: LineProcess;

  private constructor(owner: LineProcess, requester: LineProcess) {
    this.#owner = owner;
    this.#requester = requester;
  }

  /**
   * Builds the library if it is stale, and starts both.
   *
   * @param sockets Whose sockets the engines use.
   * @returns Them; they sleep until told of a round.
   */
  static async start(sockets: "deno" | "own"): Promise<Pair> {
    const main = new URL("native.zig", import.meta.url);
    const library = await buildZig({ name: "native_path", kind: "library", main });
    const file = fileURLToPath(new URL("process.ts", import.meta.url));
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const spawn = (...words: string[]): LineProcess =>
      new LineProcess(Deno.execPath(), {
        args: ["run", "-A", "--config", config, file, library, sockets, ...words],
        // Only a process with Deno's sockets wants its loop to look at them at each turn.
        env: sockets === "deno" ? { DENO_TOKIO_EVENT_INTERVAL: "1" } : {},
      });
    const owner = spawn();
    const { port } = await owner.line() as { port: number };
    return new Pair(owner, spawn(String(port)));
  }

  /**
   * Touches pages.
   *
   * @param waiting How both engines wait.
   * @param round What to touch; one page a request, in order, without sleep, unless said otherwise.
   * @returns How long it took; of a scan, which is a round of stride 1, no samples.
   */
  async round(waiting: Waiting, round: Partial<Round> & { count: number }): Promise<RoundResult> {
    const whole: Round = { run: 1, stride: 1, silenceMs: 0, ...round, waiting };
    return await this.#requester.ask([JSON.stringify(whole)]) as RoundResult;
  }

  /** Ends both. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requester[Symbol.asyncDispose]();
    await this.#owner[Symbol.asyncDispose]();
  }
}

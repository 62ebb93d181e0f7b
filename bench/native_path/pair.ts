/** Two processes of the prototype, as a coordinator has them. */

import { buildZig } from "../floor/build.ts";
import { LineProcess } from "../floor/line_process.ts";
import type { Round, Waiting } from "./native.ts";
import type { RoundResult } from "./process.ts";

/** An owner and an asker. */
export class Pair implements AsyncDisposable {
  readonly #owner: LineProcess;
  readonly #asker: LineProcess;

  private constructor(owner: LineProcess, asker: LineProcess) {
    this.#owner = owner;
    this.#asker = asker;
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
    const file = new URL("process.ts", import.meta.url).pathname;
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const spawn = (...words: string[]): LineProcess =>
      new LineProcess(Deno.execPath(), {
        args: ["run", "-A", "--config", config, file, library, sockets, ...words],
        // Only who uses Deno's sockets wants its loop to look at them at each turn.
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
    return await this.#asker.ask([JSON.stringify(whole)]) as RoundResult;
  }

  /** Ends both. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#asker[Symbol.asyncDispose]();
    await this.#owner[Symbol.asyncDispose]();
  }
}

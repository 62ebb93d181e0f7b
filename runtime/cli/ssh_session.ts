/** A script that runs on another machine, by `ssh`. */

import { LAUNCH_ALIVE_S, LAUNCH_CONNECT_S, LAUNCH_OUTPUT_MAX_MS } from "../limits.ts";
import { startProcess } from "./node_process.ts";
import { loaderCommand } from "./shell_words.ts";

/** How much of what a login shell prints by itself is looked through at a time, in bytes. */
const PREAMBLE_KEPT_BYTES = 4096;

/** One connection to another machine. It asks for no password, and nobody is there to type one. */
export class SshSession {
  /** What the script prints. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** What the script prints there, and `ssh` itself. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** The exit code of the script, or of `ssh`, which is 255 where the connection has ended. */
  readonly code: Promise<number>;
  /** Resolves with whether the machine is ready for the script. */
  readonly ready: Promise<boolean>;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #mark: string = crypto.randomUUID();

  /**
   * Connects.
   *
   * @param ssh The words of the command that stands for `ssh`.
   * @param destination The machine.
   * @throws {TdsmError} When `ssh` cannot be started.
   */
  constructor(ssh: readonly string[], destination: string) {
    const options = [
      "BatchMode=yes",
      `ConnectTimeout=${LAUNCH_CONNECT_S}`,
      `ServerAliveInterval=${LAUNCH_ALIVE_S}`,
    ];
    const [command, ...words] = ssh;
    this.#process = startProcess(
      `${command}, to reach ${destination}`,
      () =>
        new Deno.Command(command!, {
          args: [
            ...words,
            "-T",
            ...options.flatMap((option) => ["-o", option]),
            destination,
            loaderCommand(this.#mark),
          ],
          // A terminal's Ctrl-C must not end the connection.
          detached: true,
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
    );
    this.#input = this.#process.stdin.getWriter();
    this.stderr = this.#process.stderr;
    this.code = this.#process.status.then(({ code }) => code);
    const ready = Promise.withResolvers<boolean>();
    this.ready = ready.promise;
    this.stdout = this.#behindMark(ready.resolve);
  }

  /**
   * Sends the script, once the machine is ready.
   *
   * @param script The script. What is said from then on is its input.
   */
  async run(script: string): Promise<void> {
    await this.say(`${script}\n${this.#mark}\n`);
  }

  /**
   * Passes on all of a stream to the script.
   *
   * @param input The stream.
   */
  pass(input: ReadableStream<Uint8Array>): void {
    this.#input.releaseLock();
    input.pipeTo(this.#process.stdin).catch(() => {
      // The connection has ended, which is told elsewhere.
    });
  }

  /** Says something to the script. Nothing happens where the connection has ended. */
  async say(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text)).catch(() => {});
  }

  /** Ends the input of the script. */
  async endInput(): Promise<void> {
    await this.#input.close().catch(() => {});
  }

  /**
   * Ends the connection, if it does not end by itself, as where the machine is gone.
   *
   * @param waitMs How long it may take to end, in milliseconds.
   */
  endSoon(waitMs: number = LAUNCH_OUTPUT_MAX_MS): void {
    const timer = setTimeout(() => {
      try {
        this.#process.kill("SIGKILL");
      } catch {
        // It has ended at this moment.
      }
    }, waitMs);
    void this.code.then(() => clearTimeout(timer));
  }

  /** What comes behind the mark: before it is what the login shell prints. */
  #behindMark(ready: (isReady: boolean) => void): ReadableStream<Uint8Array> {
    const reader = this.#process.stdout.getReader();
    const line = new TextEncoder().encode(`${this.#mark}\n`);
    const first = (async (): Promise<Uint8Array | undefined> => {
      let seen: number[] = [];
      for (;;) {
        const { value } = await reader.read();
        if (value === undefined) return undefined;
        seen = [...seen.slice(-PREAMBLE_KEPT_BYTES), ...value];
        const text = String.fromCharCode(...seen);
        const at = text.indexOf(`${this.#mark}\n`);
        if (at >= 0) return Uint8Array.from(seen.slice(at + line.length));
      }
    })();
    void first.then((bytes) => ready(bytes !== undefined));
    let isFirst = true;
    return new ReadableStream({
      async pull(controller) {
        const bytes = isFirst ? await first : (await reader.read()).value;
        isFirst = false;
        if (bytes === undefined) controller.close();
        // A chunk must not be empty; then the next one is what was asked for.
        else if (bytes.length > 0) controller.enqueue(bytes);
        else {
          const { value } = await reader.read();
          if (value === undefined) controller.close();
          else controller.enqueue(value);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    }, { highWaterMark: 0 });
  }
}

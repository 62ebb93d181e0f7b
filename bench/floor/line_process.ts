/** A process that is told what to do in lines, and answers each with a line of JSON. */

/** What a process is started with. */
export interface LineProcessOptions {
  /** Its words. */
  readonly args: readonly string[];
  /** Environment variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One such process. It ends with its stdin, so it never outlives this one. */
export class LineProcess implements AsyncDisposable {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #text = "";

  /**
   * @param program The path of what to run.
   * @param options Words and environment.
   */
  constructor(program: string, { args, env = {} }: LineProcessOptions) {
    this.#name = [program.slice(program.lastIndexOf("/") + 1), ...args].join(" ");
    this.#child = new Deno.Command(program, {
      args: [...args],
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
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

  /** Ends it, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Either fails where the process is gone already.
    await this.#input.close().catch(() => {});
    await this.#output.cancel().catch(() => {});
    await this.#child.status;
  }
}

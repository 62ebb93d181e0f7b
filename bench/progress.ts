/** What a run tells while it measures. */

/** The width of a terminal that does not say how wide it is. */
const COLUMNS = 80;

/** The progress of a run. */
export class Progress {
  readonly #total: number;
  readonly #terminal = Deno.stderr.isTerminal();
  readonly #started = performance.now();
  #done = 0;

  /** @param total How many steps there will be. */
  constructor(total: number) {
    this.#total = total;
  }

  /**
   * Something begins.
   *
   * @param what What.
   */
  begin(what: string): void {
    if (!this.#terminal) return;
    const part = Math.round(100 * this.#done / Math.max(this.#total, 1));
    // Cut to the terminal's width, or what does not fit would stay.
    const line = `${String(part).padStart(3)} %  ${this.#seconds()} s  ${what}`
      .slice(0, (Deno.consoleSize().columns || COLUMNS) - 1);
    this.#write(`\r${line}\x1b[K`);
  }

  /**
   * Steps are done.
   *
   * @param steps How many.
   */
  done(steps: number): void {
    this.#done += steps;
  }

  /**
   * A row is measured; said only where there is no terminal.
   *
   * @param line The row.
   */
  row(line: string): void {
    if (!this.#terminal) this.#write(`${this.#seconds()} s  ${line}\n`);
  }

  /** Removes the line that was redrawn. */
  end(): void {
    if (this.#terminal) this.#write("\r\x1b[K");
  }

  #seconds(): string {
    return ((performance.now() - this.#started) / 1000).toFixed(0).padStart(3);
  }

  #write(text: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}

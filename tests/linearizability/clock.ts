/**
 * A clock that all threads of all processes of this machine share.
 *
 * `performance.now()` counts from a start of each process's own, and is made coarse. This reads
 * `CLOCK_MONOTONIC` of the kernel, which is one for the machine: a reading that is over before
 * another begins, on whichever core, is not greater. So where one operation's second reading is
 * less than another's first, the one had returned before the other was called.
 */

const CLOCK_MONOTONIC = 1;

/** Reads the machine's clock. */
export class Clock implements Disposable {
  readonly #library = Deno.dlopen(
    "libc.so.6",
    { clock_gettime: { parameters: ["i32", "buffer"], result: "i32" } } as const,
  );
  /** Seconds, then nanoseconds, as 64-bit integers; the low halves are enough. */
  readonly #time = new Int32Array(4);
  readonly #bytes = new Uint8Array(this.#time.buffer);
  readonly #fence = new Int32Array(1);
  readonly #startSeconds: number;

  /** @param startSeconds From when to count, in seconds of the clock; from now unless said. */
  constructor(startSeconds?: number) {
    this.#read();
    this.#startSeconds = startSeconds ?? this.#time[0]!;
  }

  /** From when it counts, in seconds: to be given to other clocks that count from the same time. */
  get startSeconds(): number {
    return this.#startSeconds;
  }

  /**
   * Reads the time before an operation: no access that follows is made before the reading.
   *
   * @returns Nanoseconds.
   */
  before(): number {
    this.#read();
    // A processor may begin a load before an instruction ahead of it is over. Not here: an exchange
    // waits for the value that it writes, and what follows it waits for the exchange.
    Atomics.exchange(this.#fence, 0, this.#time[2]!);
    return this.#now();
  }

  /**
   * Reads the time after an operation: every access before it is made by then.
   *
   * @returns Nanoseconds.
   */
  after(): number {
    // The processor may have a store to write yet. An exchange ends when all before it is written.
    Atomics.exchange(this.#fence, 0, 0);
    this.#read();
    return this.#now();
  }

  #read(): void {
    this.#library.symbols.clock_gettime(CLOCK_MONOTONIC, this.#bytes);
  }

  #now(): number {
    return (this.#time[0]! - this.#startSeconds) * 1e9 + this.#time[2]!;
  }

  /** Closes the library. */
  [Symbol.dispose](): void {
    this.#library.close();
  }
}

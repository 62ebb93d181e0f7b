/**
 * A descriptor that the process has inherited, as a launcher's: Deno opens files and connects, but
 * uses none that is open already.
 */

import { DESCRIPTOR_READ_BYTES } from "../runtime/limits.ts";

const SYMBOLS = {
  // Waits in a thread of Deno's pool.
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `struct pollfd`: the descriptor, the events to wait for, and those that came. */
const POLLFD_BYTES = 8;
const POLLIN = 1;

/** A descriptor whose other end answers in lines. */
export class LineDescriptor implements Disposable {
  readonly #c = Deno.dlopen("libc.so.6", SYMBOLS);
  readonly #descriptor: number;
  readonly #decoder = new TextDecoder();
  #rest = "";

  /**
   * @param descriptor Its number. It is not closed.
   */
  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Lets the C library go. */
  [Symbol.dispose](): void {
    this.#c.close();
  }

  /**
   * Writes a line.
   *
   * @param line The line, without its end, shorter than what any pipe takes at once.
   * @throws {Error} When it cannot be written.
   */
  write(line: string): void {
    const bytes = new TextEncoder().encode(`${line}\n`);
    const written = Number(this.#c.symbols.write(this.#descriptor, bytes, BigInt(bytes.length)));
    if (written === bytes.length) return;
    throw new Error(`descriptor ${this.#descriptor} takes nothing`);
  }

  /**
   * Reads a line.
   *
   * @param timeoutMs How long to wait for it, in milliseconds.
   * @returns The line, without its end; `undefined` when the time is up.
   * @throws {Error} When the other end is closed, or there is none.
   */
  async read(timeoutMs: number): Promise<string | undefined> {
    const giveUpAtMs = performance.now() + timeoutMs;
    const bytes = new Uint8Array(DESCRIPTOR_READ_BYTES);
    const poll = new DataView(new ArrayBuffer(POLLFD_BYTES));
    poll.setInt32(0, this.#descriptor, true);
    poll.setInt16(4, POLLIN, true);
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const leftMs = Math.max(0, Math.ceil(giveUpAtMs - performance.now()));
      const events = await this.#c.symbols.poll(new Uint8Array(poll.buffer), 1n, leftMs);
      if (events === 0 || (events < 0 && leftMs === 0)) return undefined;
      // A signal has ended the wait.
      if (events < 0) continue;
      const length = this.#c.symbols.read(this.#descriptor, bytes, BigInt(bytes.length));
      if (length <= 0 || this.#rest.length > DESCRIPTOR_READ_BYTES) {
        throw new Error(`descriptor ${this.#descriptor} has no line to read`);
      }
      this.#rest += this.#decoder.decode(bytes.subarray(0, Number(length)), { stream: true });
    }
  }
}

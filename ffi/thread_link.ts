/**
 * The link to the directory node that one thread of a program has for itself: a descriptor that the
 * engine's thread lends to it. The thread sleeps in the kernel until an answer is there.
 */

import type { TdsmLibrary } from "./library.ts";

/** What a call answers after its time: EAGAIN. */
const AGAIN = -11;

/** A descriptor that `Poller.lend` has lent. */
export class ThreadDescriptor {
  readonly #symbols: TdsmLibrary["symbols"];
  readonly #fd: number;
  /** How many bytes end a wait. */
  #expected = 0;

  /**
   * @param library The library.
   * @param fd The descriptor, which must be open.
   */
  constructor(library: TdsmLibrary, fd: number) {
    this.#symbols = library.symbols;
    this.#fd = fd;
  }

  /**
   * Sends bytes. Blocks this thread only where there is no room for them.
   *
   * @param bytes The bytes.
   * @param timeoutUs The longest wait for room, in microseconds, below 2^32.
   * @returns How many were sent in that time; `undefined` where the connection has ended.
   */
  send(bytes: Uint8Array<ArrayBuffer>, timeoutUs: number): number | undefined {
    const { length } = bytes;
    const result = this.#symbols.tdsm_thread_link_send(this.#fd, bytes, length, timeoutUs);
    return result < 0 ? undefined : result;
  }

  /**
   * Blocks this thread until as many bytes are there as there is room for, and takes them.
   *
   * @param answers Where they go: whole answers, one behind the other.
   * @param timeoutUs The longest wait, in microseconds, below 2^32.
   * @returns How many bytes were taken, fewer only where the other side has ended behind them; 0
   * where not all were there in that time; `undefined` where the connection has ended.
   */
  receive(answers: Uint8Array<ArrayBuffer>, timeoutUs: number): number | undefined {
    const { length } = answers;
    if (length !== this.#expected) {
      if (this.#symbols.tdsm_thread_link_expect(this.#fd, length) < 0) return undefined;
      this.#expected = length;
    }
    const result = this.#symbols.tdsm_thread_link_receive(this.#fd, answers, length, timeoutUs);
    if (result === AGAIN) return 0;
    return result > 0 ? result : undefined;
  }

  /** Ends the direction to the directory node, behind all that was sent. */
  endSending(): void {
    this.#symbols.tdsm_thread_link_end(this.#fd, 0);
  }

  /** Ends the connection, in both directions: whatever waits there is woken. */
  end(): void {
    this.#symbols.tdsm_thread_link_end(this.#fd, 1);
  }

  /** Gives the descriptor up; the connection goes on. */
  close(): void {
    this.#symbols.tdsm_thread_link_close(this.#fd);
  }
}

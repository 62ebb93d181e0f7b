/**
 * The link to the directory node that one thread of a program has for itself: a descriptor that the
 * engine's thread lends to it. The thread waits in the kernel until an answer is there.
 */

import type { TdsmLibrary } from "./library.ts";
import type { LinkSeal } from "./seal.ts";

/** What a call answers after its time: EAGAIN. */
const AGAIN = -11;

/** A descriptor that `Poller.lend` has lent. */
export class ThreadDescriptor {
  readonly #symbols: TdsmLibrary["symbols"];
  readonly #fd: number;
  #seal: LinkSeal | undefined;
  /** How many bytes end a wait. */
  #expected = 0;

  /**
   * @param library The library.
   * @param fd The descriptor, which must be open.
   * @param seal How its bytes are sealed and opened, which one thread at a time may use; left out
   * where they go as they are.
   */
  constructor(library: TdsmLibrary, fd: number, seal?: LinkSeal) {
    this.#symbols = library.symbols;
    this.#fd = fd;
    this.#seal = seal;
  }

  /**
   * From here on this object goes on where another thread has left off.
   *
   * @param seal What that thread has sealed and opened by.
   */
  goOn(seal: LinkSeal): void {
    this.#seal = seal;
  }

  /** How many bytes {@linkcode ThreadDescriptor.send} has taken, and sends with the next call. */
  get unsentBytes(): number {
    return this.#seal?.unsentBytes ?? 0;
  }

  /**
   * Sends bytes. Blocks this thread only where there is no room for them.
   *
   * @param bytes The bytes.
   * @param timeoutUs The longest wait for room, in microseconds, below 2^32.
   * @returns How many were taken in that time; `undefined` where the connection has ended.
   */
  send(bytes: Uint8Array<ArrayBuffer>, timeoutUs: number): number | undefined {
    const [fd, { length }, seal] = [this.#fd, bytes, this.#seal?.memory ?? null];
    const result = this.#symbols.tdsm_thread_link_send(fd, seal, bytes, length, timeoutUs);
    return result < 0 ? undefined : result;
  }

  /**
   * Blocks this thread until as many bytes are there as there is room for, and takes them.
   *
   * @param answers Where they go, one behind the other.
   * @param timeoutUs The longest wait, in microseconds, below 2^32.
   * @returns How many bytes were taken: fewer where the other side has ended behind them, or where
   * they are sealed and not all were there in that time; 0 where none were; `undefined` where the
   * connection has ended, or carries what the other side has not sealed.
   */
  receive(answers: Uint8Array<ArrayBuffer>, timeoutUs: number): number | undefined {
    const [fd, { length }, seal] = [this.#fd, answers, this.#seal?.memory ?? null];
    if (seal === null && length !== this.#expected) {
      if (this.#symbols.tdsm_thread_link_expect(fd, length) < 0) return undefined;
      this.#expected = length;
    }
    const result = this.#symbols.tdsm_thread_link_receive(fd, seal, answers, length, timeoutUs);
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

/**
 * Writes to a ring in order: what finds no room waits for some, and what comes later waits behind it.
 */

import type { Ring } from "./ring.ts";

/** A record that waits for room. */
interface Unwritten {
  readonly kind: number;
  readonly call: number;
  readonly payload: Uint8Array;
  readonly quiet: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/** The one writer of a ring. */
export class RingWriter {
  readonly #ring: Ring;
  readonly #written: () => void;
  /** Oldest first. */
  readonly #unwritten: Unwritten[] = [];
  #waiting = false;

  /**
   * @param ring Where to write.
   * @param written Called after each record, to wake whoever does not look at the ring by itself.
   */
  constructor(ring: Ring, written: () => void = () => {}) {
    this.#ring = ring;
    this.#written = written;
  }

  /** Whether nothing waits for room. */
  get isIdle(): boolean {
    return this.#unwritten.length === 0;
  }

  /**
   * Writes a record, at once if there is room.
   *
   * @param kind What the record is.
   * @param call The caller's number for the call.
   * @param payload What it carries; must not change until it is written.
   * @param quiet As for {@linkcode Ring.push}.
   * @returns Nothing when it is written; where it must wait for room, what resolves when it is, and
   * rejects with what would be thrown.
   * @throws {TdsmError} `LimitExceeded` when there would never be room; whatever `written` throws.
   */
  push(
    kind: number,
    call: number,
    payload: Uint8Array,
    quiet = false,
  ): Promise<void> | undefined {
    if (this.isIdle && this.#ring.push(kind, call, payload, quiet)) {
      this.#written();
      return undefined;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#unwritten.push({ kind, call, payload, quiet, resolve, reject });
    void this.#writeWhenRoom();
    return promise;
  }

  /**
   * Writes a record, and before it those that wait; blocks this thread until there is room.
   *
   * @param kind What the record is.
   * @param call The caller's number for the call.
   * @param payload What it carries.
   * @param timeoutMs How long to wait for room for each of them, in milliseconds.
   * @returns `false` when there was none in time.
   * @throws {TdsmError} As {@linkcode RingWriter.push}.
   */
  pushSync(kind: number, call: number, payload: Uint8Array, timeoutMs: number): boolean {
    for (let first = this.#unwritten[0]; first !== undefined; first = this.#unwritten[0]) {
      const { kind, call, payload } = first;
      this.#write(first, () => this.#ring.pushSync(kind, call, payload, timeoutMs));
      if (this.#unwritten[0] === first) return false;
    }
    if (!this.#ring.pushSync(kind, call, payload, timeoutMs)) return false;
    this.#written();
    return true;
  }

  async #writeWhenRoom(): Promise<void> {
    if (this.#waiting) return;
    this.#waiting = true;
    for (let first = this.#unwritten[0]; first !== undefined; first = this.#unwritten[0]) {
      const { kind, call, payload, quiet } = first;
      const read = this.#ring.readPosition;
      this.#write(first, () => this.#ring.push(kind, call, payload, quiet));
      // While this waits, whoever blocks may write what is here.
      if (this.#unwritten[0] === first) await this.#ring.untilReadBeyond(read);
    }
    this.#waiting = false;
  }

  /** Writes the first of those that wait, if there is room for it. */
  #write({ resolve, reject }: Unwritten, push: () => boolean): void {
    try {
      if (!push()) return;
      this.#written();
      resolve();
    } catch (error) {
      reject(error);
    }
    this.#unwritten.shift();
  }
}

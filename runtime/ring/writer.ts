/**
 * Writes to a ring in order: a record that finds no room waits for it, and later records wait
 * behind.
 */

import type { RecordBody, Ring } from "./ring.ts";

/** A record that waits for room. */
interface Unwritten {
  readonly call: number;
  readonly body: RecordBody;
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
   * @param written Called after each record, to wake a reader that does not look at the ring by
   *   itself.
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
   * @param call The caller's number for the call.
   * @param body Its contents; the payload must not change until the record is written.
   * @param quiet As for {@linkcode Ring.push}.
   * @returns `undefined` when the record is written; where it must wait for room, a promise that
   * resolves when it is written, or rejects with the error that would be thrown.
   * @throws {TdsmError} `LimitExceeded` when there would never be room; whatever `written` throws.
   */
  push(call: number, body: RecordBody, quiet = false): Promise<void> | undefined {
    if (this.isIdle && this.#ring.push(call, body, quiet)) {
      this.#written();
      return undefined;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#unwritten.push({ call, body, quiet, resolve, reject });
    void this.#writeWhenRoom();
    return promise;
  }

  /**
   * Writes a record, and before it those that wait; blocks this thread until there is room.
   *
   * @param call The caller's number for the call.
   * @param body Its contents.
   * @param timeoutMs How long to wait for room for each of them, in milliseconds.
   * @returns `false` when there was none in time.
   * @throws {TdsmError} As {@linkcode RingWriter.push}.
   */
  pushSync(call: number, body: RecordBody, timeoutMs: number): boolean {
    for (let first = this.#unwritten[0]; first !== undefined; first = this.#unwritten[0]) {
      const { call, body } = first;
      this.#write(first, () => this.#ring.pushSync(call, body, timeoutMs));
      if (this.#unwritten[0] === first) return false;
    }
    if (!this.#ring.pushSync(call, body, timeoutMs)) return false;
    this.#written();
    return true;
  }

  /**
   * Gives up the records that wait for room.
   *
   * @returns Their contents, oldest first.
   */
  takeUnwritten(): RecordBody[] {
    return this.#unwritten.splice(0).map(({ body, resolve }) => {
      resolve();
      return body;
    });
  }

  async #writeWhenRoom(): Promise<void> {
    if (this.#waiting) return;
    this.#waiting = true;
    for (let first = this.#unwritten[0]; first !== undefined; first = this.#unwritten[0]) {
      const { call, body, quiet } = first;
      const read = this.#ring.readPosition;
      this.#write(first, () => this.#ring.push(call, body, quiet));
      // A blocking call may write this record while this loop waits for room.
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

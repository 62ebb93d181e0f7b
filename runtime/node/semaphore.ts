/** Semaphores that all nodes share. */

import { SEMAPHORE_COUNT_MAX } from "../limits.ts";
import { checkCount } from "./arguments.ts";
import { type SyncClient, syncError } from "./sync_client.ts";
import type { BlockOptions, WaitOptions } from "./waiting.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";

/**
 * Makes a semaphore of a thread's node. Set by the class: programs have no constructor of it.
 *
 * @param client The thread's way to the directory node.
 * @param key The key.
 * @returns The semaphore.
 */
export let newSemaphore: (client: SyncClient, key: bigint) => Semaphore;

/**
 * A counting semaphore, the same on every node. Requests are served in order. A thread that has
 * acquired sees everything that was written before the matching {@linkcode Semaphore.release}. To
 * use a semaphore moves no page.
 *
 * @example Let another thread go on
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const ready = node.semaphore(7n);
 * ready.release();
 * await ready.acquire();
 * ```
 */
export class Semaphore {
  /** Its key, an unsigned number of 64 bits. */
  readonly key: bigint;
  #client!: SyncClient;
  readonly #what: string;
  readonly #releases: string;

  static {
    newSemaphore = (client, key) => {
      const semaphore = new Semaphore(key);
      semaphore.#client = client;
      return semaphore;
    };
  }

  /** `node.semaphore` and `node.makeSemaphore` make semaphores. */
  private constructor(key: bigint) {
    this.key = key;
    this.#what = `acquire semaphore ${key}`;
    this.#releases = `release semaphore ${key}`;
  }

  /**
   * Describes the semaphore for a log.
   *
   * @returns Its key, as text: JSON has no numbers of 64 bits.
   */
  toJSON(): { key: string } {
    return { key: String(this.key) };
  }

  /**
   * Waits until there is a permit, and takes it.
   *
   * @param options A signal and a time-out, in milliseconds. If a permit comes at the same moment
   * as the time-out or signal, the permit is taken, and nothing is thrown.
   * @returns Resolves when the permit is taken.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on; or the signal's reason.
   */
  async acquire(options: WaitOptions = {}): Promise<void> {
    const { Acquire: operation } = SyncOperation;
    const reply = await this.#client.ask({ operation, key: this.key }, this.#what, options);
    if (reply.status !== SyncStatus.Done) throw syncError(reply, this.#what);
  }

  /**
   * Blocks this thread, without spinning, until there is a permit, and takes it.
   *
   * @param options A time-out, in milliseconds.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on.
   */
  acquireSync(options: BlockOptions = {}): void {
    const { Acquire: operation } = SyncOperation;
    const reply = this.#client.askSync({ operation, key: this.key }, this.#what, options);
    if (reply.status !== SyncStatus.Done) throw syncError(reply, this.#what);
  }

  /**
   * Takes a permit if there is one at this moment.
   *
   * @returns Whether a permit was taken.
   * @throws {TdsmError} Why the node cannot go on.
   */
  tryAcquire(): boolean {
    const { TryAcquire: operation } = SyncOperation;
    const reply = this.#client.askSync({ operation, key: this.key }, this.#what);
    if (reply.status === SyncStatus.Unavailable) return false;
    if (reply.status !== SyncStatus.Done) throw syncError(reply, this.#what);
    return true;
  }

  /**
   * Adds permits. Does not wait until the directory node has received them: if it refuses them,
   * `closed` of the node rejects, and the next call at a semaphore, barrier or mutex of this thread
   * throws.
   *
   * @param count How many, from 1 to 2^31 - 1.
   * @throws {TypeError} When the count is no number.
   * @throws {RangeError} When the count is another number.
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on: nothing was released. Or why an
   * earlier release was refused; this one is made then.
   */
  release(count = 1): void {
    checkCount(count, 1, SEMAPHORE_COUNT_MAX, `the count of permits to ${this.#releases}`);
    const { Release: operation } = SyncOperation;
    // To drop the permits silently would leave another thread waiting for ever.
    this.#client.post({ operation, key: this.key, count }, this.#releases);
  }
}

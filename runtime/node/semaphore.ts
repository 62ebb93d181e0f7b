/** Semaphores that all nodes share. */

import { checkCount, type SyncClient, syncError, type WaitOptions } from "./sync_client.ts";
import type { BlockOptions } from "./sync_client.ts";
import { SEMAPHORE_COUNT_MAX, U64_MAX } from "../limits.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";

/**
 * A counting semaphore, the same on every node. Who waits first is served first. What was written
 * before a {@linkcode Semaphore.release} is seen after the matching acquire. No page moves because
 * of a semaphore.
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
  readonly #client: SyncClient;
  readonly #what: string;

  /**
   * Made by `node.semaphore` and `node.makeSemaphore`.
   *
   * @param client This thread's way to the directory.
   * @param key The key.
   */
  constructor(client: SyncClient, key: bigint) {
    this.#client = client;
    this.key = key;
    this.#what = `acquire semaphore ${key}`;
  }

  /**
   * Takes a permit, once there is one.
   *
   * @param options A signal and a time-out, in milliseconds. A permit that comes in the same moment
   * in which the wait is given up is taken all the same.
   * @returns Resolves when it is taken.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on; or the signal's reason.
   */
  async acquire(options: WaitOptions = {}): Promise<void> {
    const { Acquire: operation } = SyncOperation;
    const reply = await this.#client.ask({ operation, key: this.key }, this.#what, options);
    if (reply.status !== SyncStatus.Done) throw syncError(reply, this.#what);
  }

  /**
   * Takes a permit; blocks this thread, without spinning, until there is one.
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
   * Takes a permit if there is one now.
   *
   * @returns Whether there was.
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
   * Gives permits. Does not wait until the directory has them.
   *
   * @param count How many, from 1 on.
   * @throws {RangeError} When the count is no such number.
   */
  release(count = 1): void {
    checkCount(count, 1, SEMAPHORE_COUNT_MAX, "permits to release");
    const { Release: operation } = SyncOperation;
    // Permits that vanish hang somebody else.
    this.#client.post(
      { operation, key: this.key, count },
      () => `release semaphore ${this.key}`,
    );
  }
}

/**
 * Reads a semaphore's key.
 *
 * @param key A bigint of 64 bits, or a safe integer; negative ones count from 2^64 down.
 * @returns The key, from 0 to 2^64 - 1.
 * @throws {RangeError} When it is none.
 */
export function semaphoreKey(key: bigint | number): bigint {
  if (typeof key === "number" && !Number.isSafeInteger(key)) {
    throw new RangeError(`Cannot use ${key} as a semaphore's key: a bigint or a safe integer`);
  }
  const wide = BigInt(key);
  if (wide > U64_MAX || wide < -(2n ** 63n)) {
    throw new RangeError(`Cannot use ${key} as a semaphore's key: it has more than 64 bits`);
  }
  return BigInt.asUintN(64, wide);
}

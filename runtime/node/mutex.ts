/** Mutexes that all nodes share. */

import { type SyncClient, syncError } from "./sync_client.ts";
import type { BlockOptions, WaitOptions } from "./waiting.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { TdsmError } from "../errors.ts";
import type { SyncAnswer } from "../ring/sync_records.ts";

/**
 * A mutex that is held. Dispose of it to unlock.
 *
 * @example Unlock before the block ends
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const lock = await node.mutex("totals").lock();
 * if (lock.abandoned) console.log("look what the last holder left");
 * lock.unlock();
 * ```
 */
export class MutexLock implements Disposable {
  /** Whether the node that held the mutex before is gone and did not unlock it: look what it left. */
  readonly abandoned: boolean;
  readonly #unlock: () => void;
  #held = true;

  /**
   * Made by {@linkcode Mutex.lock} and its kin.
   *
   * @param abandoned Whether the last holder is gone.
   * @param unlock Gives the mutex back.
   */
  constructor(abandoned: boolean, unlock: () => void) {
    this.abandoned = abandoned;
    this.#unlock = unlock;
  }

  /**
   * Unlocks the mutex; once is enough.
   *
   * @throws {TdsmError} `NodeClosed` when the node closes, or is closed: it gives the mutex back itself,
   * and the next holder finds it abandoned.
   */
  unlock(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#unlock();
  }

  /**
   * The same as {@linkcode MutexLock.unlock}, but for a node that closes: there is nothing left to
   * unlock, and an error from here would hide the one that ended the block.
   */
  [Symbol.dispose](): void {
    try {
      this.unlock();
    } catch (error) {
      if (!(error instanceof TdsmError) || error.code !== "NodeClosed") throw error;
    }
  }
}

/**
 * A mutex, the same for everyone who names it. Who waits first is served first. When its holder's
 * node dies it is unlocked, and the next holder is told.
 *
 * @example A critical section
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const cells = node.view(Int32Array, 0, 1);
 * {
 *   using _lock = await node.mutex("cells").lock();
 *   cells[0]! += 1;
 * }
 * ```
 */
export class Mutex {
  /** Its name. */
  readonly name: string;
  readonly #client: SyncClient;
  readonly #what: string;

  /**
   * Made by `node.mutex`.
   *
   * @param client This thread's way to the directory.
   * @param name The name.
   */
  constructor(client: SyncClient, name: string) {
    this.#client = client;
    this.name = name;
    this.#what = `lock mutex ${JSON.stringify(name)}`;
  }

  /**
   * Locks the mutex, once it is free. Not again by who holds it: that would wait for ever.
   *
   * @param options A signal and a time-out, in milliseconds.
   * @returns Resolves to what unlocks it.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on; or the signal's reason.
   */
  async lock(options: WaitOptions = {}): Promise<MutexLock> {
    const { Lock: operation } = SyncOperation;
    const reply = await this.#client.ask({ operation, name: this.name }, this.#what, options);
    return this.#locked(reply);
  }

  /**
   * Locks the mutex; blocks this thread until it is free.
   *
   * @param options A time-out, in milliseconds.
   * @returns What unlocks it.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on.
   */
  lockSync(options: BlockOptions = {}): MutexLock {
    const { Lock: operation } = SyncOperation;
    return this.#locked(this.#client.askSync({ operation, name: this.name }, this.#what, options));
  }

  /**
   * Locks the mutex if it is free now.
   *
   * @returns What unlocks it, or `undefined`.
   * @throws {TdsmError} Why the node cannot go on.
   */
  tryLock(): MutexLock | undefined {
    const { TryLock: operation } = SyncOperation;
    const reply = this.#client.askSync({ operation, name: this.name }, this.#what);
    return reply.status === SyncStatus.Unavailable ? undefined : this.#locked(reply);
  }

  #locked(answer: SyncAnswer): MutexLock {
    const { status, ticket: lock } = answer;
    if (status !== SyncStatus.Done && status !== SyncStatus.Abandoned) {
      throw syncError(answer, this.#what);
    }
    const { Unlock: operation } = SyncOperation;
    return new MutexLock(status === SyncStatus.Abandoned, () => {
      this.#client.post({ operation, lock }, `unlock mutex ${JSON.stringify(this.name)}`);
    });
  }
}

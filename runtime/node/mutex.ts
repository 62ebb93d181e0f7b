/** Mutexes that all nodes share. */

import { type SyncClient, syncError } from "./sync_client.ts";
import type { BlockOptions, WaitOptions } from "./waiting.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { TdsmError } from "../errors.ts";
import type { SyncAnswer } from "../ring/sync_records.ts";

/** Makes a lock, which `unlock` gives back. Set by the class. */
let newLock: (abandoned: boolean, unlock: () => void) => MutexLock;

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
  #unlock!: () => void;
  #held = true;

  static {
    newLock = (abandoned, unlock) => {
      const lock = new MutexLock(abandoned);
      lock.#unlock = unlock;
      return lock;
    };
  }

  /** {@linkcode Mutex.lock}, {@linkcode Mutex.lockSync} and {@linkcode Mutex.tryLock} make locks. */
  private constructor(abandoned: boolean) {
    this.abandoned = abandoned;
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
 * Makes a mutex of a thread's node. Set by the class: programs have no constructor of it.
 *
 * @param client The thread's way to the directory node.
 * @param name The name.
 * @returns The mutex.
 */
export let newMutex: (client: SyncClient, name: string) => Mutex;

/**
 * A mutex, the same for every thread that names it. Requests are served in their order. When its
 * holder's node dies it is unlocked, and the next holder is told.
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
  #client!: SyncClient;
  readonly #what: string;

  static {
    newMutex = (client, name) => {
      const mutex = new Mutex(name);
      mutex.#client = client;
      return mutex;
    };
  }

  /** `node.mutex` makes mutexes. */
  private constructor(name: string) {
    this.name = name;
    this.#what = `lock mutex ${JSON.stringify(name)}`;
  }

  /**
   * Locks the mutex, once it is free. Its holder must not lock it again: that would wait for ever.
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
    return newLock(status === SyncStatus.Abandoned, () => {
      this.#client.post({ operation, lock }, `unlock mutex ${JSON.stringify(this.name)}`);
    });
  }
}

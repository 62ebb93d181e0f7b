/** Mutexes that all nodes share. */

import { type SyncClient, syncError } from "./sync_client.ts";
import type { BlockOptions, WaitOptions } from "./waiting.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { TdsmError } from "../errors.ts";
import type { SyncAnswer } from "../ring/sync_records.ts";

/** Makes a lock, which `unlock` gives back. Set by the class. */
let newLock: (abandoned: boolean, unlock: () => void, client: SyncClient) => MutexLock;

/**
 * A mutex that is held. Dispose of the lock to unlock the mutex.
 *
 * @example Unlock before the block ends
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const lock = await node.mutex("totals").lock();
 * if (lock.abandoned) console.log("the last holder died: check the data");
 * lock.unlock();
 * ```
 */
export class MutexLock implements Disposable {
  /**
   * Whether the last holder, its node or its thread, is gone without unlocking: the protected data
   * may be half written.
   */
  readonly abandoned: boolean;
  #unlock!: () => void;
  #client!: SyncClient;
  #held = true;

  static {
    newLock = (abandoned, unlock, client) => {
      const lock = new MutexLock(abandoned);
      lock.#unlock = unlock;
      lock.#client = client;
      return lock;
    };
  }

  /**
   * {@linkcode Mutex.lock}, {@linkcode Mutex.lockSync} and {@linkcode Mutex.tryLock} make locks.
   */
  private constructor(abandoned: boolean) {
    this.abandoned = abandoned;
  }

  /**
   * Unlocks the mutex. Further calls do nothing.
   *
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on: then the directory node unlocks
   * the mutex, and the next holder finds it abandoned.
   */
  unlock(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#unlock();
  }

  /**
   * Unlocks the mutex as {@linkcode MutexLock.unlock} does, but does not throw when the node is
   * closed, or when a call of this thread has said before why the node cannot go on: such an error
   * would hide the error that ended the block.
   *
   * @throws {TdsmError} Why the node cannot go on, where the thread does not know of it: what the
   * block has read and written is of no use.
   */
  [Symbol.dispose](): void {
    const { toldFailure } = this.#client;
    try {
      this.unlock();
    } catch (error) {
      const known = error instanceof TdsmError && (toldFailure || error.code === "NodeClosed");
      if (!known) throw error;
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
 * A mutex, the same for every thread that uses its name, on any node. Requests are served in order.
 * When the holder's node dies, or the holder's thread ends or detaches, the mutex is unlocked, and
 * the next holder finds it abandoned.
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
   * Waits until the mutex is free, and locks it. A holder that locks the mutex again waits for
   * ever.
   *
   * @param options A signal and a time-out, in milliseconds.
   * @returns Resolves to the lock, which unlocks the mutex.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on; or the signal's reason.
   */
  async lock(options: WaitOptions = {}): Promise<MutexLock> {
    const { Lock: operation } = SyncOperation;
    const reply = await this.#client.ask({ operation, name: this.name }, this.#what, options);
    return this.#locked(reply);
  }

  /**
   * Blocks this thread until the mutex is free, and locks it.
   *
   * @param options A time-out, in milliseconds.
   * @returns The lock, which unlocks the mutex.
   * @throws {TdsmError} `TimedOut`, or why the node cannot go on.
   */
  lockSync(options: BlockOptions = {}): MutexLock {
    const { Lock: operation } = SyncOperation;
    return this.#locked(this.#client.askSync({ operation, name: this.name }, this.#what, options));
  }

  /**
   * Locks the mutex if it is free at this moment.
   *
   * @returns The lock, which unlocks the mutex; `undefined` if another thread holds the mutex.
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
    }, this.#client);
  }
}

/**
 * Counting semaphores. One that no thread has touched has no permits, so one without permits at
 * which none waits need not be remembered.
 */

import { SEMAPHORE_COUNT_MAX } from "../../limits.ts";
import type { NodeId } from "../coherence/messages.ts";
import { type PlaceView, type SyncDesk, type Waiter, WaitPlace } from "./desk.ts";
import { SyncStatus } from "./messages.ts";

/** Keys from here on are those that {@linkcode Semaphores.make} gives. */
export const SEMAPHORE_KEY_MADE_MIN: bigint = 1n << 63n;

class Semaphore extends WaitPlace<bigint> {
  /** The permits; 0 as long as a thread waits. */
  count = 0;

  protected override get label(): Pick<PlaceView, "kind" | "name"> {
    return { kind: "semaphore", name: String(this.key) };
  }

  protected override get isIdle(): boolean {
    return this.count === 0;
  }
}

/** The semaphores of a cluster. */
export class Semaphores {
  protected readonly desk: SyncDesk;
  readonly #semaphores = new Map<bigint, Semaphore>();
  #nextMade = SEMAPHORE_KEY_MADE_MIN;

  /** @param desk Where requests come from, and answers go. */
  constructor(desk: SyncDesk) {
    this.desk = desk;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#semaphores.size;
  }

  /** The permits of a semaphore. */
  count(key: bigint): number {
    return this.#semaphores.get(key)?.count ?? 0;
  }

  /** Takes a permit, or waits for one. */
  acquire(from: NodeId, ticket: number, key: bigint): void {
    if (this.#take(from, key)) this.desk.reply(from, ticket, SyncStatus.Done);
    else this.desk.wait(from, ticket, this.#touch(from, key));
  }

  /** Takes a permit if there is one. */
  tryAcquire(from: NodeId, ticket: number, key: bigint): void {
    this.desk.reply(from, ticket, this.#take(from, key) ? SyncStatus.Done : SyncStatus.Unavailable);
  }

  /** Gives permits, first to the requests that wait. All of them, or none and an error. */
  release(from: NodeId, ticket: number, key: bigint, count: number): void {
    const semaphore = this.#touch(from, key);
    if (semaphore === undefined) return this.desk.reply(from, ticket, SyncStatus.LimitExceeded);
    const left = Math.max(0, count - semaphore.waiting.length);
    if (semaphore.count + left > SEMAPHORE_COUNT_MAX) {
      return this.desk.reply(from, ticket, SyncStatus.Overflow);
    }
    for (let granted = count - left; granted > 0; granted--) {
      this.desk.serve(this.next(semaphore), SyncStatus.Done);
    }
    semaphore.count += left;
    semaphore.settle();
    this.desk.reply(from, ticket, SyncStatus.Done);
  }

  /** Makes a semaphore with a key that is not in use, and was never made before. */
  make(from: NodeId, ticket: number, count: number): void {
    while (this.#semaphores.has(this.#nextMade)) this.#nextMade++;
    const key = this.#nextMade;
    if (count > 0) {
      const semaphore = this.#touch(from, key);
      if (semaphore === undefined) return this.desk.reply(from, ticket, SyncStatus.LimitExceeded);
      semaphore.count = count;
    }
    this.#nextMade++;
    this.desk.reply(from, ticket, SyncStatus.Made, 0, key);
  }

  /** The request that is served next, of those that wait. */
  protected next(semaphore: WaitPlace<bigint>): Waiter {
    return semaphore.waiting.first!;
  }

  #take(from: NodeId, key: bigint): boolean {
    const semaphore = this.#semaphores.get(key);
    if (semaphore === undefined || semaphore.count === 0) return false;
    this.desk.use(semaphore, from);
    semaphore.count--;
    semaphore.settle();
    return true;
  }

  /** The semaphore, remembered from now on; `undefined` where there is no room for another. */
  #touch(from: NodeId, key: bigint): Semaphore | undefined {
    const semaphore = this.#semaphores.get(key);
    if (semaphore === undefined) {
      return this.desk.hasRoom(from)
        ? new Semaphore(key, this.#semaphores, this.desk, from)
        : undefined;
    }
    this.desk.use(semaphore, from);
    return semaphore;
  }
}

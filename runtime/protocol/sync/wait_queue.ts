/**
 * Those who wait, first come first served. Each can leave from the middle at no more cost than from
 * the front: a linked list, so that a long queue is not searched for the one who cancels.
 */

import type { NodeId } from "../coherence/messages.ts";

/** Where nodes wait: a semaphore, a barrier or a mutex. */
export abstract class WaitPlace<Key = unknown> {
  /** Who waits here. */
  readonly waiting = new WaitQueue();
  readonly #key: Key;
  readonly #places: Map<Key, WaitPlace<Key>>;

  /**
   * @param key What it is called.
   * @param places Where it is remembered.
   */
  constructor(key: Key, places: Map<Key, WaitPlace<Key>>) {
    this.#key = key;
    this.#places = places;
    places.set(key, this);
  }

  /** Whether it is as good as new while nobody waits. */
  protected abstract get isIdle(): boolean;

  /** Is forgotten once there is nothing to remember. */
  settle(): void {
    if (this.waiting.length === 0 && this.isIdle) this.#places.delete(this.#key);
  }
}

/** A request that waits. */
export class Waiter {
  next: Waiter | undefined;
  previous: Waiter | undefined;

  /**
   * @param node Who waits.
   * @param ticket Its number for the request.
   * @param place Where it waits.
   */
  constructor(readonly node: NodeId, readonly ticket: number, readonly place: WaitPlace) {}
}

/** A queue of requests. */
export class WaitQueue {
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #length = 0;

  /** How many wait. */
  get length(): number {
    return this.#length;
  }

  /** Who came first; `undefined` where nobody waits. */
  get first(): Waiter | undefined {
    return this.#first;
  }

  /** Puts a request that is in no queue behind all others. */
  push(waiter: Waiter): void {
    waiter.previous = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#length++;
  }

  /** Takes out a request that is in this queue. */
  remove(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    waiter.previous = waiter.next = undefined;
    this.#length--;
  }
}

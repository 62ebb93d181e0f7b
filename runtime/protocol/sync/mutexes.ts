/**
 * Mutexes. A mutex is held by a node under the ticket of the request that locked it, so that one
 * thread of a node cannot unlock what another has locked, and is free again when that node is gone,
 * or says that the thread has ended: then the thread that locks it next is told, since what it
 * protects may be half done.
 */

import type { NodeId } from "../coherence/messages.ts";
import { type Holding, type PlaceView, type SyncDesk, WaitPlace } from "./desk.ts";
import { SyncStatus } from "./messages.ts";

class Mutex extends WaitPlace<string> implements Holding {
  /** The node that has it locked. */
  holder: NodeId | undefined;
  /** Its last holder is gone, and no thread was told of it. */
  isAbandoned = false;
  readonly #release: (mutex: Mutex) => void;

  constructor(
    name: string,
    mutexes: Map<string, Mutex>,
    release: (mutex: Mutex) => void,
    desk: SyncDesk,
    maker: NodeId,
  ) {
    super(name, mutexes, desk, maker);
    this.#release = release;
  }

  get isLocked(): boolean {
    return this.holder !== undefined;
  }

  override get lockedBy(): NodeId | undefined {
    return this.holder;
  }

  protected override get label(): Pick<PlaceView, "kind" | "name"> {
    return { kind: "mutex", name: this.key };
  }

  override get user(): NodeId | undefined {
    return this.holder ?? super.user;
  }

  giveBack(abandoned: boolean): void {
    this.isAbandoned = abandoned;
    this.#release(this);
  }

  protected override get isIdle(): boolean {
    return !this.isLocked && !this.isAbandoned;
  }
}

/** The mutexes of a cluster. */
export class Mutexes {
  protected readonly desk: SyncDesk;
  readonly #mutexes = new Map<string, Mutex>();
  readonly #release = (mutex: Mutex): void => this.#passOn(mutex);

  /** @param desk Where requests come from, and answers go. */
  constructor(desk: SyncDesk) {
    this.desk = desk;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#mutexes.size;
  }

  /** Locks a mutex, or waits for it. */
  lock(from: NodeId, ticket: number, name: string): void {
    const mutex = this.#touch(from, name);
    if (mutex === undefined || !this.isFree(mutex)) return this.desk.wait(from, ticket, mutex);
    this.#grant(mutex, from, ticket);
  }

  /** Locks a mutex if it is free. */
  tryLock(from: NodeId, ticket: number, name: string): void {
    const mutex = this.#touch(from, name);
    if (mutex === undefined) return this.desk.reply(from, ticket, SyncStatus.LimitExceeded);
    if (!this.isFree(mutex)) return this.desk.reply(from, ticket, SyncStatus.Unavailable);
    this.#grant(mutex, from, ticket);
  }

  /**
   * Unlocks what was locked under a ticket of the same node, whose thread may have `abandoned` it.
   */
  unlock(from: NodeId, ticket: number, lock: number, abandoned: boolean): void {
    const held = this.desk.takeBack(from, lock);
    held?.giveBack(abandoned);
    this.desk.reply(from, ticket, held === undefined ? SyncStatus.NotHolder : SyncStatus.Done);
  }

  /** Whether no thread holds a mutex. */
  protected isFree(mutex: { readonly isLocked: boolean }): boolean {
    return !mutex.isLocked;
  }

  /** What the next holder of a mutex is told. */
  protected status(mutex: { readonly isAbandoned: boolean }): SyncStatus {
    return mutex.isAbandoned ? SyncStatus.Abandoned : SyncStatus.Done;
  }

  #grant(mutex: Mutex, node: NodeId, ticket: number): void {
    const status = this.status(mutex);
    mutex.holder = node;
    mutex.isAbandoned = false;
    this.desk.hold(node, ticket, mutex);
    this.desk.reply(node, ticket, status);
  }

  /** Gives a mutex that was held to the request that waits longest. */
  #passOn(mutex: Mutex): void {
    mutex.holder = undefined;
    const next = mutex.waiting.first;
    if (next === undefined) return mutex.settle();
    this.desk.release(next);
    this.#grant(mutex, next.node, next.ticket);
  }

  /** The mutex, remembered from now on; `undefined` where there is no room for another. */
  #touch(from: NodeId, name: string): Mutex | undefined {
    const mutex = this.#mutexes.get(name);
    if (mutex === undefined) {
      return this.desk.hasRoom(from)
        ? new Mutex(name, this.#mutexes, this.#release, this.desk, from)
        : undefined;
    }
    this.desk.use(mutex, from);
    return mutex;
  }
}

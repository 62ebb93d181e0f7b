/**
 * What the desk for words must do, told without its phases and slots: it watches requests go in and
 * answers come out. It shares no code with what it checks.
 */

import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import {
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../../../runtime/protocol/sync/messages.ts";
import { fail } from "../coherence/oracle.ts";

/** A wait or a notify that has come and is not done, in the order in which they have come. */
interface Open {
  from: NodeId;
  readonly ticket: number;
  readonly key: bigint;
  /** How many a notify may wake; 0 for a wait. */
  readonly count: number;
  woken: number;
  stays: boolean;
}

/** What the oracle remembers. */
export interface FutexOracleState {
  open: Open[];
}

/** An oracle that has seen nothing. */
export function newFutexOracleState(): FutexOracleState {
  return { open: [] };
}

/** Stands for a node that is gone. */
const NOBODY = 0;

/** Checks every step of a desk. */
export class FutexOracle {
  readonly #state: FutexOracleState;

  /** @param state What was seen so far. */
  constructor(state: FutexOracleState) {
    this.#state = state;
  }

  /** The word that a request is about. */
  keyOf(from: NodeId, ticket: number): bigint {
    return this.#find(from, ticket).key;
  }

  #find(from: NodeId, ticket: number): Open {
    return this.#state.open.find((open) => open.from === from && open.ticket === ticket) ??
      fail(`${from}.${ticket} is answered, and is not open`);
  }

  /** A request goes in. */
  asked(from: NodeId, request: SyncRequest): void {
    const { FutexWait, FutexNotify, FutexStay } = SyncOperation;
    const { operation, ticket } = request;
    if (operation === FutexStay) this.#find(from, ticket).stays = true;
    else if (operation === FutexWait || operation === FutexNotify) {
      const count = operation === FutexNotify ? request.count : 0;
      const { key } = request;
      this.#state.open.push({ from, ticket, key, count, woken: 0, stays: false });
    }
  }

  /** The end of a node goes in. */
  gone(node: NodeId): void {
    const { open } = this.#state;
    for (const notify of open.filter(({ from, count }) => from === node && count > 0)) {
      notify.from = NOBODY;
    }
    this.#state.open = open.filter(({ from }) => from !== node);
  }

  /** An answer comes out. */
  answered(to: NodeId, { ticket, status, count }: SyncReply): void {
    const { Done, Notified, Quiet, Cancelled, Registered, Stirred, LimitExceeded } = SyncStatus;
    if (status === Registered || status === Stirred) return;
    const open = this.#find(to, ticket);
    if (status === Done) this.#woken(open);
    else if (status === Notified || status === Quiet) {
      if (open.woken !== count) fail(`a notify says ${count} and has woken ${open.woken}`);
      this.#checkDone(open);
      this.#dropOrphans();
      if (
        status === Quiet && this.#state.open.some((one) => one !== open && one.key === open.key)
      ) {
        fail(`word ${open.key} is called quiet, and is not`);
      }
    } else if (status !== Cancelled && status !== LimitExceeded) fail(`answered ${status}`);
    this.#state.open = this.#state.open.filter((one) => one !== open);
  }

  /** A wait is woken: by the notify that has been here longest, as one of those it may wake. */
  #woken(waiter: Open): void {
    this.#dropOrphans();
    const { open } = this.#state;
    const name = `${waiter.from}.${waiter.ticket}`;
    const place = open.indexOf(waiter);
    const isSame = (one: Open): boolean => one.key === waiter.key;
    const notify = open.find((one) => isSame(one) && one.count > one.woken);
    if (notify === undefined) return fail(`${name} is woken by nobody`);
    if (open.indexOf(notify) < place) fail(`${name} is woken, and came behind the notify`);
    if (!waiter.stays) fail(`${name} is woken, and has yet to look`);
    const earlier = open.slice(0, place).find((one) => isSame(one) && one.count === 0);
    if (earlier !== undefined) fail(`${name} is woken, and ${earlier.ticket} came before`);
    notify.woken++;
  }

  /** A notify is done: it has woken as many as it may, or all that came before it. */
  #checkDone(notify: Open): void {
    const { open } = this.#state;
    const left = open.slice(0, open.indexOf(notify)).find(({ key, count }) =>
      key === notify.key && count === 0
    );
    if (notify.woken < notify.count && left !== undefined) {
      fail(`a notify is done, and ${left.from}.${left.ticket} came before it`);
    }
  }

  /** A notify asks nobody, as the word is quiet. */
  notifiedQuietly(key: bigint): void {
    const waiter = this.#state.open.find((one) => one.key === key && one.stays);
    if (waiter !== undefined) fail(`a notify is for nobody, and ${waiter.ticket} sleeps`);
  }

  /** What must hold between any two steps. */
  settled(waiting: number): void {
    this.#dropOrphans();
    const { open } = this.#state;
    for (const [at, one] of open.entries()) {
      if (one.count > 0 && !mustWait(one, open.slice(0, at))) fail("a notify waits for nobody");
    }
    if (waiting !== open.length) fail(`${waiting} are not done, not ${open.length}`);
  }

  /** Nobody reads the answer of an orphan, so none is given when it is done. */
  #dropOrphans(): void {
    const open: Open[] = [];
    for (const one of this.#state.open) {
      const hasWait = open.some(({ key, count }) => key === one.key && count === 0);
      const isOver = one.woken === one.count || !hasWait;
      if (one.from !== NOBODY || !isOver) open.push(one);
    }
    this.#state.open = open;
  }
}

/** Whether a notify has to wait for what came before: for a thread that has yet to look. */
function mustWait({ key, count, woken }: Open, before: readonly Open[]): boolean {
  const same = before.filter((one) => one.key === key);
  if (same.some((one) => one.count > 0)) return true;
  return woken < count && same.some(({ stays }) => !stays);
}

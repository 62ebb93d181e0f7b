/**
 * What the desks for words must do, told without their phases and slots: it watches requests go in
 * and answers come out. It shares no code with what it checks. Wherever a word is served, there is
 * one order of what has come about it.
 */

import { DIRECTORY_NODE, type NodeId } from "../../../runtime/protocol/coherence/messages.ts";
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
  /** The node that serves it, or `MOVING` to that node. */
  at: NodeId;
}

/** What the oracle remembers. */
export interface FutexOracleState {
  open: Open[];
  /** What has come to the directory node about words that another node has: it comes later. */
  held: Open[];
  /** The nodes that have words. */
  readonly lent: Map<bigint, NodeId>;
}

/** An oracle that has seen nothing. */
export function newFutexOracleState(): FutexOracleState {
  return { open: [], held: [], lent: new Map() };
}

/** Stands for a node that is gone. */
const NOBODY = 0;
/** Stands for the way between two nodes. */
const MOVING = -1;

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
    const { open, held } = this.#state;
    const isIt = (one: Open): boolean => one.from === from && one.ticket === ticket;
    return open.find(isIt) ?? held.find(isIt) ??
      fail(`${from}.${ticket} is answered, and is not open`);
  }

  /**
   * A request goes in.
   *
   * @param from The node of its thread.
   * @param request The request.
   * @param at The node that serves it.
   */
  asked(from: NodeId, request: SyncRequest, at: NodeId): void {
    const { FutexWait, FutexNotify, FutexStay, FutexMoved, FutexHeard } = SyncOperation;
    const { operation, ticket } = request;
    if (operation === FutexStay) this.#find(from, ticket).stays = true;
    else if (operation === FutexWait || operation === FutexNotify) {
      const count = operation === FutexNotify ? request.count : 0;
      const { key } = request;
      const { open, held, lent } = this.#state;
      const one = { from, ticket, key, count, woken: 0, stays: false, at };
      // Or it is answered that its own node is to serve it.
      if (at === DIRECTORY_NODE && lent.has(key)) held.push(one);
      else open.push(one);
    } else if (operation === FutexMoved) this.#arrived(this.#find(from, ticket), at);
    else if (operation === FutexHeard) this.#givenBack(from, request.key);
  }

  /** A wait begins to go to another node. */
  moves(from: NodeId, ticket: number): void {
    this.#find(from, ticket).at = MOVING;
  }

  /** A wait has come to another node. */
  arrives(from: NodeId, ticket: number, at: NodeId): void {
    this.#arrived(this.#find(from, ticket), at);
  }

  #arrived(one: Open, at: NodeId): void {
    if (one.at !== MOVING) fail(`${one.from}.${one.ticket} arrives, and is at ${one.at}`);
    one.at = at;
  }

  /** A word is the directory node's again. */
  #givenBack(from: NodeId, key: bigint): void {
    const { lent, open, held } = this.#state;
    if (lent.get(key) !== from) return;
    lent.delete(key);
    const left = open.find((one) => one.key === key && one.at !== DIRECTORY_NODE);
    if (left !== undefined) fail(`word ${key} is given back, and ${from}.${left.ticket} is not`);
    open.push(...held.filter((one) => one.key === key));
    this.#state.held = held.filter((one) => one.key !== key);
  }

  /** The end of a node goes in. */
  gone(node: NodeId): void {
    const { open, held, lent } = this.#state;
    const isLeft = ({ from, count, at }: Open): boolean =>
      from !== node || (count > 0 && at === DIRECTORY_NODE);
    this.#state.open = open.filter(isLeft);
    this.#state.held = held.filter(isLeft);
    for (const one of [...this.#state.open, ...this.#state.held]) {
      if (one.from === node) one.from = NOBODY;
    }
    for (const [key, borrower] of [...lent]) if (borrower === node) this.#givenBack(node, key);
  }

  /** An answer comes out. */
  answered(to: NodeId, { ticket, status, count, key }: SyncReply): void {
    const { Done, Notified, Quiet, Cancelled, Registered, Stirred, LimitExceeded } = SyncStatus;
    if (status === Registered || status === Stirred) return;
    if (status === SyncStatus.Moved) return this.moves(to, ticket);
    // The answer to the request follows.
    if (status === SyncStatus.Lent && ticket === 0) return;
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
    } else if (status === SyncStatus.Lent) this.#lent(to, key, open);
    else if (status !== Cancelled && status !== LimitExceeded) fail(`answered ${status}`);
    this.#state.open = this.#state.open.filter((one) => one !== open);
    this.#state.held = this.#state.held.filter((one) => one !== open);
  }

  /** A node has a word: all that is open there is its own, and there or on the way. */
  #lent(to: NodeId, key: bigint, request: Open): void {
    const { open, lent } = this.#state;
    if (lent.has(key) && lent.get(key) !== to) fail(`word ${key} is lent to ${lent.get(key)}`);
    lent.set(key, to);
    const other = open.find((one) =>
      one !== request && one.key === key && (one.from !== to || one.at === DIRECTORY_NODE)
    );
    if (other !== undefined) fail(`word ${key} is lent to ${to}, and ${other.from} waits there`);
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

  /**
   * What must hold between any two steps.
   *
   * @param node A node.
   * @param waiting What is not done there.
   */
  settled(node: NodeId, waiting: number): void {
    this.#dropOrphans();
    const { open, held } = this.#state;
    for (const [at, one] of open.entries()) {
      if (one.count > 0 && !mustWait(one, open.slice(0, at))) fail("a notify waits for nobody");
    }
    const here = [...open, ...held].filter(({ at }) => at === node).length;
    if (waiting !== here) fail(`${waiting} are not done, not ${here}`);
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

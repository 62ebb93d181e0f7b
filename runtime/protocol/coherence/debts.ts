/**
 * What nodes owe to the transactions of a home. A node that says that it lives may still not do its
 * part: then a page is held up for ever, and every thread that needs the page with it. So from time
 * to time the home reminds each node of the oldest transaction that waits for it. A node that has
 * done its part says so; behind the home's demand and its own answer, as messages between two nodes
 * keep their order. A node that neither says so nor ends the transaction, so many times in a row,
 * is in default.
 */

import { OWED_MAX_BEATS } from "../../limits.ts";
import type { NodeId } from "./messages.ts";
import type { Phase, Transaction } from "./transactions.ts";

/** What names a transaction. */
export interface Debt {
  /** The first of its pages. */
  readonly first: number;
  readonly requester: NodeId;
  /** The requester's number of its request. */
  readonly request: number;
}

/** What the home has to do about debts. */
export interface DebtsDue {
  /** The nodes to remind, and of what. */
  readonly reminders: readonly { readonly node: NodeId; readonly debt: Debt }[];
  /** The nodes in default, and a page that each of them holds up. */
  readonly defaults: readonly { readonly node: NodeId; readonly page: number }[];
}

/** A transaction in one of its phases, and the nodes that have done their part in it. */
interface Account {
  readonly phase: Phase;
  readonly settled: Set<NodeId>;
}

/** A node that was reminded of a transaction. */
interface Reminded {
  readonly account: Account;
  readonly times: number;
}

/** The nodes that a transaction may wait for. */
function owing({ phase, requester, invalidated }: Transaction): readonly NodeId[] {
  switch (phase.kind) {
    case "forwarded":
      return [phase.source, ...invalidated, requester];
    case "granted":
    case "lost":
      return [...invalidated, requester];
    case "sourceLost":
      return [requester];
    case "aborting":
    case "clearing":
      return phase.awaited;
    default:
      return phase satisfies never;
  }
}

/** The debts to one home. */
export class Debts {
  readonly #transactions: () => Iterable<Transaction>;
  readonly #home: NodeId;
  readonly #maxBeats: number;
  #accounts = new Map<Transaction, Account>();
  #reminded = new Map<NodeId, Reminded>();

  /**
   * @param transactions Returns the transactions under way, the oldest first.
   * @param home The home, which owes itself nothing.
   * @param maxBeats How many reminders in a row a node may leave without an answer.
   */
  constructor(
    transactions: () => Iterable<Transaction>,
    home: NodeId,
    maxBeats: number = OWED_MAX_BEATS,
  ) {
    this.#transactions = transactions;
    this.#home = home;
    this.#maxBeats = maxBeats;
  }

  /**
   * Time passes; to be called at intervals that are longer than messages and holds take.
   *
   * @returns The nodes to remind, and those in default.
   */
  beat(): DebtsDue {
    const accounts = new Map<Transaction, Account>();
    const oldest = new Map<NodeId, Transaction>();
    for (const transaction of this.#transactions()) {
      const known = this.#accounts.get(transaction);
      const isOld = known?.phase === transaction.phase;
      const account = isOld ? known : { phase: transaction.phase, settled: new Set<NodeId>() };
      accounts.set(transaction, account);
      // What has only begun, or moved on, is on its way.
      if (!isOld) continue;
      for (const node of owing(transaction)) {
        if (node === this.#home || account.settled.has(node) || oldest.has(node)) continue;
        oldest.set(node, transaction);
      }
    }
    this.#accounts = accounts;
    return this.#remind(oldest);
  }

  /** A node says that it has done its part in a transaction, other than what a loss asks for. */
  settled(node: NodeId, { first, requester, request }: Debt): void {
    for (const [transaction, { phase, settled }] of this.#accounts) {
      if (transaction.requester !== requester || transaction.request !== request) continue;
      const isLoss = phase.kind === "sourceLost" || phase.kind === "aborting";
      if (transaction.first === first && transaction.phase === phase && !isLoss) settled.add(node);
    }
  }

  #remind(oldest: ReadonlyMap<NodeId, Transaction>): DebtsDue {
    const reminded = new Map<NodeId, Reminded>();
    const reminders: { node: NodeId; debt: Debt }[] = [];
    const defaults: { node: NodeId; page: number }[] = [];
    for (const [node, transaction] of oldest) {
      const { first, requester, request } = transaction;
      const account = this.#accounts.get(transaction)!;
      const before = this.#reminded.get(node);
      const times = before?.account === account ? before.times + 1 : 1;
      if (times > this.#maxBeats) defaults.push({ node, page: first });
      else reminders.push({ node, debt: { first, requester, request } });
      reminded.set(node, { account, times });
    }
    this.#reminded = reminded;
    return { reminders, defaults };
  }
}

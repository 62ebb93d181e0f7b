/**
 * What nodes owe to the transactions of a home. A node that says that it lives may still not do its
 * part: then a page is held up for ever, and every thread that needs the page with it. So from time
 * to time the home reminds each node of the oldest transaction that waits for it. A node that has
 * done its part says so; behind the home's demand and its own answer, as messages between two nodes
 * keep their order. A node that neither says so nor ends the transaction, so many times in a row,
 * is in default.
 *
 * A requester says what it still lacks. If that is what another node says it has sent, and nothing
 * comes of it for long, the two do not reach each other, or one of them is wrong: one has to go.
 */

import { DISPUTED_MAX_BEATS, OWED_MAX_BEATS } from "../../limits.ts";
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

/** Whether a debt is one to the transaction that a demand is of. */
export function isOwed({ first, requester, request }: Debt, demand: Debt): boolean {
  return demand.first === first && demand.requester === requester && demand.request === request;
}

/** What a requester lacks: the acknowledgement of this node, or, by 0, its grant. */
export type Lacking = NodeId;

/** A node that is to be given up. */
export interface Default {
  readonly node: NodeId;
  /** A page that it holds up. */
  readonly page: number;
  /** The node that says otherwise of what was sent, where one does; 0 where the node only owes. */
  readonly opponent: NodeId;
}

/** What the home has to do about debts. */
export interface DebtsDue {
  /** The nodes to remind, and of what. */
  readonly reminders: readonly { readonly node: NodeId; readonly debt: Debt }[];
  /** The nodes in default. */
  readonly defaults: readonly Default[];
}

/** A transaction in one of its phases, and the nodes that have done their part in it. */
interface Account {
  readonly phase: Phase;
  readonly settled: Set<NodeId>;
  /** What the requester has said that it lacks, since the last beat. */
  lacking: Lacking | undefined;
  /** For how many beats in a row the requester lacked what another node says it has sent. */
  disputed: number;
}

/** Two nodes of which one says that it has sent what the other one lacks. */
interface Dispute {
  readonly sender: NodeId;
  readonly requester: NodeId;
  readonly page: number;
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
    case "rebuilding":
      return [...phase.awaited];
    default:
      return phase satisfies never;
  }
}

/** The debts to one home. */
export class Debts {
  readonly #transactions: () => Iterable<Transaction>;
  readonly #home: NodeId;
  readonly #maxBeats: number;
  readonly #disputedMaxBeats: number;
  readonly #lacks: (debt: Debt) => Lacking | undefined;
  #accounts = new Map<Transaction, Account>();
  #reminded = new Map<NodeId, Reminded>();

  /**
   * @param transactions Returns the transactions under way, the oldest first.
   * @param home The home, which owes itself nothing.
   * @param lacks What the home itself lacks of what it has requested.
   * @param maxBeats How many reminders in a row a node may leave without an answer.
   * @param disputedMaxBeats For how many beats a node may lack what another one says it has sent.
   */
  constructor(
    transactions: () => Iterable<Transaction>,
    home: NodeId,
    lacks: (debt: Debt) => Lacking | undefined = () => undefined,
    maxBeats: number = OWED_MAX_BEATS,
    disputedMaxBeats: number = DISPUTED_MAX_BEATS,
  ) {
    this.#transactions = transactions;
    this.#home = home;
    this.#lacks = lacks;
    this.#maxBeats = maxBeats;
    this.#disputedMaxBeats = disputedMaxBeats;
  }

  /**
   * Time passes; to be called at intervals that are longer than messages and holds take.
   *
   * @returns The nodes to remind, and those in default.
   */
  beat(): DebtsDue {
    const accounts = new Map<Transaction, Account>();
    const oldest = new Map<NodeId, Transaction>();
    const disputes: Dispute[] = [];
    for (const transaction of this.#transactions()) {
      const { phase } = transaction;
      const known = this.#accounts.get(transaction);
      const isOld = known?.phase === phase;
      const account = isOld
        ? known
        : { phase, settled: new Set<NodeId>(), lacking: undefined, disputed: 0 };
      accounts.set(transaction, account);
      // What has only begun, or moved on, is on its way.
      if (!isOld) continue;
      const dispute = this.#disputeOf(transaction, account);
      account.disputed = dispute === undefined ? 0 : account.disputed + 1;
      if (dispute !== undefined && account.disputed > this.#disputedMaxBeats) {
        disputes.push(dispute);
      }
      for (const node of owing(transaction)) {
        if (node === this.#home || account.settled.has(node) || oldest.has(node)) continue;
        oldest.set(node, transaction);
      }
    }
    this.#accounts = accounts;
    const { reminders, defaults } = this.#remind(oldest);
    for (const account of accounts.values()) account.lacking = undefined;
    return { reminders, defaults: [...defaults, ...judge(disputes, this.#home)] };
  }

  /**
   * A node says that it has done its part in a transaction, or, as its requester, what it lacks.
   * What a loss or a clearing asks for is not done so: a message to the home is.
   *
   * @param node The node.
   * @param debt The transaction.
   * @param lacking What the requester lacks; one that lacks nothing would have ended the
   * transaction.
   */
  settled(node: NodeId, { first, requester, request }: Debt, lacking?: Lacking): void {
    for (const [transaction, account] of this.#accounts) {
      if (transaction.requester !== requester || transaction.request !== request) continue;
      if (transaction.first !== first || transaction.phase !== account.phase) continue;
      const { kind } = account.phase;
      if (kind === "sourceLost" || kind === "aborting" || kind === "clearing") continue;
      if (kind === "rebuilding") continue;
      if (node === requester) account.lacking = lacking;
      else account.settled.add(node);
    }
  }

  /** Whether the requester of a transaction lacks what another node says it has sent. */
  #disputeOf(transaction: Transaction, account: Account): Dispute | undefined {
    const { requester, first: page, phase, invalidated } = transaction;
    const lacking = requester === this.#home ? this.#lacks(transaction) : account.lacking;
    if (lacking === undefined) return undefined;
    // Where no node was told to send the grant, the home has.
    const sender = lacking !== 0 ? lacking : phase.kind === "forwarded" ? phase.source : this.#home;
    const isMeant = lacking === 0 || invalidated.includes(sender);
    const isSent = sender === this.#home || account.settled.has(sender);
    return isMeant && isSent ? { sender, requester, page } : undefined;
  }

  #remind(oldest: ReadonlyMap<NodeId, Transaction>): DebtsDue {
    const reminded = new Map<NodeId, Reminded>();
    const reminders: { node: NodeId; debt: Debt }[] = [];
    const defaults: Default[] = [];
    for (const [node, transaction] of oldest) {
      const { first, requester, request } = transaction;
      const account = this.#accounts.get(transaction)!;
      const before = this.#reminded.get(node);
      const isAnswer = node === requester && account.lacking !== undefined;
      const times = before?.account === account && !isAnswer ? before.times + 1 : 1;
      if (times > this.#maxBeats) defaults.push({ node, page: first, opponent: 0 });
      else reminders.push({ node, debt: { first, requester, request } });
      reminded.set(node, { account, times });
    }
    this.#reminded = reminded;
    return { reminders, defaults };
  }
}

/**
 * Which nodes have to go: those that more nodes contradict than the other of the two, and where as
 * many do, the sender.
 */
function judge(disputes: readonly Dispute[], home: NodeId): Default[] {
  const opponents = new Map<NodeId, Set<NodeId>>();
  const count = (node: NodeId, opponent: NodeId): void => {
    const known = opponents.get(node) ?? new Set();
    opponents.set(node, known.add(opponent));
  };
  for (const { sender, requester } of disputes) {
    count(sender, requester);
    count(requester, sender);
  }
  const gone = new Map<NodeId, Default>();
  for (const { sender, requester, page } of disputes) {
    const isRequester = sender === home || requester !== home &&
        opponents.get(requester)!.size > opponents.get(sender)!.size;
    const [node, opponent] = isRequester ? [requester, sender] : [sender, requester];
    if (!gone.has(node) && !gone.has(opponent)) gone.set(node, { node, page, opponent });
  }
  return [...gone.values()];
}

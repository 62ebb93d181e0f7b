/**
 * The home's side of the protocol: the point of order for each page.
 *
 * It keeps who has a copy and who owns it, runs one transaction on a page at a time, and lets the
 * others wait. A transaction begins with a request, is ended by its requester's `done`, and covers
 * the run of pages that can be treated alike. Page bytes never pass through here.
 */

import { REQUESTS_WAITING_MAX } from "../../limits.ts";
import { HolderTable } from "./holders.ts";
import {
  Content,
  DIRECTORY_NODE,
  type DoneMessage,
  type ForwardMessage,
  type GrantMessage,
  isFinal,
  type NodeId,
  type RefusedMessage,
  type RequestMessage,
} from "./messages.ts";
import { afterRead, afterUpgrade, handOversLeft } from "./migration.ts";
import type { Outbox } from "./output.ts";
import { Access, contains, type PageRun } from "./page.ts";

/** A request that is being served: from its start at the home until its requester's `done`. */
interface Transaction extends PageRun {
  readonly requester: NodeId;
  readonly request: number;
  /** What the requester will have; on first touch, and of a page that migrates, more than it asked for. */
  readonly access: Access;
  content: Content;
  /** The node that sends the bytes; 0 when none are sent. */
  source: NodeId;
  /** The nodes that drop their copies. */
  invalidated: NodeId[];
  /** The node whose loss makes the pages lost, if it comes to that. */
  lostNode: NodeId;
  /** A party died: holders must be checked when this ends. */
  disturbed: boolean;
  /** The source that died; its requester has yet to tell whether the bytes came in time. */
  lostSource: NodeId;
  /** The requester died; these nodes have yet to tell whether they kept their copies. */
  aborting: NodeId[] | undefined;
  /** The nodes that kept their copies because the requester died. */
  refused: NodeId[];
}

/** A transaction that begins, of which nothing is known yet but who asks for what. */
function begun(
  requester: NodeId,
  request: number,
  access: Access,
  { first, count }: PageRun,
): Transaction {
  return {
    requester,
    request,
    access,
    content: Content.Data,
    first,
    count,
    source: 0,
    invalidated: [],
    lostNode: 0,
    disturbed: false,
    lostSource: 0,
    aborting: undefined,
    refused: [],
  };
}

/** What the source is told. */
function forwardOf(transaction: Transaction): ForwardMessage {
  const { access, first, count, requester, request, invalidated } = transaction;
  return { kind: "forward", access, first, count, requester, request, invalidated };
}

/** What the requester is told where it needs no bytes. */
function grantOf(transaction: Transaction): GrantMessage {
  const { access, content, first, count, request, invalidated, lostNode } = transaction;
  return { kind: "grant", access, content, first, count, request, invalidated, lostNode };
}

/** Whether a transaction is to give something to a node, or to take it. */
function involves(
  { requester, source, invalidated }: Transaction,
  node: NodeId,
): boolean {
  return requester === node || source === node || invalidated.includes(node);
}

/** What a directory must know. */
export interface DirectoryOptions {
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one grant carries. */
  readonly runPages: number;
  /** Whether a page that each node in turn reads and writes is handed over at the read; off unless said. */
  readonly migration?: boolean;
}

/** A request that waits for its first page to be free. */
interface Waiting {
  readonly from: NodeId;
  readonly message: RequestMessage;
}

/** The pages that this node is the home of. */
export class Directory {
  protected readonly options: DirectoryOptions;
  protected readonly outbox: Outbox;
  protected readonly holders = new HolderTable();
  protected readonly members = new Set<NodeId>();
  protected readonly lost = new Map<number, NodeId>();
  /** Nodes that leave, and the page up to which nothing depends on them. */
  protected readonly leaving = new Map<NodeId, number>();
  protected active: Transaction[] = [];
  protected waiting: Waiting[] = [];
  readonly #takeOver: (run: PageRun) => void;

  /**
   * @param options The region.
   * @param outbox Where messages go.
   * @param takeOver Makes this node ask for pages that nobody else will keep.
   */
  constructor(options: DirectoryOptions, outbox: Outbox, takeOver: (run: PageRun) => void) {
    this.options = options;
    this.outbox = outbox;
    this.#takeOver = takeOver;
  }

  /** The nodes that a page's copies are on; for checks and statistics. */
  copies(page: number): { owner: NodeId; nodes: NodeId[] } {
    return { owner: this.holders.owner(page), nodes: this.holders.list(page) };
  }

  /** Whether a transaction on the page is under way. */
  busy(page: number): boolean {
    return this.active.some((transaction) => contains(transaction, page));
  }

  /** A node has joined. */
  peerJoined(node: NodeId): void {
    this.members.add(node);
  }

  /** A node wants pages. */
  request(from: NodeId, message: RequestMessage): void {
    const { first, count } = message;
    if (!this.members.has(from) || this.leaving.has(from)) return;
    if (count < 1 || first + count > this.options.pageCount) {
      return this.#violation(from, `request for pages ${first}+${count}, outside of the region`);
    }
    if (!this.busy(first)) return this.#start({ from, message });
    if (this.waiting.length === REQUESTS_WAITING_MAX) {
      return this.#violation(from, `more than ${REQUESTS_WAITING_MAX} requests wait`);
    }
    this.waiting.push({ from, message });
  }

  /** A requester has what it was granted. */
  done(from: NodeId, message: DoneMessage): void {
    const { first, count, request } = message;
    const transaction = this.#find(from, request);
    if (transaction?.first !== first || transaction.count !== count) {
      return this.#violation(from, `request ${request} done, which is not under way`);
    }
    if (message.lost && transaction.content !== Content.Lost) {
      return this.#violation(from, `request ${request} done as lost, which was granted`);
    }
    if (!message.lost) this.#settle(transaction);
    this.#end(transaction);
  }

  /** This node has sent a grant that nobody needs to acknowledge: it is final, and has no `done`. */
  granted(grant: GrantMessage, requester: NodeId): void {
    const transaction = this.#find(requester, grant.request);
    if (transaction === undefined) return;
    this.#settle(transaction);
    this.#end(transaction);
  }

  /** A node kept its copies, since the requester died before it had given them up. */
  refused(from: NodeId, message: RefusedMessage): void {
    const refused = this.#find(message.requester, message.request)?.refused;
    if (refused?.includes(from) === false) refused.push(from);
  }

  /** A node is gone without a word. */
  peerLost(node: NodeId): void {
    if (!this.members.delete(node)) return;
    this.leaving.delete(node);
    this.waiting = this.waiting.filter(({ from }) => from !== node);
    for (const transaction of this.active) this.#disturb(transaction, node);
    for (const page of [...this.holders.pages()]) {
      if (!this.busy(page)) this.#repair(page);
    }
    for (const member of this.members) this.outbox.send(member, { kind: "peerLost", node });
    for (const transaction of [...this.active]) {
      if (transaction.aborting?.length === 0) this.#abort(transaction);
    }
    this.#reconsiderLeaving();
  }

  /** A node knows of a loss: whatever it had to say about transactions with the lost node, it has said. */
  peerLostSeen(from: NodeId, node: NodeId): void {
    for (const transaction of [...this.active]) {
      const { aborting, requester } = transaction;
      if (aborting !== undefined && requester === node) {
        transaction.aborting = aborting.filter((other) => other !== from);
        if (transaction.aborting.length === 0) this.#abort(transaction);
      } else if (transaction.lostSource === node && requester === from) {
        this.#findSource(transaction);
      }
    }
  }

  /** Nobody needs what was on these pages: those that are lost are as if nobody had ever had them. */
  renew(run: PageRun): void {
    for (const page of this.lost.keys()) if (contains(run, page)) this.lost.delete(page);
  }

  /** A node wants to leave: whatever only it has must be taken over first. */
  leave(node: NodeId): void {
    if (!this.members.has(node)) return;
    this.leaving.set(node, 0);
    this.waiting = this.waiting.filter(({ from }) => from !== node);
    this.#advanceLeaving(node);
  }

  /** Goes on with what leaving nodes wait for. */
  advanceLeaving(): void {
    for (const node of [...this.leaving.keys()]) {
      if (this.leaving.has(node)) this.#advanceLeaving(node);
    }
  }

  /** The requester has a copy from now on. */
  protected addSharer(page: number, node: NodeId): void {
    this.holders.add(page, node);
  }

  /** What is known of a page's migration once a node that has a copy asks to write it. */
  protected afterUpgrade(record: number, copies: number, owns: boolean): number {
    return afterUpgrade(record, copies, owns);
  }

  #find(requester: NodeId, request: number): Transaction | undefined {
    return this.active.find((other) => other.requester === requester && other.request === request);
  }

  #violation(node: NodeId, reason: string): void {
    this.outbox.tell({ kind: "violation", node, reason });
  }

  /** Starts the transaction that a request asks for. Its first page is free. */
  #start({ from, message }: Waiting): void {
    const { first, request } = message;
    const has = this.holders.has(first, from);
    const reads = message.access === Access.Read && !has;
    const handOver = reads && this.#migrates(first);
    const count = this.#extent(first, message.count, reads);
    this.#learn(from, { ...message, count });
    const access = handOver ? Access.Write : message.access;
    const transaction = begun(from, request, access, { first, count });
    const lostNode = this.lost.get(first);
    const owner = this.holders.owner(first);
    if (lostNode !== undefined) {
      this.#grant(Object.assign(transaction, { content: Content.Lost, lostNode }));
    } else if (owner === 0) {
      this.#grant(Object.assign(transaction, { content: Content.Zero, access: Access.Write }));
    } else if (access === Access.Write) {
      const nodes = this.holders.list(first);
      const source = has ? 0 : this.#source(first);
      transaction.source = source;
      transaction.invalidated = nodes.filter((node) => node !== from && node !== source);
      if (has) this.#grant(Object.assign(transaction, { content: Content.Kept }));
      else this.#forward(transaction);
      for (const node of transaction.invalidated) {
        this.outbox.send(node, { kind: "invalidate", first, count, requester: from, request });
      }
    } else if (!has) {
      transaction.source = this.#source(first);
      this.#forward(transaction);
    } else {
      return this.#violation(from, `request to read page ${first}, which it has`);
    }
    // Where the home grants at once, nothing is left to wait for; where its cache does, `granted` ends it.
    if (transaction.content !== Content.Data && isFinal(transaction)) this.#settle(transaction);
    else this.active.push(transaction);
  }

  /** The requester has what it was granted, or will have before anything else that it is told. */
  #settle({ first, count, access, content, requester }: Transaction): void {
    for (let page = first; page < first + count; page++) {
      // Lost as far as the home could tell, but the bytes had come in time.
      if (content === Content.Lost) this.lost.delete(page);
      if (access === Access.Write) this.holders.set(page, [requester]);
      else this.addSharer(page, requester);
    }
  }

  /** Whether a page has one copy and is handed over, with the right to write, to whoever reads it. */
  #migrates(page: number): boolean {
    return handOversLeft(this.holders.migration(page)) > 0 && this.holders.list(page).length === 1;
  }

  /** Learns from a request that begins whether its pages migrate. They have the same copies. */
  #learn(from: NodeId, { first, count, access }: RequestMessage): void {
    if (this.options.migration !== true) return;
    const copies = this.holders.list(first);
    const upgrade = copies.includes(from);
    if (copies.length === 0 || upgrade !== (access === Access.Write)) return;
    const owns = this.holders.owner(first) === from;
    for (let page = first; page < first + count; page++) {
      const record = this.holders.migration(page);
      const next = upgrade
        ? this.afterUpgrade(record, copies.length, owns)
        : afterRead(record, copies.length);
      if (next !== record) this.holders.setMigration(page, next);
    }
  }

  /** How many of `limit` pages from `first` on can be treated like the first, as for a read or a write. */
  #extent(first: number, limit: number, reads: boolean): number {
    limit = Math.min(limit, this.options.runPages);
    for (const other of this.active) {
      if (other.first > first) limit = Math.min(limit, other.first - first);
    }
    const lost = this.lost.get(first);
    const migrates = reads && this.#migrates(first);
    let count = 1;
    while (
      count < limit && this.holders.same(first, first + count) &&
      this.lost.get(first + count) === lost &&
      (!reads || this.#migrates(first + count) === migrates)
    ) count++;
    return count;
  }

  /** Who sends the bytes: this node if it has them, since that saves a hop; otherwise the owner. */
  #source(page: number): NodeId {
    return this.holders.has(page, DIRECTORY_NODE) ? DIRECTORY_NODE : this.holders.owner(page);
  }

  #forward(transaction: Transaction): void {
    this.outbox.send(transaction.source, forwardOf(transaction));
  }

  /** Grants what needs no bytes. */
  #grant(transaction: Transaction): void {
    this.outbox.send(transaction.requester, grantOf(transaction));
  }

  #end(transaction: Transaction): void {
    this.active = this.active.filter((other) => other !== transaction);
    if (transaction.disturbed) {
      const { first, count } = transaction;
      for (let page = first; page < first + count; page++) this.#repair(page);
    }
    const candidates = this.waiting.filter(({ message }) => contains(transaction, message.first));
    for (const candidate of candidates) {
      if (this.busy(candidate.message.first)) continue;
      this.waiting = this.waiting.filter((other) => other !== candidate);
      this.#start(candidate);
    }
    this.advanceLeaving();
  }

  /** A node died while a transaction is under way. */
  #disturb(transaction: Transaction, node: NodeId): void {
    transaction.disturbed = true;
    const { source, invalidated, requester } = transaction;
    transaction.invalidated = invalidated.filter((other) => other !== node);
    transaction.aborting = transaction.aborting?.filter((other) => other !== node);
    if (requester === node) {
      transaction.lostNode = node;
      transaction.aborting = [source, ...transaction.invalidated]
        .filter((other) => this.members.has(other));
    } else if (source === node) {
      transaction.lostSource = node;
      transaction.lostNode = node;
    }
  }

  /** Ends a transaction whose requester died, now that every party has told what it has. */
  #abort(transaction: Transaction): void {
    const { first, count, access, content, source } = transaction;
    // Whoever kept its copy kept the requester from writing. A read takes nothing from anybody.
    const keepers = transaction.refused.filter((node) => this.members.has(node));
    if (access === Access.Write && content !== Content.Lost) {
      keepers.sort((a, b) => Number(b === source) - Number(a === source));
      if (keepers.length === 0) this.#lose(transaction, transaction.lostNode);
      else for (let page = first; page < first + count; page++) this.holders.set(page, keepers);
    }
    this.#end(transaction);
  }

  /** Looks for other bytes, now that the requester is known not to have those of a source that died. */
  #findSource(transaction: Transaction): void {
    transaction.lostSource = 0;
    // Whoever is told to drop its copy for a write keeps the bytes until the write is done.
    const others = transaction.access === Access.Write
      ? transaction.invalidated
      : this.holders.list(transaction.first);
    const source = others.find((node) => this.members.has(node));
    if (source !== undefined) {
      transaction.source = source;
      this.#forward(transaction);
    } else {
      transaction.source = 0;
      transaction.content = Content.Lost;
      this.#lose(transaction, transaction.lostNode);
      this.#grant(transaction);
    }
  }

  /** Takes the dead from a page's holders. */
  #repair(page: number): void {
    for (const node of this.holders.list(page)) {
      if (this.members.has(node)) continue;
      this.holders.remove(page, node);
      if (this.holders.owner(page) === 0) this.lost.set(page, node);
    }
  }

  #lose({ first, count }: PageRun, node: NodeId): void {
    for (let page = first; page < first + count; page++) {
      this.holders.set(page, []);
      this.lost.set(page, node);
    }
  }

  /** Takes over what only a leaving node has, one run after the other, and lets it go at the end. */
  #advanceLeaving(node: NodeId): void {
    if (this.active.some((transaction) => involves(transaction, node))) return;
    let page = this.holders.next(this.leaving.get(node)!, node);
    while (page !== undefined) {
      this.leaving.set(node, page);
      if (this.busy(page)) return;
      if (this.holders.list(page).length === 1) {
        const count = this.#extent(page, this.options.runPages, false);
        return this.#takeOver({ first: page, count });
      }
      page = this.holders.next(page + 1, node);
    }
    this.#letGo(node);
  }

  /** A leaving node has nothing that others have not. Until now its copies counted, in case they die. */
  #letGo(node: NodeId): void {
    this.leaving.delete(node);
    this.members.delete(node);
    for (const page of this.holders.pages()) this.holders.remove(page, node);
    this.outbox.send(node, { kind: "left" });
    this.outbox.tell({ kind: "nodeLeft", node });
    for (const member of this.members) this.outbox.send(member, { kind: "peerLost", node });
    this.#reconsiderLeaving();
  }

  /** A node is gone: others that want to leave may be the only ones now to have a page. */
  #reconsiderLeaving(): void {
    for (const node of [...this.leaving.keys()]) this.leaving.set(node, 0);
    this.advanceLeaving();
  }
}

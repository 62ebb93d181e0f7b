/**
 * The home's side of the protocol: the point of order for each page.
 *
 * It keeps which nodes have a copy and which one owns it, runs one transaction on a page at a time,
 * and lets the others wait. A transaction begins with a request, is ended by its requester's
 * `done`, and covers the run of pages that can be treated alike. Page bytes never pass through
 * here.
 */

import { REQUESTS_WAITING_MAX } from "../../limits.ts";
import { HolderTable } from "./holders.ts";
import {
  Content,
  DIRECTORY_NODE,
  type DoneMessage,
  type DropMessage,
  type GrantMessage,
  NO_NODES,
  type NodeId,
  type OffloadMessage,
  type RefusedMessage,
  type RequestMessage,
} from "./messages.ts";
import { afterRead, afterUpgrade, handOversLeft } from "./migration.ts";
import type { Outbox } from "./output.ts";
import { Access, contains, type PageRun } from "./page.ts";
import { RequestQueue, type WaitingRequest } from "./request_queue.ts";
import { RunTable } from "./run_table.ts";
import {
  aborted,
  contentOf,
  forwardOf,
  grantOf,
  involves,
  KEPT,
  type Phase,
  sourceOf,
  type Transaction,
  type TransactionEvent,
  without,
  ZERO,
} from "./transactions.ts";

/** What a directory must know. */
export interface DirectoryOptions {
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one grant carries. */
  readonly runPages: number;
  /** Whether a page that nodes read and write in turn is handed over at the read; off by default. */
  readonly migration?: boolean;
}

/** The memory of the home itself, as far as the directory uses it. */
export interface OwnMemory {
  /** How many pages of others there is room for. */
  readonly room: number;
  /** Makes this node ask for pages of others, to write them. */
  adopt(run: PageRun): void;
}

/** Pages of a node that leaves, and the node that was asked to take them; 0 where none has room. */
interface Adoption {
  readonly page: number;
  readonly taker: NodeId;
}

/** The pieces of a run whose pages are alike, in order. */
function pieces({ first, count }: PageRun, alike: (page: number) => unknown): PageRun[] {
  const runs: PageRun[] = [];
  const end = first + count;
  for (let start = first; start < end;) {
    const like = alike(start);
    let next = start + 1;
    while (next < end && alike(next) === like) next++;
    runs.push({ first: start, count: next - start });
    start = next;
  }
  return runs;
}

/** The pages that this node is the home of. */
export class Directory {
  protected readonly options: DirectoryOptions;
  protected readonly outbox: Outbox;
  protected readonly holders = new HolderTable();
  protected readonly members = new Set<NodeId>();
  protected readonly lost = new Map<number, NodeId>();
  /** For each node that leaves, the page up to which no copy depends on that node. */
  protected readonly leaving = new Map<NodeId, number>();
  protected readonly active = new RunTable<Transaction>();
  protected readonly waiting = new RequestQueue();
  /** How many pages of others each node had room for when it last told, less what it was given since. */
  protected readonly rooms = new Map<NodeId, number>();
  /** For each node that leaves, what another node was asked to take last. */
  protected readonly adoptions = new Map<NodeId, Adoption>();
  /** Whether this node wants to leave: it goes last. */
  protected closing = false;
  readonly #own: OwnMemory;

  /**
   * @param options The region.
   * @param outbox Where messages go.
   * @param own The memory of this node.
   */
  constructor(options: DirectoryOptions, outbox: Outbox, own: OwnMemory) {
    this.options = options;
    this.outbox = outbox;
    this.#own = own;
  }

  /** The nodes that have a copy of a page; for checks and statistics. */
  copies(page: number): { owner: NodeId; nodes: NodeId[] } {
    return { owner: this.holders.owner(page), nodes: this.holders.list(page) };
  }

  /** Whether a transaction on the page is under way. */
  busy(page: number): boolean {
    return this.active.at(page) !== undefined;
  }

  /** A node has joined. */
  peerJoined(node: NodeId): void {
    this.members.add(node);
  }

  /** Takes a request for pages. */
  request(from: NodeId, message: RequestMessage): void {
    const { first } = message;
    if (!this.members.has(from) || this.leaving.has(from)) return;
    if (this.#isOutside(message)) return this.#outside(from, message);
    if (!this.busy(first)) return this.#start({ from, message });
    if (this.waiting.size === REQUESTS_WAITING_MAX) {
      return this.#violation(from, `more than ${REQUESTS_WAITING_MAX} requests wait`);
    }
    this.waiting.add({ from, message });
  }

  /**
   * Takes a `drop`: a node has unmapped its copies. They are forgotten once no transaction is under way
   * on their pages, unless the node has the only ones.
   */
  drop(from: NodeId, message: DropMessage): void {
    if (!this.members.has(from)) return;
    if (this.#isOutside(message)) return this.#outside(from, message);
    const alike = (page: number) => this.busy(page) ? undefined : this.#isAlone(page, from);
    for (const run of pieces(message, alike)) {
      const isAlone = alike(run.first);
      if (isAlone === undefined && this.waiting.asksToDrop(from, run.first)) {
        this.#violation(from, `drop of page ${run.first}, which it has asked to drop before`);
      } else if (isAlone === undefined && this.waiting.size < REQUESTS_WAITING_MAX) {
        this.waiting.add({ from, message: { kind: "drop", ...run } });
      } else if (isAlone === false) this.#forget(from, run);
      else this.outbox.send(from, { kind: "keep", ...run });
    }
  }

  /** Takes an `offload`: a node needs the room of pages that it has the only copies of. */
  offload(from: NodeId, message: OffloadMessage): void {
    if (!this.members.has(from) || this.leaving.has(from)) return;
    if (this.#isOutside(message)) return this.#outside(from, message);
    const isMovable = (page: number) => !this.busy(page) && this.#isAlone(page, from);
    for (const run of pieces(message, isMovable)) {
      if (!isMovable(run.first)) continue;
      for (let { first, count } = run; count > 0;) {
        const taker = this.#taker(from);
        if (taker === undefined) return;
        const taken = this.#place({ first, count }, taker);
        first += taken;
        count -= taken;
      }
    }
  }

  /** A node has told how many pages of others it has room for. */
  room(node: NodeId, pages: number): void {
    if (!this.members.has(node)) return;
    this.rooms.set(node, pages);
    this.#askAgain(node);
    this.#askAgain(0);
    this.advanceLeaving();
  }

  /** Forgets that a node was asked to take over pages. */
  #askAgain(node: NodeId): void {
    for (const [leaver, { taker }] of this.adoptions) {
      if (taker === node) this.adoptions.delete(leaver);
    }
  }

  /** Looks again at nodes that leave, where this node itself has room again for pages of others, or none. */
  lookForRoom(): void {
    const room = Math.min(1, this.#own.room);
    if (room === this.rooms.get(DIRECTORY_NODE)) return;
    this.rooms.set(DIRECTORY_NODE, room);
    if (this.leaving.size > 0) this.room(DIRECTORY_NODE, room);
  }

  /** This node wants to leave, as soon as no other one needs it. */
  close(): void {
    this.closing = true;
    this.advanceLeaving();
  }

  /** Takes a `done`: the requester's grant has taken effect. */
  done(from: NodeId, message: DoneMessage): void {
    const { first, count, request } = message;
    const transaction = this.#find(first, from, request);
    if (transaction?.first !== first || transaction.count !== count) {
      return this.#violation(from, `request ${request} done, which is not under way`);
    }
    if (message.lost && contentOf(transaction.phase) !== Content.Lost) {
      return this.#violation(from, `request ${request} done as lost, which was granted`);
    }
    if (!message.lost) this.#settle(transaction);
    this.#end(transaction);
  }

  /** Ends a transaction whose grant this node has sent as final, so that there is no `done`. */
  granted(grant: GrantMessage, requester: NodeId): void {
    const transaction = this.#find(grant.first, requester, grant.request);
    if (transaction === undefined) return;
    this.#settle(transaction);
    this.#end(transaction);
  }

  /** Takes a `refused`: a node kept its copies, because the requester died before that node gave them up. */
  refused(from: NodeId, message: RefusedMessage): void {
    const transaction = this.#find(message.first, message.requester, message.request);
    if (transaction !== undefined) this.#advance(transaction, { kind: "refused", from });
  }

  /** Takes the loss of a node. */
  peerLost(node: NodeId): void {
    if (!this.members.delete(node)) return;
    this.leaving.delete(node);
    this.rooms.delete(node);
    this.waiting.drop(node);
    for (const transaction of this.active.values()) {
      this.#advance(transaction, { kind: "peerLost", node });
    }
    for (const page of [...this.holders.pages()]) {
      if (!this.busy(page)) this.#repair(page);
    }
    for (const member of this.members) this.outbox.send(member, { kind: "peerLost", node });
    for (const transaction of this.active.values()) this.#abortOnceTold(transaction);
    this.#reconsiderLeaving();
  }

  /** Takes a `peerLostSeen`: the node has sent its last message about transactions with the lost node. */
  peerLostSeen(from: NodeId, node: NodeId): void {
    const event = { kind: "peerLostSeen", from, node } as const;
    for (const transaction of this.active.values()) {
      this.#advance(transaction, event);
      this.#abortOnceTold(transaction);
    }
  }

  /** Forgets the contents of pages: lost ones count as never written, because no program needs them. */
  renew(run: PageRun): void {
    for (const page of this.lost.keys()) if (contains(run, page)) this.lost.delete(page);
  }

  /** Lets a node leave, once this node has taken over the pages that only that node has. */
  leave(node: NodeId): void {
    if (!this.members.has(node)) return;
    this.leaving.set(node, 0);
    this.waiting.drop(node);
    this.#advanceLeaving(node);
  }

  /** Goes on taking over pages of nodes that leave. */
  advanceLeaving(): void {
    for (const node of [...this.leaving.keys()]) {
      if (this.leaving.has(node)) this.#advanceLeaving(node);
    }
  }

  /** The requester has a copy from now on. */
  protected addSharer(page: number, node: NodeId): void {
    this.holders.add(page, node);
  }

  /** The migration record of a page after a node that has a copy asks to write it. */
  protected afterUpgrade(record: number, copies: number, owns: boolean): number {
    return afterUpgrade(record, copies, owns);
  }

  /** The transaction of a request, by the first of its pages. */
  #find(first: number, requester: NodeId, request: number): Transaction | undefined {
    const transaction = this.active.at(first);
    const isMeant = transaction?.requester === requester && transaction.request === request;
    return isMeant ? transaction : undefined;
  }

  #isOutside({ first, count }: PageRun): boolean {
    return count < 1 || first + count > this.options.pageCount;
  }

  #outside(
    from: NodeId,
    { kind, first, count }: RequestMessage | DropMessage | OffloadMessage,
  ): void {
    this.#violation(from, `${kind} of pages ${first}+${count}, outside of the region`);
  }

  #violation(node: NodeId, reason: string): void {
    this.outbox.tell({ kind: "violation", node, reason });
  }

  /** Starts the transaction that a request asks for, or does what else has waited. Its first page is free. */
  #start({ from, message }: WaitingRequest): void {
    if (message.kind === "drop") return this.drop(from, message);
    const { first, request } = message;
    const has = this.holders.has(first, from);
    const reads = message.access === Access.Read && !has;
    const handOver = reads && this.#migrates(first);
    const count = this.#extent(first, message.count, reads);
    this.#learn(from, { ...message, count });
    const lostNode = this.lost.get(first);
    const untouched = lostNode === undefined && this.holders.owner(first) === 0;
    const access = handOver || untouched ? Access.Write : message.access;
    let phase: Phase;
    let invalidated = NO_NODES;
    if (lostNode !== undefined) phase = { kind: "lost", lostNode };
    else if (untouched) phase = ZERO;
    else if (access === Access.Write) {
      const source = has ? 0 : this.#source(first);
      phase = has ? KEPT : { kind: "forwarded", source };
      invalidated = this.holders.list(first).filter((node) => node !== from && node !== source);
    } else if (!has) phase = { kind: "forwarded", source: this.#source(first) };
    else return this.#violation(from, `request to read page ${first}, which it has`);
    const transaction: Transaction = {
      requester: from,
      request,
      access,
      first,
      count,
      invalidated,
      disturbed: false,
      phase,
    };
    this.#tell(transaction);
    for (const node of invalidated) {
      this.outbox.send(node, { kind: "invalidate", first, count, requester: from, request });
    }
    // A transaction that the home grants at once is over; one that its cache grants is ended by `granted`.
    if (phase.kind === "granted" && invalidated.length === 0) this.#settle(transaction);
    else this.active.add(transaction);
  }

  /** Sends the message that the transaction waits on now, to its source or its requester. */
  #tell(transaction: Transaction): void {
    const { phase, requester } = transaction;
    if (phase.kind === "forwarded") this.outbox.send(phase.source, forwardOf(transaction));
    else this.outbox.send(requester, grantOf(transaction));
  }

  /** Ends a transaction: the grant has taken effect, or will before the requester's next message. */
  #settle({ first, count, access, phase, requester }: Transaction): void {
    const wasLost = contentOf(phase) === Content.Lost;
    for (let page = first; page < first + count; page++) {
      // The home took the pages for lost, but the bytes had come in time.
      if (wasLost) this.lost.delete(page);
      if (access === Access.Write) this.holders.set(page, [requester]);
      else this.addSharer(page, requester);
    }
  }

  /** Whether a page has one copy and is handed over, with the right to write, to its reader. */
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
    const end = first + Math.min(limit, this.options.runPages);
    limit = this.active.next(first + 1, end) - first;
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

  /** The node that sends the bytes: this one if it has them, since that saves a hop; otherwise the owner. */
  #source(page: number): NodeId {
    return this.holders.has(page, DIRECTORY_NODE) ? DIRECTORY_NODE : this.holders.owner(page);
  }

  #end(transaction: Transaction): void {
    this.active.delete(transaction);
    // Of the pages that it was to take over it may have asked for some, and been granted fewer.
    this.#askAgain(transaction.requester);
    if (transaction.disturbed) {
      const { first, count } = transaction;
      for (let page = first; page < first + count; page++) this.#repair(page);
    }
    let next: WaitingRequest | undefined;
    while ((next = this.waiting.take(transaction, this.active)) !== undefined) this.#start(next);
    this.advanceLeaving();
  }

  /** Moves a transaction from one phase to the next. */
  #advance(transaction: Transaction, event: TransactionEvent): void {
    if (event.kind === "peerLost") {
      transaction.disturbed = true;
      transaction.invalidated = without(transaction.invalidated, event.node);
    }
    const { phase, requester } = transaction;
    switch (phase.kind) {
      case "granted":
      case "lost":
        if (event.kind === "peerLost" && event.node === requester) this.#beginAbort(transaction);
        return;
      case "forwarded":
        if (event.kind !== "peerLost") return;
        if (event.node === requester) this.#beginAbort(transaction);
        else if (event.node === phase.source) {
          transaction.phase = { kind: "sourceLost", source: phase.source };
        }
        return;
      case "sourceLost":
        if (event.kind === "peerLost" && event.node === requester) this.#beginAbort(transaction);
        else if (
          event.kind === "peerLostSeen" && event.node === phase.source && event.from === requester
        ) this.#findSource(transaction, phase.source);
        return;
      case "aborting":
        transaction.phase = aborted(phase, requester, event);
        return;
      default:
        phase satisfies never;
    }
  }

  /** The requester died: whether other parties gave up their copies for it, they have yet to tell. */
  #beginAbort(transaction: Transaction): void {
    const { phase, requester, invalidated } = transaction;
    const source = sourceOf(phase);
    transaction.phase = {
      kind: "aborting",
      content: contentOf(phase),
      source,
      lostNode: requester,
      awaited: [source, ...invalidated].filter((node) => this.members.has(node)),
      refused: NO_NODES,
    };
  }

  /** Ends a transaction whose requester died, once every party has told what it has. */
  #abortOnceTold(transaction: Transaction): void {
    const { first, count, access, phase } = transaction;
    if (phase.kind !== "aborting" || phase.awaited.length > 0) return;
    // A node that kept its copy kept the requester from writing. A read takes nothing from any node.
    const keepers = phase.refused.filter((node) => this.members.has(node));
    if (access === Access.Write && phase.content !== Content.Lost) {
      keepers.sort((a, b) => Number(b === phase.source) - Number(a === phase.source));
      if (keepers.length === 0) this.#lose(transaction, phase.lostNode);
      else for (let page = first; page < first + count; page++) this.holders.set(page, keepers);
    }
    this.#end(transaction);
  }

  /** Looks for other bytes, now that the requester is known not to have those of a source that died. */
  #findSource(transaction: Transaction, lostNode: NodeId): void {
    // A node that is told to drop its copy for a write keeps the bytes until the write is done.
    const others = transaction.access === Access.Write
      ? transaction.invalidated
      : this.holders.list(transaction.first);
    const source = others.find((node) => this.members.has(node));
    if (source !== undefined) transaction.phase = { kind: "forwarded", source };
    else {
      transaction.phase = { kind: "lost", lostNode };
      this.#lose(transaction, lostNode);
    }
    this.#tell(transaction);
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

  /** Whether a node is the only one that has the page, but for nodes that leave. */
  #isAlone(page: number, node: NodeId): boolean {
    return this.holders.has(page, node) &&
      this.holders.list(page).every((other) => other === node || this.leaving.has(other));
  }

  /** Forgets a node's copies, which others have too, or which are none. */
  #forget(node: NodeId, { first, count }: PageRun): void {
    for (let page = first; page < first + count; page++) {
      if (this.holders.has(page, node)) this.holders.remove(page, node);
    }
    this.outbox.send(node, { kind: "dropped", first, count });
  }

  /** The node with the most room for pages of another; this one if it has as much. */
  #taker(from: NodeId): NodeId | undefined {
    let taker: NodeId | undefined;
    let most = 0;
    for (const node of this.members) {
      const room = this.#roomOf(node);
      if (node === from || this.leaving.has(node) || room <= most) continue;
      taker = node;
      most = room;
    }
    return taker;
  }

  #roomOf(node: NodeId): number {
    return node === DIRECTORY_NODE ? this.#own.room : this.rooms.get(node) ?? 0;
  }

  /** Lets a node take over pages; returns how many of them it has room for. */
  #place({ first, count }: PageRun, taker: NodeId): number {
    const room = this.#roomOf(taker);
    const taken = Math.min(count, room);
    const run = { first, count: taken };
    if (taker === DIRECTORY_NODE) this.#own.adopt(run);
    else {
      this.rooms.set(taker, room - taken);
      this.outbox.send(taker, { kind: "adopt", ...run });
    }
    return taken;
  }

  /** Lets another node take over what only a leaving node has. */
  #evacuate(node: NodeId, run: PageRun): void {
    const asked = this.adoptions.get(node);
    if (asked?.page === run.first) return;
    const taker = this.#taker(node);
    // This node's own requests are answered, or looked at again, without being asked for twice.
    if (taker === DIRECTORY_NODE) this.adoptions.delete(node);
    else this.adoptions.set(node, { page: run.first, taker: taker ?? 0 });
    if (taker !== undefined) this.#place(run, taker);
    else this.outbox.send(node, { kind: "keep", ...run });
  }

  /** Takes over what only a leaving node has, one run after the other, and lets it go at the end. */
  #advanceLeaving(node: NodeId): void {
    if (this.active.values().some((transaction) => involves(transaction, node))) return;
    const allGo = this.closing &&
      this.members.values().every((other) => other === DIRECTORY_NODE || this.leaving.has(other));
    if (allGo) return this.#letGo(node);
    let page = this.holders.next(this.leaving.get(node)!, node);
    while (page !== undefined) {
      this.leaving.set(node, page);
      if (this.busy(page)) return;
      if (this.holders.list(page).length === 1) {
        const count = this.#extent(page, this.options.runPages, false);
        return this.#evacuate(node, { first: page, count });
      }
      page = this.holders.next(page + 1, node);
    }
    this.#letGo(node);
  }

  /** A leaving node has nothing that others have not. Until now its copies counted, in case they die. */
  #letGo(node: NodeId): void {
    this.leaving.delete(node);
    this.adoptions.delete(node);
    this.rooms.delete(node);
    this.members.delete(node);
    for (const page of this.holders.pages()) {
      this.holders.remove(page, node);
      // Only where every node goes has a node anything that others have not.
      if (this.holders.owner(page) === 0) this.lost.set(page, node);
    }
    this.outbox.send(node, { kind: "left" });
    this.outbox.tell({ kind: "nodeLeft", node });
    for (const member of this.members) this.outbox.send(member, { kind: "peerLost", node });
    this.#reconsiderLeaving();
  }

  /** A node is gone: others that want to leave may be the only ones now to have a page. */
  #reconsiderLeaving(): void {
    this.adoptions.clear();
    for (const node of [...this.leaving.keys()]) this.leaving.set(node, 0);
    this.advanceLeaving();
  }
}

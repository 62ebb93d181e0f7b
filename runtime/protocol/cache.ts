/**
 * A node's side of the protocol: what it may do with each page, what it has asked for, and how it
 * gives pages up.
 *
 * A page moves between three states (see {@linkcode PageState}). A miss makes one request to the
 * page's home; the grant comes from whoever has the bytes. A page that was just granted is held for
 * a short time before it is given up, so that the access that asked for it succeeds.
 */

import { type CacheCounters, noCounts } from "./cache_counters.ts";
import { homeOf } from "./home.ts";
import {
  type AcknowledgeMessage,
  Content,
  type ForwardMessage,
  type GrantMessage,
  type InvalidateMessage,
  type NodeId,
} from "./messages.ts";
import type { Outbox } from "./output.ts";
import { Access, contains, overlaps, type PageRun, PageState, permits } from "./page.ts";
import { PageTable } from "./page_table.ts";
import { SequenceDetector } from "./sequence_detector.ts";

/** What a cache must know about its node and region. */
export interface CacheOptions {
  /** This node. */
  readonly self: NodeId;
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one request asks for. */
  readonly runPages: number;
  /** How long a page that was just granted is kept, in microseconds. */
  readonly holdTimeUs: number;
}

/** A request that was sent and is not done. */
interface Pending extends PageRun {
  readonly request: number;
  readonly access: Access;
  grant: GrantMessage | undefined;
  /** Who has acknowledged; may come before the grant that names them. */
  readonly acknowledged: NodeId[];
  /** The accesses here that wait for it, at most one a page. */
  readonly waiting: { readonly page: number; access: Access }[];
}

/** A demand for pages that are held. */
interface Deferred {
  readonly message: ForwardMessage | InvalidateMessage;
  readonly until: number;
}

interface Hold extends PageRun {
  readonly until: number;
}

/** The pages of one node. */
export class PageCache {
  readonly counters: CacheCounters = noCounts();
  protected readonly options: CacheOptions;
  protected readonly outbox: Outbox;
  protected readonly states = new PageTable();
  protected readonly sequences: SequenceDetector;
  protected readonly gone = new Set<NodeId>();
  protected readonly lost = new Map<number, NodeId>();
  protected pending: Pending[] = [];
  protected deferred: Deferred[] = [];
  protected holds: Hold[] = [];
  protected nextRequest = 1;
  protected leaving = false;

  /**
   * @param options The node and its region.
   * @param outbox Where operations, messages and events go.
   */
  constructor(options: CacheOptions, outbox: Outbox) {
    this.options = options;
    this.outbox = outbox;
    this.sequences = new SequenceDetector(options.runPages);
  }

  /** What this node may do with a page. */
  state(page: number): PageState {
    return this.states.get(page) as PageState;
  }

  /** Every page that this node has a copy of. */
  *pages(): IterableIterator<[page: number, state: PageState]> {
    for (const [page, state] of this.states.entries()) yield [page, state as PageState];
  }

  /** How many pages this node has copies of, to read and to write. */
  get copies(): { readonly pagesShared: number; readonly pagesExclusive: number } {
    return {
      pagesShared: this.states.count(PageState.Shared),
      pagesExclusive: this.states.count(PageState.Exclusive),
    };
  }

  /** Whether a thread of this node waits for a page. */
  get isAwaited(): boolean {
    return this.pending.some(({ waiting }) => waiting.length > 0);
  }

  /** When {@linkcode tick} has something to do, in microseconds; `Infinity` for never. */
  get deadline(): number {
    let deadline = Infinity;
    for (const { until } of this.deferred) deadline = Math.min(deadline, until);
    return deadline;
  }

  /** A thread of this node faulted. The news may be old, and may come twice. */
  fault(page: number, access: Access): void {
    this.counters.faults++;
    this.#want(page, access);
  }

  /** Asks for pages before anybody faults on them. Pages that are here or on their way are left out. */
  fetch(first: number, count: number, access: Access): void {
    if (this.leaving) return;
    for (let page = first; page < first + count;) {
      const idle = !permits(this.state(page), access) && this.#pendingAt(page) === undefined;
      const extent = idle ? this.#extent(page, first + count - page) : 1;
      if (idle) this.#request(page, extent, access);
      page += extent;
    }
  }

  /**
   * Whether the bytes that follow a grant may be put into the alias: it answers a request of this
   * node, and no window maps any of its pages.
   */
  acceptsData(from: NodeId, grant: GrantMessage): boolean {
    const pending = this.pending.find(({ request }) => request === grant.request);
    return pending !== undefined && pending.grant === undefined && !this.gone.has(from) &&
      this.#mismatch(pending, grant) === undefined;
  }

  /** The pages, or the right to write them. */
  grant(from: NodeId, message: GrantMessage, now: number): void {
    const pending = this.pending.find(({ request }) => request === message.request);
    // A second grant for one request comes after its first source died; the first one counts.
    if (pending === undefined || pending.grant !== undefined) return;
    // The home has been told that nothing of what this node said will be used.
    if (this.gone.has(from)) return;
    const mismatch = this.#mismatch(pending, message);
    if (mismatch !== undefined) {
      this.outbox.tell({ kind: "violation", node: from, reason: mismatch });
      return;
    }
    pending.grant = message;
    this.#settle(pending, now);
  }

  /** A sharer has dropped its copies for a request of this node. */
  acknowledge(from: NodeId, message: AcknowledgeMessage, now: number): void {
    const pending = this.pending.find(({ request }) => request === message.request);
    if (pending === undefined) return;
    pending.acknowledged.push(from);
    this.#settle(pending, now);
  }

  /** The home demands pages for somebody else. */
  demand(message: ForwardMessage | InvalidateMessage, now: number): void {
    let until = 0;
    for (const hold of this.holds) if (overlaps(hold, message)) until = Math.max(until, hold.until);
    // Demands on one page are met in the order in which its home made them.
    const earlier = this.deferred.filter((other) => overlaps(other.message, message));
    for (const other of earlier) until = Math.max(until, other.until);
    if (until > now || earlier.length > 0) this.deferred.push({ message, until });
    else this.surrender(message);
  }

  /** Time has passed: holds end. */
  tick(now: number): void {
    this.#endHolds(now);
    if (this.deferred.length === 0) return;
    const due = this.deferred.filter(({ until }) => until <= now);
    if (due.length === 0) return;
    this.deferred = this.deferred.filter(({ until }) => until > now);
    for (const { message } of due) this.surrender(message);
  }

  /** The home tells that a node is gone. */
  peerLost(node: NodeId, now: number): void {
    this.gone.add(node);
    const dropped = this.deferred.filter(({ message }) => message.requester === node);
    this.deferred = this.deferred.filter(({ message }) => message.requester !== node);
    for (const { message: { first, count, requester, request } } of dropped) {
      this.outbox.send(homeOf(first), { kind: "refused", first, count, requester, request });
    }
    for (const pending of [...this.pending]) this.#settle(pending, now);
  }

  /** Stops asking and holding: what only this node has will be fetched by its home. */
  leave(): void {
    this.leaving = true;
    this.holds = [];
    const { deferred } = this;
    this.deferred = [];
    for (const { message } of deferred) this.surrender(message);
  }

  /** Gives up pages, or the right to write them, as the home demands. */
  protected surrender(message: ForwardMessage | InvalidateMessage): void {
    const { first, count, request, requester } = message;
    if (message.kind === "invalidate") {
      this.drop(first, count);
      this.counters.pagesInvalidated += count;
      this.outbox.send(requester, { kind: "acknowledge", first, count, request });
      return;
    }
    // What was dropped for this very request has not changed since: its bytes can still be sent.
    // But if any is here again, then the requester had the bytes after all, and is done.
    const dropped = message.invalidated.includes(this.options.self);
    for (let page = first; page < first + count; page++) {
      if ((this.state(page) === PageState.Invalid) === dropped) continue;
      if (dropped) return;
      const reason = `forward of page ${page}, which is not here`;
      this.outbox.tell({ kind: "violation", node: homeOf(first), reason });
      return;
    }
    if (message.access === Access.Write) this.drop(first, count);
    else this.downgrade(first, count);
    this.counters.pagesSent += count;
    this.outbox.send(requester, {
      kind: "grant",
      access: message.access,
      content: Content.Data,
      first,
      count,
      request,
      invalidated: message.invalidated,
      lostNode: 0,
    });
  }

  /** Gives up copies. */
  protected drop(first: number, count: number): void {
    this.outbox.operate({ kind: "evict", first, count });
    this.states.fill(first, count, PageState.Invalid);
  }

  /** Gives up the right to write. */
  protected downgrade(first: number, count: number): void {
    this.outbox.operate({ kind: "protect", first, count });
    this.states.fill(first, count, PageState.Shared);
  }

  /** Makes sure that an access will succeed some time. */
  #want(page: number, access: Access): void {
    const state = this.state(page);
    if (permits(state, access)) {
      // Old news, or a window where the page was never mapped: either way, mapping it is the answer.
      this.counters.staleFaults++;
      const writable = state === PageState.Exclusive;
      this.outbox.operate({ kind: "install", first: page, count: 1, writable });
      return;
    }
    const lostNode = this.lost.get(page);
    if (lostNode !== undefined) {
      this.outbox.tell({ kind: "pageLost", page, node: lostNode });
      return;
    }
    let pending = this.#pendingAt(page);
    if (pending === undefined) {
      if (this.leaving) return;
      pending = this.#request(page, this.#extent(page, this.sequences.miss(page)), access);
    }
    const waiting = pending.waiting.find((entry) => entry.page === page);
    if (waiting === undefined) pending.waiting.push({ page, access });
    else if (access === Access.Write) waiting.access = access;
  }

  #pendingAt(page: number): Pending | undefined {
    return this.pending.find((pending) => contains(pending, page));
  }

  /** How many of `limit` pages from `first` on can be asked for in one request. */
  #extent(first: number, limit: number): number {
    const { pageCount, runPages } = this.options;
    limit = Math.min(limit, runPages, pageCount - first);
    for (const pending of this.pending) {
      if (pending.first > first) limit = Math.min(limit, pending.first - first);
    }
    const state = this.state(first);
    const home = homeOf(first);
    let count = 1;
    while (
      count < limit && this.state(first + count) === state && homeOf(first + count) === home &&
      !this.lost.has(first + count)
    ) count++;
    return count;
  }

  #request(first: number, count: number, access: Access): Pending {
    if (access === Access.Read) this.counters.readMisses++;
    else if (this.state(first) === PageState.Shared) this.counters.upgrades++;
    else this.counters.writeMisses++;
    const request = this.nextRequest;
    this.nextRequest = request === 0xffff_ffff ? 1 : request + 1;
    const pending: Pending = {
      request,
      access,
      first,
      count,
      grant: undefined,
      acknowledged: [],
      waiting: [],
    };
    this.pending.push(pending);
    this.outbox.send(homeOf(first), { kind: "request", access, first, count, request });
    return pending;
  }

  /** Why a grant cannot answer a request, or `undefined` when it can. */
  #mismatch(pending: Pending, grant: GrantMessage): string | undefined {
    if (grant.first !== pending.first || grant.count > pending.count || grant.count < 1) {
      return `grant of pages ${grant.first}+${grant.count}, ` +
        `asked for were ${pending.first}+${pending.count}`;
    }
    if (grant.content === Content.Lost) return undefined;
    if (grant.access < pending.access) return "grant of less than was asked for";
    const kept = grant.content === Content.Kept;
    for (let page = grant.first; page < grant.first + grant.count; page++) {
      if ((this.state(page) !== PageState.Invalid) !== kept) {
        return kept ? `no bytes for page ${page}` : `bytes for page ${page}, which is here`;
      }
    }
    return undefined;
  }

  /** Lets a grant take effect once everybody who has to has acknowledged. */
  #settle(pending: Pending, now: number): void {
    const { grant } = pending;
    if (grant === undefined) return;
    if (!this.acknowledged(pending.acknowledged, grant)) return;
    this.pending = this.pending.filter((other) => other !== pending);
    const { first, count, request } = grant;
    const lost = grant.content === Content.Lost;
    if (lost) this.#lose(pending, grant);
    else this.#take(grant, now);
    this.outbox.send(homeOf(first), { kind: "done", first, count, request, lost });
    this.sequences.granted(first, pending.count, count);
    // What was asked for and not granted, or was granted for reading and is to be written, is wanted still.
    for (const { page, access } of pending.waiting) {
      const served = contains(grant, page) && (lost || permits(this.state(page), access));
      if (!served) this.#want(page, access);
    }
  }

  /** Whether nobody's copy is left that the grant says must go first. */
  protected acknowledged(acknowledged: readonly NodeId[], grant: GrantMessage): boolean {
    return grant.invalidated.every((node) => acknowledged.includes(node) || this.gone.has(node));
  }

  #take(grant: GrantMessage, now: number): void {
    const { first, count, content } = grant;
    const writable = grant.access === Access.Write;
    switch (content) {
      case Content.Data:
        this.counters.pagesReceived += count;
        this.outbox.operate({ kind: "install", first, count, writable });
        break;
      case Content.Zero:
        this.counters.pagesZero += count;
        this.outbox.operate({ kind: "installZero", first, count });
        break;
      case Content.Kept:
        this.outbox.operate({ kind: "unprotect", first, count });
    }
    this.states.fill(first, count, writable ? PageState.Exclusive : PageState.Shared);
    const { holdTimeUs } = this.options;
    if (holdTimeUs === 0 || this.leaving) return;
    this.#endHolds(now);
    this.holds.push({ first, count, until: now + holdTimeUs });
  }

  /** Forgets what is not held any more. The earliest hold comes first. */
  #endHolds(now: number): void {
    const first = this.holds[0];
    if (first === undefined || first.until > now) return;
    this.holds = this.holds.filter(({ until }) => until > now);
  }

  #lose(pending: Pending, grant: GrantMessage): void {
    const { first, count, lostNode } = grant;
    for (let page = first; page < first + count; page++) this.lost.set(page, lostNode);
    for (const { page } of pending.waiting) {
      if (contains(grant, page)) this.outbox.tell({ kind: "pageLost", page, node: lostNode });
    }
  }
}

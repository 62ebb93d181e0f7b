/**
 * A node's side of the protocol: its rights to each page, its requests, and how it gives pages up.
 *
 * A page moves between three states (see {@linkcode PageState}). A miss makes one request to the
 * page's home; the grant comes from the node that has the bytes. A page that was granted while a thread
 * waited for it is held for a while before it is given up, so that the thread can finish its access.
 */

import { TICKET_MAX } from "../../limits.ts";
import { type Demand, DemandQueue } from "./demand_queue.ts";
import {
  type AcknowledgeMessage,
  Content,
  DIRECTORY_NODE,
  type GrantMessage,
  homeOf,
  isFinal,
  type NodeId,
} from "./messages.ts";
import type { Outbox } from "./output.ts";
import { Access, contains, type PageRun, PageState, permits } from "./page.ts";
import { PageTable } from "./page_table.ts";
import { RunTable } from "./run_table.ts";
import { SequenceDetector } from "./sequence_detector.ts";

/** What a cache has counted since it was made. */
export interface CacheCounters {
  /** Faults that were reported, including old ones. */
  faults: number;
  /** Faults on pages that this node had already. */
  staleFaults: number;
  /** Requests to read. */
  readMisses: number;
  /** Requests to write pages that this node had no copy of. */
  writeMisses: number;
  /** Requests to write pages that this node had a read-only copy of. */
  upgrades: number;
  /** Pages requested ahead of a walk; their requests are not counted above. */
  pagesAhead: number;
  /** Pages whose bytes came from another node. */
  pagesReceived: number;
  /** Pages that came without bytes, since no node ever wrote them. */
  pagesZero: number;
  /** Pages whose bytes went to another node. */
  pagesSent: number;
  /** Pages dropped for another node's write. */
  pagesInvalidated: number;
}

/** @returns Counters that are all zero. */
function noCounts(): CacheCounters {
  return {
    faults: 0,
    staleFaults: 0,
    readMisses: 0,
    writeMisses: 0,
    upgrades: 0,
    pagesAhead: 0,
    pagesReceived: 0,
    pagesZero: 0,
    pagesSent: 0,
    pagesInvalidated: 0,
  };
}

/** A request that was sent and is not finished. */
interface Pending extends PageRun {
  readonly request: number;
  readonly access: Access;
  /** Whether the request was made ahead of a walk. */
  readonly ahead: boolean;
  grant: GrantMessage | undefined;
  /** The node that sent the grant; 0 before there is one. */
  granter: NodeId;
  /** The nodes that have acknowledged. Acknowledgements may come before the grant that names the nodes. */
  readonly acknowledged: NodeId[];
  /** The accesses of this node that wait for the request, at most one a page. */
  readonly waiting: { readonly page: number; access: Access }[];
}

/**
 * Checks a grant.
 *
 * @param pending The request that the grant names.
 * @param grant The grant.
 * @param states The {@linkcode PageState} of every page.
 * @returns Why the grant cannot answer the request, or `undefined` when it can.
 */
function mismatchOf(
  pending: Pending,
  grant: GrantMessage,
  states: PageTable,
): string | undefined {
  if (grant.first !== pending.first || grant.count > pending.count || grant.count < 1) {
    return `grant of pages ${grant.first}+${grant.count}, ` +
      `asked for were ${pending.first}+${pending.count}`;
  }
  if (grant.content === Content.Lost) return undefined;
  if (grant.access < pending.access) return "grant of less than was asked for";
  const kept = grant.content === Content.Kept;
  for (let page = grant.first; page < grant.first + grant.count; page++) {
    if ((states.get(page) !== PageState.Invalid) !== kept) {
      return kept ? `no bytes for page ${page}` : `bytes for page ${page}, which is here`;
    }
  }
  return undefined;
}

/** The requests under way, in the order in which they were made; found by page, and by number. */
class PendingTable extends RunTable<Pending> {
  readonly #requests = new Map<number, Pending>();
  /** How many of them a thread waits for. */
  awaited = 0;

  find(request: number): Pending | undefined {
    return this.#requests.get(request);
  }

  override add(pending: Pending): void {
    super.add(pending);
    this.#requests.set(pending.request, pending);
    if (pending.waiting.length > 0) this.awaited++;
  }

  override delete(pending: Pending): void {
    super.delete(pending);
    this.#requests.delete(pending.request);
    if (pending.waiting.length > 0) this.awaited--;
  }

  /** A thread waits for an access to a page that is requested. */
  addWaiting(pending: Pending, page: number, access: Access): void {
    const { waiting } = pending;
    if (waiting.length === 0) this.awaited++;
    const entry = waiting.find((other) => other.page === page);
    if (entry === undefined) waiting.push({ page, access });
    else if (access === Access.Write) entry.access = access;
  }
}

/** What a cache must know about its node and region. */
export interface CacheOptions {
  /** This node. */
  readonly self: NodeId;
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one request asks for. */
  readonly runPages: number;
  /**
   * The longest that a page which a thread waited for is kept before the thread has run, in
   * microseconds.
   */
  readonly holdTimeUs: number;
  /** Whether the next run of a walk is requested before the walk reaches it; off by default. */
  readonly readAhead?: boolean;
  /** The shortest run behind which the next run is requested ahead, in pages; 8 by default. */
  readonly readAheadMinPages?: number;
}

/** A walk with shorter runs may end soon, so nothing is requested ahead of it. */
const READ_AHEAD_MIN_PAGES = 8;

/** The pages of one node. */
export class PageCache {
  readonly counters: CacheCounters = noCounts();
  protected readonly options: CacheOptions;
  protected readonly outbox: Outbox;
  protected readonly states = new PageTable();
  protected readonly sequences: SequenceDetector;
  protected readonly gone = new Set<NodeId>();
  protected readonly lost = new Map<number, NodeId>();
  protected readonly pending = new PendingTable();
  protected readonly demands: DemandQueue = new DemandQueue((demand) => this.surrender(demand));
  protected nextRequest = 1;
  protected leaving = false;

  readonly #granted: (grant: GrantMessage, requester: NodeId) => void;

  /**
   * @param options The node and its region.
   * @param outbox Where operations, messages and events go.
   * @param granted Tells the home, if this node is the home, that a grant of this node is final.
   */
  constructor(
    options: CacheOptions,
    outbox: Outbox,
    granted: (grant: GrantMessage, requester: NodeId) => void = () => {},
  ) {
    this.options = options;
    this.outbox = outbox;
    this.#granted = granted;
    const { runPages, readAhead, readAheadMinPages = READ_AHEAD_MIN_PAGES } = options;
    this.sequences = new SequenceDetector(runPages, readAhead ? readAheadMinPages : undefined);
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
    return this.pending.awaited > 0;
  }

  /** When to call {@linkcode tick} next, in microseconds; `Infinity` for never. */
  get deadline(): number {
    return this.demands.deadline;
  }

  /** The held pages that are demanded; {@linkcode resumed} ends the hold of each. */
  get awaitedPages(): readonly number[] {
    return this.demands.awaitedPages;
  }

  /** Takes a fault of a thread of this node. The fault may be old, and may be reported twice. */
  fault(page: number, access: Access): void {
    this.counters.faults++;
    this.#want(page, access);
  }

  /** Requests pages before a thread faults on them, except those that are here or requested already. */
  fetch(first: number, count: number, access: Access): void {
    if (this.leaving) return;
    for (let page = first; page < first + count;) {
      const missing = this.#isMissing(page, access);
      const extent = missing ? this.#extent(page, first + count - page) : 1;
      if (missing) this.#request(page, extent, access);
      page += extent;
    }
  }

  /**
   * Whether the bytes that follow a grant may be put into the alias: it answers a request of this
   * node, and no window maps any of its pages.
   */
  acceptsData(from: NodeId, grant: GrantMessage): boolean {
    const pending = this.pending.find(grant.request);
    return pending !== undefined && pending.grant === undefined && !this.gone.has(from) &&
      mismatchOf(pending, grant, this.states) === undefined;
  }

  /** Takes a grant: of pages, or of the right to write them. */
  grant(from: NodeId, message: GrantMessage, now: number): void {
    const pending = this.pending.find(message.request);
    // A second grant for one request comes only if the first source died; the first grant counts.
    if (pending === undefined || pending.grant !== undefined) return;
    // This node has told the home, by `peerLostSeen`, that it depends on the lost node no longer.
    if (this.gone.has(from)) return;
    const mismatch = mismatchOf(pending, message, this.states);
    if (mismatch !== undefined) {
      this.outbox.tell({ kind: "violation", node: from, reason: mismatch });
      return;
    }
    pending.grant = message;
    pending.granter = from;
    this.#settle(pending, now);
  }

  /** Takes an acknowledgement: a sharer has dropped its copies for a request of this node. */
  acknowledge(from: NodeId, message: AcknowledgeMessage, now: number): void {
    const pending = this.pending.find(message.request);
    if (pending === undefined || pending.acknowledged.includes(from)) return;
    pending.acknowledged.push(from);
    this.#settle(pending, now);
  }

  /** Takes a demand of the home for pages that another node requests. */
  demand(demand: Demand, now: number): void {
    this.demands.add(demand, now);
  }

  /** Ends the hold of a page: every thread of this node that waited for it has run since. */
  resumed(page: number, now: number): void {
    this.demands.release(page, now);
  }

  /** Ends the holds whose time is up. */
  tick(now: number): void {
    this.demands.meetDue(now);
  }

  /** Takes the home's news that a node is gone. */
  peerLost(node: NodeId, now: number): void {
    this.gone.add(node);
    for (const { first, count, requester, request } of this.demands.drop(node)) {
      this.outbox.send(homeOf(first), { kind: "refused", first, count, requester, request });
    }
    this.demands.meetDue(now);
    for (const pending of this.pending.values()) this.#settle(pending, now);
  }

  /**
   * Leaves: makes no more requests and ends all holds. Tells the home once every request is answered, so
   * that no bytes are on their way to this node. The home then fetches the pages that only this node has.
   */
  leave(): void {
    this.leaving = true;
    this.demands.releaseAll();
    this.#leaveWhenAnswered();
  }

  #leaveWhenAnswered(): void {
    if (this.leaving && this.pending.size === 0) {
      this.outbox.send(DIRECTORY_NODE, { kind: "leave" });
    }
  }

  /** Meets a demand of the home: gives up pages, or the right to write them. */
  protected surrender(message: Demand): void {
    const { first, count, request, requester } = message;
    if (message.kind === "invalidate") {
      this.drop(first, count);
      this.counters.pagesInvalidated += count;
      this.outbox.send(requester, { kind: "acknowledge", first, count, request });
      return;
    }
    // The copies that this node dropped for this very request have not changed since, so their bytes can
    // still be sent. But if this node has one of the pages again, the requester got the bytes after all.
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
    const grant: GrantMessage = {
      kind: "grant",
      access: message.access,
      content: Content.Data,
      first,
      count,
      request,
      invalidated: message.invalidated,
      lostNode: 0,
    };
    this.outbox.send(requester, grant);
    if (homeOf(first) === this.options.self && isFinal(grant)) this.#granted(grant, requester);
  }

  /** Gives up copies. */
  protected drop(first: number, count: number): void {
    this.outbox.operate({ kind: "evict", first, count });
    this.states.fill(first, count, PageState.Invalid);
    this.sequences.taken(first, count);
  }

  /** Gives up the right to write. */
  protected downgrade(first: number, count: number): void {
    let writable = false;
    for (let page = first; page < first + count; page++) {
      writable ||= this.state(page) === PageState.Exclusive;
    }
    if (writable) this.outbox.operate({ kind: "protect", first, count });
    this.states.fill(first, count, PageState.Shared);
  }

  /** Lets a faulting access succeed: at once, or by a request. */
  #want(page: number, access: Access): void {
    const state = this.state(page);
    if (permits(state, access)) {
      // The fault is old, or happened in a window where the page was never mapped. Mapping the page is right
      // in both cases.
      this.counters.staleFaults++;
      const writable = state === PageState.Exclusive;
      this.outbox.operate({ kind: "install", first: page, count: 1, writable });
      if (this.sequences.enters(page)) this.#readAhead(access);
      return;
    }
    const lostNode = this.lost.get(page);
    if (lostNode !== undefined) {
      this.outbox.tell({ kind: "pageLost", page, node: lostNode });
      return;
    }
    let pending = this.pending.at(page);
    if (pending === undefined) {
      if (this.leaving) return;
      pending = this.#request(page, this.#extent(page, this.sequences.miss(page)), access);
      this.sequences.asked(page, pending.count);
      this.#readAhead(access);
    } else if (this.sequences.enters(page)) this.#readAhead(access);
    this.pending.addWaiting(pending, page, access);
  }

  /** Requests the next run of the walk that moved last. */
  #readAhead(access: Access): void {
    const run = this.sequences.ahead();
    if (run === undefined || this.leaving) return;
    const { first } = run;
    if (first >= this.options.pageCount || !this.#isMissing(first, access)) return;
    if (this.lost.has(first)) return;
    const { count } = this.#request(first, this.#extent(first, run.count), access, true);
    this.sequences.asked(first, count);
  }

  /** Whether a page has to be requested for an access: it is neither here nor requested already. */
  #isMissing(page: number, access: Access): boolean {
    return !permits(this.state(page), access) && this.pending.at(page) === undefined;
  }

  /** How many of `limit` pages from `first` on one request can ask for. */
  #extent(first: number, limit: number): number {
    const { pageCount, runPages } = this.options;
    const end = first + Math.min(limit, runPages, pageCount - first);
    limit = this.pending.next(first + 1, end) - first;
    const state = this.state(first);
    const home = homeOf(first);
    let count = 1;
    while (
      count < limit && this.state(first + count) === state && homeOf(first + count) === home &&
      !this.lost.has(first + count)
    ) count++;
    return count;
  }

  #request(first: number, count: number, access: Access, ahead = false): Pending {
    if (ahead) this.counters.pagesAhead += count;
    else if (access === Access.Read) this.counters.readMisses++;
    else if (this.state(first) === PageState.Shared) this.counters.upgrades++;
    else this.counters.writeMisses++;
    const request = this.nextRequest;
    this.nextRequest = request === TICKET_MAX ? 1 : request + 1;
    const pending: Pending = {
      request,
      access,
      first,
      count,
      ahead,
      grant: undefined,
      granter: 0,
      acknowledged: [],
      waiting: [],
    };
    this.pending.add(pending);
    this.outbox.send(homeOf(first), { kind: "request", access, first, count, request });
    return pending;
  }

  /** Lets a grant take effect, once every node that it names has acknowledged. */
  #settle(pending: Pending, now: number): void {
    const { grant } = pending;
    if (grant === undefined) return;
    if (!this.acknowledged(pending.acknowledged, grant)) return;
    this.pending.delete(pending);
    const { first, count, request } = grant;
    const lost = grant.content === Content.Lost;
    if (lost) this.#lose(pending, grant);
    else this.#take(pending, grant, now);
    const home = homeOf(first);
    if (pending.granter !== home || !isFinal(grant)) {
      this.outbox.send(home, { kind: "done", first, count, request, lost });
    }
    this.sequences.granted(first, pending.count, count);
    // Accesses outside of the granted run, and writes to pages that were granted for reading, still wait
    // and need a request of their own.
    for (const { page, access } of pending.waiting) {
      const served = contains(grant, page) && (lost || permits(this.state(page), access));
      if (!served) this.#want(page, access);
    }
    this.#leaveWhenAnswered();
  }

  /** Whether every node that the grant names has dropped its copy. */
  protected acknowledged(acknowledged: readonly NodeId[], grant: GrantMessage): boolean {
    return grant.invalidated.every((node) => acknowledged.includes(node) || this.gone.has(node));
  }

  #take(pending: Pending, grant: GrantMessage, now: number): void {
    const { first, count, content } = grant;
    const writable = grant.access === Access.Write;
    // The first page that was requested ahead stays unmapped: the fault on it shows that the walk goes on.
    const trap = pending.ahead && !pending.waiting.some(({ page }) => page === first);
    const rest = trap ? { first: first + 1, count: count - 1 } : { first, count };
    switch (content) {
      case Content.Data:
        this.counters.pagesReceived += count;
        if (rest.count > 0) this.outbox.operate({ kind: "install", ...rest, writable });
        break;
      case Content.Zero:
        this.counters.pagesZero += count;
        this.outbox.operate({ kind: "installZero", first, count });
        // The page's bytes had to become zeros as well.
        if (trap) this.outbox.operate({ kind: "evict", first, count: 1 });
        break;
      case Content.Kept:
        if (rest.count > 0) this.outbox.operate({ kind: "unprotect", ...rest });
        break;
      default:
        // Pages that are lost are not taken.
        content satisfies typeof Content.Lost;
    }
    this.states.fill(first, count, writable ? PageState.Exclusive : PageState.Shared);
    this.#hold(pending, grant, now);
  }

  /** Holds the pages that a thread waits for until the thread has run. */
  #hold({ waiting }: Pending, grant: GrantMessage, now: number): void {
    const { holdTimeUs } = this.options;
    if (holdTimeUs === 0 || this.leaving) return;
    for (const { page, access } of waiting) {
      const served = contains(grant, page) && permits(this.state(page), access);
      if (served) this.demands.hold(page, now, now + holdTimeUs);
    }
  }

  #lose(pending: Pending, grant: GrantMessage): void {
    const { lostNode } = grant;
    for (const { page } of pending.waiting) {
      if (!contains(grant, page)) continue;
      // Pages that no thread waits for are forgotten, so that they may be allocated anew.
      this.lost.set(page, lostNode);
      this.outbox.tell({ kind: "pageLost", page, node: lostNode });
    }
  }
}

/**
 * The memory of one node, under its limit: what counts, what is given back, and in which order.
 *
 * Dead bytes go first, then copies that other nodes have too, then the only copies, which another
 * node must take. Which copies: a hand goes round the pages and unmaps them; a thread that touches
 * one faults, is served here, and has shown that the page is used. A second hand, some way behind,
 * takes what was not touched since.
 */

import { DISCARD_STEP_PAGES, MEMORY_ASK_AGAIN_MS, RELIEF_RUNS_MAX } from "../../limits.ts";
import { ChunkHomes } from "./chunk_homes.ts";
import type { Outbox } from "./output.ts";
import { contains, overlaps, type PageRun, PageState } from "./page.ts";
import { PageTable } from "./page_table.ts";
import { Residence } from "./residence.ts";
import type { RunTable } from "./run_table.ts";

const { Expected, Replaced, Used, Idle, UsedAlone, IdleAlone, Spent, Dead, Dropping, Forgone } =
  Residence;

/** The runs that are kept free are a half of those that are made free at one time. */
const RESERVE_RUNS = 2;
/** Of a small memory no more than this share is kept free. */
const RESERVE_SHARE = 1 / 8;
/** How far the hand that unmaps is ahead of the one that takes, as a share of the memory. */
const LEAD_SHARE = 1 / 16;
const MS_US = 1000;

/** A sort of copies, of which each has a hand that unmaps and one that takes. */
interface Copies {
  readonly name: "shared" | "alone";
  readonly used: Residence;
  readonly idle: Residence;
}

const SHARED: Copies = { name: "shared", used: Used, idle: Idle };
const ALONE: Copies = { name: "alone", used: UsedAlone, idle: IdleAlone };

/** What a memory must know about its node. */
export interface MemoryOptions {
  /** The most pages that one message is about. */
  readonly runPages: number;
  /** The most pages of which this node keeps bytes; no limit by default. */
  readonly memoryPages?: number;
  /** How many of them are kept free for faults; by default an eighth, and two runs at most. */
  readonly reservePages?: number;
  /** Which node is the home of which pages; the directory node is that of all by default. */
  readonly homes?: ChunkHomes;
}

/** What a memory has counted since it was made. */
export interface MemoryCounters {
  /** Copies that this node gave back though it was not asked to, since others had them too. */
  pagesDropped: number;
  /** Only copies that another node took so that this one had room. */
  pagesOffloaded: number;
  /** Pages whose dead bytes were given back. */
  pagesDiscarded: number;
}

/** How many more pages a node has memory for. */
export interface Room {
  /** All of them; `Infinity` without a limit. */
  readonly pages: number;
  /** Those of them that the node does not keep free for threads of its own. */
  readonly spare: number;
}

/** No room. */
export const NO_ROOM: Room = { pages: 0, spare: 0 };

/** Only copies that the home was asked to find a place for. */
interface Offload extends PageRun {
  /** For the room of how many of them threads waited then. */
  readonly awaited: number;
}

/** Whether there is a copy that threads may read. */
function isCopy(value: Residence): boolean {
  return value === Used || value === Idle || value === UsedAlone || value === IdleAlone;
}

// What becomes of a page's bytes. Functions that were made anew for each run would be garbage of
// every miss.

function onceRequested(value: Residence): Residence {
  if (value === Residence.None) return Expected;
  return value === Spent || value === Dead ? Replaced : value;
}

function onceShared(value: Residence): Residence {
  if (value === UsedAlone) return Used;
  return value === IdleAlone ? Idle : value;
}

function onceDropped(left: Residence): (value: Residence) => Residence {
  return (value) => {
    if (value === Dropping) return Forgone;
    return isCopy(value) ? left : value;
  };
}

const onceSpent = onceDropped(Spent);
const onceDead = onceDropped(Dead);
const onceReplaced = onceDropped(Replaced);

/** The bytes that one node keeps. */
export class PageMemory {
  readonly residence = new PageTable<Residence>();
  /** The most pages that may count. */
  readonly limit: number;
  /** How many pages are kept free, so that faults need not wait. */
  readonly reserve: number;
  /** The only copies that the home was asked to find a place for, since it was last asked anew. */
  offloads: Offload[] = [];
  /** When the home may be asked anew, in microseconds. */
  askAgainAt = 0;
  /** Where each hand is. */
  hands = { shared: { unmap: 0, take: 0 }, alone: { unmap: 0, take: 0 } };
  /** Whether the home found another place for what it was last asked to. */
  #moves = false;
  readonly #options: MemoryOptions;
  readonly #homes: ChunkHomes;
  readonly #outbox: Outbox;
  readonly #states: PageTable<PageState>;
  readonly #counters: MemoryCounters;

  /**
   * @param options The node and its limit.
   * @param outbox Where operations and messages go.
   * @param states What this node may do with each page.
   * @param counters Where to count.
   */
  constructor(
    options: MemoryOptions,
    outbox: Outbox,
    states: PageTable<PageState>,
    counters: MemoryCounters,
  ) {
    const { memoryPages = Infinity, runPages, homes = new ChunkHomes() } = options;
    this.#options = options;
    this.#homes = homes;
    this.#outbox = outbox;
    this.#states = states;
    this.#counters = counters;
    this.limit = memoryPages;
    const reserve = Math.min(RESERVE_RUNS * runPages, Math.floor(memoryPages * RESERVE_SHARE));
    this.reserve = memoryPages === Infinity ? 0 : options.reservePages ?? reserve;
  }

  /** The pages that count: copies, dead ones, and those that are to come. */
  get held(): number {
    return this.residence.size;
  }

  /** How many more pages may count. */
  get free(): number {
    return this.limit === Infinity ? Infinity : this.limit - this.residence.size;
  }

  /** The pages of which only dead bytes are here. */
  get dead(): number {
    return this.residence.count(Spent, Dead, Forgone);
  }

  /** The pages that could come here if all was given back that others have too, or nobody needs. */
  get room(): number {
    if (this.limit === Infinity) return Infinity;
    return this.limit - this.residence.count(UsedAlone, IdleAlone, Expected, Replaced);
  }

  /** How many pages the hand that unmaps is ahead of the one that takes. */
  get #lead(): number {
    return Math.floor(this.limit * LEAD_SHARE);
  }

  /** Whether the home has a question of this node about the page that it has not answered. */
  isAsked(page: number): boolean {
    const value = this.residence.get(page);
    return value === Dropping || value === Forgone;
  }

  /** Takes back what the home was asked about dead bytes; returns the copies that it was. */
  unask({ first, count }: PageRun): number[] {
    const copies: number[] = [];
    if (this.residence.count(Dropping, Forgone) === 0) return copies;
    for (let page = first; page < first + count; page++) {
      const value = this.residence.get(page);
      if (value === Forgone) this.residence.fill(page, 1, Dead);
      else if (value === Dropping) copies.push(page);
    }
    return copies;
  }

  /** Whether a copy of the page is here, be it that no thread may read it any more. */
  hasCopy(page: number): boolean {
    return this.#states.get(page) !== PageState.Invalid || this.residence.get(page) === Dropping;
  }

  /** Whether the bytes of an earlier copy may be here. */
  hasOldBytes(page: number): boolean {
    const value = this.residence.get(page);
    return value !== Residence.None && value !== Expected;
  }

  /** Whether a request for the page needs room. */
  needsRoom(page: number): boolean {
    return this.residence.get(page) === Residence.None;
  }

  /** How many of `limit` pages from `first` on are in the same state, also of their bytes. */
  alike(first: number, limit: number): number {
    return this.residence.extent(first, this.#states.extent(first, limit));
  }

  /**
   * How many of `limit` pages from `first` on can be requested together, with room for `room` more;
   * the home is asked about none of them. That holds for the first, but for the room.
   */
  requestable(first: number, limit: number, room: number): number {
    for (let count = 0; count < limit;) {
      const value = this.residence.get(first + count);
      let extent = this.residence.extent(first + count, limit - count);
      if (value === Residence.None) {
        extent = Math.min(extent, room);
        room -= extent;
      }
      if (extent <= 0 || value === Dropping || value === Forgone) return count;
      count += extent;
    }
    return limit;
  }

  /** Pages were requested. */
  requested(run: PageRun): void {
    this.residence.change(run, onceRequested);
  }

  /** Pages were granted, and are here: to write if they are the only copies. */
  granted({ first, count }: PageRun, alone: boolean): void {
    this.residence.fill(first, count, alone ? UsedAlone : Used);
  }

  /** Pages that were requested will not come; some of their bytes may have. */
  refused(run: PageRun, mayHaveCome: boolean): void {
    this.residence.change(run, (value) => {
      if (value === Expected) return mayHaveCome ? Spent : Residence.None;
      return value === Replaced ? Dead : value;
    });
  }

  /** A thread touched a page that is here. */
  touched(page: number): void {
    const value = this.residence.get(page);
    if (value === Idle) this.residence.fill(page, 1, Used);
    else if (value === IdleAlone) this.residence.fill(page, 1, UsedAlone);
  }

  /** Another node has the pages too, from now on. */
  shared(run: PageRun): void {
    this.residence.change(run, onceShared);
  }

  /** Copies were dropped for another node's write; their bytes may be asked for until it ends. */
  invalidated(run: PageRun, requests: RunTable<PageRun>): void {
    this.#died(run, onceDead, requests);
  }

  /** Copies were dropped that no program needs: no node will ask for their bytes. */
  cleared(run: PageRun, requests: RunTable<PageRun>): void {
    this.#died(run, onceSpent, requests);
  }

  /** Copies went to another node. That one has the bytes, or nobody will. */
  surrendered(run: PageRun, requests: RunTable<PageRun>): void {
    if (this.offloads.length > 0) this.#countOffloaded(run);
    this.#died(run, onceSpent, requests);
  }

  #died(
    run: PageRun,
    left: (value: Residence) => Residence,
    requests: RunTable<PageRun>,
  ): void {
    if (requests.size === 0) return void this.residence.change(run, left);
    const end = run.first + run.count;
    for (let page = run.first; page < end;) {
      const request = requests.at(page);
      const stop = request === undefined
        ? requests.next(page, end)
        : Math.min(end, request.first + request.count);
      const part = { first: page, count: stop - page };
      this.residence.change(part, request === undefined ? left : onceReplaced);
      page = stop;
    }
  }

  #countOffloaded({ first, count }: PageRun): void {
    for (let page = first; page < first + count; page++) {
      if (this.offloads.some((run) => contains(run, page))) this.#counters.pagesOffloaded++;
    }
    this.#moves = true;
    // What was asked for is under way: the rest may be asked for at once.
    this.offloads = this.offloads.filter((run) => !overlaps(run, { first, count }));
  }

  /** The home has forgotten the copies. */
  dropped({ first, count }: PageRun): void {
    if (this.residence.count(Dropping, Forgone) === 0) return;
    for (let page = first; page < first + count;) {
      const value = this.residence.get(page);
      const extent = this.residence.extent(page, first + count - page);
      if (value === Dropping) this.#counters.pagesDropped += extent;
      if (value === Dropping || value === Forgone) this.#discard(page, extent);
      page += extent;
    }
  }

  /** The home has not forgotten the copies: no other node has the pages. */
  kept({ first, count }: PageRun): void {
    for (let page = first; page < first + count;) {
      const value = this.residence.get(page);
      const extent = this.residence.extent(page, first + count - page);
      if (value === Forgone) this.residence.fill(page, extent, Dead);
      else if (value === Dropping) {
        this.residence.fill(page, extent, IdleAlone);
        this.#states.fill(page, extent, PageState.Shared);
      }
      page += extent;
    }
  }

  /**
   * Begins to make room.
   *
   * @param dispensable How many pages may be made free of dead bytes and copies that others have
   * too.
   * @param any How many may be made free at all.
   * @param awaited For how many of these threads wait.
   * @param isNeeded Whether a copy must stay for the time being.
   * @param now The time, in microseconds.
   */
  makeRoom(
    dispensable: number,
    any: number,
    awaited: number,
    isNeeded: (page: number) => boolean,
    now: number,
  ): void {
    if (this.offloads.length > 0 && now >= this.askAgainAt) this.#forgetOffloads();
    let lacking = dispensable - this.#discardSpent(dispensable);
    lacking -= this.residence.count(Dropping, Forgone);
    lacking -= this.#forgo(Math.min(lacking, this.#askable()));
    if (lacking <= 0) return;
    this.#unmap(SHARED, lacking, this.#lead, isNeeded);
    lacking -= this.#drop(Math.min(lacking, this.#askable()), isNeeded);
    lacking -= dispensable - any;
    if (lacking <= 0) return;
    // What is free sooner is for the threads that wait.
    this.#offload(lacking, Math.max(0, lacking - (any - awaited)), isNeeded, now);
  }

  /** Gives dead bytes back, some at a time. */
  giveBack(): void {
    this.#discardSpent(DISCARD_STEP_PAGES);
    this.#forgo(this.#askable());
  }

  /** How many pages more the home may be asked about now. */
  #askable(): number {
    return RELIEF_RUNS_MAX * this.#options.runPages - this.residence.count(Dropping, Forgone);
  }

  /** Gives dead bytes back that nobody will ask for. */
  #discardSpent(pages: number): number {
    let done = 0;
    while (done < pages) {
      const first = this.residence.next([Spent], 0);
      if (first === undefined) break;
      const count = this.residence.extent(first, DISCARD_STEP_PAGES);
      this.#discard(first, count);
      done += count;
    }
    return done;
  }

  #discard(first: number, count: number): void {
    this.residence.fill(first, count, Residence.None);
    this.#counters.pagesDiscarded += count;
    this.#outbox.operate({ kind: "discard", first, count });
  }

  /** Asks the home for its word that nobody needs dead bytes. */
  #forgo(pages: number): number {
    let done = 0;
    while (done < pages) {
      const first = this.residence.next([Dead], 0);
      if (first === undefined) break;
      const extent = this.residence.extent(first, this.#options.runPages);
      const count = this.#homes.givenExtent(first, extent);
      const home = this.#homes.given(first);
      if (home === 0) {
        // Nothing was ever granted here by the home, which is not known.
        this.#discard(first, count);
      } else {
        this.residence.fill(first, count, Forgone);
        this.#outbox.send(home, { kind: "drop", first, count });
      }
      done += count;
    }
    return done;
  }

  /** Unmaps copies, so that enough are found which no thread touches. */
  #unmap(
    { used, idle, name }: Copies,
    lacking: number,
    lead: number,
    isNeeded: (page: number) => boolean,
  ): void {
    let missing = lacking + lead - this.residence.count(idle);
    let left = this.residence.count(used);
    while (missing > 0 && left > 0) {
      const first = this.residence.next([used], this.hands[name].unmap)!;
      const count = isNeeded(first) ? 0 : this.#stretch(first, this.#options.runPages, isNeeded);
      this.hands[name].unmap = first + Math.max(1, count);
      left -= Math.max(1, count);
      if (count === 0) continue;
      this.residence.fill(first, count, idle);
      this.#outbox.operate({ kind: "evict", first, count });
      missing -= count;
    }
  }

  /** Asks the home to forget copies that no thread has touched since they were unmapped. */
  #drop(pages: number, isNeeded: (page: number) => boolean): number {
    return this.#take(SHARED, pages, isNeeded, (first, count) => {
      this.#states.fill(first, count, PageState.Invalid);
      this.residence.fill(first, count, Dropping);
      this.#outbox.send(this.#homes.of(first), { kind: "drop", first, count });
    });
  }

  /** Asks the home to find another place for only copies that no thread has touched. */
  #offload(
    pages: number,
    awaited: number,
    isNeeded: (page: number) => boolean,
    now: number,
  ): void {
    // What was asked for may have gone in another way, or be no only copy any more.
    this.offloads = this.offloads.filter((run) => this.#countAlone(run) > 0);
    if (this.offloads.length === 0) this.askAgainAt = now + MEMORY_ASK_AGAIN_MS * MS_US;
    let asked = 0;
    let urgentRuns = 0;
    for (const run of this.offloads) {
      const alone = this.#countAlone(run);
      asked += alone;
      awaited -= Math.min(run.awaited, alone);
      if (run.awaited > 0) urgentRuns++;
    }
    // What was asked for before a thread waited may find no place: only spare room is given for it.
    const most = (runs: number) => (RELIEF_RUNS_MAX - runs) * this.#options.runPages;
    pages = Math.max(
      Math.min(pages - asked, most(this.offloads.length)),
      Math.min(awaited, most(urgentRuns)),
    );
    if (pages <= 0) return;
    // Where no node takes pages, none are unmapped but those that one is asked to take: each that a
    // thread uses costs a fault.
    this.#unmap(ALONE, pages + asked, this.#moves ? this.#lead : 0, isNeeded);
    const isAsked = (page: number) => this.offloads.some((run) => contains(run, page));
    const stays = (page: number) => isNeeded(page) || isAsked(page);
    this.#take(ALONE, pages, stays, (first, count) => {
      const run = { first, count, awaited: Math.max(0, Math.min(count, awaited)) };
      awaited -= run.awaited;
      this.offloads.push(run);
      this.#outbox.send(this.#homes.of(first), { kind: "offload", ...run });
    });
  }

  #countAlone({ first, count }: PageRun): number {
    let alone = 0;
    for (let page = first; page < first + count;) {
      const value = this.residence.get(page);
      const extent = this.residence.extent(page, first + count - page);
      if (value === UsedAlone || value === IdleAlone) alone += extent;
      page += extent;
    }
    return alone;
  }

  /** Lets the home be asked anew. What it did not move may have been no only copy. */
  #forgetOffloads(): void {
    for (const { first, count } of this.offloads) {
      for (let page = first; page < first + count;) {
        const extent = this.#states.extent(page, first + count - page);
        if (this.#states.get(page) === PageState.Shared) {
          this.shared({ first: page, count: extent });
        }
        page += extent;
      }
    }
    this.#moves = false;
    this.offloads = [];
  }

  /** Goes on with the hand that takes; returns how many pages it has found. */
  #take(
    { idle, name }: Copies,
    pages: number,
    isNeeded: (page: number) => boolean,
    found: (first: number, count: number) => void,
  ): number {
    let done = 0;
    let left = this.residence.count(idle);
    while (done < pages && left > 0) {
      const first = this.residence.next([idle], this.hands[name].take)!;
      const limit = Math.min(pages - done, this.#options.runPages);
      const count = isNeeded(first) ? 0 : this.#stretch(first, limit, isNeeded);
      this.hands[name].take = first + Math.max(1, count);
      left -= Math.max(1, count);
      if (count > 0) found(first, count);
      done += count;
    }
    return done;
  }

  /** How many pages from the first on are alike, of one home, and need not stay. */
  #stretch(first: number, limit: number, isNeeded: (page: number) => boolean): number {
    limit = this.#homes.extent(first, this.residence.extent(first, limit));
    let count = 1;
    while (count < limit && !isNeeded(first + count)) count++;
    return count;
  }
}

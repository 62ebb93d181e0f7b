/**
 * Detects walks: misses that follow each other through memory. Says how many pages the next request
 * should ask for, and which pages to request ahead of the walk.
 *
 * A miss just behind the pages that an earlier miss of its kind brought doubles the run; any other
 * miss starts a new sequence with a single page. (What a node reads behind what it has written is
 * its neighbour's, as a rule, and no more than the edge of that.) Several threads may walk at once.
 * Once the runs of a walk are long enough, one more run is requested ahead: first behind the run
 * that was missed, then each time that the walk enters the run that was requested ahead.
 *
 * A walk in long runs, as through a matrix, that comes to pages which are here, as those of the
 * node's own part, goes on behind them.
 *
 * A program that repeats itself walks the same pages again: the edge of its neighbour's part in
 * each step, say. So a walk that begins where one began before asks at once for as many pages as
 * that one went through, up to {@linkcode RUN_LEARNED_MAX_PAGES}. Whether it needs them again
 * cannot be seen; so after some walks that did not go on behind them the detector asks for one
 * page, and learns anew; after twice as many where it then learns the same.
 *
 * It also does things in the same order again: it reads the edge of its neighbour's part, and then
 * writes its own edge, which that neighbour has read. So a walk of upgrades that has followed
 * another walk twice in a row is requested ahead where that one begins, and the acknowledgements
 * are on their way while the program waits for bytes. A walk of reads never is: the other node may
 * have yet to write these pages. Whether the program writes them is seen by a fault at the first
 * page, which is not mapped for that. That costs its thread as much as a short message, so after
 * each fault more of these requests go without. If a page that was requested so is gone again when
 * the program writes it, or was taken before the fault, the walk has to follow more often until it
 * is requested ahead again.
 *
 * Where a walk ends, the rest of its last run is brought in vain, and others that need it have to
 * take it back. So a run of which another node takes pages before the walk has come out of it is
 * a quarter as long the next time that a run begins there, and twice as long again once a walk does
 * come out of it.
 */

import {
  RUN_CAPS_MAX,
  RUN_LEARNED_MAX_PAGES,
  RUNS_LEARNED_MAX,
  WALK_SKIPPED_MAX_PAGES,
} from "../../limits.ts";
import type { PageRun } from "./page.ts";

/** How many walks are followed at the same time. */
const SEQUENCES_MAX = 16;
/** After how many walks that ended with what was learned it is learned anew, at first. */
const LEARNED_USES_MIN = 8;
/** The same, where it was the same each time. */
const LEARNED_USES_MAX = 64;
/** How often upgrades have to follow a walk again, after the first time, to be requested ahead. */
const FOLLOWS_MIN = 1;
/** The same, once they were requested ahead in vain. */
const FOLLOWS_AGAIN_MIN = 8;
/** The most requests ahead in a row of which is not seen whether the program writes the pages. */
const UNSEEN_MAX = 15;

/** What a miss is; walks are of misses that are alike. */
export const Miss = {
  Read: 1,
  /** To write what this node has no copy of. */
  Write: 2,
  /** To write what this node may read. */
  Upgrade: 3,
} as const;
/** One of {@linkcode Miss}. */
export type Miss = typeof Miss[keyof typeof Miss];

/** Whether all pages of a run are here alike, to be read at least. */
export type IsHere = (run: PageRun) => boolean;

/** What is known of the walks that begin at a page. */
interface Learned {
  /** How many pages they go through at least. */
  pages: number;
  /** How many walks in a row asked for them, and did not go on behind them. */
  uses: number;
  /** How many may. */
  usesMax: number;
  /** How many pages were known when they were to be learned anew; 0 where that is over. */
  before: number;
}

/** What is known of the walk of upgrades that follows another walk. */
interface Follower {
  /** Its first page. */
  readonly first: number;
  /** How often it has yet to follow until it is requested ahead. */
  readonly due: number;
  /** How many requests ahead may go unseen behind one of which is seen that it was of use. */
  unseenMax: number;
  /** How many still may. */
  unseen: number;
}

/** Upgrades to request ahead. */
export interface Followers extends PageRun {
  /** Whether to see when the program writes the first page. */
  readonly isSeen: boolean;
}

/** What is known where nothing was learned. */
const UNKNOWN: Learned = { pages: 1, uses: 0, usesMax: LEARNED_USES_MIN, before: 0 };

interface Sequence {
  /** The page where the walk began. */
  origin: number;
  /** What its misses are. */
  kind: Miss;
  /** Whether its last run is what was learned of walks from there. */
  isLearned: boolean;
  /** Where the run begins that the walk missed or entered last; -1 if part of it was taken. */
  start: number;
  /** The page where the walk will fault next, if it goes on. */
  next: number;
  /** The end of the run that was requested ahead; no more than `next` if there is none. */
  end: number;
  /**
   * The key of the walk behind which it was requested ahead, until it is seen to be there; 0 for
   * none.
   */
  follows: number;
  /** Whether it is not to be seen, but taken to be there from the request on. */
  isUnseen: boolean;
  /** The length of the walk's last run, in pages; 0 where the next run has one page. */
  length: number;
}

/** What a place for a walk has at first. */
const NO_WALK: Sequence = {
  origin: 0,
  kind: Miss.Read,
  isLearned: false,
  start: -1,
  next: 0,
  end: 0,
  follows: 0,
  isUnseen: false,
  length: 0,
};

/** Follows sequential misses. */
export class SequenceDetector {
  readonly #maxPages: number;
  readonly #aheadMinPages: number;
  readonly #followsMin: number;
  /** The most recently used last. */
  readonly #sequences: Sequence[] = [];
  /** The longest runs to request at some pages; those that were changed last are the last. */
  readonly #caps = new Map<number, number>();
  /** By page and kind of miss; what was learned last is the last. */
  readonly #learned = new Map<number, Learned>();
  /** By page and kind of the walk that they follow; what was learned last is the last. */
  readonly #followers = new Map<number, Follower>();
  /** The key of the walk that began last; 0 before there is one. */
  #begun = 0;

  /**
   * @param maxPages The longest run to request, in pages; 1 turns detection off.
   * @param aheadMinPages The shortest run behind which the next run is requested ahead, in pages;
   * `Infinity` turns that off.
   * @param followsMin How often upgrades have to follow a walk again, after the first time, to be
   * requested ahead.
   */
  constructor(maxPages: number, aheadMinPages = Infinity, followsMin = FOLLOWS_MIN) {
    this.#maxPages = maxPages;
    this.#aheadMinPages = aheadMinPages;
    this.#followsMin = followsMin;
  }

  /**
   * Notes a miss.
   *
   * @param page The page that was missed.
   * @param kind What the miss is.
   * @param isHere Which pages are here; none where nothing is said.
   * @returns How many pages to request from there on, at least 1.
   */
  miss(page: number, kind: Miss, isHere?: IsHere): number {
    let sequence = this.#follow(page, kind);
    if (sequence === undefined && kind === Miss.Read && isHere !== undefined) {
      sequence = this.#skip(page, isHere);
    }
    if (sequence?.isUnseen) {
      // It went on behind what was requested ahead.
      sequence.isUnseen = false;
      sequence.follows = 0;
    } else if (sequence === undefined && kind === Miss.Upgrade) {
      sequence = this.#unseen(page);
    }
    let pages: number;
    if (sequence !== undefined && sequence.follows !== 0) {
      // It was requested ahead, and is gone again.
      this.#doubt(sequence);
      this.#sequences.pop();
      if (sequence.isUnseen) this.#begun = sequence.follows;
      sequence = undefined;
    }
    if (sequence === undefined) {
      sequence = this.#begin(page, kind);
      this.#began(page, kind);
      pages = this.#learnedOf(page, kind);
      sequence.isLearned = pages > 1;
      sequence.length = lengthOf(pages);
    } else {
      this.#learn(sequence, page);
      pages = Math.min(Math.max(1, sequence.length * 2), this.#capOf(page));
      sequence.length = pages;
    }
    sequence.start = page;
    sequence.next = page + pages;
    return pages;
  }

  /**
   * Notes a fault that was no miss.
   *
   * @param page The page of the fault.
   * @returns Whether a walk enters, by this fault, the run that was requested ahead of it.
   */
  enters(page: number): boolean {
    const sequence = this.#follow(page);
    if (sequence === undefined) return false;
    // What was learned says by itself when it is to be learned anew.
    const { origin, kind, follows } = sequence;
    sequence.isLearned = follows !== 0;
    sequence.follows = 0;
    if (follows !== 0) {
      this.#trust(sequence, follows);
      this.#began(origin, kind);
    }
    sequence.start = page;
    sequence.next = sequence.end;
    return true;
  }

  /**
   * Returns the upgrades to request ahead since they follow the walk that began last.
   *
   * @returns The run; `undefined` where it is not known well enough what follows.
   */
  follower(): Followers | undefined {
    if (this.#followers.size === 0 || this.#aheadMinPages === Infinity) return undefined;
    const follower = this.#followers.get(this.#begun);
    if (follower === undefined || follower.due > 0) return undefined;
    const { first, unseen } = follower;
    const known = this.#knownOf(first, Miss.Upgrade);
    const count = known !== undefined && known.uses < known.usesMax ? known.pages : 1;
    return { first, count, isSeen: unseen === 0 };
  }

  /**
   * Notes that upgrades were requested ahead, since they follow the walk that began last.
   *
   * @param followers What was requested; `count` can be less than this detector proposed.
   */
  askedFollower({ first, count, isSeen }: Followers): void {
    const follows = this.#begun;
    // Now what was learned is used.
    this.#learnedOf(first, Miss.Upgrade);
    const sequence = this.#begin(first, Miss.Upgrade);
    sequence.follows = follows;
    sequence.length = lengthOf(count);
    if (isSeen) {
      sequence.start = -1;
      sequence.next = first;
      sequence.end = first + count;
      return;
    }
    sequence.isUnseen = sequence.isLearned = true;
    sequence.start = first;
    sequence.next = first + count;
    const follower = this.#followers.get(follows);
    if (follower !== undefined) follower.unseen--;
    this.#began(first, Miss.Upgrade);
  }

  /**
   * Returns the run to request ahead of the walk that moved last.
   *
   * @returns The run; `undefined` when the walk's runs are short, or a run ahead was requested
   *   already.
   */
  ahead(): (PageRun & { readonly miss: Miss }) | undefined {
    const sequence = this.#sequences.at(-1);
    if (sequence === undefined || sequence.end > sequence.next) return undefined;
    if (sequence.length < this.#aheadMinPages) return undefined;
    const count = Math.min(sequence.length * 2, this.#capOf(sequence.next));
    if (count < this.#aheadMinPages) return undefined;
    sequence.length = count;
    return { first: sequence.next, count, miss: sequence.kind };
  }

  /**
   * Notes how many pages were requested, which can be fewer than this detector proposed.
   *
   * @param first The first page of the request: where the last walk missed, or the start of the run
   *   ahead.
   * @param count The pages requested.
   */
  asked(first: number, count: number): void {
    const sequence = this.#sequences.at(-1);
    if (sequence === undefined) return;
    if (first === sequence.next) sequence.end = first + count;
    else sequence.next = first + count;
  }

  /**
   * Notes how many pages of a request were granted.
   *
   * @param first The request's first page.
   * @param asked The pages requested.
   * @param granted The pages granted.
   */
  granted(first: number, asked: number, granted: number): void {
    if (asked === granted) return;
    for (const sequence of this.#sequences) {
      const { next, end } = sequence;
      if (next === first && end === first + asked) {
        sequence.end = first + granted;
      } else if (next === first + asked) {
        // The walk will miss in the gap, and the run that was requested ahead begins behind the
        // gap.
        if (end <= next) sequence.end = 0;
        sequence.next = first + granted;
      }
    }
  }

  /**
   * Notes pages that another node took to write. If a walk has not come out of its last run when
   * pages of that run are taken, the walk has ended, or was none, and runs that begin there are to
   * be shorter. If it has not reached the run that was requested ahead of it when that is taken, it
   * is forgotten as well, because requests ahead of it would only take pages from other nodes
   * again.
   *
   * @param first The first of the pages.
   * @param count How many.
   */
  taken(first: number, count: number): void {
    const sequences = this.#sequences;
    for (let index = sequences.length - 1; index >= 0; index--) {
      const sequence = sequences[index]!;
      const { start, next, end } = sequence;
      if (next < end && next < first + count && first < end) {
        if (sequence.follows === 0) this.#cap(next, end - next);
        else this.#doubt(sequence);
        sequences.splice(index, 1);
      } else if (start >= 0 && start < first + count && first < next) {
        // What is learned says by itself when it is to be learned anew.
        if (!sequence.isLearned) this.#cap(start, next - start);
        sequence.start = -1;
      }
    }
  }

  /** Finds the walk of reads in long runs that has come to a page through pages which are here. */
  #skip(page: number, isHere: IsHere): Sequence | undefined {
    const sequences = this.#sequences;
    for (let index = sequences.length - 1; index >= 0; index--) {
      const sequence = sequences[index]!;
      const { kind, next: first, end, length } = sequence;
      if (kind !== Miss.Read || length < RUN_LEARNED_MAX_PAGES || end > first) continue;
      const count = page - first;
      if (count <= 0 || count > WALK_SKIPPED_MAX_PAGES || !isHere({ first, count })) continue;
      // How far walks go that begin there is known better than how far this one went.
      if ((this.#learned.get(keyOf(page, kind))?.pages ?? 1) > 1) return undefined;
      sequence.next = page;
      return this.#follow(page, kind);
    }
    return undefined;
  }

  /** Finds the walk that was taken to have written a page, which it now comes to. */
  #unseen(page: number): Sequence | undefined {
    if (this.#followers.size === 0) return undefined;
    const sequences = this.#sequences;
    const index = sequences.findLastIndex(({ origin, isUnseen }) => isUnseen && origin === page);
    if (index < 0) return undefined;
    const [sequence] = sequences.splice(index, 1);
    sequences.push(sequence!);
    return sequence;
  }

  /** A walk has begun, behind another one. */
  #began(origin: number, kind: Miss): void {
    const followers = this.#followers;
    const before = this.#begun;
    this.#begun = keyOf(origin, kind);
    if (kind !== Miss.Upgrade) {
      if (followers.size > 0) followers.delete(before);
      return;
    }
    if (before === 0) return;
    const known = followers.get(before);
    const follower = known?.first === origin
      ? { ...known, due: Math.max(0, known.due - 1) }
      : { first: origin, due: this.#followsMin, unseenMax: 0, unseen: 0 };
    setLatest(followers, before, follower, RUNS_LEARNED_MAX);
  }

  /** Upgrades were requested ahead in vain. */
  #doubt({ origin, follows }: Sequence): void {
    if (this.#followers.get(follows)?.first !== origin) return;
    const due = FOLLOWS_AGAIN_MIN;
    this.#followers.set(follows, { first: origin, due, unseenMax: 0, unseen: 0 });
  }

  /** Upgrades were requested ahead, and the program came to write the pages. */
  #trust({ origin }: Sequence, follows: number): void {
    const follower = this.#followers.get(follows);
    if (follower?.first !== origin) return;
    follower.unseenMax = Math.min(2 * follower.unseenMax + 1, UNSEEN_MAX);
    follower.unseen = follower.unseenMax;
  }

  /** A walk has come to a page by a miss. */
  #learn(sequence: Sequence, page: number): void {
    sequence.isLearned = false;
    const { origin, kind } = sequence;
    const most = Math.min(RUN_LEARNED_MAX_PAGES, this.#maxPages);
    // A walk that goes on and on has nothing to add.
    if (most === 1 || page - origin >= 2 * most) return;
    const key = keyOf(origin, kind);
    const { usesMax, before } = this.#learned.get(key) ?? UNKNOWN;
    const known = { pages: Math.min(page - origin + 1, most), uses: 0, usesMax, before };
    setLatest(this.#learned, key, known, RUNS_LEARNED_MAX);
  }

  /** How many pages to ask for where a walk begins. */
  #learnedOf(page: number, kind: Miss): number {
    const known = this.#knownOf(page, kind);
    if (known === undefined) return 1;
    if (known.uses++ < known.usesMax) return known.pages;
    known.before = known.pages;
    known.pages = 1;
    known.uses = 0;
    return 1;
  }

  /** What is known of the walks that begin at a page. */
  #knownOf(page: number, kind: Miss): Learned | undefined {
    const known = this.#learned.size === 0 ? undefined : this.#learned.get(keyOf(page, kind));
    if (known === undefined || known.before === 0) return known;
    // It was learned anew.
    const isSame = known.pages === known.before;
    known.usesMax = isSame ? Math.min(2 * known.usesMax, LEARNED_USES_MAX) : LEARNED_USES_MIN;
    known.before = 0;
    return known;
  }

  /** The longest run to request at a page. */
  #capOf(page: number): number {
    return this.#caps.size === 0 ? this.#maxPages : this.#caps.get(page) ?? this.#maxPages;
  }

  /** A run of this length was too long. */
  #cap(page: number, length: number): void {
    if (length > 1) this.#setCap(page, Math.max(1, length >>> 2));
  }

  /** A walk has come out of the run that began at a page. */
  #passed(page: number): void {
    const cap = this.#caps.size === 0 ? undefined : this.#caps.get(page);
    if (cap !== undefined) this.#setCap(page, 2 * cap);
  }

  #setCap(page: number, cap: number): void {
    if (cap >= this.#maxPages) this.#caps.delete(page);
    else setLatest(this.#caps, page, cap, RUN_CAPS_MAX);
  }

  /** A walk that moved last; the one that has not moved for longest makes room for it. */
  #begin(origin: number, kind: Miss): Sequence {
    const sequences = this.#sequences;
    const isFull = sequences.length === SEQUENCES_MAX;
    const sequence = isFull ? sequences.shift()! : { ...NO_WALK };
    sequence.origin = origin;
    sequence.kind = kind;
    sequence.end = 0;
    sequence.follows = 0;
    sequence.isUnseen = false;
    sequences.push(sequence);
    return sequence;
  }

  /**
   * Finds the walk that is to fault at a page, by a miss of a kind or else in the run that was
   * requested ahead of it, and marks it as the one that moved last.
   */
  #follow(page: number, kind?: Miss): Sequence | undefined {
    const sequences = this.#sequences;
    // Of two that are to fault there, the one that moved last is at it.
    for (let index = sequences.length - 1; index >= 0; index--) {
      const sequence = sequences[index]!;
      if (sequence.next !== page) continue;
      if (kind === undefined ? sequence.end <= page : sequence.kind !== kind) continue;
      if (sequence.start >= 0) this.#passed(sequence.start);
      for (; index < sequences.length - 1; index++) sequences[index] = sequences[index + 1]!;
      sequences[index] = sequence;
      return sequence;
    }
    return undefined;
  }
}

/** Sets an entry as the latest of a map, of which there are so many at most: the oldest goes. */
function setLatest<Value>(map: Map<number, Value>, key: number, value: Value, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}

/**
 * The length of a walk's first run. Where it is known how far walks go, the rest is as new as a
 * walk's begin.
 */
function lengthOf(pages: number): number {
  return pages > 1 && pages < RUN_LEARNED_MAX_PAGES ? 0 : pages;
}

/** A number for a page and what its misses are. */
function keyOf(page: number, kind: Miss): number {
  return 4 * page + kind;
}

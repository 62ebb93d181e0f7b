/**
 * What a node does when a home has died or gives up being one: its chunks move to the directory
 * node, which serves them once every node has told which copies of them it has. A node tells when
 * nothing can be on its way to it any more that the old home has asked other nodes for.
 */

import { GONE_REMEMBERED_MAX, WORK_PAGES } from "../../limits.ts";
import type { PageCache } from "./cache.ts";
import type { Demand } from "./demand_queue.ts";
import { DIRECTORY_NODE, type NodeId } from "./messages.ts";
import type { Outbox } from "./output.ts";
import type { PageRun } from "./page.ts";

/** A move of which this node has heard and has not told yet what it has. */
interface Drain {
  /** The chunks, as far as this node knows them. */
  readonly runs: readonly PageRun[];
  /** The copies that the old home was asked to forget, and has not said whether it has. */
  readonly asked: Set<number>;
  /** The nodes that may have sent something to this one on behalf of the old home. */
  readonly awaited: Set<NodeId>;
  /** Whether the old home is gone with answers that it may have sent and that never came. */
  isCut: boolean;
}

/** What this node has yet to tell the directory node about the pages of a home that has moved. */
interface Report {
  readonly home: NodeId;
  /** The chunks, the last one first. */
  readonly runs: PageRun[];
}

/** A node that wants to know when this one has heard of something about a node. */
interface Asker {
  readonly from: NodeId;
  readonly node: NodeId;
  readonly kind: "drain" | "inquire";
}

/** The moves of homes, as one node sees them. */
export class HomeMoves {
  /** The nodes that this node has heard of, itself too, but for those that are gone. */
  readonly present = new Set<NodeId>();
  /** Those of them that are homes no more. */
  readonly retired = new Set<NodeId>();
  /** The nodes that went last. */
  protected readonly gone = new Set<NodeId>();
  /** The homes with which this node, which leaves, has parted: they may have forgotten it. */
  protected readonly parted = new Set<NodeId>();
  /** The homes that have told that they have forgotten this node. */
  protected readonly forgottenBy = new Set<NodeId>();
  protected readonly drains = new Map<NodeId, Drain>();
  protected readonly reports: Report[] = [];
  protected askers: Asker[] = [];
  readonly #handOver: (chunk: PageRun) => void;
  readonly #workPages: number;
  readonly #self: NodeId;
  readonly #outbox: Outbox;
  protected readonly cache: PageCache;

  /**
   * @param self This node.
   * @param outbox Where messages go.
   * @param cache This node's pages.
   * @param handOver Tells which pages of a chunk were touched whose home this node was.
   * @param workPages How many pages one {@linkcode work} looks at.
   */
  constructor(
    self: NodeId,
    outbox: Outbox,
    cache: PageCache,
    handOver: (chunk: PageRun) => void,
    workPages: number = WORK_PAGES,
  ) {
    this.#handOver = handOver;
    this.#workPages = workPages;
    this.#self = self;
    this.#outbox = outbox;
    this.cache = cache;
  }

  /** Whether to call {@linkcode work} soon: this node has not told yet of all that it has. */
  get hasWork(): boolean {
    return this.reports.length > 0;
  }

  /**
   * Tells a part of what this node has, which may be millions of pages. Nothing of it changes
   * meanwhile: the new home begins no transaction on these pages before all is told.
   */
  work(): void {
    let budget = this.#workPages;
    for (let report = this.reports[0]; report !== undefined; report = this.reports[0]) {
      for (let run; budget > 0 && (run = report.runs.pop()) !== undefined; budget -= run.count) {
        if (report.home === this.#self) this.#handOver(run);
        this.cache.tellCopies(run);
      }
      if (report.runs.length > 0) return;
      this.reports.shift();
      this.#outbox.send(DIRECTORY_NODE, { kind: "reported", node: report.home });
    }
  }

  /** Whether this node has heard that a node is gone. */
  isGone(node: NodeId): boolean {
    return this.gone.has(node);
  }

  /** A node has joined. */
  joined(node: NodeId): void {
    this.present.add(node);
  }

  /** Keeps copies that a home, yet to hear of it, has demanded on behalf of a node that is gone. */
  refuse(home: NodeId, demand: Demand): void {
    // Bytes in place of those of a source that died: the copies were given up before.
    if (demand.kind === "forward" && demand.invalidated.includes(this.#self)) return;
    const { first, count, requester, request } = demand;
    this.#outbox.send(home, { kind: "refused", first, count, requester, request });
  }

  /** Of pages about which a home that has moved answers late, those that it was asked about. */
  takeAsked(home: NodeId, { first, count }: PageRun): number[] {
    const asked = this.drains.get(home)?.asked;
    if (asked === undefined) return [];
    const pages: number[] = [];
    for (let page = first; page < first + count; page++) if (asked.delete(page)) pages.push(page);
    return pages;
  }

  /** Takes a home's word that nothing of its pages depends on this node, which leaves. */
  part(home: NodeId): void {
    // A home that has moved has asked before, and does not forget any node since.
    if (this.retired.has(home)) return;
    this.parted.add(home);
    this.#outbox.send(home, { kind: "parted" });
  }

  /** Takes a home's word that it has forgotten this node, which leaves. */
  left(home: NodeId): void {
    this.forgottenBy.add(home);
  }

  /** A home has moved to the directory node, with these chunks of which this node knows. */
  moved(node: NodeId, runs: readonly PageRun[], now: number): void {
    this.retired.add(node);
    this.#answer("drain", node);
    const awaited = new Set<NodeId>();
    const asked = new Set(this.cache.unask(runs));
    const isAwaited = asked.size > 0 || this.cache.isAsking(node) || this.parted.has(node);
    if (isAwaited && !this.forgottenBy.has(node)) {
      for (const other of this.present) if (other !== this.#self) awaited.add(other);
    }
    this.drains.set(node, { runs, asked, awaited, isCut: false });
    for (const other of awaited) this.#outbox.send(other, { kind: "drain", node });
    this.#report(node, now);
  }

  /** A node is gone; if it was a home, that has moved before. */
  lost(node: NodeId, now: number): void {
    this.retired.delete(node);
    this.gone.add(node);
    if (this.gone.size > GONE_REMEMBERED_MAX) this.gone.delete([...this.gone][0]!);
    this.askers = this.askers.filter(({ from }) => from !== node);
    this.#answer("inquire", node);
    for (const [home, drain] of this.drains) {
      if (drain.awaited.delete(node) && home === node) drain.isCut = true;
      this.#report(home, now);
    }
  }

  /** Another node wants to be told when this one has heard of a move, or of a loss. */
  ask(from: NodeId, kind: Asker["kind"], node: NodeId): void {
    const isHeard = this.isGone(node) || (kind === "drain" && this.retired.has(node));
    if (isHeard) this.say(from, kind, node);
    else this.askers.push({ from, kind, node });
  }

  /** Nothing of another node can come any more that a home which has moved has asked for. */
  drained(from: NodeId, node: NodeId, now: number): void {
    this.drains.get(node)?.awaited.delete(from);
    this.#report(node, now);
  }

  #answer(kind: Asker["kind"], node: NodeId): void {
    const isMeant = (asker: Asker) => asker.kind === kind && asker.node === node;
    for (const asker of this.askers.filter(isMeant)) this.say(asker.from, kind, node);
    this.askers = this.askers.filter((asker) => !isMeant(asker));
  }

  protected say(to: NodeId, kind: Asker["kind"], node: NodeId): void {
    this.#outbox.send(to, { kind: kind === "drain" ? "drained" : "peerLostSeen", node });
  }

  /** Tells the directory node which copies of moved chunks are here, once none are on their way. */
  #report(node: NodeId, now: number): void {
    const drain = this.drains.get(node);
    if (drain === undefined || drain.awaited.size > 0) return;
    this.drains.delete(node);
    // What the old home has not answered it has not done, if its answers have all come.
    for (const first of drain.asked) {
      const run = { first, count: 1 };
      if (drain.isCut) this.cache.dropped(run);
      else this.cache.kept(run, now);
    }
    this.cache.askAnew(node, now);
    // Others may have overwritten what this node has of the pages of a home that has forgotten it.
    const isForgotten = (this.isGone(node) ? this.parted : this.forgottenBy).has(node);
    this.reports.push({ home: node, runs: isForgotten ? [] : drain.runs.toReversed() });
    if (this.reports.length === 1) this.work();
  }
}

/**
 * A cache that counts which inputs meet which states of a page.
 */

import {
  type AcknowledgeMessage,
  CLEAR_REQUEST,
  Content,
  type GrantMessage,
  type NodeId,
} from "../../../runtime/protocol/coherence/messages.ts";
import {
  Access,
  contains,
  type PageRun,
  PageState,
} from "../../../runtime/protocol/coherence/page.ts";
import { Residence } from "../../../runtime/protocol/coherence/residence.ts";
import type { Demand } from "../../../runtime/protocol/coherence/demand_queue.ts";
import { type Corner, TIMES } from "./corners.ts";
import type { CoverageTable, TableShape } from "./coverage.ts";
import { ProbeCache } from "./probes.ts";

const INPUTS = [
  "fault R",
  "fault W",
  "fetch R",
  "fetch W",
  "forward R",
  "forward W",
  "stand-in W",
  "invalidate",
  "clear",
  "acknowledge",
  "data R",
  "data W",
  "zero",
  "kept",
  "lost",
  "dropped",
  "keep",
  "adopt",
  "peerLost",
  "leave",
  "resumed",
  "tick",
  "idle",
] as const;

/**
 * I, S and E are the states of a page; "asks" while a request is under way, "granted" while the
 * grant is here and acknowledgements are missing, "lost" when the cache was told so. What is
 * invalid can have dead bytes; "dropping" and "forgone" while the home is asked about a copy, or
 * about dead bytes.
 */
const SITUATIONS = [
  "I",
  "dead",
  "dropping",
  "forgone",
  "I asks R",
  "I asks W",
  "I granted",
  "S",
  "S asks W",
  "S granted",
  "E",
  "lost",
] as const;

/** The situations of pages that are invalid and not asked for, by what there is of their bytes. */
const SITUATIONS_OF_BYTES: Partial<Record<Residence, Situation>> = {
  [Residence.None]: "I",
  [Residence.Spent]: "dead",
  [Residence.Dead]: "dead",
  [Residence.Dropping]: "dropping",
  [Residence.Forgone]: "forgone",
};

type CacheInput = typeof INPUTS[number];
type Situation = typeof SITUATIONS[number];

/** A page's state at a cache, and what happened then; runs count once for each page. */
export const CACHE_SHAPE: TableShape<CacheInput, Situation> = {
  title: "input at a cache",
  rows: INPUTS,
  columns: SITUATIONS,
  never: [
    {
      why: "the home names only nodes that have the page",
      rows: ["forward R", "forward W", "invalidate", "clear"],
      columns: ["I", "dead", "forgone", "I asks R", "I asks W", "lost"],
    },
    {
      why: "the transaction under way on the page is this node's own",
      rows: ["forward R", "forward W", "invalidate", "clear"],
      columns: ["I granted", "S granted"],
    },
    {
      why: "the transaction behind it is this node's own, and its grant comes from the home too",
      rows: ["stand-in W"],
      columns: ["S granted"],
    },
    {
      why: "there it is as good as I, and counted there",
      rows: ["stand-in W"],
      columns: ["lost"],
    },
    {
      why: "there are no sharers beside an exclusive copy",
      rows: ["invalidate"],
      columns: ["E"],
    },
    {
      why: "copies are dropped only for a request to write that is under way",
      rows: ["acknowledge"],
      columns: ["I", "dead", "dropping", "forgone", "I asks R", "S", "E", "lost"],
    },
    {
      why: "a grant that counts answers a request to which there was no answer yet",
      rows: ["data R", "data W", "zero", "kept", "lost"],
      columns: ["I", "dead", "dropping", "forgone", "I granted", "S", "S granted", "E", "lost"],
    },
    {
      why: "the home answers what it was asked",
      rows: ["dropped"],
      columns: [
        "I",
        "dead",
        "I asks R",
        "I asks W",
        "I granted",
        "S",
        "S asks W",
        "S granted",
        "E",
        "lost",
      ],
    },
    {
      why: "the node has the only copy",
      rows: ["keep"],
      columns: [
        "I",
        "dead",
        "forgone",
        "I asks R",
        "I asks W",
        "I granted",
        "S asks W",
        "S granted",
        "lost",
      ],
    },
    { why: "a node that asks to write gets no less", rows: ["data R"], columns: ["I asks W"] },
    {
      why: "the requester has the bytes, and the home knows",
      rows: ["data R", "data W", "zero", "lost"],
      columns: ["S asks W"],
    },
    { why: "the requester has no bytes", rows: ["kept"], columns: ["I asks R", "I asks W"] },
  ],
  rare: [
    {
      why: "two more transactions run while one frame travels; see departure_test.ts",
      rows: ["stand-in W"],
      columns: ["I", "dropping", "I granted", "E"],
    },
    {
      why: "the page went to this node while one frame travels, and to others too",
      rows: ["adopt"],
      columns: ["S granted"],
    },
    {
      why: "the home asks no node for a page that is on its way to that node already",
      rows: ["adopt"],
      columns: ["I granted"],
    },
  ],
};

const DEMANDS = ["forward R", "forward W", "stand-in W", "invalidate", "clear"] as const;
const MOMENTS = [
  "at once",
  "deferred",
  "at a tick",
  "at resumed",
  "at a demand",
  "at a loss",
  "at leave",
  "refused",
] as const;

type DemandName = typeof DEMANDS[number];
type Moment = typeof MOMENTS[number];

/** A demand, and when it was met; "refused" where its requester died before. */
export const DEMAND_SHAPE: TableShape<DemandName, Moment> = {
  title: "demand met",
  rows: DEMANDS,
  columns: MOMENTS,
  never: [{
    why: "the requester is the home, which is the last to go",
    rows: ["clear"],
    columns: ["refused"],
  }],
  rare: [{
    why: "what was dropped for a request is seldom back, and held, when it is asked for again",
    rows: ["stand-in W"],
    columns: ["at a demand", "at a loss", "at leave", "refused"],
  }],
};

/** Where a cache counts. */
export interface CacheTables {
  readonly cache: CoverageTable<CacheInput, Situation>;
  readonly demands: CoverageTable<DemandName, Moment>;
  readonly corners: CoverageTable<Corner, typeof TIMES>;
}

/** A cache that counts, once it is told where. */
export class WatchedCache extends ProbeCache {
  /** Where to count. */
  tables: CacheTables | undefined;
  #moment: Moment = "at once";
  /** The demand that is just being made. */
  #made: Demand | undefined;

  override fault(page: number, access: Access, now: number): void {
    this.tables?.cache.count(access === Access.Read ? "fault R" : "fault W", this.#situation(page));
    super.fault(page, access, now);
  }

  override fetch(first: number, count: number, access: Access): void {
    this.#count(access === Access.Read ? "fetch R" : "fetch W", { first, count });
    super.fetch(first, count, access);
  }

  override grant(from: NodeId, message: GrantMessage, now: number): void {
    const pending = this.pending.find(message.request, message.first);
    const isAwaited = pending !== undefined && pending.grant === undefined && !this.gone.has(from);
    if (isAwaited) this.#count(grantName(message), message);
    else this.tables?.corners.count("lateGrant", TIMES);
    super.grant(from, message, now);
  }

  override acknowledge(from: NodeId, message: AcknowledgeMessage, now: number): void {
    const isAwaited = this.pending.find(message.request, message.first) !== undefined;
    if (isAwaited) this.#count("acknowledge", message);
    else this.tables?.corners.count("lateAcknowledge", TIMES);
    super.acknowledge(from, message, now);
  }

  override demand(message: Demand, now: number): void {
    this.#count(this.#demandName(message), message);
    this.#moment = "at a demand";
    this.#made = message;
    super.demand(message, now);
    this.#made = undefined;
    if (this.defers(message)) this.tables?.demands.count(this.#demandName(message), "deferred");
  }

  override resumed(page: number, now: number): void {
    this.#count("resumed", { first: page, count: 1 });
    this.#moment = "at resumed";
    super.resumed(page, now);
  }

  override tick(now: number): void {
    this.#countAll("tick");
    this.#moment = "at a tick";
    super.tick(now);
  }

  override dropped(run: PageRun): void {
    this.#count("dropped", run);
    super.dropped(run);
  }

  override kept(run: PageRun, now: number): void {
    this.#count("keep", run);
    super.kept(run, now);
  }

  override adopt(run: PageRun): void {
    this.#count("adopt", run);
    super.adopt(run);
  }

  override giveBack(): void {
    this.#countAll("idle");
    super.giveBack();
  }

  override askAnew(home: NodeId, now: number): void {
    const isGranted = this.pending.values().some((pending) =>
      pending.home === home && pending.grant?.content === Content.Data
    );
    if (isGranted) this.tables?.corners.count("grantOfMoved", TIMES);
    super.askAnew(home, now);
  }

  override peerLost(node: NodeId, now: number): void {
    this.#countAll("peerLost");
    for (const demand of this.demands.deferred) {
      if (demand.requester !== node) continue;
      this.tables?.demands.count(this.#demandName(demand), "refused");
    }
    this.#moment = "at a loss";
    super.peerLost(node, now);
  }

  override leave(): void {
    this.#countAll("leave");
    this.#moment = "at leave";
    super.leave();
  }

  protected override surrender(message: Demand): void {
    const moment = message === this.#made ? "at once" : this.#moment;
    this.tables?.demands.count(this.#demandName(message), moment);
    super.surrender(message);
  }

  #demandName(message: Demand): DemandName {
    if (message.kind === "invalidate") {
      return message.request === CLEAR_REQUEST ? "clear" : "invalidate";
    }
    if (message.access === Access.Read) return "forward R";
    return message.invalidated.includes(this.options.self) ? "stand-in W" : "forward W";
  }

  #countAll(input: CacheInput): void {
    this.#count(input, { first: 0, count: this.options.pageCount });
  }

  #count(input: CacheInput, { first, count }: PageRun): void {
    if (this.tables === undefined) return;
    for (let page = first; page < first + count; page++) {
      const situation = this.#situation(page);
      const isBlind = input === "stand-in W" && situation === "lost";
      this.tables.cache.count(input, isBlind ? "I" : situation);
    }
  }

  #situation(page: number): Situation {
    const state = this.state(page);
    if (state === PageState.Exclusive) return "E";
    const pending = this.pending.at(page);
    const isShared = state === PageState.Shared;
    if (pending === undefined) {
      if (isShared) return "S";
      const situation = SITUATIONS_OF_BYTES[this.memory.residence.get(page)]!;
      return this.lost.has(page) && !this.memory.isAsked(page) ? "lost" : situation;
    }
    const { grant, access } = pending;
    if (grant !== undefined && contains(grant, page)) return isShared ? "S granted" : "I granted";
    if (isShared) return "S asks W";
    return access === Access.Read ? "I asks R" : "I asks W";
  }
}

function grantName({ content, access }: GrantMessage): CacheInput {
  switch (content) {
    case Content.Data:
      return access === Access.Read ? "data R" : "data W";
    case Content.Zero:
      return "zero";
    case Content.Kept:
      return "kept";
    case Content.Lost:
      return "lost";
    default:
      return content satisfies never;
  }
}

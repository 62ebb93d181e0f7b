/**
 * A directory that counts what happens to transactions.
 */

import {
  type AcknowledgeMessage,
  Content,
  type DoneMessage,
  type GrantMessage,
  isFinal,
  type NodeId,
  type RefusedMessage,
  type RequestMessage,
} from "../../../runtime/protocol/coherence/messages.ts";
import { Access, overlaps, type PageRun } from "../../../runtime/protocol/coherence/page.ts";
import { handOversLeft, UNPROVEN } from "../../../runtime/protocol/coherence/migration.ts";
import { sourceOf, type Transaction } from "../../../runtime/protocol/coherence/transactions.ts";
import { type Corner, TIMES } from "./corners.ts";
import type { CoverageTable, TableShape } from "./coverage.ts";
import { fail } from "./oracle.ts";
import { ProbeDirectory } from "./probes.ts";

const EVENTS = [
  "starts at once",
  "starts from the queue",
  "home sends",
  "owner sends",
  "another waits for it",
  "ends with its grant",
  "done",
  "done, lost",
  "requester dies",
  "source dies",
  "sharer dies",
  "another dies",
  "source found anew",
  "no source found",
  "refused",
  "aborted, nothing taken",
  "aborted, copies kept",
  "aborted, pages lost",
  "requester leaves",
  "source leaves",
  "sharer leaves",
  "another leaves",
  "freed",
  "cleared",
] as const;

/** What cannot happen to a transaction that is over when it begins. */
const AFTERWARDS = EVENTS.filter((event) =>
  !event.startsWith("starts") && event !== "ends with its grant"
);

/**
 * A "+" where other nodes are told to drop their copies. A hand-over answers a read with the right
 * to write; a take-over is a write of the home's for what only a leaving node has.
 */
const SORTS = [
  "zero",
  "lost",
  "read",
  "write",
  "write+",
  "upgrade",
  "upgrade+",
  "hand-over",
  "take-over",
  "clear",
] as const;

type TransactionEvent = typeof EVENTS[number];
type Sort = typeof SORTS[number];

/** What can happen where the home clears pages. */
const OF_CLEARS: readonly TransactionEvent[] = [
  "starts at once",
  "another waits for it",
  "sharer dies",
  "another dies",
  "sharer leaves",
  "another leaves",
  "freed",
  "cleared",
];

/** A sort of transaction, and what happened to it. */
export const TRANSACTION_SHAPE: TableShape<TransactionEvent, Sort> = {
  title: "transaction",
  rows: EVENTS,
  columns: SORTS,
  never: [
    {
      why: "it is over when it begins",
      rows: AFTERWARDS,
      columns: ["zero", "upgrade"],
    },
    {
      why: "a node says so only when it has all that it asked for",
      rows: ["requester leaves"],
      columns: "all",
    },
    {
      why: "others have a part in it",
      rows: ["ends with its grant"],
      columns: ["lost", "write+", "upgrade+", "take-over"],
    },
    {
      why: "no bytes are sent",
      rows: [
        "home sends",
        "owner sends",
        "source dies",
        "source leaves",
        "source found anew",
        "no source found",
      ],
      columns: ["zero", "lost", "upgrade", "upgrade+"],
    },
    {
      why: "no other node had a copy",
      rows: ["source found anew"],
      columns: ["write", "hand-over"],
    },
    {
      why: "no other node is told to drop a copy",
      rows: ["sharer dies", "sharer leaves"],
      columns: ["zero", "lost", "read", "write", "upgrade", "hand-over"],
    },
    {
      why: "no node is told to give up anything",
      rows: ["refused", "aborted, copies kept"],
      columns: ["zero", "lost", "upgrade"],
    },
    {
      why: "the pages are not lost",
      rows: ["done, lost"],
      columns: ["zero", "upgrade", "upgrade+"],
    },
    { why: "the pages are lost", rows: ["done", "aborted, pages lost"], columns: ["lost"] },
    {
      why: "the requester may have written",
      rows: ["aborted, nothing taken"],
      columns: ["zero", "upgrade", "upgrade+"],
    },
    {
      why: "a read takes nothing from any node",
      rows: ["aborted, copies kept", "aborted, pages lost"],
      columns: ["read"],
    },
    {
      why: "the requester is the home, which is the last to go",
      rows: [
        "requester dies",
        "refused",
        "aborted, nothing taken",
        "aborted, copies kept",
        "aborted, pages lost",
      ],
      columns: ["take-over"],
    },
    { why: "the source is a node that leaves", rows: ["home sends"], columns: ["take-over"] },
    {
      why: "it clears pages, which no request asks for and no bytes are sent for",
      rows: EVENTS.filter((event) => !OF_CLEARS.includes(event)),
      columns: ["clear"],
    },
    {
      why: "it is the home that clears pages",
      rows: ["cleared"],
      columns: SORTS.filter((sort) => sort !== "clear"),
    },
  ],
  rare: [{
    why: "others have a copy again only where the home had to wait for a transaction before",
    rows: ["sharer dies", "source leaves"],
    columns: ["take-over"],
  }, {
    why: "the last copy of the pages was lost before, while they were on their way",
    rows: ["aborted, nothing taken"],
    columns: ["write+", "hand-over"],
  }],
};

/** Where a directory counts. */
export interface DirectoryTables {
  readonly transactions: CoverageTable<TransactionEvent, Sort>;
  readonly corners: CoverageTable<Corner, typeof TIMES>;
}

/** What can happen to a transaction by one of its parties, or another node. */
type Fate = "dies" | "leaves";

/** A directory that counts, once it is told where. */
export class WatchedDirectory extends ProbeDirectory {
  /** Where to count. */
  tables: DirectoryTables | undefined;
  readonly #sorts = new WeakMap<Transaction, Sort>();
  /** What was asked for by the requests that wait or are served, by their names. */
  readonly #asked = new Map<number, Access>();

  override request(from: NodeId, message: RequestMessage): void {
    const waiting = this.waiting.size;
    if (this.tables !== undefined) this.#asked.set(key(from, message.request), message.access);
    this.#watch("starts at once", () => super.request(from, message));
    if (this.waiting.size === waiting) return;
    const transaction = this.transactionOn(message.first);
    if (transaction !== undefined) this.#count("another waits for it", transaction);
  }

  override done(from: NodeId, message: DoneMessage): void {
    const event = message.lost ? "done, lost" : "done";
    this.#watch("starts from the queue", () => super.done(from, message), () => event);
  }

  override granted(grant: GrantMessage, requester: NodeId): void {
    this.#watch(
      "starts from the queue",
      () => super.granted(grant, requester),
      () => "ends with its grant",
    );
  }

  override refused(from: NodeId, message: RefusedMessage): void {
    const { first, requester, request } = message;
    const transaction = this.active.at(first);
    const isMeant = transaction?.requester === requester && transaction.request === request;
    if (isMeant) this.#count("refused", transaction);
    super.refused(from, message);
  }

  override peerLost(node: NodeId): void {
    if (this.members.has(node)) this.#countFate(node, "dies");
    this.#watch("starts from the queue", () => super.peerLost(node), (ended) => this.#abort(ended));
  }

  override peerLostSeen(from: NodeId, node: NodeId): void {
    const orphans = this.active.values().filter(({ phase }) => phase.kind === "sourceLost")
      .toArray();
    this.#watch(
      "starts from the queue",
      () => super.peerLostSeen(from, node),
      (ended) => this.#abort(ended),
    );
    for (const transaction of orphans) {
      const { kind } = transaction.phase;
      if (kind === "sourceLost") continue;
      this.#count(kind === "lost" ? "no source found" : "source found anew", transaction);
    }
  }

  override work(): void {
    this.#watch("starts at once", () => super.work());
  }

  override acknowledge(from: NodeId, message: AcknowledgeMessage): void {
    this.#watch("starts from the queue", () => super.acknowledge(from, message), () => "cleared");
  }

  override leave(node: NodeId): void {
    if (this.members.has(node)) this.#countFate(node, "leaves");
    this.#watch("starts from the queue", () => super.leave(node));
  }

  override free(run: PageRun): void {
    for (const transaction of this.active.values()) {
      if (overlaps(transaction, run)) this.#count("freed", transaction);
    }
    super.free(run);
  }

  override takeOver(home: NodeId, chunks: readonly PageRun[]): void {
    const orders = this.orders.size;
    super.takeOver(home, chunks);
    if (this.orders.size < orders) this.#reach("orderTakenBack");
  }

  protected override afterUpgrade(record: number, copies: number, owns: boolean): number {
    const next = super.afterUpgrade(record, copies, owns);
    if (next === UNPROVEN) {
      if (record !== UNPROVEN) this.#reach("migrationDisproved");
    } else this.#reach(record === UNPROVEN ? "migrationProven" : "migrationProvenAgain");
    return next;
  }

  /** The transactions under way, but for those that stand for pages of a home that has moved. */
  #watched(): Iterable<Transaction> {
    return this.active.values().filter(({ phase }) => phase.kind !== "rebuilding");
  }

  #reach(corner: Corner): void {
    this.tables?.corners.count(corner, TIMES);
  }

  #countFate(node: NodeId, fate: Fate): void {
    for (const transaction of this.#watched()) {
      const { requester, invalidated } = transaction;
      const role = requester === node
        ? "requester"
        : sourceOf(transaction.phase) === node
        ? "source"
        : invalidated.includes(node)
        ? "sharer"
        : "another";
      this.#count(`${role} ${fate}`, transaction);
    }
  }

  /** How a transaction whose requester died has ended. */
  #abort({ access, phase }: Transaction): TransactionEvent {
    if (phase.kind === "clearing") return "cleared";
    if (phase.kind !== "aborting") return fail(`a transaction ended that was ${phase.kind}`);
    if (access === Access.Read || phase.content === Content.Lost) return "aborted, nothing taken";
    const isKept = phase.refused.some((node) => this.members.has(node));
    return isKept ? "aborted, copies kept" : "aborted, pages lost";
  }

  /** Counts the transactions that a step starts and ends. */
  #watch(
    start: TransactionEvent,
    step: () => void,
    end?: (ended: Transaction) => TransactionEvent,
  ): void {
    if (this.tables === undefined) return step();
    const before = [...this.#watched()];
    const sent = this.outbox.messages.length;
    step();
    for (const transaction of before) {
      if (this.active.has(transaction) || end === undefined) continue;
      this.#count(end(transaction), transaction);
    }
    this.#countFinal(start, sent);
    for (const transaction of this.#watched()) {
      if (before.includes(transaction)) continue;
      this.#sorts.set(transaction, this.#sort(transaction));
      this.#count(start, transaction);
      this.#countSpent(transaction);
      const source = sourceOf(transaction.phase);
      if (source === 0) continue;
      this.#count(source === this.self ? "home sends" : "owner sends", transaction);
    }
  }

  /** Counts the transactions that were over when they had begun: the home granted what is final. */
  #countFinal(start: TransactionEvent, sent: number): void {
    for (const { message } of this.outbox.messages.slice(sent)) {
      if (message.kind !== "grant" || !isFinal(message)) continue;
      const sort = message.content === Content.Zero ? "zero" : "upgrade";
      this.tables?.transactions.count(start, sort);
      this.tables?.transactions.count("ends with its grant", sort);
    }
  }

  #countSpent(transaction: Transaction): void {
    if (this.#sorts.get(transaction) !== "read") return;
    const record = this.migrations.get(transaction.first);
    if (record !== UNPROVEN && handOversLeft(record) === 0) this.#reach("handOversSpent");
  }

  #count(event: TransactionEvent, transaction: Transaction): void {
    this.tables?.transactions.count(event, this.#sorts.get(transaction)!);
  }

  #sort(transaction: Transaction): Sort {
    const { phase, access, requester, request, invalidated } = transaction;
    if (phase.kind === "lost") return "lost";
    if (phase.kind === "clearing") return "clear";
    if (access === Access.Read) return "read";
    if (requester === this.self && this.leaving.has(sourceOf(transaction.phase))) {
      return "take-over";
    }
    if (this.#asked.get(key(requester, request)) === Access.Read) return "hand-over";
    const isShared = invalidated.length > 0;
    if (phase.kind === "granted") return isShared ? "upgrade+" : "upgrade";
    return isShared ? "write+" : "write";
  }
}

function key(node: NodeId, request: number): number {
  return node * 0x1_0000_0000 + request;
}

/**
 * What the simulator of synchronisation counts: a run that never gets into a corner proves nothing
 * about it.
 */

import { CoverageTable, type TableShape } from "../coherence/coverage.ts";
import { SyncOperation, SyncStatus } from "../../../runtime/protocol/sync/messages.ts";
import { TIMES } from "../coherence/corners.ts";

const CORNERS = [
  /** A permit or a mutex went to a request that waited for it. */
  "handOff",
  /** An arrival completed a barrier at which others waited. */
  "barrierPassed",
  /** An arrival came with another number of parties than others. */
  "partiesMismatch",
  /** A cancel came in time. */
  "cancelled",
  /** A cancel came when the grant was on its way already. */
  "cancelledTooLate",
  /** A node died while it waited. */
  "diedWaiting",
  /** A node died, or a thread ended, that held a mutex, and the next holder was told. */
  "abandoned",
  /** A node said that the thread had ended which held a mutex. */
  "threadEnded",
  /** The link of a thread ended while the thread waited for something or held it. */
  "threadLeftInUse",
  /** A grant was on its way to a node that had died. */
  "grantLost",
  /** A node left while it waited or held something. */
  "leftInUse",
  /** A node died that had begun to leave. */
  "diedLeaving",
  /** A request arrived from a node that was given up already. */
  "lateRequest",
  /** A semaphore could not count what was released. */
  "overflow",
  /** A mutex was unlocked by a thread that did not hold it. */
  "notHolder",
  /** A semaphore was made. */
  "made",
  /** A try found nothing. */
  "unavailable",
  /** There was no room. */
  "limitExceeded",
  /** Arrivals that waited were told that a node has died that takes part. */
  "peerLost",
  /** Arrivals that waited were told that a node has left that takes part. */
  "peerHasLeft",
  /** An arrival was told of a node that had gone before. */
  "peerLostBefore",
  /** All waited at a barrier that could not be complete any more. */
  "doubted",
  /** Every thread waited, and that was told. */
  "stuck",
  /** What a node had made was left without a maker. */
  "orphaned",
  /** What a node had made went to one that waits there or holds it. */
  "inherited",
  /** What was without a maker went to a node that used it. */
  "adopted",
  /** Something without a maker was forgotten, since there were too many. */
  "orphanDropped",
] as const;

type SyncCorner = typeof CORNERS[number];
// Waits for words have a simulator of their own.
type FutexOperation = Extract<keyof typeof SyncOperation, `Futex${string}`>;
type FutexAnswer = "Registered" | "Notified" | "Quiet" | "Stirred" | "Lent" | "Moved";
type AnsweredOperation = Exclude<keyof typeof SyncOperation, "Cancel" | FutexOperation>;
type Answer = Exclude<keyof typeof SyncStatus, FutexAnswer>;

const OPERATIONS = (Object.keys(SyncOperation) as (keyof typeof SyncOperation)[])
  .filter((name): name is AnsweredOperation => name !== "Cancel" && !name.startsWith("Futex"));
const ANSWERS = (Object.keys(SyncStatus) as (keyof typeof SyncStatus)[])
  .filter((name): name is Answer => SyncStatus[name] < SyncStatus.Registered);

function allBut(...names: readonly AnsweredOperation[]): AnsweredOperation[] {
  return OPERATIONS.filter((name) => !names.includes(name));
}

const CORNERS_SHAPE: TableShape<SyncCorner, typeof TIMES> = {
  title: "corner",
  rows: CORNERS,
  columns: [TIMES],
  never: [],
};

const ANSWERS_SHAPE: TableShape<AnsweredOperation, Answer> = {
  title: "answered",
  rows: OPERATIONS,
  columns: ANSWERS,
  never: [
    { why: "a semaphore is what is made", rows: allBut("MakeSemaphore"), columns: ["Made"] },
    {
      why: "only arrivals have others to agree with",
      rows: allBut("Arrive"),
      columns: ["Last", "PartiesMismatch", "PeerLost"],
    },
    { why: "only mutexes have a holder", rows: allBut("Lock", "TryLock"), columns: ["Abandoned"] },
    {
      why: "only a try gives up at once",
      rows: allBut("TryAcquire", "TryLock"),
      columns: ["Unavailable"],
    },
    { why: "it never waits", rows: allBut("Acquire", "Arrive", "Lock"), columns: ["Cancelled"] },
    { why: "only a release can be too much", rows: allBut("Release"), columns: ["Overflow"] },
    {
      why: "only an unlock is for holders",
      rows: allBut("Unlock", "Abandon"),
      columns: ["NotHolder"],
    },
    { why: "the answer has a key", rows: ["MakeSemaphore"], columns: ["Done"] },
    {
      why: "it needs no room",
      rows: ["TryAcquire", "Unlock", "Abandon"],
      columns: ["LimitExceeded"],
    },
  ],
};

/** The tables of the simulator of synchronisation. */
export class SyncCoverage {
  /** How often each corner was reached. */
  readonly corners: CoverageTable<SyncCorner, typeof TIMES> = new CoverageTable(CORNERS_SHAPE);
  /** An operation, and what it was answered with. */
  readonly answers: CoverageTable<AnsweredOperation, Answer> = new CoverageTable(ANSWERS_SHAPE);

  /** Takes note of a corner that was reached. */
  reach(corner: SyncCorner): void {
    this.corners.count(corner, TIMES);
  }

  /** Takes note of an answer. */
  answered(operation: SyncOperation, status: SyncStatus): void {
    const row = nameOf(SyncOperation, operation) as AnsweredOperation;
    this.answers.count(row, nameOf(SyncStatus, status) as Answer);
  }
}

function nameOf<Name extends string>(values: Readonly<Record<Name, number>>, value: number): Name {
  return (Object.keys(values) as Name[]).find((name) => values[name] === value)!;
}

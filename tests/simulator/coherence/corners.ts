/**
 * Corner cases of schedules that span more than one step, so that no table of single inputs shows
 * them.
 */

import type { TableShape } from "./coverage.ts";

/** One column for tables that are lists. */
export const TIMES = "times";

/** The corners, and what is said of each. */
const CORNERS = [
  /** One grant carried the bytes of several pages. */
  "dataRun",
  /** Fewer pages were granted than were asked for. */
  "trimmedRun",
  /** A node that asked to write its copy lost that copy first, and got bytes instead. */
  "upgradeRace",
  /** A fault was read when its page was mapped already, or in another window only. */
  "staleFault",
  /** The bytes of a grant had no place to go, since no thread waited for them any more. */
  "dataRejected",
  /** A grant came for a request that was answered already. */
  "lateGrant",
  /** An acknowledgement came of which nothing depended any more, since its sender was gone. */
  "lateAcknowledge",
  /** A walk came to the unmapped first page of what was asked for ahead of it. */
  "tripwireFault",
  /** Another node wanted such a page before the walk came to it. */
  "tripwireDemanded",
  /** A page was seen to migrate that was not known to. */
  "migrationProven",
  /** A page of which no hand-overs were left was seen to migrate still. */
  "migrationProvenAgain",
  /** A page that was known to migrate was not written by the node that read it. */
  "migrationDisproved",
  /** A page that migrates was granted to read, since no hand-overs were left. */
  "handOversSpent",
  /** A node joined while others worked. */
  "lateJoin",
  /** A node left, and all others went on. */
  "left",
  /** The home took over pages that only a leaving node had. */
  "leaveTakeover",
  /** A node died. */
  "died",
  /** A grant was cut off with the death of its sender. */
  "grantCut",
  /** Another copy was sent in place of one whose node had died. */
  "resourcedRead",
  /** The bytes of a copy that was dropped already were sent in place of those of a dead node. */
  "resourcedWrite",
  /** A thread's page was lost with the node that had its only copy. */
  "lostPage",
  /** A thread touched a page that had been unmapped to see whether it is used. */
  "usedAgain",
  /** A node's only copy went to another one since its own had no room. */
  "offloaded",
  /** It went, since a thread waited, where room is kept free for other threads. */
  "keptRoomGiven",
  /** A node told of room that it no longer had when it was asked to take a page. */
  "adoptionForgotten",
  /** No node had room for a page that a thread waited for, or for those of a node that left. */
  "memoryExhausted",
  /** Pages that were freed were cleared: no node has them any more. */
  "cleared",
  /** Among them some that were lost, or would have been. */
  "clearedLost",
  /** Freed pages were given to the node that alone had them, to zero them. */
  "reused",
  /** Another home has cleared pages that it was told to; one that moved has not. */
  "clearedElsewhere",
  "orderTakenBack",
  /** Pages were freed that were being cleared. */
  "freedAgain",
  /** A node became the home of a chunk that others, too, had to ask about. */
  "homeElsewhere",
  /** A home died, and its chunks had copies elsewhere. */
  "homeDied",
  /** A home moved since its node left. */
  "homeRetired",
  /** A grant that lacked acknowledgements was taken for reading, since its home had moved. */
  "grantOfMoved",
  /** A node refused a demand before the home had heard that the requester is gone. */
  "refusedEarly",
  /** A home named a node of which the one that it asked had yet to hear. */
  "requesterUnknown",
  /** A node was frozen: its engine took no step for a while. */
  "frozen",
  /** A node that was frozen, or not heard, was given up without its knowledge. */
  "givenUp",
  /** A thread of such a node read a page before the engine took its next step. */
  "readBehind",
  /** A node found that its lease was over: one that was given up, and one that was not. */
  "fenced",
  "fencedInTime",
] as const;

/** The name of a corner. */
export type Corner = typeof CORNERS[number];

/** How often each corner was reached. */
export const CORNERS_SHAPE: TableShape<Corner, typeof TIMES> = {
  title: "corner",
  rows: CORNERS,
  columns: [TIMES],
  never: [],
};

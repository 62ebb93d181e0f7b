/**
 * What an engine tells those that watch it, as it happens: metrics count, a trace records. An
 * engine that nobody watches runs without any of this (`runtime/engine/watched_driver.ts`).
 */

import type { Input } from "../protocol/coherence/coherence.ts";
import type { Message, NodeId } from "../protocol/coherence/messages.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import type { PageState } from "../protocol/coherence/page.ts";
import type { SyncReply, SyncRequest } from "../protocol/sync/messages.ts";

/** Watches one engine. Every time is in microseconds of `performance.now`. */
export interface EngineWatch {
  /**
   * Whether it looks at the times of all that a step does. Otherwise only that is told at which a
   * step begins; the others are 0: to read the clock is most of what it costs.
   */
  readonly timesSteps: boolean;
  /**
   * A step begins.
   *
   * @param input What the protocol is given.
   * @param state What the node may do with the page before that, where the input is a fault.
   * @param nowUs The time.
   */
  stepBegins(input: Input, state: PageState | undefined, nowUs: number): void;
  /** A page operation of the step is done: threads that it was for run again. */
  operated(operation: PageOperation, nowUs: number): void;
  /**
   * The step ends: its operations are done, and its messages are sent. Told only where the times of
   * steps are looked at.
   */
  stepEnds(nowUs: number): void;
  /** A message about pages was queued; it is sent at the end of the step at the latest. */
  sent(to: NodeId, message: Message, nowUs: number): void;
  /**
   * The engine's thread has waited. Told only where the times of steps are looked at.
   *
   * @param pollingUs How long it has looked for news.
   * @param asleepUs How long it has slept after that.
   * @param nowUs When that has ended.
   */
  waited(pollingUs: number, asleepUs: number, nowUs: number): void;
  /** A thread of this node has asked the directory node by its engine. */
  asked(request: SyncRequest): void;
  /** The directory node has answered it. */
  answered(reply: SyncReply): void;
  /** At the directory node: a thread of any node asks, by its engine or by a link of its own. */
  deskAsked(from: NodeId, request: SyncRequest): void;
  /** At the directory node: it is answered. */
  deskAnswered(to: NodeId, reply: SyncReply): void;
  /** A thread of this node calls a procedure on another. */
  callMade(ticket: number, to: NodeId, procedure: string): void;
  /** That call has its answer, or gets none any more. */
  callEnded(ticket: number): void;
  /** The program is to serve a call of another node. */
  serviceBegun(id: number, from: NodeId, procedure: string): void;
  /** The program has served it, or the node that made it is gone. */
  serviceEnded(id: number): void;
  /** A node is gone, or has left. */
  peerGone(node: NodeId): void;
}

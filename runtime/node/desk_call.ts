/**
 * A request about a word of the region, from the first answer of the desk to the last: by the
 * engine or, where the thread often blocks, by the thread's own link.
 */

import { Answer, Call } from "../ring/calls.ts";
import type { EngineClient, OpenCall } from "../ring/client.ts";
import { newBody, type RingRecord } from "../ring/ring.ts";
import { type SyncAnswer, syncAnswer, syncBody, type SyncDemand } from "../ring/sync_records.ts";
import type { ThreadLink } from "../ring/thread_link.ts";
import { SyncStatus } from "../protocol/sync/messages.ts";
import type { SyncClient } from "./sync_client.ts";

/** A request that has further answers, or none yet. */
export interface DeskCall {
  /**
   * Blocks this thread until the desk answers once more.
   *
   * @param timeoutMs The longest wait, in milliseconds.
   * @returns The answer; `undefined` when the time is over.
   * @throws {TdsmError} Why there is none.
   */
  next(timeoutMs: number): SyncAnswer | undefined;
  /** The thread has looked at the word, and goes on to wait. */
  stay(): void;
  /** The thread makes other requests before it waits for the one answer that is left. */
  keep(): void;
  /** Gives the request up, which is answered all the same. */
  cancel(): void;
}

/** A request by the engine. */
export class EngineCall implements DeskCall {
  /** What is told of answers that no call waits for. */
  readonly open: OpenCall;
  readonly #client: EngineClient;
  /** The desk's name of the request, once it is acknowledged. */
  #ticket = 0;

  /**
   * Asks the engine.
   *
   * @param client The thread's way to its engine.
   * @param demand The request.
   * @param what The request in words.
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on: nothing was asked.
   */
  constructor(client: EngineClient, demand: SyncDemand, what: string) {
    this.#client = client;
    this.open = client.open(syncBody(demand), what);
  }

  /** {@inheritDoc DeskCall.next} */
  next(timeoutMs: number): SyncAnswer | undefined {
    const record = this.#client.nextAnswer(this.open, timeoutMs);
    return record === undefined ? undefined : this.read(record);
  }

  /**
   * Reads an answer.
   *
   * @param record The answer as it came by the ring.
   * @returns The answer.
   */
  read(record: RingRecord): SyncAnswer {
    const answer = syncAnswer(record);
    if (record.kind === Answer.Cancelled) return { ...answer, status: SyncStatus.Cancelled };
    if (answer.status === SyncStatus.Registered) this.#ticket = answer.ticket;
    return answer;
  }

  /** {@inheritDoc DeskCall.stay} */
  stay(): void {
    this.#client.post(newBody(Call.FutexStay, { id: this.#ticket }));
  }

  /** {@inheritDoc DeskCall.keep} */
  keep(): void {
    // Answers by the ring are kept for each request anyway.
  }

  /** {@inheritDoc DeskCall.cancel} */
  cancel(): void {
    this.#client.cancel(this.open.id);
  }
}

/**
 * A request by the thread's own link: no engine of its node wakes for the answers. Where the word
 * is lent to the thread's node, the request is made anew by the engine.
 */
export class LinkCall implements DeskCall {
  readonly #client: EngineClient;
  readonly #demand: SyncDemand;
  readonly #sync: SyncClient;
  readonly #link: ThreadLink;
  readonly #what: string;
  readonly #ticket: number;
  /** The same request by the engine, once the desk has said so. */
  #byEngine: EngineCall | undefined;

  /**
   * Asks the desk.
   *
   * @param client The thread's way to its engine.
   * @param sync The thread's way to the desk, which has the link.
   * @param link The link.
   * @param demand The request.
   * @param what The request in words.
   */
  constructor(
    client: EngineClient,
    sync: SyncClient,
    link: ThreadLink,
    demand: SyncDemand,
    what: string,
  ) {
    this.#client = client;
    this.#demand = demand;
    this.#sync = sync;
    this.#link = link;
    this.#what = what;
    this.#ticket = link.send(demand);
  }

  /** {@inheritDoc DeskCall.next} */
  next(timeoutMs: number): SyncAnswer | undefined {
    if (this.#byEngine !== undefined) return this.#byEngine.next(timeoutMs);
    const giveUpAt = performance.now() + timeoutMs;
    const answer = this.#sync.receive(this.#link, this.#ticket, giveUpAt, this.#what);
    if (answer?.status !== SyncStatus.Lent) return answer;
    this.#byEngine = new EngineCall(this.#client, this.#demand, this.#what);
    return this.#byEngine.next(Math.max(0, giveUpAt - performance.now()));
  }

  /** {@inheritDoc DeskCall.stay} */
  stay(): void {
    if (this.#byEngine !== undefined) return this.#byEngine.stay();
    this.#link.stay(this.#ticket);
  }

  /** {@inheritDoc DeskCall.keep} */
  keep(): void {
    if (this.#byEngine !== undefined) return this.#byEngine.keep();
    this.#link.keep(this.#ticket);
  }

  /** {@inheritDoc DeskCall.cancel} */
  cancel(): void {
    if (this.#byEngine !== undefined) return this.#byEngine.cancel();
    this.#link.cancel(this.#ticket);
  }
}

/** A thread's requests about semaphores, barriers, mutexes and words, and what the answers mean. */

import { BLOCK_NAMES, checkWait } from "../arguments/wait_bounds.ts";
import { Call } from "../ring/calls.ts";
import { type EngineClient, silentDirectory } from "../ring/client.ts";
import { newBody } from "../ring/ring.ts";
import type { ThreadLink } from "../ring/thread_link.ts";
import { type SyncAnswer, syncAnswer, syncBody, type SyncDemand } from "../ring/sync_records.ts";
import { TdsmError } from "../errors.ts";
import {
  BARRIER_TREE_NODES,
  DESK_SILENCE_MAX_MS,
  ENDED_LOOK_MS,
  THREAD_LINK_LOOK_MS,
  THREAD_LINK_UNANSWERED_MAX,
} from "../limits.ts";
import { SyncOperation, type SyncReply, SyncStatus, threadOf } from "../protocol/sync/messages.ts";
import { blockFor, type BlockOptions, timedOut, waitFor, type WaitOptions } from "./waiting.ts";

const encoder = new TextEncoder();

/**
 * One thread's way to the semaphores, barriers and mutexes of the directory node: by its engine or,
 * where the thread blocks, by a link of its own. What it asks for reaches the directory node in
 * order: it asks one way only once all is answered that it has asked for the other way.
 */
export class SyncClient {
  readonly #client: EngineClient;
  /** The requests by the engine that have no answer yet. */
  #byEngine = 0;
  /** Whether this thread blocked when it last waited for something. */
  #blocks = false;
  /** Whether the engine knows that this thread's own link has ended. */
  #hasToldEnd = false;
  /** What looks for answers that no call waits for. */
  #looking: ReturnType<typeof setTimeout> | undefined;
  readonly #failed: (error: TdsmError) => void;
  /** Why a request failed for which no call of this thread waited; until a call throws it. */
  #failure: TdsmError | undefined;

  /**
   * @param client The thread's way to its engine.
   * @param failed Called when a request fails for which no call of this thread waits.
   */
  constructor(client: EngineClient, failed: (error: TdsmError) => void = () => {}) {
    this.#client = client;
    this.#failed = failed;
  }

  /** Whether a call of this thread has told the program why the node cannot go on. */
  get toldFailure(): boolean {
    return this.#client.toldFailure;
  }

  /**
   * Makes a request whose answer the caller does not wait for.
   *
   * @param demand What is asked for.
   * @param what The request in words: "release semaphore 7".
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on: nothing was asked. Or why an
   * earlier such request was refused; this one is made then.
   */
  post(demand: SyncDemand, what: string): void {
    // The engine may answer this request before the call returns; the next one throws that.
    const earlier = this.#failure !== undefined;
    const refused = (error: TdsmError): void => {
      this.#failure ??= error;
      this.#failed(error);
    };
    const answered = (answer: SyncAnswer): void => {
      if (answer.status !== SyncStatus.Done) refused(syncError(answer, what));
    };
    const link = this.#blocks ? this.ownLink : undefined;
    // What was locked by the engine is unlocked by it, too: it counts the locks of its threads.
    const isOfEngine = "lock" in demand && threadOf(demand.lock) === 0;
    if (link === undefined || isOfEngine) this.#tell(demand, what, answered, refused);
    else this.#postTo(link, demand, what, answered);
    if (earlier) this.throwFailure();
  }

  /** Makes a request by the engine whose answer the caller does not wait for. */
  #tell(
    demand: SyncDemand,
    what: string,
    answered: (answer: SyncAnswer) => void,
    refused: (error: TdsmError) => void,
  ): void {
    this.settle();
    this.#client.tell(syncBody(demand), what, (record) => {
      this.#byEngine--;
      answered(syncAnswer(record));
    }, (error) => {
      this.#byEngine--;
      refused(error);
    });
    this.#byEngine++;
  }

  /** The same by the thread's own link. */
  #postTo(
    link: ThreadLink,
    demand: SyncDemand,
    what: string,
    answered: (answer: SyncAnswer) => void,
  ): void {
    this.#throwRefusal(what);
    while (link.unanswered >= THREAD_LINK_UNANSWERED_MAX && this.ownLink === link) {
      link.receive(ENDED_LOOK_MS);
    }
    link.send(demand, answered);
    this.#looking ??= setTimeout(() => this.#look(THREAD_LINK_LOOK_MS), 0);
    Deno.unrefTimer(this.#looking);
  }

  /** Takes the answers that are there and that no call waits for; looks again for the others. */
  #look(pauseMs: number): void {
    this.#looking = undefined;
    const link = this.ownLink;
    if (link === undefined) return;
    for (let before = -1; link.unanswered > 0 && link.unanswered !== before;) {
      before = link.unanswered;
      link.receive(0);
    }
    if (link.unanswered === 0) return;
    const next = Math.min(2 * pauseMs, ENDED_LOOK_MS);
    this.#looking = setTimeout(() => this.#look(next), pauseMs);
    Deno.unrefTimer(this.#looking);
  }

  /** This thread's own link, if it has one and has asked for nothing by its engine since. */
  get ownLink(): ThreadLink | undefined {
    const link = this.#byEngine === 0 ? this.#client.ownLink : undefined;
    if (link?.hasEnded !== true) return link;
    // Something may be lost that no call waits for.
    if (!this.#hasToldEnd) this.#client.post(newBody(Call.LinkEnded));
    this.#hasToldEnd = true;
    return undefined;
  }

  /**
   * Blocks this thread until all is answered that it has asked for by its own link, but for
   * notifies of words: these need no order.
   */
  settle(): void {
    for (let link = this.ownLink; link !== undefined; link = this.ownLink) {
      if (link.unansweredInOrder === 0 || this.#client.failure !== undefined) return;
      link.receive(ENDED_LOOK_MS);
    }
  }

  /**
   * Tells the caller that an earlier request has failed for which no call waited.
   *
   * @throws {TdsmError} Why, if one has and no call has thrown it.
   */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /**
   * Asks, and waits for the answer without blocking.
   *
   * @param demand What is asked for.
   * @param what The same in words, for messages.
   * @param options How long to wait.
   * @returns The answer.
   * @throws {TypeError} When the options are none.
   * @throws {RangeError} When the time-out cannot be used.
   * @throws {TdsmError} `TimedOut`, or why there is no answer; or the signal's reason; or why an
   * earlier request has failed for which no call waited.
   */
  async ask(demand: SyncDemand, what: string, options?: WaitOptions): Promise<SyncAnswer> {
    this.settle();
    this.throwFailure();
    this.#blocks = false;
    this.#byEngine++;
    try {
      return syncAnswer(await waitFor(this.#client, syncBody(demand), what, options));
    } finally {
      this.#byEngine--;
    }
  }

  /**
   * Asks, and blocks this thread until the answer is there.
   *
   * @param demand What is asked for.
   * @param what The same in words, for messages.
   * @param options How long to wait.
   * @returns The answer.
   * @throws {TypeError} When the options are none.
   * @throws {RangeError} When the time-out cannot be used.
   * @throws {TdsmError} `TimedOut`, or why there is no answer; or why an earlier request has failed
   * for which no call waited.
   */
  askSync(demand: SyncDemand, what: string, options?: BlockOptions): SyncAnswer {
    this.throwFailure();
    this.#blocks = true;
    const isForEngine = this.#mayBeGathered(demand);
    const link = isForEngine ? undefined : this.ownLink;
    if (link !== undefined) return this.#askBy(link, demand, what, options);
    this.settle();
    const answer = blockFor(this.#client, syncBody(demand), what, options);
    if (!isForEngine) this.#client.blockedByEngine();
    return syncAnswer(answer);
  }

  /** Whether engines may gather what is asked for, by a tree, past the desk. */
  #mayBeGathered(demand: SyncDemand): boolean {
    return demand.operation === SyncOperation.Arrive && demand.count > BARRIER_TREE_NODES &&
      this.#client.nodeCount > BARRIER_TREE_NODES;
  }

  /** Asks by the thread's own link, and blocks until the answer is there. */
  #askBy(
    link: ThreadLink,
    demand: SyncDemand,
    what: string,
    options: BlockOptions = {},
  ): SyncAnswer {
    checkWait(options, BLOCK_NAMES, what);
    const { timeoutMs } = options;
    this.#throwRefusal(what);
    const ticket = link.send(demand);
    let reply = this.receive(link, ticket, performance.now() + (timeoutMs ?? Infinity), what);
    if (reply === undefined) {
      // From here an answer comes in any case: the real one, or `Cancelled`.
      link.cancel(ticket);
      reply = this.receive(link, ticket, performance.now() + DESK_SILENCE_MAX_MS, what);
    }
    if (reply === undefined) throw silentDirectory(what);
    return this.#answered(link, reply, what, timeoutMs);
  }

  /**
   * Blocks this thread until a request by its own link is answered once more.
   *
   * @param link The link.
   * @param ticket The request.
   * @param giveUpAt When to give up, by `performance.now`.
   * @param what The request in words.
   * @returns The answer; `undefined` when the time is over.
   * @throws {TdsmError} Why there is none.
   */
  receive(
    link: ThreadLink,
    ticket: number,
    giveUpAt: number,
    what: string,
  ): SyncReply | undefined {
    for (;;) {
      const leftMs = giveUpAt - performance.now();
      const early = link.kept(ticket);
      if (early !== undefined) return early;
      const reply = link.receive(Math.min(Math.max(leftMs, 0), ENDED_LOOK_MS), true);
      if (reply?.ticket === ticket) return link.kept(ticket) ?? reply;
      if (link.hasEnded) return this.#ended(what);
      this.#throwRefusal(what);
      if (leftMs <= 0) return undefined;
    }
  }

  #throwRefusal(what: string): void {
    const refusal = this.#client.refusal(what);
    if (refusal !== undefined) throw refusal;
  }

  /** The answer to what was asked by the thread's own link. */
  #answered(
    link: ThreadLink,
    { status, count, ticket, key }: SyncReply,
    what: string,
    timeoutMs: number | undefined,
  ): SyncAnswer {
    link.taken();
    if (status === SyncStatus.Cancelled) throw timedOut(what, timeoutMs!);
    // The engine tells the launcher that a node is gone before this thread acts on that, and logs
    // that a mutex was abandoned.
    if (status === SyncStatus.PeerLost || status === SyncStatus.Abandoned) {
      const payload = encoder.encode(what);
      this.#client.block(newBody(Call.LinkTold, { code: status, count, payload }), what);
    }
    return { status, count, ticket, key };
  }

  /** The link has ended: the engine knows why, or will. */
  #ended(what: string): never {
    this.#client.block(newBody(Call.LinkEnded), what);
    throw new Error("The engine has no reason for the end of a link");
  }
}

/**
 * The error that an answer stands for, when it is not what was hoped for.
 *
 * @param answer The answer.
 * @param what What was asked for, in words.
 * @returns The error.
 */
export function syncError({ status, count }: SyncAnswer, what: string): TdsmError {
  const error = (
    code: "LimitExceeded" | "InvalidOption" | "PeerLost" | "EngineFailed",
    why: string,
  ): TdsmError => new TdsmError(code, `Cannot ${what}: ${why}`, { operation: what });
  switch (status) {
    case SyncStatus.Overflow:
      return error("LimitExceeded", "it would have more than 2^31 - 1");
    case SyncStatus.PartiesMismatch:
      return error("InvalidOption", `another thread counts ${count} parties`);
    case SyncStatus.NotHolder:
      return error("InvalidOption", "this lock does not hold it");
    case SyncStatus.LimitExceeded:
      return error(
        "LimitExceeded",
        "too many semaphores, barriers and mutexes are in use, or too many requests wait. " +
          "A semaphore with permits counts as one in use",
      );
    case SyncStatus.PeerLost:
      return error(
        "PeerLost",
        `node ${count} takes part in it and is gone. To go on without that node, ` +
          "use another number of parties or another name",
      );
    default:
      return error("EngineFailed", `unexpected status ${status}`);
  }
}

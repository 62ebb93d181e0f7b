/** A thread's requests about semaphores, barriers and mutexes, and what the answers mean. */

import type { EngineClient } from "../ring/client.ts";
import { type SyncAnswer, syncAnswer, syncBody, type SyncDemand } from "../ring/sync_records.ts";
import { TdsmError } from "../errors.ts";
import { SyncStatus } from "../protocol/sync/messages.ts";
import { blockFor, type BlockOptions, waitFor, type WaitOptions } from "./waiting.ts";

/** One thread's way to the semaphores, barriers and mutexes of the directory node. */
export class SyncClient {
  readonly #client: EngineClient;
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
    this.#client.tell(syncBody(demand), what, (record) => {
      const answer = syncAnswer(record);
      if (answer.status !== SyncStatus.Done) refused(syncError(answer, what));
    }, refused);
    if (earlier) this.throwFailure();
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
    this.throwFailure();
    return syncAnswer(await waitFor(this.#client, syncBody(demand), what, options));
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
    return syncAnswer(blockFor(this.#client, syncBody(demand), what, options));
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

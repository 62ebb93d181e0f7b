/** Barriers that all nodes share. */

import { type SyncClient, syncError } from "./sync_client.ts";
import type { BlockOptions, WaitOptions } from "./waiting.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import type { SyncAnswer } from "../ring/sync_records.ts";

/**
 * Makes a barrier of a thread's node. Set by the class: programs have no constructor of it.
 *
 * @param client The thread's way to the directory node.
 * @param name The name.
 * @param parties How many arrivals complete a round.
 * @returns The barrier.
 */
export let newBarrier: (client: SyncClient, name: string, parties: number) => Barrier;

/**
 * A barrier, the same for every thread that uses its name, on any node. In each round all parties
 * wait until the last one has arrived; then the barrier can be used again.
 *
 * @example Two threads wait for each other
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const phase = node.barrier("phase", 2);
 * const last = await Promise.all([phase.wait(), phase.wait()]);
 * console.log(last); // one of the two is true
 * ```
 */
export class Barrier {
  /** Its name. */
  readonly name: string;
  /** How many arrivals complete a round. */
  readonly parties: number;
  #client!: SyncClient;
  readonly #what: string;

  static {
    newBarrier = (client, name, parties) => {
      const barrier = new Barrier(name, parties);
      barrier.#client = client;
      return barrier;
    };
  }

  /** `node.barrier` makes barriers. */
  private constructor(name: string, parties: number) {
    this.name = name;
    this.parties = parties;
    this.#what = `wait at barrier ${JSON.stringify(name)} of ${parties} parties`;
  }

  /**
   * Arrives at the barrier, and waits for the other parties.
   *
   * @param options A signal and a time-out, in milliseconds; a thread that gives up has not
   *   arrived.
   * @returns Resolves when all parties have arrived: to `true` for the last one, `false` for the
   *   others. Where more than 16 nodes meet again and again, `true` is for one of the node with the
   *   lowest id.
   * @throws {TdsmError} `InvalidOption` when another party gives another number of parties,
   * `PeerLost` when a node that takes part is gone, `TimedOut`, or why the node cannot go on; or
   * the signal's reason.
   */
  async wait(options: WaitOptions = {}): Promise<boolean> {
    const { Arrive: operation } = SyncOperation;
    const { name, parties: count } = this;
    return this.#passed(await this.#client.ask({ operation, name, count }, this.#what, options));
  }

  /**
   * Arrives at the barrier, and blocks this thread until the other parties have arrived.
   *
   * @param options A time-out, in milliseconds.
   * @returns Whether this party was the last to arrive, as {@linkcode Barrier.wait} has it.
   * @throws {TdsmError} As {@linkcode Barrier.wait}.
   */
  waitSync(options: BlockOptions = {}): boolean {
    const { Arrive: operation } = SyncOperation;
    const { name, parties: count } = this;
    return this.#passed(this.#client.askSync({ operation, name, count }, this.#what, options));
  }

  #passed(answer: SyncAnswer): boolean {
    if (answer.status === SyncStatus.Last) return true;
    if (answer.status === SyncStatus.Done) return false;
    throw syncError(answer, this.#what);
  }
}

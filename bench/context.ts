/** What the families of one run have in common: how long to measure, the floors, and notes. */

import { DenoPing, type DenoWaiting } from "./floor/deno_ping.ts";
import { Floor } from "./floor/floor.ts";

/** A run of the benchmark. */
export class Context implements AsyncDisposable {
  /** Whether to measure less, in less time. */
  readonly quick: boolean;
  /** What whoever reads the numbers has to know, each said once. */
  readonly notes = new Set<string>();
  readonly #stack = new AsyncDisposableStack();
  readonly #pings = new Map<DenoWaiting, Promise<DenoPing>>();
  #floor: Promise<Floor> | undefined;

  /** @param quick Whether to measure less. */
  constructor(quick: boolean) {
    this.quick = quick;
  }

  /** @returns The native floor; started when it is first asked for, and asleep while it is not used. */
  floor(): Promise<Floor> {
    return this.#floor ??= this.#keep(Floor.start());
  }

  /**
   * @param how How both sides wait.
   * @returns A TCP ping-pong of two Deno processes, likewise.
   */
  ping(how: DenoWaiting): Promise<DenoPing> {
    let ping = this.#pings.get(how);
    if (ping === undefined) this.#pings.set(how, ping = this.#keep(DenoPing.start(how)));
    return ping;
  }

  /** Ends the floors. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #keep<Owner extends AsyncDisposable>(starting: Promise<Owner>): Promise<Owner> {
    return this.#stack.use(await starting);
  }
}

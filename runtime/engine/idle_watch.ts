/** Finds out when a node has nothing to do, and has it give back the memory of dead bytes then. */

import { IDLE_STEP_MS } from "../limits.ts";

/** What is watched. */
export interface IdleWatchOptions {
  /** A number that changes with each thing that the node does. */
  readonly events: () => number;
  /** How many pages there are whose bytes are dead. */
  readonly pagesDead: () => number;
  /** Gives some of them back. */
  readonly idle: () => void;
}

/** Looks at a node at each beat, and more often while it gives memory back. */
export class IdleWatch implements Disposable {
  readonly #options: IdleWatchOptions;
  #seen: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param options What is watched, from now on. */
  constructor(options: IdleWatchOptions) {
    this.#options = options;
    this.#seen = options.events();
  }

  /** A second has passed. */
  beat(): void {
    if (this.#timer === undefined) this.#look();
  }

  #look(): void {
    const { events, pagesDead, idle } = this.#options;
    const isIdle = events() === this.#seen && pagesDead() > 0;
    if (isIdle) idle();
    this.#seen = events();
    this.#timer = isIdle ? setTimeout(() => this.#look(), IDLE_STEP_MS) : undefined;
  }

  /** Ends the watch. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

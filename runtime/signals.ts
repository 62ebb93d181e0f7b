/** The signals that end nodes, and how one is told from its echo. */

import { SIGNAL_ECHO_MS } from "./limits.ts";

/** The signals at which nodes leave, and launchers end theirs, with their numbers. */
export const END_SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** One of {@linkcode END_SIGNALS}. */
export type EndSignal = keyof typeof END_SIGNALS;

/**
 * Tells a second signal from an echo of the first. A terminal sends Ctrl-C to all processes in its
 * foreground; one that only runs another, such as `deno task`, passes it on. So a process under it
 * gets the same signal twice, though its user has pressed once.
 */
export class SignalEcho {
  #first: { readonly signal: EndSignal; readonly time: number } | undefined;

  /**
   * A signal came.
   *
   * @param signal Which.
   * @param time When, in milliseconds, of a clock that never goes back.
   * @returns Whether it is the first once more, and not a signal of its own.
   */
  repeats(signal: EndSignal, time: number): boolean {
    if (this.#first === undefined) {
      this.#first = { signal, time };
      return false;
    }
    return signal === this.#first.signal && time - this.#first.time < SIGNAL_ECHO_MS;
  }
}

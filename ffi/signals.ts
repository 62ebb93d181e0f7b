/** The signals that end nodes, as the library counts them. */

import { END_SIGNALS, type EndSignal } from "../runtime/signals.ts";
import { statusError } from "./abi.ts";
import type { TdsmLibrary } from "./library.ts";
import type { Poller } from "./poller.ts";

/** What this thread is told of signals to its process. */
export class Signals {
  readonly #library: TdsmLibrary;

  private constructor(library: TdsmLibrary) {
    this.#library = library;
  }

  /**
   * Begins to watch SIGHUP, SIGINT and SIGTERM. The library's handlers call those of Deno, which
   * must be there already: where Deno has a listener for a signal, it does not end the process.
   *
   * @param library The library.
   * @param poller What this thread sleeps in, if it does: a signal ends the sleep.
   * @param came Called in that sleep when signals have come.
   * @returns What tells of them.
   * @throws {TdsmError} Where descriptors are used up.
   */
  static watch(library: TdsmLibrary, poller: Poller | undefined, came: () => void): Signals {
    const { symbols } = library;
    const watch = (epoll: number): void => {
      const result = symbols.tdsm_signals_watch(epoll);
      if (result < 0) throw statusError("watch signals", result, symbols.tdsm_last_errno());
    };
    if (poller === undefined) watch(-1);
    else poller.watchSignals(watch, came);
    return new Signals(library);
  }

  /**
   * The signals that have come since the last call, or since the watch began. One that the kernel
   * has taken for this process has come, whether a thread has noticed it or not.
   *
   * @returns Their names, each once.
   */
  take(): EndSignal[] {
    const bits = this.#library.symbols.tdsm_signals_take();
    return (Object.keys(END_SIGNALS) as EndSignal[])
      .filter((name) => (bits >>> END_SIGNALS[name] & 1) !== 0);
  }
}

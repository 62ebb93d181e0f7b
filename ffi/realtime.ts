/** The class of the engine's thread, as the library sets it. */

import { TdsmError } from "../runtime/errors.ts";
import { nameErrno } from "./abi.ts";
import type { TdsmLibrary } from "./library.ts";

/** This thread in a real-time class, until it is disposed of. */
export class RealtimeThread implements Disposable {
  readonly #library: TdsmLibrary;

  private constructor(library: TdsmLibrary) {
    this.#library = library;
  }

  /**
   * Puts this thread into a real-time class: it is given a core before any thread that only
   * computes. While it uses all of a core it is in the ordinary class. Threads that it makes are
   * not in the class.
   *
   * @param library The library.
   * @param when Whether it is in the class at all times, or only as long as threads of the ordinary
   * class keep it waiting where it sleeps in a `Poller`.
   * @returns The thread; or the error that says why not: the kernel does not permit it to each
   * user.
   */
  static begin(library: TdsmLibrary, when: "always" | "starving"): RealtimeThread | TdsmError {
    const { symbols } = library;
    const result = symbols.tdsm_realtime_begin(when === "always" ? 1 : 0);
    if (result >= 0) return new RealtimeThread(library);
    const errno = symbols.tdsm_last_errno();
    const message = "Cannot use realtime on: the kernel does not permit this process a real-time " +
      `class${nameErrno(errno)}. Give it CAP_SYS_NICE or \`ulimit -r 1\`, or use realtime auto`;
    return new TdsmError("InvalidOption", message, { operation: "join", errno });
  }

  /** Puts this thread back into the ordinary class. */
  [Symbol.dispose](): void {
    this.#library.symbols.tdsm_realtime_end();
  }
}

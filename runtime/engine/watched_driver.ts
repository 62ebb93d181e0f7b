/**
 * A driver that tells what it does. The driver itself knows nothing of that: an engine that nobody
 * watches runs the same instructions as if there were no metrics and no traces.
 */

import type { EngineWatch } from "../observe/engine_watch.ts";
import type { Input } from "../protocol/coherence/coherence.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import { Driver, type DriverParts, type MessageSink } from "./driver.ts";
import { nowUs } from "./polling.ts";

/** Runs one node's protocol, and tells what happens. */
export class WatchedDriver extends Driver {
  readonly #watch: EngineWatch;
  readonly #coherence: DriverParts["coherence"];

  /**
   * @param parts What to drive, and with what.
   * @param watch Is told.
   */
  constructor(parts: DriverParts, watch: EngineWatch) {
    super({ ...parts, sink: watchedSink(parts.sink, watch) });
    this.#watch = watch;
    this.#coherence = parts.coherence;
  }

  protected override carryOut(input: Input): void {
    const { timesSteps } = this.#watch;
    const isFault = input.kind === "fault";
    const state = isFault ? this.#coherence.state(input.page) : undefined;
    const now = nowUs();
    this.#watch.stepBegins(input, state, now);
    super.carryOut(input, now);
    if (timesSteps) this.#watch.stepEnds(nowUs());
  }

  protected override operate(operation: PageOperation): void {
    super.operate(operation);
    const { timesSteps } = this.#watch;
    this.#watch.operated(operation, timesSteps || endsFaults(operation) ? nowUs() : 0);
  }
}

/** Whether threads may go on by a page operation. */
function endsFaults({ kind }: PageOperation): boolean {
  return kind === "install" || kind === "installZero" || kind === "unprotect";
}

/** A sink that tells of each message. */
function watchedSink(sink: MessageSink, watch: EngineWatch): MessageSink {
  return {
    send(to, message, payload, encoding) {
      sink.send(to, message, payload, encoding);
      watch.sent(to, message, watch.timesSteps ? nowUs() : 0);
    },
    flush: () => sink.flush(),
    unsent: () => sink.unsent(),
    unsentVersion: () => sink.unsentVersion(),
  };
}

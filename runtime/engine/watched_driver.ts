/**
 * Has a driver tell what it does. The driver itself knows nothing of that: an engine that nobody
 * watches runs the same instructions as if there were no metrics and no traces, before and after.
 */

import type { EngineWatch } from "../observe/engine_watch.ts";
import type { Coherence, Input } from "../protocol/coherence/coherence.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import { Driver, type MessageSink } from "./driver.ts";
import { ownMethods } from "./own_methods.ts";
import { nowUs } from "./polling.ts";

/**
 * Watches a driver. Not to be called within a step, nor for a driver that is watched.
 *
 * @param driver The driver.
 * @param coherence The protocol that it drives.
 * @param watch Is told what happens from here on.
 * @returns Ends that.
 */
export function watchDriver(
  driver: Driver,
  coherence: Pick<Coherence, "state">,
  watch: EngineWatch,
): () => void {
  const { timesSteps } = watch;
  const sink = driver.sendBy((sink) => watchedSink(sink, watch));
  const end = ownMethods(driver, {
    carryOut(input: Input): void {
      const state = input.kind === "fault" ? coherence.state(input.page) : undefined;
      const now = nowUs();
      watch.stepBegins(input, state, now);
      Driver.prototype.carryOut.call(this, input, now);
      if (timesSteps) watch.stepEnds(nowUs());
    },
    operate(operation: PageOperation): void {
      Driver.prototype.operate.call(this, operation);
      watch.operated(operation, timesSteps ? nowUs() : 0);
    },
  });
  return () => {
    driver.sendBy(() => sink);
    end();
  };
}

/** A sink that tells of each message. */
function watchedSink(sink: MessageSink, watch: EngineWatch): MessageSink {
  const { timesSteps } = watch;
  return {
    send(to, message, payload, encoding) {
      sink.send(to, message, payload, encoding);
      watch.sent(to, message, timesSteps ? nowUs() : 0);
    },
    flush: () => sink.flush(),
    unsent: () => sink.unsent(),
    unsentVersion: () => sink.unsentVersion(),
  };
}

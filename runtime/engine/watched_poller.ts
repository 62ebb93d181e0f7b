/** A poller that tells how long its thread looks and sleeps; see `watched_driver.ts`. */

import { READY_SEEN } from "../../ffi/abi.ts";
import { Poller } from "../../ffi/poller.ts";
import type { EngineWatch } from "../observe/engine_watch.ts";
import { nowUs } from "./polling.ts";

/** What an engine's thread sleeps on, watched. */
export class WatchedPoller extends Poller {
  /** Is told of each wait, once there is something to tell. */
  told: Pick<EngineWatch, "waited"> | undefined;

  protected override block(
    ready: Int32Array<ArrayBuffer>,
    us: number,
    lookUs: number,
    begunUs: number,
  ): number {
    const result = super.block(ready, us, lookUs, begunUs);
    // What does not wait is part of the engine's work.
    if (us === 0) return result;
    const endUs = nowUs();
    const waitedUs = endUs - begunUs;
    // A wait looks first, and sleeps only where it has seen nothing.
    const isLook = (result & READY_SEEN) !== 0;
    const pollingUs = isLook ? waitedUs : Math.min(waitedUs, lookUs);
    this.told?.waited(pollingUs, waitedUs - pollingUs, endUs);
    return result;
  }
}

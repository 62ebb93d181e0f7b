/** Has a poller tell how long its thread looks and sleeps; see `watched_driver.ts`. */

import { READY_SEEN } from "../../ffi/abi.ts";
import { Poller } from "../../ffi/poller.ts";
import type { EngineWatch } from "../observe/engine_watch.ts";
import { ownMethods } from "./own_methods.ts";
import { nowUs } from "./polling.ts";

/**
 * Watches a poller, which nobody watches yet.
 *
 * @param poller The poller.
 * @param watch Is told of each wait from here on.
 * @returns Ends that.
 */
export function watchPoller(poller: Poller, watch: Pick<EngineWatch, "waited">): () => void {
  return ownMethods(poller, {
    block(ready, us, lookUs): number {
      // What does not wait is part of the engine's work.
      if (us === 0) return Poller.prototype.block.call(this, ready, us, lookUs);
      const begunUs = nowUs();
      const result = Poller.prototype.block.call(this, ready, us, lookUs);
      const endUs = nowUs();
      const waitedUs = endUs - begunUs;
      // A wait looks first, and sleeps only where it has seen nothing.
      const isLook = (result & READY_SEEN) !== 0;
      const pollingUs = isLook ? waitedUs : Math.min(waitedUs, lookUs);
      watch.waited(pollingUs, waitedUs - pollingUs, endUs);
      return result;
    },
  });
}

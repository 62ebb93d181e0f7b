/** A Worker that blocks at the barrier of `launched.ts`, and ends by what the barrier throws. */

import { attach, type NodeHandle } from "../../../mod.ts";

addEventListener("message", (event) => {
  const { handle, nodes } = (event as MessageEvent<{ handle: NodeHandle; nodes: number }>).data;
  attach(handle).barrier("step", nodes).waitSync();
});

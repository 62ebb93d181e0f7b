/** Everything that broken inputs are thrown at. */

import { directoryTarget, joinTarget } from "./clusters.ts";
import { packedTarget } from "./compression.ts";
import { controlTarget } from "./controls.ts";
import { engineTarget } from "./engines.ts";
import { frameTarget } from "./frames.ts";
import { handshakeTarget } from "./handshakes.ts";
import { sealedTarget } from "./sealed.ts";
import { sealedLinkTarget, threadLinkTarget } from "./sealed_links.ts";
import { streamTarget } from "./streams.ts";
import type { Target } from "./target.ts";
import { wasmTarget } from "./wasm_modules.ts";

/** The targets. The more an input costs, the fewer there are. */
export const TARGETS: readonly Target[] = [
  frameTarget(),
  controlTarget,
  streamTarget,
  packedTarget(),
  engineTarget(),
  directoryTarget,
  joinTarget,
  handshakeTarget(),
  sealedTarget(),
  sealedLinkTarget(),
  threadLinkTarget(),
  wasmTarget(),
];

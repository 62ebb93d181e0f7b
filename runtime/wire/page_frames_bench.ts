import { BOUNDS, MESSAGES } from "../../tests/support/frames.ts";
import { decodeFrame, encodeMessage } from "./page_frames.ts";
import { MESSAGE_MAX_BYTES } from "./layout.ts";

const target = new Uint8Array(MESSAGE_MAX_BYTES);

for (const { label, message, payloadBytes } of MESSAGES) {
  Deno.bench({
    name: `encode and decode: ${label}`,
    baseline: label === "request to read",
    fn() {
      const size = encodeMessage(message, payloadBytes, target, 0);
      decodeFrame(target, 0, size, BOUNDS);
    },
  });
}

const longest = Array.from({ length: 1000 }, (_, index) => index + 1);
const { message: forward } = MESSAGES[2]!;

Deno.bench("encode and decode: forward with 1,000 invalidations", () => {
  if (forward.kind !== "forward") throw new Error(`No forward: ${forward.kind}`);
  const size = encodeMessage({ ...forward, invalidated: longest }, 0, target, 0);
  decodeFrame(target, 0, size, BOUNDS);
});

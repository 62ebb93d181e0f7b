/** What changes a frame on its way is noticed, wherever it does, and never taken for a message. */

import { assertEquals } from "@std/assert";
import { decodeAll } from "../../tests/support/frame_checks.ts";
import { ofKind, readGoldenFrames } from "../../tests/support/frames.ts";
import { FRAME_HEADER_BYTES, Offset } from "./layout.ts";
import { FRAME_REASONS, type FrameReason, isDamage } from "./reason.ts";

const golden = readGoldenFrames();

/** The reason that a frame has for a change of the byte at an offset. */
function reasonAt(offset: number): FrameReason {
  if (offset >= Offset.Magic && offset < Offset.Version) return "BadMagic";
  if (offset === Offset.Version) return "BadVersion";
  return offset < FRAME_HEADER_BYTES ? "HeaderChecksumMismatch" : "BodyChecksumMismatch";
}

/** Of two frames of which one is damaged, not both may be messages. */
function assertNoticed(stream: Uint8Array, what: string): void {
  const first = decodeAll(stream);
  if (first.kind === "malformed") return;
  // The byte too many is behind the frame, or like the one that it has moved away.
  if (first.kind === "need") throw new Error(`Waits for ${first.bytes}: ${what}`);
  assertEquals(decodeAll(stream.subarray(first.size)).kind, "malformed", what);
}

Deno.test("decodeFrame: every bit of every frame that is flipped is noticed", () => {
  for (const [label, frame] of golden) {
    for (let at = 0; at < frame.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = frame.slice();
        damaged[at]! ^= 1 << bit;
        const decoded = ofKind(decodeAll(damaged), "malformed");
        assertEquals(decoded.reason, reasonAt(at), `${label}, bit ${bit} of byte ${at}`);
      }
    }
  }
});

Deno.test("decodeFrame: a header that is damaged is not waited behind: its length is not believed", () => {
  for (const [label, frame] of golden) {
    for (let at = 0; at < FRAME_HEADER_BYTES; at++) {
      const damaged = frame.slice(0, FRAME_HEADER_BYTES);
      damaged[at]! ^= 0x81;
      const decoded = ofKind(decodeAll(damaged), "malformed");
      assertEquals(decoded.reason, reasonAt(at), `${label}, byte ${at}`);
    }
  }
});

Deno.test("decodeFrame: a byte that is left out, or comes twice, is noticed", () => {
  const frames = [...golden];
  for (const [index, [label, frame]] of frames.entries()) {
    // Something follows, or a byte too few would only be one to wait for.
    const [, next] = frames[(index + 1) % frames.length]!;
    for (let at = 0; at < frame.length; at++) {
      const without = [...frame.subarray(0, at), ...frame.subarray(at + 1), ...next];
      assertNoticed(Uint8Array.from(without), `${label} without byte ${at}`);
      const twice = [...frame.subarray(0, at + 1), ...frame.subarray(at), ...next];
      assertNoticed(Uint8Array.from(twice), `${label} with byte ${at} twice`);
    }
  }
});

Deno.test("isDamage: three reasons tell of damage, one for each checksum", () => {
  assertEquals(FRAME_REASONS.filter(isDamage), [
    "HeaderChecksumMismatch",
    "BodyChecksumMismatch",
    "PayloadChecksumMismatch",
  ]);
});

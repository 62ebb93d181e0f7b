import { assertEquals } from "@std/assert";
import { decodeFrame } from "../wire/page_frames.ts";
import { Offset, PROTOCOL_VERSION } from "../wire/layout.ts";
import { controlFrame, HELLO } from "../../tests/support/raw_peer.ts";
import { keyPreamble, PREAMBLE_BYTES, readPreamble } from "./preamble.ts";

Deno.test("readPreamble tells nodes with a key, nodes without one, other versions and strangers", () => {
  assertEquals(readPreamble(keyPreamble()), { kind: "key" });
  assertEquals(readPreamble(controlFrame(HELLO).subarray(0, PREAMBLE_BYTES)), { kind: "frame" });
  const later = keyPreamble();
  later[Offset.Version] = PROTOCOL_VERSION + 1;
  assertEquals(readPreamble(later), { kind: "version", version: PROTOCOL_VERSION + 1 });
  const words = new TextEncoder().encode("GET / HTTP/1.1").subarray(0, PREAMBLE_BYTES);
  assertEquals(readPreamble(words), { kind: "stranger" });
  const long = keyPreamble();
  long[Offset.Length]! += 1;
  assertEquals(readPreamble(long), { kind: "stranger" });
});

Deno.test("keyPreamble has fixed bytes, and is named by a node without a key", () => {
  const expected = Uint8Array.of(8, 0, 0, 0, 0x44, 0x53, PROTOCOL_VERSION, 65);
  assertEquals(keyPreamble() as Uint8Array, expected);
  const decoded = decodeFrame(keyPreamble(), 0, PREAMBLE_BYTES, undefined);
  assertEquals(decoded.kind === "malformed" && decoded.reason, "KeyExpected");
});

import { assertEquals, assertThrows } from "@std/assert";
import {
  checkGolden,
  checkMalformed,
  HUGE,
  type MalformedCases,
} from "../../tests/support/frame_checks.ts";
import { BOUNDS, ofKind, readGoldenFrames } from "../../tests/support/frames.ts";
import { RPC_MESSAGES } from "../../tests/support/rpc_frames.ts";
import { RPC_MAX_BYTES, RPC_NAME_MAX_BYTES } from "../limits.ts";
import { decodeFrame } from "./page_frames.ts";
import { FRAME_HEADER_BYTES, Offset } from "./layout.ts";
import { FRAME_REASONS } from "./reason.ts";
import { Framer } from "./framer.ts";
import { encodeRpc, RPC_FRAME_MAX_BYTES, type RpcCallMessage } from "./rpc_frames.ts";

const golden = readGoldenFrames();

function call(procedure: string): RpcCallMessage {
  return { kind: "rpcCall", ticket: 1, procedure };
}

Deno.test("encodeRpc: every message of a remote call has its golden bytes, both ways", async (t) => {
  const cases = RPC_MESSAGES.map(({ label, message, payloadBytes, payloadChecksum }) => ({
    label,
    encode: (target: Uint8Array, offset: number) =>
      encodeRpc(message, payloadBytes, target, offset, payloadChecksum),
    expected: { kind: "rpc", message, payloadBytes, payloadChecksum },
  }));
  await checkGolden(t, cases);
});

const LABELS = RPC_MESSAGES.map(({ label }) => label);
/** Bytes of the header that no remote call uses: all but content, flags, request and payload. */
const UNUSED = [8, 10, 12, 15, 16, 19, 24, 25, 26, 27];

const MALFORMED: MalformedCases = [
  ["LengthOutOfBounds", [
    ["remote call", Offset.Length, [FRAME_HEADER_BYTES]],
    ["remote call", Offset.Length, [(RPC_FRAME_MAX_BYTES + 1) & 255, RPC_FRAME_MAX_BYTES >> 8]],
    ["remote call", Offset.Length, HUGE],
    ["remote answer", Offset.Length, [FRAME_HEADER_BYTES - 1]],
    ["remote answer", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["remote answer", Offset.Length, [0]],
  ]],
  ["UnknownContent", [
    ["remote call", Offset.Content, [1]],
    ["remote answer", Offset.Content, [2]],
    ["remote failure", Offset.Content, [255]],
  ]],
  ["ReservedNotZero", LABELS.map((label) => [label, Offset.Flags, [3]] as const)],
  ["UnusedFieldNotZero", [
    ...LABELS.flatMap((label) => UNUSED.map((offset) => [label, offset, [1]] as const)),
    ["remote call", Offset.Flags, [0]],
    ["remote failure", Offset.PayloadChecksum + 2, [1]],
  ]],
  ["RpcPayloadTooLong", [
    ["remote call of the longest arguments", Offset.PayloadBytes, [1]],
    ["remote answer", Offset.PayloadBytes, HUGE],
    ["remote failure", Offset.PayloadBytes, [0, 0, 16]],
  ]],
  ["RpcNameInvalid", [
    ["remote call of the longest arguments", FRAME_HEADER_BYTES, [0xff]],
    ["remote call", FRAME_HEADER_BYTES + 6, [0xc3]],
    ["remote call", FRAME_HEADER_BYTES, [0xed, 0xa0, 0x80]],
  ]],
];

Deno.test("decodeFrame: every malformed field of a remote call has its reason", async (t) => {
  await checkMalformed(t, MALFORMED);
  const tested = MALFORMED.map(([reason]) => reason).filter((reason) => reason.startsWith("Rpc"));
  assertEquals(tested.sort(), FRAME_REASONS.filter((reason) => reason.startsWith("Rpc")).sort());
});

Deno.test("decodeFrame: a wrong length of a remote call is known before its name arrives", async (t) => {
  const cases = MALFORMED.filter(([reason]) => reason === "LengthOutOfBounds");
  await checkMalformed(t, cases, FRAME_HEADER_BYTES);
});

Deno.test("encodeRpc: names of procedures of 1 to 255 bytes travel as they are, no others leave", () => {
  const target = new Uint8Array(2 * RPC_FRAME_MAX_BYTES);
  const longest = "é".repeat(RPC_NAME_MAX_BYTES >> 1) + "x";
  for (const name of ["x", "\ufeffmarked", "a\0b", "😀", longest]) {
    const size = encodeRpc(call(name), 0, target, 0);
    const decoded = ofKind(decodeFrame(target, 0, size, BOUNDS), "rpc");
    assertEquals(decoded.message, call(name));
  }
  for (const name of ["", "x".repeat(256), "é".repeat(128)]) {
    assertThrows(() => encodeRpc(call(name), 0, target, 0), RangeError, "Cannot encode procedure");
  }
});

Deno.test("Framer: hands out remote calls that arrive in pieces, and what they carry", () => {
  const framer = new Framer();
  const received: unknown[] = [];
  for (const { label, payloadBytes } of RPC_MESSAGES) {
    for (const byte of golden.get(label)!) {
      framer.space[0] = byte;
      framer.filled(1);
      const frame = framer.next(BOUNDS);
      if (frame.kind === "need") continue;
      const rpc = ofKind(frame, "rpc");
      received.push({ label, message: rpc.message, payloadBytes: rpc.payloadBytes });
      if (payloadBytes > 0) assertEquals(framer.takePayload(new Uint8Array(payloadBytes)), 0);
    }
  }
  const said = RPC_MESSAGES.map(({ label, message, payloadBytes }) => ({
    label,
    message,
    payloadBytes,
  }));
  assertEquals(received, said);
  assertEquals(RPC_MESSAGES.some(({ payloadBytes }) => payloadBytes === RPC_MAX_BYTES), true);
});

import { assertThrows } from "@std/assert";
import {
  checkGolden,
  checkMalformed,
  HUGE,
  type MalformedCases,
} from "../../tests/support/frame_checks.ts";
import { CALL_SLOTS_MAX } from "../limits.ts";
import { FRAME_HEADER_BYTES, Offset } from "./layout.ts";
import { encodePing, type PingMessage, PingOffset } from "./ping_frames.ts";

const PING: PingMessage = {
  kind: "ping",
  sent: 70_000,
  echo: 300,
  room: 0xffff_ffff,
  spare: 7,
  threads: 3,
};

Deno.test("encodePing: a ping has its golden bytes, both ways", async (t) => {
  await checkGolden(t, [{
    label: "ping",
    encode: (target, offset) => encodePing(PING, target, offset),
    expected: { kind: "ping", message: PING },
  }]);
});

Deno.test("encodePing: a target without room is refused", () => {
  assertThrows(() => encodePing(PING, new Uint8Array(FRAME_HEADER_BYTES), 1), RangeError);
});

const MALFORMED: MalformedCases = [
  ["LengthOutOfBounds", [
    ["ping", Offset.Length, [0]],
    ["ping", Offset.Length, [FRAME_HEADER_BYTES - 1]],
    ["ping", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["ping", Offset.Length, HUGE],
  ]],
  ["UnusedFieldNotZero", [
    ["ping", PingOffset.Reserved, [1]],
    ["ping", PingOffset.Reserved + 3, [1]],
    ["ping", Offset.PayloadChecksum, [1]],
    ["ping", Offset.PayloadChecksum + 3, [1]],
  ]],
  ["PingWithoutNumber", [["ping", PingOffset.Sent, [0, 0, 0, 0]]]],
  ["PingThreadsOutOfBounds", [
    ["ping", PingOffset.Threads, [CALL_SLOTS_MAX + 1]],
    ["ping", PingOffset.Threads, HUGE],
  ]],
];

Deno.test("decodeFrame: every malformed field of a ping has its reason", async (t) => {
  await checkMalformed(t, MALFORMED);
});

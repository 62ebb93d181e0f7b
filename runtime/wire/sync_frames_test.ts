import { assertEquals, assertThrows } from "@std/assert";
import {
  checkGolden,
  checkMalformed,
  HUGE,
  type MalformedCases,
} from "../../tests/support/frame_checks.ts";
import { BOUNDS, ofKind, readGoldenFrames } from "../../tests/support/frames.ts";
import { SYNC_MESSAGES } from "../../tests/support/sync_frames.ts";
import { SYNC_NAME_MAX_BYTES } from "../limits.ts";
import { decodeFrame } from "./page_frames.ts";
import { FRAME_HEADER_BYTES, Offset } from "./layout.ts";
import { FRAME_REASONS } from "./reason.ts";
import { Framer } from "./framer.ts";
import {
  encodeSync,
  SHAPES_BY_OPERATION,
  SHAPES_BY_STATUS,
  SYNC_MAX_BYTES,
  SyncOffset,
} from "./sync_frames.ts";
import {
  GatherStep,
  type LockRequest,
  SyncOperation,
  SyncStatus,
} from "../protocol/sync/messages.ts";

const golden = readGoldenFrames();

function lock(name: string): LockRequest {
  return { kind: "sync", operation: SyncOperation.Lock, ticket: 1, name };
}

Deno.test("encodeSync: every message of synchronisation has its golden bytes, both ways", async (t) => {
  const cases = SYNC_MESSAGES.map(([label, message]) => ({
    label,
    encode: (target: Uint8Array, offset: number) => encodeSync(message, target, offset),
    expected: { kind: "sync", message },
  }));
  await checkGolden(t, cases);
});

Deno.test("SHAPES_BY_OPERATION: every operation, status and step has a golden frame, and a shape", () => {
  const codes = (kind: string) =>
    SYNC_MESSAGES.filter(([, message]) => message.kind === kind)
      .map(([, message]) =>
        message.kind === "sync"
          ? message.operation
          : message.kind === "gather"
          ? message.step
          : message.status
      );
  assertEquals(codes("sync"), Object.values(SyncOperation));
  assertEquals(codes("syncReply"), Object.values(SyncStatus));
  assertEquals(codes("gather"), Object.values(GatherStep));
  assertEquals(Object.keys(SHAPES_BY_OPERATION).map(Number), codes("sync"));
  assertEquals(Object.keys(SHAPES_BY_STATUS).map(Number), codes("syncReply"));
});

const LABELS = SYNC_MESSAGES.map(([label]) => label);
const WITHOUT_KEY = LABELS.filter((label) =>
  ![
    "acquire",
    "try to acquire",
    "release",
    "reply: made",
    "wait for a word",
    "notify",
    "heard",
    "moved",
    "return",
    "reply: quiet",
    "reply: stirred",
    "reply: lent",
    "reply: moved",
  ].includes(label)
);
const STEPS = ["gathered", "released", "recall", "dissolved"];
const WITH_LOCK = ["unlock", "abandon", ...STEPS];
const WITHOUT_COUNT = LABELS.filter((label) =>
  ![
    "release",
    "make a semaphore",
    "arrive",
    "reply: parties mismatch",
    "reply: peer lost",
    "notify",
    "reply: notified",
    "reply: quiet",
    ...STEPS,
  ].includes(label)
);

const MALFORMED: MalformedCases = [
  ["LengthOutOfBounds", [
    ["acquire", Offset.Length, [FRAME_HEADER_BYTES - 1]],
    ["lock", Offset.Length, [(SYNC_MAX_BYTES + 1) & 255, SYNC_MAX_BYTES >> 8]],
    ["lock", Offset.Length, HUGE],
    ["reply: done", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["reply: done", Offset.Length, [0]],
    ["released", Offset.Length, [FRAME_HEADER_BYTES + 1]],
  ]],
  ["LengthMismatch", [
    ["acquire", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["cancel", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["arrive", Offset.Length, [FRAME_HEADER_BYTES]],
    ["lock", Offset.Length, [FRAME_HEADER_BYTES]],
  ]],
  ["SyncOperationUnknown", [
    ["acquire", SyncOffset.Code, [0]],
    ["cancel", SyncOffset.Code, [17]],
    ["lock", SyncOffset.Code, [255]],
  ]],
  ["SyncStatusUnknown", [
    ["reply: done", SyncOffset.Code, [0]],
    ["reply: done", SyncOffset.Code, [18]],
    ["reply: made", SyncOffset.Code, [255]],
  ]],
  ["SyncStepUnknown", [
    ["gathered", SyncOffset.Code, [0]],
    ["released", SyncOffset.Code, [5]],
  ]],
  [
    "ReservedNotZero",
    LABELS.flatMap((label) => [
      [label, SyncOffset.Reserved, [1]] as const,
      [label, SyncOffset.Reserved + 2, [1]] as const,
    ]),
  ],
  ["UnusedFieldNotZero", [
    ["heard", SyncOffset.Ticket, [1]],
    ["return", SyncOffset.Ticket, [1]],
    ...STEPS.map((label) => [label, SyncOffset.Ticket, [1]] as const),
    ["reply: stirred", SyncOffset.Ticket + 3, [1]],
    ...WITHOUT_KEY.map((label) => [label, SyncOffset.Key, [1]] as const),
    ...WITHOUT_KEY.map((label) => [label, SyncOffset.Key + 7, [1]] as const),
    ...WITHOUT_COUNT.map((label) => [label, SyncOffset.Count + 3, [1]] as const),
    ...LABELS.map((label) => [label, Offset.PayloadChecksum, [1]] as const),
    ...LABELS.filter((label) => !WITH_LOCK.includes(label))
      .map((label) => [label, SyncOffset.Lock, [1]] as const),
  ]],
  ["SyncCountOutOfBounds", [
    ["release", SyncOffset.Count, [0, 0, 0, 0]],
    ["release", SyncOffset.Count, [0, 0, 0, 0x80]],
    ["make a semaphore", SyncOffset.Count, [0, 0, 0, 0x80]],
    ["arrive", SyncOffset.Count, [0]],
    ["arrive", SyncOffset.Count, [1, 0, 1]],
    ["notify", SyncOffset.Count, [0, 0, 0, 0]],
    ["notify", SyncOffset.Count, [0, 0, 0, 0x80]],
    ["reply: notified", SyncOffset.Count, [0, 0, 0, 0x80]],
    ["reply: quiet", SyncOffset.Count, [0, 0, 0, 0x80]],
    ["reply: parties mismatch", SyncOffset.Count, [0]],
    ["reply: peer lost", SyncOffset.Count, [0]],
  ]],
  ["SyncNameInvalid", [
    ["arrive", SyncOffset.Name, [0xff]],
    ["try to lock", SyncOffset.Name, [0xc3]],
    ["lock", SyncOffset.Name, [0xed, 0xa0, 0x80]],
  ]],
];

Deno.test("decodeFrame: every malformed field of synchronisation has its reason", async (t) => {
  await checkMalformed(t, MALFORMED);
  const tested = MALFORMED.map(([reason]) => reason).filter((reason) => reason.startsWith("Sync"));
  const all = FRAME_REASONS.filter((reason) => reason.startsWith("Sync"));
  assertEquals(tested.sort(), all.sort());
});

Deno.test("decodeFrame: a wrong length or field is known before the name arrives", async (t) => {
  const early = ["LengthOutOfBounds", "LengthMismatch", "SyncCountOutOfBounds"];
  const cases = MALFORMED.filter(([reason]) => early.includes(reason));
  await checkMalformed(t, cases, FRAME_HEADER_BYTES);
});

Deno.test("encodeSync: names of 1 to 255 bytes travel as they are", () => {
  const target = new Uint8Array(SYNC_MAX_BYTES);
  const longest = "é".repeat(SYNC_NAME_MAX_BYTES >> 1) + "x";
  for (const name of ["x", "\ufeffmarked", "a\0b", "😀", longest]) {
    const size = encodeSync(lock(name), target, 0);
    const decoded = ofKind(decodeFrame(target, 0, size, BOUNDS), "sync");
    assertEquals(decoded.message, lock(name));
  }
});

Deno.test("encodeSync: a name that is empty, too long, or not text does not leave", () => {
  const target = new Uint8Array(2 * SYNC_MAX_BYTES);
  for (const name of ["", "x".repeat(256), "é".repeat(128), "\ud800"]) {
    assertThrows(() => encodeSync(lock(name), target, 0), RangeError, "Cannot encode a name");
  }
});

Deno.test("encodeSync: a target without room is refused", () => {
  const target = new Uint8Array(FRAME_HEADER_BYTES + 2);
  assertThrows(() => encodeSync(lock("abc"), target, 0), RangeError);
  assertThrows(() => encodeSync(lock("abc"), target, 3), RangeError);
  assertEquals(encodeSync(lock("ab"), target, 0), target.length);
});

Deno.test("Framer: hands out what it is given in pieces", () => {
  const framer = new Framer();
  const messages: unknown[] = [];
  for (const byte of LABELS.flatMap((label) => [...golden.get(label)!])) {
    framer.space[0] = byte;
    framer.filled(1);
    const frame = framer.next(BOUNDS);
    if (frame.kind !== "need") messages.push(ofKind(frame, "sync").message);
  }
  assertEquals(messages, SYNC_MESSAGES.map(([, message]) => message));
});

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type Change,
  checkGolden,
  checkMalformed,
  decodeAll,
  HUGE,
  type MalformedCases,
} from "../../tests/support/frame_checks.ts";
import { BOUNDS, MESSAGES, ofKind, readGoldenFrames } from "../../tests/support/frames.ts";
import { CONTROL_MAX_BYTES, NODES_MAX } from "../limits.ts";
import { type Decoded, decodeFrame, encodeControlHeader, encodeMessage } from "./page_frames.ts";
import { describeFrameReason, FRAME_REASONS } from "./reason.ts";
import {
  Encoding,
  Field,
  FRAME_HEADER_BYTES,
  FrameType,
  MESSAGE_MAX_BYTES,
  Offset,
  PROTOCOL_VERSION,
} from "./layout.ts";
import { PAGE_MESSAGES } from "./page_messages.ts";

const golden = readGoldenFrames();

Deno.test("encodeMessage: every message has its golden bytes, both ways", async (t) => {
  const cases = MESSAGES.map(({ label, message, payloadBytes, encoding, payloadChecksum }) => ({
    label,
    encode: (target: Uint8Array, offset: number) =>
      encodeMessage(message, payloadBytes, target, offset, encoding, payloadChecksum),
    expected: {
      kind: "message",
      message,
      payloadBytes,
      encoding: encoding ?? Encoding.Raw,
      payloadChecksum,
    },
  }));
  await checkGolden(t, cases);
});

Deno.test("PAGE_MESSAGES: every type of frame is one kind's, and has a golden frame", () => {
  const types = new Set([...golden.values()].map((bytes) => bytes[Offset.Type]!));
  const known = [
    ...Object.values(PAGE_MESSAGES).map(({ type }) => type),
    ...Object.values(FrameType),
  ];
  const ascending = (a: number, b: number) => a - b;
  assertEquals([...types].sort(ascending), known.sort(ascending));
});

Deno.test("PAGE_MESSAGES: the fields of a kind are those of its message", () => {
  const fields: Readonly<Record<string, number>> = {
    kind: 0,
    access: Field.Access,
    content: Field.Content,
    lost: Field.Content,
    first: Field.Run,
    count: Field.Run,
    request: Field.Request,
    awaited: Field.Request,
    requester: Field.Node,
    node: Field.Node,
    lostNode: Field.Node,
    invalidated: Field.List,
  };
  for (const { label, message } of MESSAGES) {
    const used = Object.keys(message).reduce((sum, name) => sum | fields[name]!, 0);
    assertEquals(PAGE_MESSAGES[message.kind].fields & ~Field.LongRun, used, label);
  }
});

Deno.test("decodeFrame: every prefix of a frame needs no more than the frame has", () => {
  for (const [label, bytes] of golden) {
    for (let length = 0; length < bytes.length; length++) {
      const decoded = decodeFrame(bytes, 0, length, BOUNDS);
      assertEquals(decoded.kind, "need", `${label}, ${length} bytes`);
      assert(
        decoded.kind === "need" && decoded.bytes > 0 && length + decoded.bytes <= bytes.length,
      );
    }
    assert(decodeAll(bytes).kind !== "need", label);
  }
});

Deno.test("decodeFrame: a frame follows directly on another", () => {
  const [first, second] = [golden.get("done")!, golden.get("leave")!];
  const stream = new Uint8Array([...first, ...second]);
  const decoded = ofKind(decodeAll(stream), "message");
  assertEquals(decoded.message.kind, "done");
  const next = decodeFrame(stream, decoded.size, stream.length, BOUNDS);
  assertEquals(ofKind(next, "message").message.kind, "leave");
});

const WITHOUT_PAYLOAD = MESSAGES.filter(({ payloadBytes }) => payloadBytes === 0);
const RUN_KINDS = ["request to read", "forward of a read", "invalidate", "acknowledge", "done"];

const MALFORMED: MalformedCases = [
  ["BadMagic", [["leave", Offset.Magic, [0x45]], ["leave", Offset.Magic + 1, [0x54]]]],
  ["BadVersion", [["leave", Offset.Version, [0]], ["accept", Offset.Version, [1]], [
    "accept",
    Offset.Version,
    [PROTOCOL_VERSION + 1],
  ]]],
  ["UnknownType", [
    ["leave", Offset.Type, [0]],
    ["leave", Offset.Type, [12]],
    ["leave", Offset.Type, [63]],
    ["leave", Offset.Type, [255]],
  ]],
  ["LengthOutOfBounds", [
    ["leave", Offset.Length, [FRAME_HEADER_BYTES - 1]],
    ["leave", Offset.Length, [0]],
    ["leave", Offset.Length, HUGE],
    ["grant of zeros", Offset.Length, [(MESSAGE_MAX_BYTES + 1) & 255, MESSAGE_MAX_BYTES >> 8]],
    ["accept", Offset.Length, [FRAME_HEADER_BYTES]],
    ["accept", Offset.Length, [1, 0, CONTROL_MAX_BYTES >> 16]],
    ["accept", Offset.Length, HUGE],
  ]],
  ["LengthMismatch", [
    ["leave", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["grant of what is kept", Offset.Length, [FRAME_HEADER_BYTES + 1]],
    ["grant of what is kept", Offset.Length, [FRAME_HEADER_BYTES + 2]],
    ["done", Offset.Length, [FRAME_HEADER_BYTES + 4]],
  ]],
  ["UnknownAccess", [
    ["request to read", Offset.Access, [0]],
    ["forward of a read", Offset.Access, [3]],
    ["grant of zeros", Offset.Access, [255]],
  ]],
  ["UnknownContent", [
    ["grant of zeros", Offset.Content, [0]],
    ["grant of zeros", Offset.Content, [5]],
    ["done", Offset.Content, [1]],
    ["done", Offset.Content, [5]],
  ]],
  ["UnknownEncoding", [
    ["grant of data to read", Offset.Encoding, [2]],
    ["grant of zeros", Offset.Encoding, [1]],
    ["leave", Offset.Encoding, [1]],
  ]],
  ["ReservedNotZero", MESSAGES.map(({ label }) => [label, Offset.Flags, [2]] as const)],
  ["UnusedFieldNotZero", [
    ["acknowledge", Offset.Access, [1]],
    ["request to read", Offset.Content, [1]],
    ["leave", Offset.First, [1]],
    ["left", Offset.Count + 3, [1]],
    ["peer lost", Offset.Request, [1]],
    ["request to read", Offset.Node, [1]],
    ["grant of zeros", Offset.Node + 1, [1]],
    ["done", Offset.Node + 3, [1]],
    ["accept", Offset.PayloadBytes + 3, [1]],
    ["accept", Offset.Flags, [1]],
    ["accept", Offset.PayloadChecksum + 3, [1]],
    ["leave", Offset.PayloadChecksum, [1]],
    ["grant of packed data", Offset.PayloadChecksum + 3, [1]],
    ...WITHOUT_PAYLOAD.map(({ label }) => [label, Offset.Flags, [1]] as const),
  ]],
  ["RunEmpty", RUN_KINDS.map((label) => [label, Offset.Count, [0]] as const)],
  ["RunTooLong", RUN_KINDS.map((label) => [label, Offset.Count, [129]] as const)],
  ["RunOutOfRegion", [
    ...RUN_KINDS.map((label) => [label, Offset.First, HUGE] as const),
    ["request to write", Offset.First, [0, 0, 0, 1]],
  ]],
  ["NodeOutOfBounds", [
    ["invalidate", Offset.Node, [0, 0]],
    ["peer lost", Offset.Node, HUGE],
    ["grant of lost pages", Offset.Node, [0]],
    ["grant of what is kept", FRAME_HEADER_BYTES, [0]],
    ["forward of a write with invalidations", FRAME_HEADER_BYTES + 8, HUGE],
  ]],
  ["PayloadMismatch", [
    ["grant of data to read", Offset.PayloadBytes, [0, 0]],
    ["grant of data to read", Offset.PayloadBytes, [1]],
    ["grant of data to read", Offset.PayloadBytes, HUGE],
    ["grant of data to read", Offset.Count, [3]],
    ["grant of data to read", Offset.Encoding, [1]],
    ["grant of packed data", Offset.Encoding, [0]],
    ["grant of packed data", Offset.PayloadBytes, [11, 0]],
    ["grant of packed data", Offset.PayloadBytes, [0, 0x30]],
    ["grant of packed data", Offset.PayloadBytes, HUGE],
    ["grant of zeros", Offset.PayloadBytes, [1]],
    ["request to read", Offset.PayloadBytes, [1]],
    ["leave", Offset.PayloadBytes, [1]],
  ]],
];

Deno.test("decodeFrame: every malformed field has its reason", (t) => checkMalformed(t, MALFORMED));

Deno.test("decodeFrame: no reason of a frame is left out", () => {
  const others = /^(Control|NotControl|KeyExpected|Ping|Rpc|Sync)|ChecksumMismatch$/;
  const reasons = FRAME_REASONS.filter((reason) => !others.test(reason));
  assertEquals(MALFORMED.map(([reason]) => reason).sort(), reasons.sort());
});

Deno.test("decodeFrame: a wrong magic or version is known after 8 bytes", async (t) => {
  const early = ["BadMagic", "BadVersion"];
  await checkMalformed(t, MALFORMED.filter(([reason]) => early.includes(reason)), 8);
});

Deno.test("decodeFrame: all else that is wrong with a header is known before its list or body arrives", async (t) => {
  const late = (change: Change): boolean => change[1] >= FRAME_HEADER_BYTES;
  const cases = MALFORMED.map(([reason, changes]) =>
    [reason, changes.filter((change) => !late(change))] as const
  );
  await checkMalformed(t, cases, FRAME_HEADER_BYTES);
});

Deno.test("decodeFrame: where no region is known, a control frame is taken, and any other known by its header", () => {
  for (const [label, bytes] of golden) {
    const decoded = decodeFrame(bytes, 0, bytes.length, undefined);
    const type = bytes[Offset.Type]!;
    if (type === FrameType.Control) assertEquals(decoded.kind, "control", label);
    else {
      const expected = { kind: "malformed", reason: "NotControl", detail: type } as const;
      assertEquals(decoded, expected, label);
      assertEquals(decodeFrame(bytes, 0, FRAME_HEADER_BYTES, undefined), expected, label);
    }
  }
});

Deno.test("decodeFrame: bounds are the region's, to the last page", () => {
  const frame = golden.get("invalidate")!;
  const decode = (pageCount: number, runPages: number): Decoded =>
    decodeFrame(frame, 0, frame.length, { pageCount, pageSize: 4096, runPages });
  assertEquals(decode(144, 128).kind, "message");
  assertEquals(ofKind(decode(143, 128), "malformed").reason, "RunOutOfRegion");
  assertEquals(ofKind(decode(144, 127), "malformed").reason, "RunTooLong");
});

Deno.test("decodeFrame: the pages whose home is told may be more than a run", () => {
  const region = { pageCount: 2 ** 20, pageSize: 4096, runPages: 1 };
  for (const [count, kind] of [[65_536, "message"], [65_537, "malformed"]] as const) {
    const frame = new Uint8Array(FRAME_HEADER_BYTES);
    encodeMessage({ kind: "located", first: 300, count, node: 2 }, 0, frame, 0);
    assertEquals(decodeFrame(frame, 0, frame.length, region).kind, kind);
  }
});

Deno.test("encodeMessage: the longest list fits, a longer one does not leave", () => {
  const nodes = Array.from({ length: NODES_MAX }, (_, index) => index + 1);
  const message = { ...MESSAGES[3]!.message, invalidated: nodes } as typeof MESSAGES[0]["message"];
  const target = new Uint8Array(MESSAGE_MAX_BYTES);
  assertEquals(encodeMessage(message, 0, target, 0), MESSAGE_MAX_BYTES);
  assertEquals(ofKind(decodeAll(target), "message").message, message);
  const longer = { ...message, invalidated: [...nodes, 7] } as typeof message;
  assertThrows(
    () => encodeMessage(longer, 0, new Uint8Array(2 * MESSAGE_MAX_BYTES), 0),
    RangeError,
  );
});

Deno.test("encodeMessage: a target without room is refused and stays as it was", () => {
  const target = new Uint8Array(FRAME_HEADER_BYTES);
  assertThrows(() => encodeMessage({ kind: "leave" }, 0, target, 1), RangeError);
  assert(target.every((byte) => byte === 0));
});

Deno.test("encodeControlHeader: a control frame's body is the bytes behind its header, not a copy", () => {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + 5).fill(7);
  encodeControlHeader(3, frame, 1);
  const decoded = ofKind(decodeFrame(frame, 1, frame.length, BOUNDS), "control");
  assertEquals(decoded.size, FRAME_HEADER_BYTES + 3);
  assertEquals(decoded.body, new Uint8Array([7, 7, 7]));
  assertStrictEquals(decoded.body.buffer, frame.buffer);
});

Deno.test("describeFrameReason: a reason is described, with its value where there is one", () => {
  assertEquals(
    describeFrameReason("RunTooLong", 129),
    "Frame has a run of more pages than may be moved at once: 129",
  );
  assertEquals(describeFrameReason("RunEmpty"), "Frame has a run of no pages");
});

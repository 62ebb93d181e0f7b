import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BOUNDS,
  CONTROLS,
  MESSAGES,
  ofKind,
  readGoldenFrames,
} from "../../tests/support/frames.ts";
import { RPC_MESSAGES } from "../../tests/support/rpc_frames.ts";
import { CONTROL_MAX_BYTES } from "../limits.ts";
import { encodeControlHeader } from "./page_frames.ts";
import { FRAME_HEADER_BYTES } from "./layout.ts";
import type { Control } from "./control.ts";
import { Framer } from "./framer.ts";
import type { Message } from "../protocol/coherence/messages.ts";
import type { RpcMessage } from "./rpc_frames.ts";

const golden = readGoldenFrames();

/** What came out of a framer. */
interface Received {
  readonly said: (Message | Control | RpcMessage)[];
  readonly payloads: Uint8Array[];
}

/** Reads from `stream`, at most `stepBytes` at a time, as a connection would fill the framer. */
class Reader {
  readonly #stream: Uint8Array;
  readonly #stepBytes: number;
  #at = 0;

  constructor(stream: Uint8Array, stepBytes: number) {
    this.#stream = stream;
    this.#stepBytes = stepBytes;
  }

  read(target: Uint8Array): number {
    assert(target.length > 0, "nowhere to read into");
    const bytes = Math.min(target.length, this.#stepBytes, this.#stream.length - this.#at);
    target.set(this.#stream.subarray(this.#at, this.#at + bytes));
    this.#at += bytes;
    return bytes;
  }
}

function receive(stream: Uint8Array, stepBytes: number): Received {
  const reader = new Reader(stream, stepBytes);
  const framer = new Framer();
  const received: Received = { said: [], payloads: [] };
  while (true) {
    const frame = framer.next(BOUNDS);
    switch (frame.kind) {
      case "need": {
        const bytes = reader.read(framer.space);
        if (bytes === 0) return received;
        framer.filled(bytes);
        break;
      }
      case "control":
        received.said.push(frame.control);
        break;
      case "message":
      case "rpc": {
        received.said.push(frame.message);
        if (frame.payloadBytes === 0) break;
        const payload = new Uint8Array(frame.payloadBytes);
        let there = framer.takePayload(payload);
        while (there < payload.length) there += reader.read(payload.subarray(there));
        received.payloads.push(payload);
        break;
      }
      case "malformed":
        throw new Error(frame.reason);
    }
  }
}

/** Every golden frame, those with page bytes followed by them. */
function makeStream(): { stream: Uint8Array; expected: Received } {
  const expected: Received = { said: [], payloads: [] };
  const parts: Uint8Array[] = [];
  for (const { label, message, payloadBytes } of [...MESSAGES, ...RPC_MESSAGES]) {
    expected.said.push(message);
    parts.push(golden.get(label)!);
    if (payloadBytes === 0) continue;
    const payload = new Uint8Array(payloadBytes).map((_, index) => index * 7 + index / 4096);
    expected.payloads.push(payload);
    parts.push(payload);
  }
  for (const [label, control] of CONTROLS) {
    expected.said.push(control);
    parts.push(golden.get(label)!);
  }
  const stream = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    stream.set(part, at);
    at += part.length;
  }
  return { stream, expected };
}

Deno.test("Framer: frames and page bytes come out the same however they arrive", async (t) => {
  const { stream, expected } = makeStream();
  for (const stepBytes of [1, 7, 43, 44, 45, 1460, 4096, 65_536, Infinity]) {
    await t.step(`${stepBytes} bytes a read`, () => {
      const received = receive(stream, stepBytes);
      assertEquals(received.said, expected.said);
      assertEquals(received.payloads.length, expected.payloads.length);
      for (const [index, payload] of received.payloads.entries()) {
        // Element by element in the engine's own code: half a megabyte is much for `assertEquals`.
        assert(payload.every((byte, at) => byte === expected.payloads[index]![at]));
      }
    });
  }
});

Deno.test("Framer: a frame that does not fit behind others is moved, and only then", () => {
  const frame = golden.get("welcome")!;
  const times = Math.ceil(3 * CONTROL_MAX_BYTES / frame.length);
  const stream = new Uint8Array(times * frame.length);
  for (let index = 0; index < times; index++) stream.set(frame, index * frame.length);
  const { said } = receive(stream, Infinity);
  assertEquals(said.length, times);
  assertEquals(said.at(-1), said[0]);
});

Deno.test("Framer: the longest control frame fits", () => {
  const framer = new Framer();
  const frame = new Uint8Array(CONTROL_MAX_BYTES);
  const rest = CONTROL_MAX_BYTES - FRAME_HEADER_BYTES;
  encodeControlHeader(rest, frame, 0);
  framer.space.set(frame.subarray(0, FRAME_HEADER_BYTES));
  framer.filled(FRAME_HEADER_BYTES);
  assertEquals(ofKind(framer.next(BOUNDS), "need").bytes, rest);
  assertEquals(framer.space.length, rest);
  framer.space.set(frame.subarray(FRAME_HEADER_BYTES));
  framer.filled(rest);
  assertEquals(ofKind(framer.next(BOUNDS), "malformed").reason, "ControlNotMap");
});

Deno.test("Framer: what is malformed stays malformed", () => {
  const framer = new Framer();
  const frames: readonly Uint8Array[] = [new Uint8Array(32), golden.get("leave")!];
  for (const bytes of frames) {
    framer.space.set(bytes);
    framer.filled(bytes.length);
    assertEquals(ofKind(framer.next(BOUNDS), "malformed").reason, "BadMagic");
  }
});

Deno.test("Framer: page bytes cannot be taken for a frame, nor put where they do not fit", () => {
  const framer = new Framer();
  const frame = golden.get("grant of data to read")!;
  framer.space.set(frame);
  framer.filled(frame.length);
  assertEquals(ofKind(framer.next(BOUNDS), "message").payloadBytes, 8192);
  assertThrows(() => framer.next(BOUNDS), Error, "not taken");
  assertThrows(() => framer.takePayload(new Uint8Array(8193)), RangeError);
  assertThrows(() => framer.takePayload(new Uint8Array(4096)), RangeError);
  assertEquals(framer.takePayload(new Uint8Array(8192)), 0);
  assertEquals(framer.next(BOUNDS).kind, "need");
});

Deno.test("Framer: more than there is space for cannot be filled", () => {
  const framer = new Framer();
  framer.filled(framer.space.length);
  assertThrows(() => framer.filled(1), RangeError);
});

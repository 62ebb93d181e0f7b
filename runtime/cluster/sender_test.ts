import { assertEquals, assertStrictEquals } from "@std/assert";
import type { TdsmError } from "../errors.ts";
import { crc32c } from "../wire/crc32c.ts";
import { Encoding, FRAME_HEADER_BYTES } from "../wire/layout.ts";
import type { FrameBounds } from "../wire/check.ts";
import {
  HEARTBEAT_MS,
  LINK_QUEUE_MAX_BYTES,
  SEND_BATCH_BYTES,
  SEND_COPY_MAX_BYTES,
  SEND_ENTRY_BYTES,
} from "../limits.ts";
import { Framer } from "../wire/framer.ts";
import { Content, type GrantMessage, type Message } from "../protocol/coherence/messages.ts";
import { Access } from "../protocol/coherence/page.ts";
import { type LinkCounters, newCounters, Sender, SendQueues } from "./sender.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { PING } from "../../tests/support/raw_peer.ts";

const BOUNDS: FrameBounds = { pageCount: 1 << 16, pageSize: 4096, runPages: 128 };

/** A connection that writes as the test lets it, and keeps what was written. */
class FakeConnection {
  readonly written: number[] = [];
  /** The arrays that were handed over, as they were. */
  readonly handed: Uint8Array[] = [];
  /** How many bytes one write takes. */
  limit = Infinity;
  /** What writes fail with. */
  failure: Error | undefined;
  underWay = 0;
  #gate: PromiseWithResolvers<void> | undefined;

  async write(bytes: Uint8Array): Promise<number> {
    assertEquals(this.underWay++, 0, "two writes at one time");
    this.handed.push(bytes);
    await this.#gate?.promise;
    await Promise.resolve();
    this.underWay--;
    if (this.failure !== undefined) throw this.failure;
    const count = Math.min(bytes.length, this.limit);
    for (const byte of bytes.subarray(0, count)) this.written.push(byte);
    return count;
  }

  /** From here on writes wait for {@linkcode release}. */
  hold(): void {
    this.#gate = Promise.withResolvers();
  }

  release(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  asConn(): Deno.Conn {
    return this as unknown as Deno.Conn;
  }
}

interface Sent {
  readonly kind: string;
  readonly request?: number;
  readonly payload?: Uint8Array;
}

/** What a receiver would make of it. */
function receive(bytes: readonly number[]): Sent[] {
  const framer = new Framer();
  const all = Uint8Array.from(bytes);
  const out: Sent[] = [];
  let at = 0;
  for (;;) {
    const frame = framer.next(BOUNDS);
    if (frame.kind === "control") out.push({ kind: frame.control.kind });
    else if (frame.kind === "ping") out.push({ kind: frame.kind });
    else if (frame.kind === "message") {
      const request = (frame.message as GrantMessage).request;
      if (frame.payloadBytes === 0) out.push({ kind: frame.message.kind, request });
      else {
        const payload = new Uint8Array(frame.payloadBytes);
        const there = framer.takePayload(payload);
        payload.set(all.subarray(at, at + payload.length - there), there);
        at += payload.length - there;
        out.push({ kind: frame.message.kind, request, payload });
      }
    } else if (frame.kind === "malformed") throw new Error(`malformed: ${frame.reason}`);
    else {
      const { space } = framer;
      const chunk = all.subarray(at, at + space.length);
      if (chunk.length === 0) return out;
      space.set(chunk);
      framer.filled(chunk.length);
      at += chunk.length;
    }
  }
}

function newSender(): { sender: Sender; counters: LinkCounters; failures: unknown[] } {
  const counters = newCounters();
  return { sender: new Sender(counters), counters, failures: [] };
}

function request(number: number): Message {
  return { kind: "request", access: Access.Read, first: 1, count: 1, request: number };
}

function grant(number: number, count: number): GrantMessage {
  return {
    kind: "grant",
    access: Access.Write,
    content: Content.Data,
    first: 1,
    count,
    request: number,
    invalidated: [],
    lostNode: 0,
  };
}

function pages(count: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: count * 4096 }, (_, index) => (index + seed * 7) & 0xff);
}

Deno.test("Sender writes what was queued before and after it was opened, in order", async () => {
  const { sender, counters, failures } = newSender();
  const connection = new FakeConnection();
  sender.send(request(1));
  sender.send(PING);
  sender.flush();
  await sender.drained();
  assertEquals(connection.written, []);
  sender.open(connection.asConn(), (error) => failures.push(error));
  sender.send(request(2));
  await sender.drained();
  sender.send(grant(3, 1), pages(1, 3));
  sender.send(grant(4, 8), pages(8, 4));
  sender.send({ kind: "closing" });
  await sender.drained();
  assertEquals(receive(connection.written), [
    { kind: "request", request: 1 },
    { kind: "ping" },
    { kind: "request", request: 2 },
    { kind: "grant", request: 3, payload: pages(1, 3) },
    { kind: "grant", request: 4, payload: pages(8, 4) },
    { kind: "closing" },
  ]);
  assertEquals(failures, []);
  assertEquals(counters.messagesSent, 4);
  assertEquals(counters.bytesSent, connection.written.length);
});

Deno.test("Sender: pages are written from where they are, what is shorter is copied at once", async () => {
  const { sender } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  sender.open(connection.asConn(), () => {});
  const short = new Uint8Array(SEND_COPY_MAX_BYTES).fill(7);
  sender.send({ kind: "rpcAnswer", ticket: 1, ok: true }, short);
  short.fill(0);
  const page = pages(5, 2);
  sender.send(grant(2, 5), page);
  connection.release();
  await sender.drained();
  assertStrictEquals(connection.handed.find(({ length }) => length === page.length), page);
  const copied = Uint8Array.from(connection.written).subarray(
    FRAME_HEADER_BYTES,
    FRAME_HEADER_BYTES + short.length,
  );
  assertEquals(copied, new Uint8Array(SEND_COPY_MAX_BYTES).fill(7));
  assertEquals(Uint8Array.from(connection.written).subarray(-page.length), page);
});

Deno.test("Sender: what follows a frame has its checksum where it is told to sum, and only there", async () => {
  const [page, result] = [pages(2, 1), pages(1, 2).subarray(0, 100)];
  const { counters } = newSender();
  for (const sum of [crc32c, undefined]) {
    const sender = new Sender(counters, sum);
    const connection = new FakeConnection();
    sender.open(connection.asConn(), () => {});
    sender.send(grant(1, 2), page);
    sender.send({ kind: "rpcAnswer", ticket: 1, ok: true }, result);
    sender.send(request(2));
    sender.send({ kind: "rpcAnswer", ticket: 2, ok: true }, new Uint8Array());
    await sender.drained();
    const framer = new Framer();
    framer.space.set(Uint8Array.from(connection.written));
    framer.filled(connection.written.length);
    const sums: unknown[] = [];
    for (const payload of [page, result, [], []]) {
      const frame = framer.next(BOUNDS);
      if (frame.kind !== "message" && frame.kind !== "rpc") throw new Error(frame.kind);
      sums.push(frame.payloadChecksum);
      assertEquals(framer.takePayload(new Uint8Array(payload.length)), payload.length);
    }
    assertEquals(sums, [sum?.(page), sum?.(result), undefined, undefined]);
  }
});

Deno.test("Sender: more than fits one batch goes in several, none of them torn or reused early", async () => {
  const { sender, counters } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  sender.open(connection.asConn(), () => {});
  const expected: Sent[] = [];
  for (let number = 1; counters.bytesSent < 5 * SEND_BATCH_BYTES; number++) {
    if (number % 3 === 0) {
      sender.send(grant(number, 1), pages(1, number));
      expected.push({ kind: "grant", request: number, payload: pages(1, number) });
    } else {
      sender.send(request(number));
      expected.push({ kind: "request", request: number });
    }
    if (number % 5 === 0) sender.flush();
    if (number === 40) connection.release();
    if (number % 50 === 0) await Promise.resolve();
  }
  await sender.drained();
  assertEquals(receive(connection.written), expected);
});

Deno.test("Sender goes on where a write that took only part of the bytes ended", async () => {
  for (const limit of [1, 7, 4095, 20_000]) {
    const { sender } = newSender();
    const connection = new FakeConnection();
    connection.limit = limit;
    let begun = 0;
    sender.open(connection.asConn(), () => {}, () => begun++);
    sender.send(request(1));
    sender.send(grant(2, 5), pages(5, 2));
    sender.send(request(3));
    await sender.drained();
    assertEquals(begun, connection.handed.length, "each write is told");
    assertEquals(receive(connection.written), [
      { kind: "request", request: 1 },
      { kind: "grant", request: 2, payload: pages(5, 2) },
      { kind: "request", request: 3 },
    ]);
  }
});

Deno.test("Sender.drained waits for what is queued while it waits", async () => {
  const { sender } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  sender.open(connection.asConn(), () => {});
  sender.send(request(1));
  const drained = sender.drained();
  sender.send(request(2));
  connection.release();
  await drained;
  assertEquals(receive(connection.written).map(({ request }) => request), [1, 2]);
});

Deno.test("Sender.unsent has the payloads that are not copied, until each is written", async () => {
  const { sender } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  const payloads = [pages(128, 1), pages(1, 2), pages(8, 3)];
  const unsent = (): number[] =>
    [...sender.unsent()].map((bytes) => payloads.indexOf(bytes as never));
  for (const [index, payload] of payloads.entries()) {
    sender.send(grant(index, payload.length / 4096), payload);
  }
  assertEquals(unsent(), [0, 2], "a page is copied into the batch");
  sender.open(connection.asConn(), () => {});
  assertEquals(connection.handed.length, 1);
  assertEquals(unsent(), [0, 2], "the frame is being written");
  connection.release();
  connection.hold();
  // The frame is written, and the first payload is under way.
  while (connection.handed.length < 2) await Promise.resolve();
  assertEquals([connection.handed.at(-1), unsent()], [payloads[0], [0, 2]]);
  connection.release();
  await sender.drained();
  assertEquals(unsent(), []);
});

Deno.test("Sender tells once that a write has failed, and drained resolves", async () => {
  const { sender, failures } = newSender();
  const connection = new FakeConnection();
  connection.failure = new Deno.errors.ConnectionReset("reset");
  sender.open(connection.asConn(), (error) => failures.push(error));
  sender.send(request(1));
  await sender.drained();
  sender.send(request(2));
  await sender.drained();
  assertEquals(failures, [connection.failure]);
});

Deno.test("Sender writes nothing once it is closed, and says nothing of a write that then fails", async () => {
  const { sender, failures, counters } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  sender.open(connection.asConn(), (error) => failures.push(error));
  sender.send(request(1));
  const drained = sender.drained();
  sender.send(request(2));
  sender.close();
  const { messagesSent } = counters;
  sender.send(request(3));
  sender.send({ kind: "closing" });
  connection.failure = new Deno.errors.BadResource("closed");
  connection.release();
  await drained;
  await sender.drained();
  assertEquals([failures, counters.messagesSent, connection.handed.length], [[], messagesSent, 1]);
});

Deno.test("Sender ends when its queue outgrows its bound, but not from within the call", async () => {
  const { sender, failures, counters } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  sender.open(connection.asConn(), (error) => failures.push(error));
  const large = pages(128, 1);
  while (counters.bytesSent <= LINK_QUEUE_MAX_BYTES) {
    sender.send(grant(1, 128), large, Encoding.Lz4);
    assertEquals(failures, []);
  }
  sender.send(grant(1, 128), large, Encoding.Lz4);
  await Promise.resolve();
  assertEquals(failures.map((error) => (error as TdsmError).code), ["LimitExceeded"]);
  connection.release();
  await sender.drained();
  assertEquals(failures.length, 1);
});

Deno.test("Sender that outgrew its bound before there was a connection says so when there is", () => {
  const { sender, failures, counters } = newSender();
  const large = pages(128, 1);
  while (counters.bytesSent <= LINK_QUEUE_MAX_BYTES) {
    sender.send(grant(1, 128), large, Encoding.Lz4);
  }
  const connection = new FakeConnection();
  sender.open(connection.asConn(), (error) => failures.push(error));
  const codes = failures.map((error) => (error as TdsmError).code);
  assertEquals([codes, connection.handed], [["LimitExceeded"], []]);
});

Deno.test("Sender: of queues that have outgrown their bound together, the longest that stands still ends", async () => {
  using timers = new ManualTimers();
  const queues = new SendQueues();
  const large = pages(128, 1);
  const failures = new Map<string, unknown[]>();
  const open = (name: string): { sender: Sender; connection: FakeConnection } => {
    const sender = new Sender(newCounters(), undefined, queues);
    const connection = new FakeConnection();
    connection.hold();
    failures.set(name, []);
    sender.open(connection.asConn(), (error) => failures.get(name)!.push(error));
    return { sender, connection };
  };
  const [short, long, moving] = ["short", "long", "moving"].map(open);
  for (let count = 0; count < 30; count++) long!.sender.send(grant(1, 128), large, Encoding.Lz4);
  short!.sender.send(grant(1, 128), large, Encoding.Lz4);
  for (const { sender } of [short!, long!]) sender.flush();
  timers.skip(HEARTBEAT_MS + 1);
  moving!.sender.flush();
  while ([...failures.values()].flat().length === 0) {
    moving!.sender.send(grant(1, 128), large, Encoding.Lz4);
    moving!.sender.flush();
    await Promise.resolve();
  }
  assertEquals([...failures].map(([name, { length }]) => [name, length]), [
    ["short", 0],
    ["long", 1],
    ["moving", 0],
  ]);
  // What the one that ended had queued is room again.
  const before = moving!.sender.heldBytes;
  for (let count = 0; count < 29; count++) {
    moving!.sender.send(grant(1, 128), large, Encoding.Lz4);
  }
  await Promise.resolve();
  assertEquals(moving!.sender.heldBytes > before, true);
  assertEquals(failures.get("moving"), []);
  for (const { sender, connection } of [short!, moving!]) {
    sender.close();
    connection.release();
  }
  long!.connection.release();
});

Deno.test("Sender: pages that wait in the region itself fill no queue, however many nodes read at once", async () => {
  const queues = new SendQueues();
  const large = pages(128, 1);
  const failures: unknown[] = [];
  const peers = Array.from({ length: 300 }, () => {
    const counters = newCounters();
    const sender = new Sender(counters, undefined, queues);
    const connection = new FakeConnection();
    connection.hold();
    sender.open(connection.asConn(), (error) => failures.push(error));
    for (let count = 0; count < 2; count++) sender.send(grant(1, 128), large);
    sender.flush();
    return { counters, sender, connection };
  });
  await Promise.resolve();
  const sent = peers.reduce((sum, { counters }) => sum + counters.bytesSent, 0);
  assertEquals([sent > LINK_QUEUE_MAX_BYTES, failures], [true, []]);
  for (const { sender, connection } of peers) {
    assertEquals([...sender.unsent()].length, 2);
    sender.close();
    connection.release();
  }
});

Deno.test("Sender: a queue of very many grants is full all the same", async () => {
  const { sender, failures } = newSender();
  const connection = new FakeConnection();
  connection.hold();
  sender.open(connection.asConn(), (error) => failures.push(error));
  const large = pages(128, 1);
  // The frames of the grants fill the rest.
  for (let count = 0; count < LINK_QUEUE_MAX_BYTES / SEND_ENTRY_BYTES; count++) {
    sender.send(grant(1, 128), large);
  }
  await Promise.resolve();
  assertEquals(failures.map((error) => (error as TdsmError).code), ["LimitExceeded"]);
  connection.release();
});

Deno.test("Sender: whenever a payload is unsent no longer, the queues have another version", async () => {
  const queues = new SendQueues();
  const sender = new Sender(newCounters(), undefined, queues);
  const connection = new FakeConnection();
  for (const number of [1, 2, 3]) sender.send(grant(number, 8), pages(8, number));
  sender.open(connection.asConn(), () => {});
  const versions = new Map<number, number>();
  const drained = sender.drained();
  const look = (): void => void versions.set([...sender.unsent()].length, queues.unsentVersion);
  for (look(); versions.size < 4; look()) await Promise.resolve();
  await drained;
  assertEquals([...versions], [[3, 0], [2, 1], [1, 2], [0, 3]]);
  sender.send(grant(4, 8), pages(8, 4));
  sender.close();
  assertEquals(queues.unsentVersion, 4);
});

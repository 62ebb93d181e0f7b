import { assert, assertEquals, assertMatch } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { Poller } from "../../ffi/poller.ts";
import { Suite } from "../../ffi/seal.ts";
import type { TdsmError } from "../errors.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import { describeFrameReason, type FrameReason } from "../wire/reason.ts";
import { Encoding } from "../wire/layout.ts";
import type { PeerMessage } from "../wire/peer_message.ts";
import { Content } from "../protocol/coherence/messages.ts";
import { describePackedReason } from "./compression.ts";
import { Link, type LinkHandlers } from "./link.ts";
import { newCounters, Sender } from "./sender.ts";
import {
  BOUNDS,
  concat,
  eachWay,
  frame,
  grant,
  makePacked,
  PAGE,
  pattern,
  readAndEnd,
  request,
  sealBoth,
  writeAll,
} from "../../tests/support/link_bench.ts";
import { controlFrame, PING } from "../../tests/support/raw_peer.ts";

eachWay("Link hears what arrives byte by byte as it hears it in one piece", async (open) => {
  await using bench = await open();
  const payload = pattern(PAGE, 5);
  const bytes = concat(
    frame(request(1)),
    controlFrame(PING),
    frame(grant(2, 1), payload.subarray(0, PAGE)),
    controlFrame({ kind: "closing" }),
    frame({ kind: "leave" }),
  );
  for (let at = 0; at < bytes.length; at++) await writeAll(bench.raw, bytes.subarray(at, at + 1));
  await bench.hears(5);
  assertEquals(bench.heard, [
    request(1),
    PING,
    grant(2, 1),
    { kind: "closing" },
    { kind: "leave" },
  ]);
  assertEquals(bench.alias.subarray(2 * PAGE, 3 * PAGE), payload);
  assertEquals([bench.counters.messagesReceived, bench.counters.bytesReceived], [3, bytes.length]);
});

eachWay("Link puts page bytes where they belong wherever they are split", async (open) => {
  await using bench = await open();
  const header = frame(grant(1, 1), pattern(PAGE, 0)).length - PAGE;
  const splits = [
    1,
    header - 1,
    header,
    header + 1,
    header + 100,
    header + PAGE - 1,
    header + PAGE,
  ];
  let expected = 0;
  for (const [index, split] of splits.entries()) {
    const payload = pattern(PAGE, index);
    // The next frame is in the same write as the payload's end.
    const bytes = concat(frame(grant(1, 1), payload), frame(request(index)));
    await writeAll(bench.raw, bytes.subarray(0, split));
    if (split > header) await bench.receives(expected + split);
    await writeAll(bench.raw, bytes.subarray(split));
    await bench.hears(2 * (index + 1));
    expected += bytes.length;
    assertEquals(bench.heard.slice(-2), [grant(1, 1), request(index)]);
    assertEquals(bench.alias.subarray(PAGE, 2 * PAGE), payload, `split at ${split}`);
    assert(bench.alias.subarray(2 * PAGE).every((byte) => byte === 0), "beyond its pages");
  }
});

eachWay("Link reads long runs of pages, with frames between them", async (open) => {
  await using bench = await open();
  const parts: Uint8Array[] = [];
  for (let run = 0; run < 4; run++) {
    parts.push(frame(grant(run * 16, 16), pattern(16 * PAGE, run)), frame(request(run)));
  }
  await writeAll(bench.raw, concat(...parts));
  await bench.hears(8);
  assertEquals(
    bench.heard,
    [0, 1, 2, 3].flatMap((run) => [grant(run * 16, 16), request(run)]),
  );
  for (let run = 0; run < 4; run++) {
    const got = bench.alias.subarray(run * 16 * PAGE, (run + 1) * 16 * PAGE);
    assertEquals(got, pattern(16 * PAGE, run));
  }
});

eachWay(
  "Link unpacks packed pages wherever they are split, and knows which are not wanted",
  async (open) => {
    await using bench = await open();
    const { pages, payload } = makePacked(8);
    const bytes = frame(grant(1, 8), payload, Encoding.Lz4);
    const header = bytes.length - payload.length;
    for (const split of [header, header + 1, header + 33, bytes.length - 1, bytes.length]) {
      bench.alias.fill(0xee);
      const [heard, expected] = [bench.heard.length, bench.counters.bytesReceived + split];
      await writeAll(bench.raw, bytes.subarray(0, split));
      await bench.receives(expected);
      await writeAll(bench.raw, concat(bytes.subarray(split), frame(request(split))));
      await bench.hears(heard + 2);
      assertEquals(bench.heard.slice(-2), [grant(1, 8), request(split)]);
      assertEquals(bench.alias.subarray(PAGE, 9 * PAGE), pages, `split at ${split}`);
      assert(bench.alias.subarray(9 * PAGE).every((byte) => byte === 0xee), "beyond its pages");
    }
    bench.wants = () => false;
    bench.alias.fill(0xee);
    const heard = bench.heard.length;
    await writeAll(bench.raw, bytes);
    await bench.hears(heard + 1);
    assert(bench.alias.every((byte) => byte === 0xee));
  },
);

eachWay("Link ends over packed pages that are broken, and says why", async (open) => {
  for (const pieces of [1, 2]) {
    await using bench = await open();
    const { payload } = makePacked(3);
    payload[4] = 255;
    const bytes = frame(grant(1, 3), payload, Encoding.Lz4);
    const split = pieces === 1 ? bytes.length : bytes.length - 10;
    await writeAll(bench.raw, bytes.subarray(0, split));
    await bench.receives(split);
    await writeAll(bench.raw, bytes.subarray(split));
    const answer = await readAndEnd(bench.raw);
    const error = await bench.ended.promise as TdsmError;
    assertEquals(error.code, "ProtocolViolation");
    assertEquals(error.message, describePackedReason("StoredMismatch"));
    assertEquals(
      answer,
      controlFrame({
        kind: "refuse",
        code: "ProtocolViolation",
        reason: error.message,
      }),
    );
    assertEquals(bench.heard, []);
  }
});

eachWay("Link lets page bytes that are not wanted pass, and touches nothing", async (open) => {
  await using bench = await open();
  bench.wants = ({ first }) => first === 30;
  const wanted = pattern(2 * PAGE, 9);
  const bytes = concat(
    frame(grant(4, 20), pattern(20 * PAGE, 1)),
    frame(grant(30, 2), wanted),
    frame(grant(5, 1), pattern(PAGE, 2)),
  );
  await writeAll(bench.raw, bytes);
  await bench.hears(3);
  assertEquals(bench.heard, [grant(4, 20), grant(30, 2), grant(5, 1)]);
  assertEquals(bench.alias.subarray(30 * PAGE, 32 * PAGE), wanted);
  bench.alias.fill(0, 30 * PAGE, 32 * PAGE);
  assert(bench.alias.every((byte) => byte === 0));
});

eachWay(
  "Link ends without an error when its peer closes, and hears what came before",
  async (open) => {
    await using bench = await open();
    await writeAll(bench.raw, frame(request(1)));
    await bench.raw.closeWrite();
    assertEquals(await bench.ended.promise, undefined);
    assertEquals([bench.heard, bench.ends], [[request(1)], 1]);
  },
);

eachWay(
  "Link ends with an error when its peer closes inside of a page; the grant is not heard",
  async (open) => {
    await using bench = await open();
    const bytes = frame(grant(1, 2), pattern(2 * PAGE, 1));
    await writeAll(bench.raw, bytes.subarray(0, bytes.length - 1));
    await bench.raw.closeWrite();
    assertMatch((await bench.ended.promise as Error).message, /ended inside of a frame/);
    assertEquals(bench.heard, []);
  },
);

eachWay("Link ends over a malformed frame, and tells its peer the named reason", async (open) => {
  const wrong: [reason: FrameReason, detail: number, bytes: Uint8Array][] = [
    ["RunTooLong", 33, frame({ ...grant(0, 33), content: Content.Zero })],
    ["RunOutOfRegion", 65, frame({ ...grant(60, 5), content: Content.Zero })],
    ["PayloadMismatch", PAGE, frame(grant(0, 2), new Uint8Array(PAGE))],
  ];
  for (const [reason, detail, bytes] of wrong) {
    await using bench = await open();
    await writeAll(bench.raw, concat(frame(request(1)), bytes));
    const answer = await readAndEnd(bench.raw);
    const { code, message } = await bench.ended.promise as TdsmError;
    assertEquals([code, message], ["ProtocolViolation", describeFrameReason(reason, detail)]);
    assertEquals(answer, controlFrame({ kind: "refuse", code, reason: message }));
    assertEquals(bench.heard, [request(1)]);
  }
});

eachWay("Link answers nothing to what is not of the protocol at all", async (open) => {
  await using bench = await open(false);
  await writeAll(bench.raw, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  assertEquals((await bench.ended.promise as TdsmError).code, "ProtocolViolation");
  assertEquals(await readAndEnd(bench.raw).catch(() => new Uint8Array(0)), new Uint8Array(0));
});

eachWay("Link ends with what a handler throws, and hears nothing after it", async (open) => {
  await using bench = await open();
  bench.onMessage = () => {
    throw new RangeError("planted");
  };
  await writeAll(bench.raw, concat(frame(request(1)), frame(request(2))));
  assertMatch((await bench.ended.promise as Error).message, /planted/);
  assertEquals([bench.heard, bench.ends], [[], 1]);
});

eachWay(
  "Link ends once, however often it is closed, and from within a handler too",
  async (open) => {
    await using bench = await open();
    bench.onMessage = () => {
      bench.link.close();
      bench.link.close();
    };
    await writeAll(bench.raw, concat(frame(request(1)), frame(request(2))));
    assertEquals(await bench.ended.promise, undefined);
    await bench.link.drain();
    assertEquals([bench.heard.length, bench.ends], [1, 1]);
  },
);

eachWay(
  "Link.open opens a link once, and not while it drains, nor once it has ended",
  async (open) => {
    await using bench = await open(false);
    const opens = () => bench.link.open(bench.handlers(), new Sender(bench.counters), bench.poller);
    assertEquals([opens(), opens()], [true, false]);
    const drained = bench.link.drain();
    assert(!opens(), "while it drains");
    await bench.raw.closeWrite();
    await Promise.all([drained, bench.link.drain()]);
    assertEquals([opens(), bench.ends], [false, 1]);
  },
);

eachWay(
  "Link.drain hears nothing more, not even the rest of a page, and says what is still to be said",
  async (open) => {
    await using bench = await open();
    const payload = pattern(2 * PAGE, 3);
    const bytes = frame(grant(1, 2), payload);
    const split = bytes.length - PAGE;
    await writeAll(bench.raw, concat(frame(request(1)), bytes.subarray(0, split)));
    await bench.hears(1);
    await bench.receives(frame(request(1)).length + split);
    const last = Promise.withResolvers<void>();
    const drained = bench.link.drain(last.promise);
    await writeAll(
      bench.raw,
      concat(bytes.subarray(split), frame(request(2)), new Uint8Array(999)),
    );
    bench.link.say({ kind: "closing" });
    last.resolve();
    assertEquals(await readAndEnd(bench.raw), controlFrame({ kind: "closing" }));
    await drained;
    assertEquals([bench.heard, await bench.ended.promise], [[request(1)], undefined]);
  },
);

eachWay("Link hands over in the middle of what it has received", async (open) => {
  await using bench = await open(false);
  const second: PeerMessage[] = [];
  const both = Promise.withResolvers<void>();
  bench.onMessage = () => {
    bench.link.open({
      ...bench.handlers(),
      received: (message) => {
        if (second.push(message) === 2) both.resolve();
      },
    });
  };
  await writeAll(bench.raw, concat(frame(request(1)), frame(request(2)), frame(request(3))));
  await both.promise;
  assertEquals([bench.heard, second], [[request(1)], [request(2), request(3)]]);
});

eachWay(
  "Link.open sends what was said, then what waited, then the rest, even if it closes at once",
  async (open) => {
    for (let round = 0; round < 20; round++) {
      await using bench = await open(false);
      const sender = new Sender(bench.counters);
      const payload = pattern(8 * PAGE, round);
      sender.send(grant(1, 8), payload);
      bench.link.say({ kind: "accept", node: 2 });
      bench.link.open(bench.handlers(), sender, bench.poller);
      bench.link.say({ kind: "closing" });
      sender.send(request(7));
      const closed = bench.link.drain();
      const received = await readAndEnd(bench.raw);
      await closed;
      const expected = concat(
        controlFrame({ kind: "accept", node: 2 }),
        frame(grant(1, 8), payload),
        controlFrame({ kind: "closing" }),
        frame(request(7)),
      );
      assertEquals(received, expected);
    }
  },
);

for (const plain of [false, true]) {
  const mode = plain ? "in the clear" : "sealed";
  Deno.test(`Link.open hands a connection over behind its first record, in the middle of a page (${mode})`, async () => {
    using library = openLibrary();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const poller = Poller.open(library, listener);
    if (poller === undefined) throw new Error("The event loop was not found");
    using _ = poller;
    let taken = 0;
    const take = poller.take.bind(poller);
    poller.take = (...given) => (taken++, take(...given));
    const { hostname, port } = listener.addr;
    const [near, far] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
    // What the peer says first arrives in one piece.
    const said: Uint8Array[] = [];
    const spoken: Stream = {
      remoteAddr: far.remoteAddr,
      setNoDelay: () => {},
      read: (bytes) => far.read(bytes),
      write: (bytes) => Promise.resolve(said.push(bytes.slice()) && bytes.length),
      closeWrite: () => far.closeWrite(),
      close: () => far.close(),
    };
    const [connection, peer] = sealBoth(library, near, spoken, Suite.ChaCha20Poly1305, plain);
    const payload = pattern(PAGE, 5);
    const bytes = concat(frame(request(1)), frame(grant(2, 1), payload), frame(request(3)));
    await peer.write(controlFrame(PING));
    await peer.write(bytes);
    const all = concat(...said);
    // Sealed, all of what is behind the first record is one record.
    const first = all.subarray(0, all.length - PAGE / 2);

    const [counters, ended] = [newCounters(), Promise.withResolvers<unknown>()];
    const [heard, page] = [[] as PeerMessage[], new Uint8Array(PAGE)];
    const [opened, whole] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const sender = new Sender(counters);
    const handlers: LinkHandlers = {
      target: () => page,
      received(message) {
        if (heard.push(message) === 4) whole.resolve();
        if (message.kind !== "ping") return;
        link.say({ kind: "accept", node: 2 });
        assert(link.open(handlers, sender, poller));
        opened.resolve();
      },
      ended: ended.resolve,
    };
    const link = new Link(connection, () => BOUNDS, counters, handlers);
    let isOver = false;
    const look = (): void => {
      if (isOver) return;
      poller.wait(0);
      setImmediate(look);
    };
    look();
    await writeAll(far, first);
    await opened.promise;
    sender.send(grant(1, 1), payload);
    sender.flush();
    await writeAll(far, all.subarray(first.length));
    await whole.promise;
    assertEquals(heard, [PING, request(1), grant(2, 1), request(3)]);
    assertEquals(page, payload);
    const expected = concat(
      controlFrame({ kind: "accept", node: 2 }),
      frame(grant(1, 1), payload),
    );
    const received = new Uint8Array(expected.length);
    for (let at = 0; at < received.length;) at += (await peer.read(received.subarray(at)))!;
    assertEquals(received, expected);
    peer.close();
    assertEquals([await ended.promise, taken], [undefined, 1]);
    isOver = true;
  });
}

eachWay("Link.drain does not wait for ever for a peer that does not read", async (open) => {
  await using bench = await open(false);
  const payload = pattern(32 * PAGE, 1);
  const sender = new Sender(bench.counters);
  bench.link.open(bench.handlers(), sender, bench.poller);
  for (let count = 0; count < 400; count++) sender.send(grant(1, 32), payload);
  await bench.link.drain();
  assertEquals(bench.ends, 1);
  // Of Deno's ways, the kernel still has the write of the connection that is closed.
}, { sanitizeOps: false });

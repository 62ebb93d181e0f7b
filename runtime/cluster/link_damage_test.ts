/** What a link does about bytes that were changed on their way, and what it lets pass. */

import { assertEquals, assertMatch } from "@std/assert";
import type { TdsmError } from "../errors.ts";
import { crc32c } from "../wire/crc32c.ts";
import { describeFrameReason } from "../wire/reason.ts";
import { Encoding, Offset } from "../wire/layout.ts";
import { encodeRpc, type RpcMessage } from "../wire/rpc_frames.ts";
import { Sender } from "./sender.ts";
import {
  concat,
  eachWay,
  frame,
  grant,
  makePacked,
  type OpenBench,
  PAGE,
  pattern,
  readAndEnd,
  request,
  writeAll,
} from "../../tests/support/link_bench.ts";
import { controlFrame, PING } from "../../tests/support/raw_peer.ts";

const CALL: RpcMessage = { kind: "rpcCall", ticket: 1, procedure: "add" };

function callFrame(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1024);
  const size = encodeRpc(CALL, payload.length, bytes, 0, crc32c(payload));
  bytes.set(payload, size);
  return bytes.slice(0, size + payload.length);
}

function grantFrame(count: number, payload: Uint8Array, encoding?: Encoding): Uint8Array {
  return frame(grant(1, count), payload, encoding, crc32c(payload));
}

const packed = makePacked(3).payload;
/** Frames with what follows them, and how many bytes that is. */
const SOUND: readonly (readonly [name: string, bytes: Uint8Array, payloadBytes: number])[] = [
  ["page bytes", grantFrame(2, pattern(2 * PAGE, 1)), 2 * PAGE],
  ["packed page bytes", grantFrame(3, packed, Encoding.Lz4), packed.length],
  ["arguments of a remote call", callFrame(pattern(100, 2)), 100],
];

/** Sends bytes, the last of them by themselves; the link must end over damage, and say so. */
async function assertRefused(
  open: OpenBench,
  bytes: Uint8Array,
  apart: number,
  reason: string,
): Promise<void> {
  await using bench = await open();
  const split = bytes.length - apart;
  await writeAll(bench.raw, bytes.subarray(0, split));
  if (apart > 0) await bench.receives(split);
  await writeAll(bench.raw, bytes.subarray(split));
  const answer = await readAndEnd(bench.raw);
  const { code, message } = await bench.ended.promise as TdsmError;
  assertEquals([code, message, bench.heard], ["FrameCorrupted", reason, []]);
  assertEquals(answer, controlFrame({ kind: "refuse", code, reason: message }));
}

for (const [name, bytes, payloadBytes] of SOUND) {
  eachWay(`Link ends over ${name} that were changed, wherever that is`, async (open) => {
    const size = bytes.length - payloadBytes;
    for (const at of [size, size + 1, size + (payloadBytes >> 1), bytes.length - 1]) {
      for (const [bit, apart] of [[0, 0], [7, 1], [3, payloadBytes]] as const) {
        const damaged = bytes.slice();
        damaged[at]! ^= 1 << bit;
        await assertRefused(open, damaged, apart, describeFrameReason("PayloadChecksumMismatch"));
      }
    }
    await using bench = await open();
    await writeAll(bench.raw, bytes);
    await bench.hears(1);
  });
}

eachWay("Link ends over a frame that was changed, and does not blame its peer", async (open) => {
  const header = frame(request(1)).slice();
  header[Offset.First]! ^= 1;
  await assertRefused(open, header, 0, describeFrameReason("HeaderChecksumMismatch"));
  // As it was sent, there is much to wait for.
  const longer = controlFrame(PING).slice();
  longer[Offset.Length + 1]! ^= 1;
  await assertRefused(open, longer, 0, describeFrameReason("HeaderChecksumMismatch"));
  const body = controlFrame({ kind: "accept", node: 2 }).slice();
  body[body.length - 1]! ^= 1;
  await assertRefused(open, body, 0, describeFrameReason("BodyChecksumMismatch"));
});

eachWay(
  "Link ends over what it refuses, even if the refused one resets the connection",
  async (open) => {
    await using bench = await open(false);
    const sender = new Sender(bench.counters);
    const pages = pattern(32 * PAGE, 1);
    // More than the kernel takes from the one before the other reads it.
    for (let count = 0; count < 500; count++) sender.send(grant(0, 32), pages);
    bench.link.open(bench.handlers(), sender, bench.poller);
    const damaged = grantFrame(2, pattern(2 * PAGE, 1)).slice();
    damaged[damaged.length - 1]! ^= 1;
    await writeAll(bench.raw, damaged);
    await bench.receives(damaged.length);
    bench.raw.close();
    const { code, message } = await bench.ended.promise as TdsmError;
    const reason = describeFrameReason("PayloadChecksumMismatch");
    assertEquals([code, message, bench.ends], ["FrameCorrupted", reason, 1]);
  },
);

eachWay(
  "Link: another mark or version is damage, if the peer has sent valid frames before",
  async (open) => {
    for (const offset of [Offset.Magic, Offset.Version]) {
      await using bench = await open();
      const damaged = frame(request(1)).slice();
      damaged[offset]! ^= 4;
      await writeAll(bench.raw, concat(controlFrame(PING), damaged));
      await readAndEnd(bench.raw);
      const { code, message } = await bench.ended.promise as TdsmError;
      assertEquals([code, message], [
        "FrameCorrupted",
        describeFrameReason("HeaderChecksumMismatch"),
      ]);
    }
    await using bench = await open(false);
    const stranger = frame(request(1)).slice();
    stranger[Offset.Version]! ^= 4;
    await writeAll(bench.raw, stranger);
    await readAndEnd(bench.raw);
    assertMatch((await bench.ended.promise as Error).message, /another protocol version/);
  },
);

eachWay(
  "Link does not check what nobody wants, which may change while it is sent",
  async (open) => {
    for (const [name, bytes, payloadBytes] of SOUND.slice(0, 2)) {
      await using bench = await open();
      bench.wants = () => false;
      const changed = bytes.slice();
      changed[bytes.length - payloadBytes]! ^= 1;
      await writeAll(bench.raw, concat(changed, frame(request(7))));
      await bench.hears(2);
      assertEquals(bench.heard.at(-1), request(7), name);
    }
  },
);

eachWay("Link goes by the frame: without a checksum there is nothing to compare", async (open) => {
  await using bench = await open();
  const payload = pattern(PAGE, 3);
  await writeAll(bench.raw, frame(grant(1, 1), payload));
  await bench.hears(1);
  assertEquals(bench.alias.subarray(PAGE, 2 * PAGE), payload);
});

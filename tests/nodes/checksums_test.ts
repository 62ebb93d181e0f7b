/** Checksums of pages, which the directory node decides for all: in `welcome`, and on the wire. */

import { assertEquals } from "@std/assert";
import { crc32c } from "../../runtime/wire/crc32c.ts";
import { encodeMessage } from "../../runtime/wire/page_frames.ts";
import { MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import type { Control } from "../../runtime/wire/control.ts";
import { type Frame, Framer } from "../../runtime/wire/framer.ts";
import type { Message } from "../../runtime/protocol/coherence/messages.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { controlFrame, HELLO } from "../support/raw_peer.ts";

const PAGE = 4096;
const BOUNDS = { pageCount: 16, pageSize: PAGE, runPages: 128 };
const REQUEST: Message = { kind: "request", access: Access.Read, first: 0, count: 1, request: 1 };

/** Joins without the runtime and asks for the first page; what the directory node answers. */
async function askForPage(node: RemoteNode) {
  const { address: hostname, port } = node.info;
  using connection = await Deno.connect({ hostname, port });
  const request = new Uint8Array(MESSAGE_MAX_BYTES);
  const size = encodeMessage(REQUEST, 0, request, 0);
  const framer = new Framer();
  const next = async <Kind extends Frame["kind"]>(kind: Kind, said: string) => {
    for (;;) {
      const found = framer.next(BOUNDS);
      if (found.kind === "ping") continue;
      if (found.kind === kind) return found as Extract<Frame, { kind: Kind }>;
      if (found.kind !== "need") throw new Error(`${Deno.inspect(found)} instead of ${said}`);
      const read = await connection.read(framer.space);
      if (read === null) throw new Error(`the end instead of ${said}`);
      framer.filled(read);
    }
  };
  using reached = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await connection.write(controlFrame({ ...HELLO, port: reached.addr.port }));
  const welcome: Control = (await next("control", "welcome")).control;
  if (welcome.kind !== "welcome") throw new Error(`${welcome.kind} instead of welcome`);
  await connection.write(request.subarray(0, size));
  const { payloadBytes, payloadChecksum } = await next("message", "grant");
  const page = new Uint8Array(payloadBytes);
  let there = framer.takePayload(page);
  while (there < page.length) there += await connection.read(page.subarray(there)) ?? page.length;
  return { checksums: welcome.checksums, page, payloadChecksum };
}

for (const [checksums, flags] of [[true, []], [false, ["--no-checksums"]]] as const) {
  Deno.test(`checksums: ${checksums ? "pages have one" : "turned off, pages have none"}`, async () => {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host("--size=64KiB", ...flags);
    await directory.store(0, 0x1234_5678);
    const asked = await cluster.bounded("a page for a raw peer", askForPage(directory));
    const { page, payloadChecksum, ...welcome } = asked;
    assertEquals(welcome.checksums, checksums);
    assertEquals(page.subarray(0, 4), Uint8Array.of(0x78, 0x56, 0x34, 0x12));
    assertEquals(payloadChecksum, checksums ? crc32c(page) : undefined);
  });
}

Deno.test("checksums: turned off at the directory, nodes still share pages", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=64KiB", "--no-checksums");
  const second = await cluster.join(directory);
  await directory.store(4, 7);
  assertEquals(await second.load(4), 7);
  await second.store(4, 8);
  assertEquals(await directory.load(4), 8);
});

/** What becomes of the last word when a link is closed while its peer is still talking. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { LINK_CLOSE_MAX_MS } from "../limits.ts";
import { Offset, PROTOCOL_VERSION } from "../wire/layout.ts";
import { Link, type LinkHandlers } from "./link.ts";
import { newCounters } from "./sender.ts";
import { ScriptedPeer } from "../../tests/support/cluster_members.ts";
import { writeAll } from "../../tests/support/link_bench.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { controlFrame, PING } from "../../tests/support/raw_peer.ts";

const BOUNDS = { pageCount: 64, pageSize: 4096, runPages: 32 };

function deaf(ended: (error: unknown) => void): LinkHandlers {
  return {
    target: () => undefined,
    received() {},
    ended,
  };
}

async function connected(): Promise<[near: Deno.TcpConn, far: Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  return await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
}

function openLink(connection: Deno.TcpConn): { link: Link; ended: Promise<unknown> } {
  const { promise: ended, resolve } = Promise.withResolvers<unknown>();
  const counters = newCounters();
  return { link: new Link(connection, () => BOUNDS, counters, deaf(resolve)), ended };
}

/** Writes until the other side has closed for good. */
async function talk(connection: Deno.TcpConn, word: Uint8Array, goOn: () => boolean) {
  const words = new Uint8Array(64 * word.length);
  for (let at = 0; at < words.length; at += word.length) words.set(word, at);
  while (goOn()) await writeAll(connection, words);
}

Deno.test("Link.drain: a peer that sends all the while still reads the last word", async () => {
  for (let round = 0; round < 5; round++) {
    const [near, far] = await connected();
    const { link, ended } = openLink(near);
    let talking = true;
    const talks = talk(far, controlFrame(PING), () => talking);
    const closed = link.drain();
    link.say({ kind: "closing" });
    // A reset would end this with an error, or with less than was said.
    const chunks: number[] = [];
    const chunk = new Uint8Array(256);
    for (;;) {
      // Read late, so that there are unread bytes at both ends.
      await new Promise((resolve) => setTimeout(resolve));
      const count = await far.read(chunk);
      if (count === null) break;
      chunks.push(...chunk.subarray(0, count));
    }
    assertEquals(Uint8Array.from(chunks), controlFrame({ kind: "closing" }), `round ${round}`);
    talking = false;
    await talks;
    far.close();
    await closed;
    assertEquals(await ended, undefined);
  }
});

Deno.test("Link: a node that is refused over a bad frame reads why, whatever it sent behind it", async () => {
  const [near, far] = await connected();
  const { ended } = openLink(near);
  const bad = controlFrame(PING);
  bad[Offset.Version] = PROTOCOL_VERSION + 1;
  const much = new Uint8Array(200_000);
  much.set(bad);
  using voice = new ScriptedPeer(far);
  // Most of it is never looked at.
  const sent = writeAll(far, much);
  const said = await voice.next();
  if (said?.kind !== "refuse") throw new Error(`Not refused: ${Deno.inspect(said)}`);
  const versions = new RegExp(`${PROTOCOL_VERSION + 1}, this is ${PROTOCOL_VERSION}$`);
  assertMatch(said.reason, versions);
  assertEquals(said.code, "VersionMismatch");
  await sent;
  assertEquals(await voice.next(), undefined);
  assertMatch((await ended as Error).message, versions);
});

Deno.test("Link.drain waits no longer than its bound for a peer that does not end", async () => {
  using timers = new ManualTimers(LINK_CLOSE_MAX_MS);
  const [near, far] = await connected();
  const { link, ended } = openLink(near);
  let over = false;
  const closed = link.drain().then(() => over = true);
  assertEquals(await far.read(new Uint8Array(1)), null);
  assert(!over, "it did not wait for the other side");
  timers.fire(LINK_CLOSE_MAX_MS);
  await closed;
  assertEquals(await ended, undefined);
  far.close();
});

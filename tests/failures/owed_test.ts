/**
 * A member that lives, and says so, but does not send the page that a thread of another node waits
 * for: it is given up.
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SILENCE_MAX_MS } from "../../runtime/limits.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import { ScriptedPeer } from "../support/cluster_members.ts";
import { ProcessCluster } from "../support/process_cluster.ts";
import { HELLO, PING } from "../support/raw_peer.ts";

Deno.test("owed: a member that owes a page, though it says each second that it lives, is given up", async () => {
  await using cluster = new ProcessCluster();
  const host = await cluster.host("--size=256KiB");
  // The directory node looks whether those that join can be reached.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const reached = listener.accept().then((connection) => connection.close());
  const { address: hostname, port } = host.info;
  using peer = new ScriptedPeer(await Deno.connect({ hostname, port }));
  peer.link.say({ ...HELLO, port: listener.addr.port });
  assertEquals((await peer.next())?.kind, "welcome");
  await reached;
  peer.link.say(PING);
  peer.open();
  peer.send({ kind: "request", access: Access.Write, first: 0, count: 1, request: 1 });
  assertEquals((await peer.nextMessage())?.kind, "grant");

  // The page is lost with the member that had its only copy, and with it the node that reads it.
  const read = assertRejects(() => host.load(0), Error, "ended with code 70");
  assertEquals((await peer.nextMessage())?.kind, "forward");
  let sent = PING.sent;
  let reminders = 0;
  let refusal = "";
  for (let control = await peer.next(); control !== undefined; control = await peer.next()) {
    if (control.kind === "refuse") refusal = control.reason;
    if (control.kind !== "remind") continue;
    reminders++;
    peer.send({ ...PING, sent: ++sent });
  }
  const reason = `it owes page 0 for ${SILENCE_MAX_MS} ms, though it lives`;
  assert(refusal.includes(reason), refusal);
  assert(reminders > 1);
  await read;
  assertMatch(host.process.stderr, new RegExp(`only copy was on node 2, which is gone .${reason}`));
});

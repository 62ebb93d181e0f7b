/** Links that threads of nodes have to the directory node for themselves. */

import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { firstTicketOf, type SyncMessage, SyncOperation } from "../protocol/sync/messages.ts";
import { SyncStatus } from "../protocol/sync/messages.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import { FRAME_HEADER_BYTES } from "../wire/layout.ts";
import { decodeFrame } from "../wire/page_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../wire/sync_frames.ts";
import { BOUNDS, ofKind } from "../../tests/support/frames.ts";
import { ClusterMember, ScriptedPeer, startThree } from "../../tests/support/cluster_members.ts";
import { HELLO, PING } from "../../tests/support/raw_peer.ts";

const THREAD = 5;
const TICKET = firstTicketOf(THREAD);

/** Says something on the link of a thread. */
async function say(stream: Stream, message: SyncMessage): Promise<void> {
  const bytes = new Uint8Array(SYNC_MAX_BYTES);
  await stream.write(bytes.subarray(0, encodeSync(message, bytes, 0)));
}

const acquire = (ticket: number): SyncMessage => ({
  kind: "sync",
  operation: SyncOperation.Acquire,
  ticket,
  key: 7n,
});

Deno.test("Cluster: a thread asks by a link of its own, and is answered there", async () => {
  await using three = await startThree();
  const [directory, second] = three.nodes;
  using stream = closing(await second.cluster.dialThread(THREAD));
  await say(stream, acquire(TICKET));
  await directory.until(() => directory.asked.length === 1);
  assertEquals(directory.asked, [{ from: 2, thread: THREAD, message: acquire(TICKET) }]);
  const reply = {
    kind: "syncReply",
    ticket: TICKET,
    status: SyncStatus.Done,
    count: 0,
    key: 0n,
  } as const;
  directory.cluster.sendToThread(2, THREAD, reply);
  directory.cluster.flush();
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  assertEquals(await stream.read(bytes), FRAME_HEADER_BYTES);
  assertEquals(ofKind(decodeFrame(bytes, 0, bytes.length, BOUNDS), "sync").message, reply);
  // To a thread that has none, nothing is sent.
  directory.cluster.sendToThread(2, THREAD + 1, reply);
  directory.cluster.sendToThread(3, THREAD, reply);
  directory.cluster.flush();
  assertEquals([second.heard, directory.heard, directory.lost], [[], [], []]);
});

Deno.test("Cluster: the end of a thread's link comes behind what it carried, and the node is told", async () => {
  await using three = await startThree();
  const [directory, second] = three.nodes;
  for (let round = 0; round < 3; round++) {
    using stream = closing(await second.cluster.dialThread(THREAD));
    await say(stream, acquire(TICKET + round));
    await stream.closeWrite();
    await second.until(() => second.threadsGone.length === round + 1);
    assertEquals(directory.asked.length, round + 1);
    assertEquals(directory.threadsEnded.at(-1), [2, THREAD]);
  }
  assertEquals(second.threadsGone, [THREAD, THREAD, THREAD]);
  assertEquals(directory.lost, []);
});

Deno.test("Cluster: a node is lost whose thread's link fails, or carries what it may not", async () => {
  const misdeeds: ((stream: Stream) => Promise<unknown>)[] = [
    (stream) => stream.write(new Uint8Array(100)),
    (stream) => say(stream, { kind: "syncReply", ticket: 1, status: 1, count: 0, key: 0n }),
  ];
  for (const misdeed of misdeeds) {
    await using three = await startThree();
    const [directory, second] = three.nodes;
    using stream = closing(await second.cluster.dialThread(THREAD));
    await misdeed(stream);
    await directory.until(() => directory.lost.length > 0);
    assertEquals([directory.lost, directory.threadsEnded], [[2], []]);
  }
});

Deno.test("Cluster: the links of a node's threads end with the node", async () => {
  await using three = await startThree();
  const [directory, second, third] = three.nodes;
  using stream = closing(await second.cluster.dialThread(THREAD));
  using other = closing(await third.cluster.dialThread(THREAD));
  directory.cluster.forget(2);
  assertEquals(await stream.read(new Uint8Array(1)), null);
  await say(other, acquire(TICKET));
  await directory.until(() => directory.asked.length === 1);
  assertEquals(directory.asked[0]?.from, 3);
  assertEquals(directory.threadsEnded, []);
});

Deno.test("Cluster: a thread's link is refused where its node is not connected, or the thread has one", async () => {
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  using member = new ScriptedPeer(await Deno.connect({ hostname, port }));
  member.link.say(HELLO);
  const welcome = await member.next();
  if (welcome?.kind !== "welcome") throw new Error("not let in");
  const { session, node } = welcome;
  const hello = { ...HELLO, kind: "threadHello", session, node, thread: 1 } as const;
  const { kind, protocolVersion } = hello;
  const good = { kind, protocolVersion, session, node, thread: 1 };
  const answers: (string | undefined)[] = [];
  const ask = async (control: typeof good): Promise<ScriptedPeer> => {
    const peer = new ScriptedPeer(await Deno.connect({ hostname, port }));
    peer.link.say(control);
    const answer = await peer.next();
    answers.push(answer?.kind === "refuse" ? `${answer.code}: ${answer.reason}` : answer?.kind);
    return peer;
  };
  // Before its first ping the node is no member.
  (await ask(good)).link.close();
  member.link.say(PING);
  await directory.until(() => directory.joined.length === 1);
  using _one = await ask(good);
  using _two = await ask({ ...good, thread: 2 });
  for (
    const wrong of [
      good,
      { ...good, node: 77, thread: 3 },
      { ...good, session: session ^ 1n, thread: 3 },
      { ...good, protocolVersion: protocolVersion + 1, thread: 3 },
    ]
  ) (await ask(wrong)).link.close();
  assertEquals(answers, [
    `JoinRefused: no node ${node} is connected`,
    "accept",
    "accept",
    "JoinRefused: connected already",
    "JoinRefused: no node 77 is connected",
    "JoinRefused: it is of another cluster",
    `VersionMismatch: protocol version ${protocolVersion + 1} asked for, this is ` +
    `${protocolVersion}: run the same release on every node`,
  ]);
});

Deno.test("Cluster: a node that is refused a link for its thread goes on", async () => {
  await using three = await startThree();
  const [directory, second] = three.nodes;
  using _first = closing(await second.cluster.dialThread(THREAD));
  const error = await assertRejects(() => second.cluster.dialThread(THREAD), TdsmError);
  assertEquals(error.code, "JoinRefused");
  second.sendNumbered(directory, 1, 1);
  await directory.until(() => directory.heard.length === 1);
});

/** Closes a connection at the end of its scope. */
function closing(stream: Stream): Stream & Disposable {
  return Object.assign(stream, {
    [Symbol.dispose]: () => {
      try {
        stream.close();
      } catch {
        // The test has closed it.
      }
    },
  });
}

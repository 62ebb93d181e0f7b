import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  HANDSHAKE_MAX_MS,
  HEARTBEAT_MS,
  LEASE_MS,
  LINK_QUEUE_MAX_BYTES,
  PEER_VERDICT_LAST_MS,
  PEER_VERDICT_MAX_MS,
  QUIET_MAX_MS,
  SILENCE_MAX_MS,
} from "../limits.ts";
import { Level } from "../log.ts";
import { ROOM_UNLIMITED, type WelcomeControl } from "../wire/control.ts";
import { Encoding } from "../wire/layout.ts";
import {
  ClusterMember,
  grant,
  HOST,
  PAGE,
  REGION,
  request,
  ScriptedPeer,
  startThree,
  turns,
} from "../../tests/support/cluster_members.ts";
import { writeAll } from "../../tests/support/link_bench.ts";
import { controlFrame, HELLO, PING } from "../../tests/support/raw_peer.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

Deno.test("Cluster: the directory node is told when a node's connection ends, and nobody else hears it", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  await using third = await new ClusterMember().join(directory);
  third.cluster.abort();
  await directory.until(() => directory.lost.length > 0);
  assertEquals(directory.lost, [3]);
  assert(directory.cluster.isGone(3));
  assertEquals(directory.cluster.peers.map(({ id }) => id), [2]);
  directory.cluster.send(3, request(1));
  assertEquals(second.failures, []);
  await using fourth = await new ClusterMember().join(directory);
  assertEquals(fourth.id, 4);
});

Deno.test("Cluster.close of the directory tells everyone before the connection ends", async () => {
  for (let round = 0; round < 10; round++) {
    const directory = ClusterMember.host();
    await using second = await new ClusterMember().join(directory);
    await using third = await new ClusterMember().join(directory);
    await Promise.all([directory.cluster.close(), directory.cluster.close()]);
    await second.until(() => second.failures.length > 0);
    await third.until(() => third.failures.length > 0);
    assertEquals([second.closings, third.closings], [1, 1]);
    assertEquals(second.failures[0]!.code, "DirectoryLost");
  }
});

Deno.test("Cluster.release: the node has what was sent to it, even if the directory closes at once", async () => {
  for (let round = 0; round < 10; round++) {
    const directory = ClusterMember.host();
    await using second = await new ClusterMember().join(directory);
    // More than the kernel takes at once.
    const payload = new Uint8Array(32 * PAGE);
    for (let count = 0; count < 100; count++) directory.cluster.send(2, grant(0, 32), payload);
    directory.cluster.send(2, { kind: "left" });
    directory.cluster.flush();
    directory.cluster.release(2);
    await directory.cluster.close();
    await second.until(() => second.failures.length > 0);
    assertEquals(second.heard.at(-1), { from: 1, message: { kind: "left" } });
    assertEquals(second.heard.length, 101);
    assertEquals(directory.lost, []);
  }
});

Deno.test("Cluster.expel tells the node why; the directory node counts it as lost", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  directory.cluster.expel(2, "grant of what nobody asked for");
  assertEquals(directory.lost, [2]);
  second.cluster.send(1, request(1));
  second.cluster.flush();
  await second.until(() => second.failures.length > 0);
  assertEquals(second.failures[0]!.code, "ProtocolViolation");
  assertMatch(second.failures[0]!.message, /Node 1 ended the connection: grant of what nobody/);
  await turns(3);
  assertEquals(directory.heard, [], "a node that was expelled is not heard");
});

Deno.test("Cluster: a peer that cannot be reached and that the directory keeps ends this node", async () => {
  using timers = new ManualTimers(PEER_VERDICT_LAST_MS);
  await using three = await startThree();
  const [, second, third] = three.nodes;
  second.sendNumbered(third, 1, 1);
  await third.until(() => third.heard.length === 1);
  // The connection between the two breaks: node 3 takes node 2 for gone, the directory does not.
  third.cluster.forget(2);
  while (timers.count(PEER_VERDICT_LAST_MS) === 0) await turns(1);
  second.sendNumbered(third, 2, 1);
  assertEquals(second.failures, []);
  timers.fire(PEER_VERDICT_LAST_MS);
  assertEquals(second.failures.map(({ code }) => code), ["PeerUnreachable"]);
  assertMatch(second.failures[0]!.message, /Node 2 cannot reach node 3 at 127\.0\.0\.1:\d+/);
});

Deno.test("Cluster: the directory's word that a peer is gone ends the wait for it", async () => {
  using timers = new ManualTimers(PEER_VERDICT_LAST_MS);
  await using three = await startThree();
  const [, second, third] = three.nodes;
  second.sendNumbered(third, 1, 1);
  await third.until(() => third.heard.length === 1);
  third.cluster.abort();
  while (timers.count(PEER_VERDICT_LAST_MS) === 0) await turns(1);
  second.cluster.forget(3);
  assertEquals(timers.count(PEER_VERDICT_LAST_MS), 0);
  timers.fire(PEER_VERDICT_LAST_MS);
  assertEquals(second.failures, []);
  second.sendNumbered(third, 2, 1);
  assertEquals(second.cluster.peers.map(({ id }) => id), [1]);
});

/**
 * A node of a scripted directory, to which another says that it is of an id that is not known yet.
 */
async function startKnocked(id: number, unknown: number): Promise<
  AsyncDisposable & { node: ClusterMember; directory: ScriptedPeer; early: ScriptedPeer }
> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const node = new ClusterMember();
  const joined = node.joinAt(listener.addr, 1000);
  const directory = new ScriptedPeer(await listener.accept());
  assertEquals((await directory.next())?.kind, "hello");
  directory.link.say({ kind: "welcome", node: id, session: 5n, ...REGION, peers: [] });
  directory.link.say(PING);
  await joined;
  const { port } = node.cluster.address;
  const early = new ScriptedPeer(await Deno.connect({ hostname: HOST, port }));
  early.link.say({ ...HELLO, session: 5n, node: unknown });
  await node.until(() => node.logged.length > 0);
  return {
    node,
    directory,
    early,
    async [Symbol.asyncDispose]() {
      early.link.close();
      directory.link.close();
      await node.cluster.close();
    },
  };
}

Deno.test("Cluster: a node that dials before it is announced is dialled back, at the address that the directory tells", async () => {
  await using knocked = await startKnocked(2, 3);
  const { directory, early } = knocked;
  assertEquals(await early.next(), {
    kind: "refuse",
    code: "JoinRefused",
    reason: "the directory has not told of node 3 yet",
  });
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  directory.link.say({ kind: "peerJoined", id: 3, address: HOST, port: listener.addr.port });
  using real = new ScriptedPeer(await listener.accept());
  const hello = await real.next();
  assertEquals(hello?.kind === "hello" && hello.node, 2);
});

Deno.test("Cluster: a node of a lower id that dials before it is announced is accepted when it is", async () => {
  await using knocked = await startKnocked(3, 2);
  const { directory, early } = knocked;
  directory.link.say({ kind: "peerJoined", id: 2, address: HOST, port: 9 });
  assertEquals(await early.next(), { kind: "accept", node: 3 });
});

Deno.test("Cluster: a node of which the directory does not tell is not let in", async () => {
  using timers = new ManualTimers(HANDSHAKE_MAX_MS);
  await using knocked = await startKnocked(3, 2);
  const { node, early } = knocked;
  await node.until(() => node.logged.length > 0);
  timers.fire(HANDSHAKE_MAX_MS);
  assertEquals(await early.next(), undefined);
  await node.until(() => node.logged.length > 1);
  assertMatch(node.logged[1]!, /Dropped .*: the directory has not told of node 2 yet$/);
  assertEquals([node.cluster.peers.map(({ id }) => id), node.failures], [[1], []]);
});

Deno.test("Cluster: a node that refuses the directory node is lost to it, and the cluster goes on", async () => {
  await using directory = ClusterMember.host();
  using second = await ScriptedPeer.join(directory);
  second.link.say({ kind: "refuse", code: "ProtocolViolation", reason: "planted" });
  await directory.until(() => directory.lost.length === 1);
  assertEquals([directory.lost, directory.failures], [[2], []]);
});

Deno.test("Cluster: what only the directory may say is not taken from a peer", async () => {
  using timers = new ManualTimers(PEER_VERDICT_LAST_MS);
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  const { hostname, port } = directory.cluster.address;
  using third = new ScriptedPeer(await Deno.connect({ hostname, port }));
  third.link.say(HELLO);
  const welcome = await third.next() as WelcomeControl;
  assertEquals(welcome.node, 3);
  third.link.say(PING);
  await second.until(() => second.cluster.peers.length === 2);
  using peer = new ScriptedPeer(
    await Deno.connect({ hostname, port: second.cluster.address.port }),
  );
  peer.link.say({ ...HELLO, session: welcome.session, node: 3 });
  assertEquals((await peer.next())?.kind, "accept");
  peer.link.say({ kind: "closing" });
  assertEquals(await peer.next(), undefined);
  assertEquals(second.closings, 0);
  timers.fire(PEER_VERDICT_LAST_MS);
  assertMatch(second.failures[0]!.message, /closing from node 3/);
});

Deno.test("Cluster: a node that dials and leaves at once is refused, and nobody is warned", async () => {
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  using third = new ScriptedPeer(await Deno.connect({ hostname, port }));
  third.link.say(HELLO);
  const { node, session } = await third.next() as WelcomeControl;
  third.link.say(PING);
  await using second = await new ClusterMember().join(directory);
  second.cluster.release(node);
  using late = new ScriptedPeer(
    await Deno.connect({ hostname, port: second.cluster.address.port }),
  );
  late.link.say({ ...HELLO, session, node });
  assertEquals(await late.next(), {
    kind: "refuse",
    code: "JoinRefused",
    reason: "it has left or was given up",
  });
  await second.until(() => second.logged.some((line) => /Dropped/.test(line)));
  const dropped = second.logged.filter((line) => /Dropped/.test(line));
  assertEquals(dropped.map((line) => Number(line[0])), [Level.Debug]);
});

/** How far the clock goes between two beats, in milliseconds: less than a node that was stopped. */
const STEP_MS = 2_000;

/** Has the clock go on, with a beat of a node that the directory node answers each time. */
async function passTime(ms: number, node: ClusterMember, timers: ManualTimers): Promise<void> {
  for (let passed = 0; passed < ms; passed += STEP_MS) {
    timers.skip(STEP_MS);
    const { counters } = node.cluster;
    const { bytesReceived } = counters;
    timers.fire(HEARTBEAT_MS);
    while (counters.bytesReceived === bytesReceived && node.failures.length === 0) await turns(1);
  }
}

Deno.test("Cluster: the directory node gives up a node that is silent for long, and keeps one that beats", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS);
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  using _third = await ScriptedPeer.join(directory);
  await directory.until(() => directory.joined.includes(3));
  await passTime(SILENCE_MAX_MS - 2 * STEP_MS, second, timers);
  assertEquals(directory.lost, []);
  await passTime(4 * STEP_MS, second, timers);
  assertEquals([directory.lost, second.failures], [[3], []]);
  assertEquals(directory.reasons, [`it said nothing for ${SILENCE_MAX_MS} ms`]);
});

Deno.test("Cluster: a directory node that was stopped itself blames nobody for that time", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS);
  await using directory = ClusterMember.host();
  using _second = await ScriptedPeer.join(directory);
  await directory.until(() => directory.joined.includes(2));
  timers.skip(2 * SILENCE_MAX_MS);
  timers.fire(HEARTBEAT_MS);
  assertEquals(directory.lost, []);
});

/** A directory node that says what the test wants, and a node that has joined it. */
async function startScripted(): Promise<
  { directory: ScriptedPeer; second: ClusterMember } & Disposable
> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const accepted = listener.accept();
  const second = new ClusterMember();
  const joined = second.joinAt({ hostname: HOST, port: listener.addr.port }, 1000);
  const directory = new ScriptedPeer(await accepted);
  assertEquals((await directory.next())?.kind, "hello");
  directory.link.say({ kind: "welcome", node: 2, session: 5n, ...REGION, peers: [] });
  assertEquals(await directory.next(), PING);
  directory.link.say(PING);
  await joined;
  return {
    directory,
    second,
    [Symbol.dispose]() {
      directory[Symbol.dispose]();
      second.cluster.abort();
    },
  };
}

/** How a node may be told that its directory node hears it, and for how long it then goes on. */
const LAST_WORDS = [
  ["it was let in", 0],
  ["its ping was answered", 2],
] as const;

for (const [what, echo] of LAST_WORDS) {
  Deno.test(`Cluster: a node that wakes ${LEASE_MS} ms after ${what} ends before it hears anything`, async () => {
    using timers = new ManualTimers(HEARTBEAT_MS);
    using scripted = await startScripted();
    const { directory, second } = scripted;
    if (echo > 0) {
      timers.skip(2 * STEP_MS);
      timers.fire(HEARTBEAT_MS);
      assertEquals(await directory.next(), { ...PING, sent: 2, echo: 1 });
    }
    // An answer gives time from when its ping was sent, however late it comes.
    timers.skip(2 * STEP_MS);
    directory.link.say({ ...PING, sent: 2, echo });
    directory.link.say({ kind: "peerJoined", id: 3, address: HOST, port: 1 });
    await second.until(() => second.cluster.peers.length === 2);
    assertEquals(second.failures, []);
    directory.link.say({ kind: "peerJoined", id: 4, address: HOST, port: 1 });
    timers.skip(LEASE_MS - 2 * STEP_MS);
    await second.until(() => second.failures.length > 0 || second.cluster.peers.length === 3);
    assertEquals(second.failures[0]?.code, "DirectoryLost");
    assertMatch(second.failures[0]!.message, /answered nothing that was sent in the last 10000 ms/);
    assertEquals(second.cluster.peers.length, 2, "what came meanwhile does not count");
  });
}

Deno.test("Cluster: a node whose pings are answered goes on; one whose are not ends by its own beat", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS);
  using scripted = await startScripted();
  const { directory, second } = scripted;
  let answers = 0;
  for (let beat = 1; beat <= 2 * LEASE_MS / STEP_MS; beat++) {
    timers.skip(STEP_MS);
    timers.fire(HEARTBEAT_MS);
    const ping = await directory.next();
    assertEquals(ping, { ...PING, sent: beat + 1, echo: beat });
    const { bytesReceived } = second.cluster.counters;
    directory.link.say({ ...PING, sent: beat + 1, echo: beat + 1 });
    while (second.cluster.counters.bytesReceived === bytesReceived) await turns(1);
    answers++;
  }
  assertEquals([answers, second.failures], [10, []]);
  let beats = 0;
  for (; second.failures.length === 0; beats++) {
    timers.skip(STEP_MS);
    timers.fire(HEARTBEAT_MS);
  }
  assertEquals(beats, LEASE_MS / STEP_MS);
});

Deno.test("Cluster: an answer to a ping that was never sent is a breach", async () => {
  using scripted = await startScripted();
  const { directory, second } = scripted;
  directory.link.say({ ...PING, echo: 2 });
  await second.until(() => second.failures.length > 0);
  assertMatch(second.failures[0]!.message, /ping from node 1/);
});

/** Has nodes beat, and waits until all that they have sent has arrived, answers too. */
async function beat(nodes: readonly ClusterMember[], timers: ManualTimers): Promise<void> {
  const total = (which: "bytesSent" | "bytesReceived") =>
    nodes.reduce((sum, { cluster: { counters } }) => sum + counters[which], 0);
  timers.fire(HEARTBEAT_MS);
  while (total("bytesReceived") < total("bytesSent")) await turns(1);
}

/** Has two nodes send each other a message, so that there is a connection between them. */
async function talk(one: ClusterMember, other: ClusterMember): Promise<void> {
  for (const [from, to] of [[one, other], [other, one]] as const) {
    from.sendNumbered(to, 1, 1);
    await to.until(() => to.heard.length === 1);
  }
}

for (const [self, waitMs] of [[2, PEER_VERDICT_LAST_MS], [3, PEER_VERDICT_MAX_MS]] as const) {
  Deno.test(`Cluster: node ${self} waits ${waitMs} ms for word of a peer that it does not hear any more`, async () => {
    using timers = new ManualTimers(HEARTBEAT_MS, PEER_VERDICT_MAX_MS, PEER_VERDICT_LAST_MS);
    await using directory = ClusterMember.host();
    const { hostname, port } = directory.cluster.address;
    const node = new ClusterMember();
    if (self === 2) await node.join(directory);
    using other = new ScriptedPeer(await Deno.connect({ hostname, port }));
    other.link.say(HELLO);
    const welcome = await other.next() as WelcomeControl;
    other.link.say(PING);
    await directory.until(() => directory.joined.includes(welcome.node));
    if (self === 3) await node.join(directory);
    using peer = new ScriptedPeer(
      await Deno.connect({ hostname, port: node.cluster.address.port }),
    );
    peer.link.say({ ...HELLO, session: welcome.session, node: welcome.node });
    assertEquals((await peer.next())?.kind, "accept");
    while (timers.count(PEER_VERDICT_MAX_MS) > 0) await turns(1);
    for (let passed = 0; passed <= SILENCE_MAX_MS + STEP_MS; passed += STEP_MS) {
      // The directory node does hear it.
      const { counters } = directory.cluster;
      const { bytesReceived } = counters;
      other.link.say(PING);
      while (counters.bytesReceived === bytesReceived) await turns(1);
      await passTime(STEP_MS, node, timers);
    }
    assertEquals([directory.lost, node.failures], [[], []]);
    assertEquals(timers.count(waitMs), 1);
    assertEquals(timers.count(PEER_VERDICT_MAX_MS) + timers.count(PEER_VERDICT_LAST_MS), 1);
    if (self === 3) {
      timers.fire(waitMs);
      assertEquals(node.failures.map(({ code }) => code), ["PeerUnreachable"]);
      assertMatch(node.failures[0]!.message, /Node 3 cannot reach node 2 .* it said nothing for/);
    } else {
      // The directory's word, which an engine would pass on.
      node.cluster.forget(3);
      assertEquals([timers.count(waitMs), node.failures], [0, []]);
      assertMatch(node.cluster.whyLost(3)!, /^it said nothing for \d+ ms$/);
    }
    await node.cluster.close();
  });
}

Deno.test("Cluster: a link that nothing was sent over for a while is kept alive, and that to the directory node is at each beat", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS, HANDSHAKE_MAX_MS);
  await using three = await startThree();
  const { nodes } = three;
  const [directory, second, third] = nodes;
  await talk(second, third);
  const pingBytes = controlFrame(PING).length;
  /** How many pings each sends when all of them beat. */
  const pings = async (): Promise<number[]> => {
    const before = nodes.map(({ cluster: { counters } }) => counters.bytesSent);
    await beat(nodes, timers);
    return nodes.map(({ cluster: { counters } }, index) =>
      (counters.bytesSent - before[index]!) / pingBytes
    );
  };
  // Each node tells the directory node, which answers.
  assertEquals(await pings(), [2, 1, 1]);
  const beatsQuiet = QUIET_MAX_MS / STEP_MS;
  const beats = 2 * SILENCE_MAX_MS / STEP_MS;
  for (let count = 1; count <= beats; count++) {
    timers.skip(STEP_MS);
    const each = count % beatsQuiet === 0 ? 2 : 1;
    assertEquals(await pings(), [2, each, each]);
  }
  timers.skip(QUIET_MAX_MS);
  second.sendNumbered(third, 2, 1);
  assertEquals(await pings(), [2, 1, 2]);
  // The directory node is told even by a node that says something else to it.
  second.cluster.send(1, request(1));
  second.cluster.flush();
  await directory.until(() => directory.heard.length === 1);
  assertEquals(await pings(), [2, 1, 1]);
  assertEquals(nodes.map(({ lost, failures }) => [lost, failures]), [[[], []], [[], []], [[], []]]);
});

Deno.test("Cluster: the directory node hears how much room each node has", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS, HANDSHAKE_MAX_MS);
  await using three = await startThree();
  const { nodes } = three;
  const [directory, second, third] = nodes;
  await talk(second, third);
  second.room = [7, 4];
  await beat(nodes, timers);
  await directory.until(() => directory.rooms.size === 2);
  assertEquals(directory.rooms.get(2), [7, 4]);
  assertEquals(directory.rooms.get(3), [ROOM_UNLIMITED, ROOM_UNLIMITED]);
  third.room = [0, 0];
  await beat(nodes, timers);
  await directory.until(() => directory.rooms.get(3)![0] === 0);
});

Deno.test("Cluster.close ends connections that are still in their handshake", async () => {
  using _timers = new ManualTimers(HANDSHAKE_MAX_MS);
  const directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  using silent = await Deno.connect({ hostname, port });
  await using _second = await new ClusterMember().join(directory);
  await directory.cluster.close();
  assertEquals(await silent.read(new Uint8Array(1)).catch(() => null), null);
});

Deno.test("Cluster: a peer that says that it lives, and reads nothing, is given up", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS);
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  using deaf = await Deno.connect({ hostname, port });
  await writeAll(deaf, controlFrame(HELLO));
  await writeAll(deaf, controlFrame(PING));
  await directory.until(() => directory.joined.length === 1);
  const payload = new Uint8Array(32 * PAGE);
  for (let sent = 0; sent < 256; sent++) directory.cluster.send(2, grant(0, 32), payload);
  directory.cluster.flush();
  const beats = SILENCE_MAX_MS / HEARTBEAT_MS;
  let beaten = 0;
  for (; directory.lost.length === 0 && beaten <= 2 * beats; beaten++) {
    timers.skip(HEARTBEAT_MS + 1);
    const { bytesReceived } = directory.cluster.counters;
    await writeAll(deaf, controlFrame(PING));
    while (directory.cluster.counters.bytesReceived === bytesReceived) await turns(1);
    timers.fire(HEARTBEAT_MS);
  }
  assertEquals([directory.lost, directory.reasons], [[2], [
    `it read nothing for ${SILENCE_MAX_MS} ms`,
  ]]);
  // What the kernel still took for it counts as read.
  assert(beaten >= beats, `${beaten} beats`);
});

Deno.test({
  name: "Cluster: a peer that does not read is lost once the queue for it outgrows its bound",
  async fn() {
    await using directory = ClusterMember.host();
    await using second = await new ClusterMember().join(directory);
    const payload = new Uint8Array(32 * PAGE);
    const count = LINK_QUEUE_MAX_BYTES / payload.length + 2;
    for (let sent = 0; sent < count; sent++) {
      directory.cluster.send(2, grant(0, 32), payload, Encoding.Lz4);
    }
    assertEquals(directory.lost, [], "not from within send");
    await directory.until(() => directory.lost.length > 0);
    assertEquals(directory.lost, [2]);
    await second.until(() => second.failures.length > 0);
  },
});

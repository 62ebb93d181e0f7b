import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Address } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { regionSettings } from "../wire/region_settings.ts";
import type { WelcomeControl } from "../wire/control.ts";
import {
  HANDSHAKE_MAX_MS,
  HANDSHAKES_ADDRESS_MAX,
  PEER_VERDICT_LAST_MS,
  PEER_VERDICT_MAX_MS,
} from "../limits.ts";
import {
  ClusterMember,
  grant,
  HOST,
  PAGE,
  REGION,
  ScriptedPeer,
  startThree,
  turns,
  upTo,
} from "../../tests/support/cluster_members.ts";
import { HELLO, PING } from "../../tests/support/raw_peer.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

Deno.test("Cluster: nodes join, get ids in order, and know each other", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  await using third = await new ClusterMember(true).join(directory);
  await second.until(() => second.cluster.peers.length === 2);
  assertEquals([directory.id, second.id, third.id], [1, 2, 3]);
  for (const node of [directory, second, third]) {
    const others = [directory, second, third].filter((other) => other !== node);
    const expected = others.map(({ id, cluster }) => {
      return { id, address: HOST, port: cluster.address.port };
    });
    const known = node.cluster.peers.map(({ id, address, port }) => ({ id, address, port }));
    assertEquals(known, expected);
  }
  assertEquals(regionSettings(second.welcomed!), REGION);
  assertEquals([directory.joined, directory.cluster.working], [[2, 3], [2]]);
});

Deno.test("Cluster: nodes with ranks have the ids kept for them, in whatever order they join", async () => {
  const ranked = (rank: number) => new ClusterMember(false, undefined, { rank, nodeCount: 4 });
  await using directory = ClusterMember.host(REGION, { place: { rank: 0, nodeCount: 4 } });
  const last = await ranked(3).join(directory);
  await using extra = await new ClusterMember().join(directory);
  assertEquals([last.id, extra.id], [4, 5]);
  await last.cluster.close();
  await directory.until(() => directory.lost.length === 1);
  directory.cluster.forget(4);
  await using again = await ranked(3).join(directory);
  await using second = await ranked(1).join(directory);
  assertEquals([again.id, second.id], [6, 2]);
  // Of rank 3's first process a node hears that has come after it, and would wait for it.
  const heard = { from: 1, message: { kind: "peerLost", node: 4 } } as const;
  await second.until(() => second.heard.length > 0);
  assertEquals(second.heard, [heard]);
  assertEquals(extra.heard, []);
});

Deno.test("Cluster: many that join at once all get in", async () => {
  await using directory = ClusterMember.host();
  const nodes = upTo(20).map(() => new ClusterMember());
  await Promise.all(nodes.map((node) => node.join(directory)));
  assertEquals(nodes.map(({ id }) => id).sort((a, b) => a - b), upTo(20).map((id) => id + 1));
  for (const node of nodes) await node.until(() => node.cluster.peers.length === 20);
  for (const node of nodes) await node.cluster.close();
});

Deno.test("Cluster connects nodes when they have something to say, and carries page bytes", async () => {
  await using three = await startThree();
  const [, second, third] = three.nodes;
  const payload = Uint8Array.from({ length: 20 * PAGE }, (_, index) => index * 7 & 0xff);
  second.sendNumbered(third, 1, 5);
  second.cluster.send(3, grant(8, 20), payload);
  second.sendNumbered(third, 6, 5);
  await third.until(() => third.heard.length === 11);
  assertEquals(third.numbersFrom(second), [1, 2, 3, 4, 5, 8, 6, 7, 8, 9, 10]);
  assertEquals(third.alias.subarray(8 * PAGE, 28 * PAGE), payload);
  third.sendNumbered(second, 1, 3);
  await second.until(() => second.heard.length === 3);
  assertEquals(second.cluster.counters.messagesSent, 11);
  assertEquals(second.cluster.counters.messagesReceived, 3);
});

Deno.test("Cluster: two that dial each other at once end with one connection, nothing lost or reordered", async () => {
  // Of a node that is given up for lost; that of handshakes is as long.
  using timers = new ManualTimers(PEER_VERDICT_MAX_MS, PEER_VERDICT_LAST_MS);
  await using directory = ClusterMember.host();
  for (let round = 0; round < 60; round++) {
    await using low = await new ClusterMember().join(directory);
    await using high = await new ClusterMember().join(directory);
    await low.until(() => low.cluster.peers.length === directory.cluster.peers.length);
    const [lowWaits, highWaits] = [round % 7, (round * 3) % 5];
    const say = async (from: ClusterMember, to: ClusterMember, waits: number): Promise<void> => {
      await turns(waits);
      for (let first = 1; first <= 40; first += 10) {
        from.sendNumbered(to, first, 10);
        await turns(round % 3);
      }
    };
    await Promise.all([
      say(low, high, lowWaits),
      say(high, low, highWaits),
      high.until(() => high.heard.length === 40),
      low.until(() => low.heard.length === 40),
    ]);
    assertEquals(low.numbersFrom(high), upTo(40), `round ${round}`);
    assertEquals(high.numbersFrom(low), upTo(40), `round ${round}`);
    while (timers.count(HANDSHAKE_MAX_MS) > 0) await turns(1);
    assertEquals([...low.failures, ...high.failures], []);
    for (const node of [low, high]) {
      assertEquals(node.logged.filter((line) => line.startsWith("2")), [], "noise for nothing");
    }
    await high.cluster.close();
    await low.cluster.close();
    await directory.until(() => directory.cluster.peers.length === 0);
  }
});

Deno.test("Cluster: all of several talk to all at once", async () => {
  await using directory = ClusterMember.host();
  const nodes = upTo(5).map(() => new ClusterMember());
  for (const node of nodes) await node.join(directory);
  for (const node of nodes) await node.until(() => node.cluster.peers.length === 5);
  for (const from of nodes) {
    for (const to of nodes) if (from !== to) from.sendNumbered(to, 1, 30);
  }
  for (const to of nodes) {
    await to.until(() => to.heard.length === 120);
    for (const from of nodes) if (from !== to) assertEquals(to.numbersFrom(from), upTo(30));
  }
  for (const node of nodes) await node.cluster.close();
});

Deno.test("Cluster: a refused node receives the whole refusal before the connection ends", async () => {
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  for (const node of [1, 7]) {
    using voice = new ScriptedPeer(await Deno.connect({ hostname, port }));
    voice.link.say({ ...HELLO, node });
    const answer = await voice.next();
    assertEquals(answer, {
      kind: "refuse",
      code: "JoinRefused",
      reason: "it is of another cluster",
    });
    assertEquals(await voice.next(), undefined);
  }
  assertEquals(directory.joined, []);
});

Deno.test("Cluster drops connections that say nothing, or nonsense, and goes on", async () => {
  using timers = new ManualTimers(HANDSHAKE_MAX_MS);
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  const dropped = () => directory.logged.filter((line) => line.includes("Dropped")).length;
  using silent = await Deno.connect({ hostname, port });
  using garbage = await Deno.connect({ hostname, port });
  await garbage.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  await directory.until(() => dropped() === 1);
  while (timers.count(HANDSHAKE_MAX_MS) === 0) await turns(1);
  timers.fire(HANDSHAKE_MAX_MS);
  await directory.until(() => dropped() === 2);
  assertEquals(await silent.read(new Uint8Array(1)), null);
  await using second = await new ClusterMember().join(directory);
  assertEquals(second.id, 2);
});

Deno.test("Cluster.join tells why it was refused, in the directory's words", async () => {
  await using directory = ClusterMember.host();
  const { address } = directory.cluster;
  await using node = new ClusterMember();
  const error = await assertRejects(
    () => node.joinAt(address, 1000, { size: 2 * REGION.size }),
    TdsmError,
  );
  assertEquals([error.code, error.operation], ["RegionMismatch", "join"]);
  assertMatch(error.message, /^Cannot join: the node at .* refuses: --size 512KiB asked for/);
});

Deno.test("Cluster.join at a node that is not the directory's names the one that is", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  await using third = new ClusterMember();
  const error = await assertRejects(() => third.join(second), TdsmError, "it is not the directory");
  assert(error.message.endsWith(`at ${HOST}:${directory.cluster.address.port}`));
});

Deno.test("Cluster.join at something else that listens says so", async () => {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const accepted = listener.accept().then(async (connection) => {
    await connection.write(new TextEncoder().encode("220 mail.example.org ready\r\n".repeat(4)));
    return connection;
  });
  await using node = new ClusterMember();
  const error = await assertRejects(
    () => node.joinAt({ hostname: HOST, port: listener.addr.port }, 1000),
    TdsmError,
    "does not answer like a directory of this release",
  );
  assertEquals(error.code, "ProtocolViolation");
  (await accepted).close();
});

Deno.test("Cluster.join gives up when nobody listens", async () => {
  // Of TCPMUX, which nothing offers any more.
  const port = 1;
  await using node = new ClusterMember();
  const error = await assertRejects(
    () => node.joinAt({ hostname: HOST, port }, 50),
    TdsmError,
    `Cannot join: no directory at ${HOST}:${port} within 50 ms`,
  );
  assertEquals(error.code, "NoDirectory");
});

Deno.test("Cluster.join passes on what the node's own region is refused with", async () => {
  await using directory = ClusterMember.host();
  await using node = new ClusterMember();
  const planted = new TdsmError("PrivilegeMissing", "planted", { operation: "open" });
  const opened = () => {
    throw planted;
  };
  const { address } = directory.cluster;
  const error = await assertRejects(() => node.joinAt(address, 1000, { opened }));
  assertEquals(error, planted);
  await using next = await new ClusterMember().join(directory);
  assertEquals([next.id, directory.joined, directory.lost], [2, [2], []]);
});

Deno.test("Cluster: a join that is not finished costs no id, and no node hears of it", async () => {
  await using directory = ClusterMember.host();
  await using second = await new ClusterMember().join(directory);
  const { hostname, port } = directory.cluster.address;
  for (const time of [1, 2, 3]) {
    using stranger = new ScriptedPeer(await Deno.connect({ hostname, port }));
    stranger.link.say(HELLO);
    const welcome = await stranger.next();
    assertEquals(welcome?.kind === "welcome" && welcome.node, 3);
    stranger.link.close();
    await directory.until(() =>
      directory.logged.filter((it) => /Dropped/.test(it)).length === time
    );
  }
  await using third = await new ClusterMember().join(directory);
  await second.until(() => second.cluster.peers.length === 2);
  assertEquals([third.id, directory.joined, directory.lost], [3, [2, 3], []]);
});

Deno.test("Cluster: a node to which the directory node cannot connect is refused, and costs no id", async () => {
  const tried: Address[] = [];
  const whyUnreachable = async (address: Address): Promise<string | undefined> => {
    tried.push(address);
    await Promise.resolve();
    return address.port === HELLO.port ? "planted" : undefined;
  };
  await using directory = ClusterMember.host(REGION, { whyUnreachable });
  const { hostname, port } = directory.cluster.address;
  using stranger = new ScriptedPeer(await Deno.connect({ hostname, port }));
  stranger.link.say({ ...HELLO, address: "0.0.0.0" });
  assertEquals(await stranger.next(), {
    kind: "refuse",
    code: "JoinRefused",
    reason:
      `it cannot connect to ${HOST}:1, where this node listens: planted. Other nodes must reach ` +
      "that port: open it, or name another address or port with --address and --port",
  });
  await using second = await new ClusterMember().join(directory);
  assertEquals([second.id, directory.joined, directory.lost], [2, [2], []]);
  assertEquals(
    tried,
    [{ hostname: HOST, port: 1 }, second.cluster.address].map(
      ({ hostname, port }) => ({ hostname, port }),
    ),
  );
});

Deno.test("Cluster: a new node that speaks or goes while the directory node connects to it is dropped", async () => {
  const gate = Promise.withResolvers<undefined>();
  await using directory = ClusterMember.host(REGION, { whyUnreachable: () => gate.promise });
  const { hostname, port } = directory.cluster.address;
  const dropped = (count: number) =>
    directory.until(() => directory.logged.filter((it) => /Dropped/.test(it)).length === count);
  using hasty = new ScriptedPeer(await Deno.connect({ hostname, port }));
  hasty.link.say(HELLO);
  hasty.link.say(PING);
  await dropped(1);
  using gone = new ScriptedPeer(await Deno.connect({ hostname, port }));
  gone.link.say(HELLO);
  gone.link.close();
  await dropped(2);
  gate.resolve(undefined);
  await using second = await new ClusterMember().join(directory);
  assertEquals([second.id, directory.joined], [2, [2]]);
});

Deno.test("Cluster: a node that is let in when the cluster fails is told by whom, though it has not joined", async () => {
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  using slow = new ScriptedPeer(await Deno.connect({ hostname, port }));
  slow.link.say(HELLO);
  assertEquals((await slow.next())?.kind, "welcome");
  directory.cluster.fail({ kind: "abort", node: 1, reason: "planted" });
  assertEquals(await slow.next(), { kind: "abort", node: 1, reason: "planted" });
});

Deno.test("Cluster: a node whose join takes long learns who came and went meanwhile", async () => {
  await using directory = ClusterMember.host();
  const second = await new ClusterMember().join(directory);
  const { hostname, port } = directory.cluster.address;
  using slow = new ScriptedPeer(await Deno.connect({ hostname, port }));
  slow.link.say(HELLO);
  const welcome = await slow.next() as WelcomeControl;
  assertEquals([welcome.node, welcome.peers.map(({ id }) => id)], [3, [2]]);
  await using fourth = await new ClusterMember().join(directory);
  await second.cluster.close();
  await directory.until(() => directory.lost.length === 1);
  slow.link.say(PING);
  const joined = await slow.next();
  assertEquals(joined?.kind === "peerJoined" && joined.id, fourth.id);
  assertEquals(await slow.nextMessage(), { kind: "peerLost", node: 2 });
  await fourth.until(() => fourth.cluster.peers.some(({ id }) => id === 3));
});

Deno.test("Cluster: a door at which strangers stand silently lets nodes in, the oldest stranger goes", async () => {
  await using directory = ClusterMember.host();
  const { hostname, port } = directory.cluster.address;
  const strangers = await Promise.all(
    upTo(HANDSHAKES_ADDRESS_MAX).map(() => Deno.connect({ hostname, port })),
  );
  await using second = await new ClusterMember().join(directory);
  assertEquals(second.id, 2);
  const ended = await Promise.race(
    strangers.map(async (stranger, index) => [index, await stranger.read(new Uint8Array(1))]),
  );
  assertEquals(ended[1], null);
  await directory.until(() => directory.logged.length > 0);
  assertMatch(
    directory.logged[0]!,
    /Dropped a connection from .*: it said nothing, and others came$/,
  );
  for (const stranger of strangers) stranger.close();
});

Deno.test("Cluster.join tries again where it is dropped at the door, and says what it met when the time is up", async () => {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const { hostname, port } = listener.addr;
  const serve = async (): Promise<number> => {
    let dropped = 0;
    for await (const connection of listener) {
      connection.close();
      dropped++;
    }
    return dropped;
  };
  const served = serve();
  await using node = new ClusterMember();
  const error = await assertRejects(() => node.joinAt({ hostname, port }, 300), TdsmError);
  listener.close();
  const dropped = await served;
  assert(dropped > 1);
  assertMatch(
    error.message,
    new RegExp(`^Cannot join: .* of this release, tried ${dropped} times: .*--join-timeout$`),
  );
});

Deno.test("Cluster.join waits for a place in a cluster that is full", async () => {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  await using node = new ClusterMember();
  const joining = node.joinAt(listener.addr, 10_000);
  {
    using full = new ScriptedPeer(await listener.accept());
    await full.next();
    full.link.say({ kind: "refuse", code: "LimitExceeded", reason: "the cluster is full" });
  }
  using directory = new ScriptedPeer(await listener.accept());
  await directory.next();
  directory.link.say({ kind: "welcome", node: 7, session: 5n, ...REGION, peers: [] });
  assertEquals((await directory.next())?.kind, "ping");
  directory.link.say(PING);
  await joining;
  assertEquals(node.id, 7);
});

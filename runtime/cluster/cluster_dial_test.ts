import { assertEquals, assertMatch } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import {
  ClusterMember,
  HOST,
  REGION,
  request,
  ScriptedPeer,
  turns,
} from "../../tests/support/cluster_members.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { PING } from "../../tests/support/raw_peer.ts";
import { DIAL_MAX_MS, HANDSHAKE_MAX_MS, HEARTBEAT_MS, PEER_VERDICT_LAST_MS } from "../limits.ts";

/** The number of the node that is dialled. */
const DIALLED = 3;

/** Node 2 of a scripted directory, which has something to say to node 3 behind a listener. */
async function startDialling(
  { addr: { port } }: Deno.TcpListener,
): Promise<AsyncDisposable & { node: ClusterMember }> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const node = new ClusterMember();
  const joined = node.joinAt(listener.addr, 1000);
  const directory = new ScriptedPeer(await listener.accept());
  assertEquals((await directory.next())?.kind, "hello");
  const peers = [{ id: DIALLED, address: HOST, port }];
  directory.link.say({ kind: "welcome", node: 2, session: 5n, ...REGION, peers });
  directory.link.say(PING);
  await joined;
  node.cluster.send(DIALLED, request(1));
  node.cluster.flush();
  return {
    node,
    async [Symbol.asyncDispose]() {
      directory.link.close();
      await node.cluster.close();
    },
  };
}

/** A listener that Linux makes no connection to, as for want of room, until it accepts some. */
class FullListener implements Disposable {
  readonly listener = Deno.listen({ hostname: HOST, port: 0, tcpBacklog: 1 });
  readonly #crowd: Deno.TcpConn[] = [];

  static async start(): Promise<FullListener> {
    const full = new FullListener();
    const { port } = full.listener.addr;
    for (let count = 0; count < 2; count++) {
      full.#crowd.push(await Deno.connect({ hostname: HOST, port }));
    }
    return full;
  }

  /** Makes room for the next connection. */
  async clear(): Promise<void> {
    for (const connection of this.#crowd.splice(0)) {
      connection.close();
      (await this.listener.accept()).close();
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#crowd) connection.close();
    this.listener.close();
  }
}

/** Lets a step of a handshake that goes on take too long. */
async function takeTooLong(timers: ManualTimers, skippedMs: number): Promise<void> {
  while (timers.count(HANDSHAKE_MAX_MS) === 0) await turns(1);
  timers.skip(skippedMs);
  timers.fire(HANDSHAKE_MAX_MS);
}

Deno.test("Cluster: a node is dialled again where no connection came about in time, and that is told", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS, HANDSHAKE_MAX_MS);
  using full = await FullListener.start();
  await using dialling = await startDialling(full.listener);
  const { node } = dialling;
  await takeTooLong(timers, HANDSHAKE_MAX_MS);
  await node.until(() => node.logged.some((line) => line.includes("Trying on")));
  await full.clear();
  using peer = new ScriptedPeer(await full.listener.accept());
  assertEquals((await peer.next())?.kind, "hello");
  peer.link.say({ kind: "accept", node: DIALLED });
  peer.open();
  assertEquals(await peer.nextMessage(), request(1));
  const told = node.logged.filter((line) => line.includes("No connection"));
  assertEquals(told.length, 1, node.logged.join("\n"));
  assertMatch(
    told[0]!,
    /node 3 at 127\.0\.0\.1:\d+ yet: no connection within 5000 ms\. Trying on$/,
  );
  assertEquals(node.failures, []);
});

Deno.test("Cluster: a node that no connection can be made to is given up in time, with what to do", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS, HANDSHAKE_MAX_MS, PEER_VERDICT_LAST_MS);
  using full = await FullListener.start();
  await using dialling = await startDialling(full.listener);
  const { node } = dialling;
  await takeTooLong(timers, DIAL_MAX_MS);
  while (timers.count(PEER_VERDICT_LAST_MS) === 0) await turns(1);
  timers.fire(PEER_VERDICT_LAST_MS);
  assertEquals(node.failures.map(({ code }) => code), ["PeerUnreachable"]);
  const message =
    /Node 2 cannot reach node 3 at .*: no connection within 5000 ms\. Let the two reach/;
  assertMatch(node.failures[0]!.message, message);
});

Deno.test("Cluster: a node that has heard the first message may take as long over it as over others", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS, HANDSHAKE_MAX_MS);
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  await using dialling = await startDialling(listener);
  using peer = new ScriptedPeer(await listener.accept());
  assertEquals((await peer.next())?.kind, "hello");
  timers.skip(HANDSHAKE_MAX_MS);
  timers.fire(HANDSHAKE_MAX_MS);
  await turns(3);
  peer.link.say({ kind: "accept", node: DIALLED });
  peer.open();
  assertEquals(await peer.nextMessage(), request(1));
  assertEquals(dialling.node.failures, []);
});

Deno.test("Cluster: a node that is slow to prove its key is dialled again", async () => {
  using timers = new ManualTimers(HEARTBEAT_MS, HANDSHAKE_MAX_MS);
  using library = openLibrary();
  const secret = { key: new Uint8Array(32).fill(7), plain: false, library };
  await using directory = ClusterMember.host(REGION, { secret });
  const member = (listener?: Deno.TcpListener) =>
    new ClusterMember(false, undefined, undefined, listener, secret);
  // Of the third node's connections the first is left lying.
  const real = Deno.listen({ hostname: HOST, port: 0 });
  const left: Deno.TcpConn[] = [];
  const slow = Object.create(real, {
    addr: { value: real.addr },
    close: { value: () => real.close() },
    accept: {
      async value(): Promise<Deno.TcpConn> {
        if (left.length === 0) left.push(await real.accept());
        return await real.accept();
      },
    },
  }) as Deno.TcpListener;
  await using second = await member().join(directory);
  await using third = await member(slow).join(directory);
  await second.until(() => second.cluster.peers.length === 2);
  second.sendNumbered(third, 1, 1);
  while (left.length === 0) await turns(1);
  await takeTooLong(timers, HANDSHAKE_MAX_MS);
  await third.until(() => third.heard.length === 1);
  assertEquals([second.failures, third.numbersFrom(second)], [[], [1]]);
  for (const connection of left) connection.close();
});

/** A program that reaches the port without being a node is dropped, and no node notices. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { HANDSHAKE_MAX_MS, HANDSHAKES_MAX } from "../../runtime/limits.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import { encodeMessage } from "../../runtime/wire/page_frames.ts";
import { MESSAGE_MAX_BYTES, Offset, PROTOCOL_VERSION } from "../../runtime/wire/layout.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { sealBroken } from "../fuzz/mutate.ts";
import { controlFrame, firstControl, HELLO, PING, readAll } from "../support/raw_peer.ts";

/** Bytes that follow from a seed, without a meaning. */
function noise(bytes: number): Uint8Array {
  let state = 0x2545_f491;
  return Uint8Array.from({ length: bytes }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    return state >>> 24;
  });
}

/** A frame with a length that no frame has. */
function oversized(): Uint8Array {
  const bytes = controlFrame(HELLO);
  new DataView(bytes.buffer).setUint32(Offset.Length, 0x7fff_ffff, true);
  sealBroken(bytes);
  return bytes;
}

/** A frame that is not as it was sent. */
function damaged(): Uint8Array {
  const bytes = controlFrame(HELLO);
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}

/** A message about pages, on a connection that has sent no `hello`. */
function requestFirst(): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_MAX_BYTES);
  const size = encodeMessage({ kind: "peerLost", node: 2 }, 0, bytes, 0);
  return bytes.slice(0, size);
}

const STRANGERS: { readonly [name: string]: () => Uint8Array } = {
  "noise": () => noise(65_536),
  "an HTTP request": () => new TextEncoder().encode("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
  "half a controlFrame, then silence": () => controlFrame(HELLO).slice(0, 20),
  "nothing at all": () => new Uint8Array(),
  "a frame longer than any": oversized,
  "a frame with other bytes than it was sent with": damaged,
  "a message about pages": requestFirst,
  "an answer that nobody asked for": () => controlFrame({ kind: "accept", node: 2 }),
  "a node of another cluster": () => controlFrame({ ...HELLO, session: 1n, node: 2 }),
};

/**
 * Sends bytes to a node and waits until it ends the connection; returns what it says before that.
 */
async function intrude(node: RemoteNode, bytes: Uint8Array): Promise<Uint8Array> {
  using connection = await Deno.connect({ hostname: node.info.address, port: node.info.port });
  try {
    if (bytes.length > 0) await connection.write(bytes);
  } catch (error) {
    // It has been dropped while it was still talking.
    if (
      !(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)
    ) {
      throw error;
    }
  }
  return await readAll(connection);
}

/** Adds to one word on both nodes until it is stopped; the word's value must be the sum. */
async function keepWorking(pair: readonly RemoteNode[], act: () => Promise<void>): Promise<void> {
  const adding = pair.map((node) =>
    node.evaluate(async (node) => {
      const words = node.view(Int32Array, 0, 2);
      let added = 0;
      do {
        Atomics.add(words, 0, 1);
        if (added++ % 64 === 0) await new Promise((done) => setTimeout(done, 0));
      } while (Atomics.load(words, 1) === 0);
      return added;
    })
  );
  await act();
  await pair[0]!.store(4, 1);
  const added = await Promise.all(adding);
  assertEquals(await pair[1]!.load(0), added[0]! + added[1]!);
}

for (const [name, bytes] of Object.entries(STRANGERS)) {
  Deno.test(`stranger: ${name}`, async () => {
    await using cluster = new ProcessCluster();
    const pair = await cluster.start(2, "--size=64KiB");
    await keepWorking(pair, async () => {
      await cluster.bounded(
        "being dropped",
        Promise.all(pair.map((node) => intrude(node, bytes()))),
      );
    });
    for (const { process } of pair) {
      await process.untilPrinted(
        /^\S+Z tdsm: warning: Dropped a connection from 127\.0\.0\.1:\d+: .+$/m,
      );
    }
    const late = await cluster.join(pair[0]!);
    assertEquals(late.info.id, 3, "a stranger has taken an id");
    assertEquals(await late.load(4), 1);
  });
}

Deno.test("stranger: a node of another version is told the version of this one", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const later = PROTOCOL_VERSION + 1;
  const answer = firstControl(await intrude(directory, controlFrame(HELLO, later)));
  if (answer?.kind !== "refuse") throw new Error(`${answer?.kind} instead of refuse`);
  assertEquals(answer.code, "VersionMismatch");
  assertMatch(answer.reason, new RegExp(`protocol version.*\\b${later}\\b`));
});

Deno.test("stranger: silent connections keep nobody out, and of all that are dropped only some are told of", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const { address: hostname, port } = directory.info;
  const silent = await Promise.all(
    Array.from({ length: 2 * HANDSHAKES_MAX }, () => Deno.connect({ hostname, port })),
  );
  try {
    // Less than any of them is waited for.
    const node = await cluster.join(directory, `--join-timeout=${HANDSHAKE_MAX_MS - 1_000}`);
    assertEquals(node.info.id, 2);
  } finally {
    for (const connection of silent) connection.close();
  }
  const told = directory.process.stderr.match(/Dropped a connection/g)?.length ?? 0;
  assert(told > 0 && told < HANDSHAKES_MAX, `${told} lines`);
});

Deno.test("stranger: a directory that is out of file descriptors serves its members, and says so once", async () => {
  await using cluster = new ProcessCluster();
  const prefix = ["sh", "-c", 'ulimit -n 48; exec "$0" "$@"'];
  const directory = await RemoteNode.ready(
    cluster.spawnNode(["--directory", "--port=0", "--size=64KiB"], { prefix }),
  );
  const second = await cluster.join(directory);
  const { address: hostname, port } = directory.info;
  const held: Deno.Conn[] = [];
  using reached = Deno.listen({ hostname, port: 0 });
  try {
    while (!/Could not accept/.test(directory.process.stderr)) {
      const stranger = await Deno.connect({ hostname, port });
      held.push(stranger);
      await stranger.write(controlFrame({ ...HELLO, port: reached.addr.port }));
      // Of the last ones nothing is heard.
      void stranger.read(new Uint8Array(1024)).then(() => stranger.write(controlFrame(PING)))
        .catch(() => {});
      await directory.load(0);
    }
    await second.store(0, 7);
    assertEquals(await directory.load(0), 7);
  } finally {
    for (const connection of held) connection.close();
  }
  const late = await cluster.join(directory);
  assertEquals(await late.load(0), 7);
  assertEquals(directory.process.stderr.match(/Could not accept/g)?.length, 1);
});

Deno.test("stranger: a node goes on though scrapers of its metrics take all its file descriptors, and say nothing", async () => {
  await using cluster = new ProcessCluster();
  const prefix = ["sh", "-c", 'ulimit -n 64; exec "$0" "$@"'];
  const flags = ["--directory", "--port=0", "--size=64KiB", "--metrics=0"];
  const directory = await RemoteNode.ready(cluster.spawnNode(flags, { prefix }));
  const { process } = directory;
  const url = new URL((await process.untilPrinted(/Metrics at (http:\S+)/))[1]!);
  const at = { hostname: url.hostname, port: Number(url.port) };
  const held: Deno.Conn[] = [];
  try {
    while (!/Not every connection for metrics is served/.test(process.stderr)) {
      await Deno.connect(at).then((connection) => held.push(connection), () => {});
      await directory.load(0);
    }
    // The node has ended all of them, which has made room.
    await held[0]!.read(new Uint8Array(1)).catch(() => {});
    const second = await cluster.join(directory);
    await second.store(0, 7);
    assertEquals(await directory.load(0), 7);
    let response: Response | undefined;
    while (response === undefined) response = await fetch(url).catch(() => undefined);
    assertEquals(response.status, 200);
    assertMatch(await response.text(), /tdsm_node_info/);
    assertEquals((await second.leave()).code, 0);
    assertEquals((await directory.leave()).code, 0);
  } finally {
    for (const connection of held) connection.close();
  }
});

Deno.test("stranger: one that gives an address where nobody listens is refused, and nobody hears of it", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=64KiB");
  const answer = firstControl(await intrude(directory, controlFrame(HELLO)));
  if (answer?.kind !== "refuse") throw new Error(`${answer?.kind} instead of refuse`);
  assertEquals(answer.code, "JoinRefused");
  assertMatch(
    answer.reason,
    /^it cannot connect to 127\.0\.0\.1:1, where this node listens: .*Other nodes must reach that port/,
  );
  const second = await cluster.join(directory);
  assertEquals(second.info.id, 2);
  // A node that can be reached is told nothing of the connection by which that was tried.
  await second.store(0, 1);
  assertEquals(await directory.load(0), 1);
  assertEquals(second.process.stderr, "");
});

Deno.test("stranger: a member that pings, and never sends a page that it has, is given up", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=64KiB");
  const { address: hostname, port } = directory.info;
  using connection = await Deno.connect({ hostname, port });
  using reached = Deno.listen({ hostname, port: 0 });
  await connection.write(controlFrame({ ...HELLO, port: reached.addr.port }));
  await connection.read(new Uint8Array(1024));
  const frame = new Uint8Array(MESSAGE_MAX_BYTES);
  const asked = encodeMessage(
    { kind: "request", access: Access.Write, first: 7, count: 1, request: 1 },
    0,
    frame,
    0,
  );
  await connection.write(frame.slice(0, asked));
  const pings = setInterval(() => void connection.write(controlFrame(PING)).catch(() => {}), 500);
  const said = readAll(connection);
  try {
    await directory.evaluate(async (node) => {
      while (node.peers().length === 0) await new Promise((done) => setTimeout(done, 10));
    });
    // Page 7 is with the stranger, so the node waits for it; that ends it when the stranger is
    // given up.
    directory.load(7 * 4096).catch(() => {});
    const { code, stderr } = await directory.process.exit();
    assertEquals(code, 70, stderr);
    const gone = /Page 7 .* node 2, which is gone \(it owes page 7 for 15000 ms, though it lives\)/;
    assertMatch(stderr, gone);
    await said;
  } finally {
    clearInterval(pings);
  }
});

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { attach } from "./attach.ts";
import { TdsmError } from "../errors.ts";
import { join } from "./join.ts";
import type { Node } from "./node.ts";

const HOST = "127.0.0.1";
const LOCAL = { address: HOST, port: 0, logLevel: 0 } as const;

function host(): Promise<Node> {
  return join({ ...LOCAL, directory: true, size: "1MiB" });
}

function joinTo({ address, port }: Node, rpcServer = false): Promise<Node> {
  return join({ ...LOCAL, directoryAddress: `${address}:${port}`, rpcServer });
}

Deno.test("join: nodes of one process share memory, and their settings", async () => {
  await using directory = await host();
  await using second = await joinTo(directory);
  assertEquals([directory.id, second.id], [1, 2]);
  assertEquals([second.size, second.pageSize], [directory.size, directory.pageSize]);
  const [here, there] = [directory, second].map((node) => node.view(Int32Array, 8192, 16)) as [
    Int32Array,
    Int32Array,
  ];
  for (let round = 1; round <= 50; round++) {
    assertEquals(Atomics.add(here, 3, 1), 2 * round - 2);
    assertEquals(Atomics.add(there, 3, 1), 2 * round - 1);
  }
  here[4] = 77;
  assertEquals(there[4], 77);
  await directory.waitForPeer(2);
  assertEquals(directory.peers().map(({ id }) => id), [2]);
  assertEquals(second.peers().map(({ id, port }) => [id, port]), [[1, directory.port]]);
});

Deno.test("join: stats have every field, and they are numbers", async () => {
  await using directory = await host();
  await using second = await joinTo(directory);
  second.memory[0] = 1;
  const fields = [
    "faults",
    "staleFaults",
    "readMisses",
    "writeMisses",
    "upgrades",
    "pagesAhead",
    "pagesReceived",
    "pagesZero",
    "pagesSent",
    "pagesInvalidated",
    "pagesShared",
    "pagesExclusive",
    "messagesSent",
    "messagesReceived",
    "bytesSent",
    "bytesReceived",
    "turns",
    "sleeps",
  ];
  const stats = second.stats();
  assertEquals(Object.keys(stats).sort(), fields.sort());
  for (const [name, value] of Object.entries(stats)) assert(Number.isInteger(value), name);
  assert(stats.faults >= 1 && stats.messagesSent >= 1 && stats.bytesSent > 0);
});

Deno.test("join: what a node leaves behind is the directory's", async () => {
  await using directory = await host();
  const second = await joinTo(directory);
  second.memory.fill(9, 0, 20 * 4096);
  await second.close();
  await second.closed;
  assert(directory.memory.subarray(0, 20 * 4096).every((byte) => byte === 9));
  assertEquals(directory.peers(), []);
  const error = await assertRejects(() => directory.waitForPeer(2), TdsmError, "it is gone");
  assertEquals(error.code, "PeerLost");
});

Deno.test("join: the directory ends nodes that serve, and waits for no one else", async () => {
  const directory = await host();
  const serving = await Promise.all([joinTo(directory, true), joinTo(directory, true)]);
  await directory.close();
  for (const node of serving) {
    await node.closed;
    await node.close();
  }
});

Deno.test("join: a node that serves and leaves while the directory closes is not held up", async () => {
  for (let round = 0; round < 5; round++) {
    const directory = await host();
    const serving = await joinTo(directory, true);
    await Promise.all([directory.close(), serving.close()]);
    await serving.closed;
  }
});

Deno.test("join: a directory that closes serves those that have work until they leave", async () => {
  const directory = await host();
  const second = await joinTo(directory);
  const third = await joinTo(directory);
  directory.memory[4096] = 8;
  let closed = false;
  const closing = directory.close().then(() => closed = true);
  for (let page = 0; page < 10; page++) {
    second.memory[page * 4096] = page + 1;
    assertEquals(third.memory[page * 4096], page + 1);
    await second.waitForPeer(3);
  }
  await second.close();
  assertEquals([third.memory[4096], closed], [2, false]);
  await third.close();
  await closing;
});

Deno.test("join: whoever waits for a peer is told when the node closes", async () => {
  const directory = await host();
  const waiting = assertRejects(() => directory.waitForPeer(9), TdsmError);
  await directory.close();
  assertEquals((await waiting).code, "NodeClosed");
});

Deno.test("join: whoever waits for a peer is told when the cluster ends", async () => {
  const directory = await host();
  const serving = await joinTo(directory, true);
  const waiting = assertRejects(() => serving.waitForPeer(9), TdsmError);
  await directory.close();
  assertEquals((await waiting).code, "NodeClosed");
  await serving.close();
});

Deno.test("join says what it cannot do, and leaves nothing behind", async () => {
  await using directory = await host();
  const { address, port } = directory;
  const taken = await assertRejects(
    () => join({ ...LOCAL, port, directory: true }),
    TdsmError,
    `Cannot listen at ${HOST}:${port}`,
  );
  assertEquals(taken.code, "ListenFailed");
  const at = { ...LOCAL, directoryAddress: `${address}:${port}` };
  const size = await assertRejects(() => join({ ...at, size: "2MiB" }), TdsmError);
  assertEquals([size.code, size.operation], ["RegionMismatch", "join"]);
  // Of TCPMUX, which nothing offers any more.
  const nobody = { ...LOCAL, directoryAddress: `${HOST}:1`, joinTimeoutMs: 30 };
  const none = await assertRejects(() => join(nobody), TdsmError);
  assertEquals(none.code, "NoDirectory");
  assertMatch(none.message, /^Cannot join: no directory at 127\.0\.0\.1:1 /);
  assertEquals(directory.peers(), []);
});

Deno.test("join: what is asked of a cluster that has ended is refused, and never waits", async () => {
  const directory = await host();
  await using second = await joinTo(directory, true);
  const waiting = assertRejects(() => second.semaphore(1).acquire(), TdsmError);
  await directory.close();
  await second.closed;
  const errors = [
    await waiting,
    await assertRejects(() => second.semaphore(1).acquire(), TdsmError),
    await assertRejects(() => second.barrier("b", 2).wait(), TdsmError),
    await assertRejects(() => second.alloc(Int32Array, 1), TdsmError),
    await assertRejects(() => second.free(second.view(Int32Array, 0, 1)), TdsmError),
    assertThrows(() => second.mutex("m").lockSync(), TdsmError),
  ];
  assertEquals(errors.map((error) => (error as TdsmError).code), errors.map(() => "DirectoryLost"));
});

Deno.test("join: what other threads asked for before a node is closed is done first", async () => {
  await using directory = await host();
  for (let round = 0; round < 3; round++) {
    const second = await joinTo(directory);
    // Both are written before the engine gets to look, and it looks at the closing first.
    using thread = attach(second.handle);
    thread.semaphore(7n).release();
    await second.close();
    assert(directory.semaphore(7n).tryAcquire(), "the permit was lost");
  }
});

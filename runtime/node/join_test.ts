import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { attach } from "./attach.ts";
import { TdsmError } from "../errors.ts";
import { join } from "./join.ts";
import type { Node } from "./node.ts";
import type { NodeThread } from "./thread.ts";

const HOST = "127.0.0.1";
const LOCAL = { address: HOST, port: 0, logLevel: 0, semLogLevel: 0 } as const;

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
    "pagesMoved",
    "allocations",
    "pagesZero",
    "pagesSent",
    "pagesInvalidated",
    "pagesDropped",
    "pagesOffloaded",
    "pagesDiscarded",
    "homeChunks",
    "pagesShared",
    "pagesExclusive",
    "pagesDead",
    "messagesSent",
    "messagesReceived",
    "bytesSent",
    "bytesReceived",
    "turns",
    "sleeps",
    "memoryBytes",
    "memoryLimitBytes",
  ];
  const stats = second.stats();
  assertEquals(Object.keys(stats).sort(), fields.sort());
  const { allocations, ...counters } = stats;
  for (const [name, value] of Object.entries(counters)) assert(Number.isInteger(value), name);
  assertEquals(allocations, [{ name: null, pagesMoved: stats.pagesMoved }]);
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

Deno.test("join: a call that waits for a peer is told when the node closes", async () => {
  const directory = await host();
  const waiting = assertRejects(() => directory.waitForPeer(9), TdsmError);
  await directory.close();
  assertEquals((await waiting).code, "NodeClosed");
});

Deno.test("join: a call that waits for a peer is told when the cluster ends", async () => {
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
  await (await join({ ...at, joinTimeoutMs: 0 })).close();
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
  // No call waits for the answer to a release: one of those behind it throws what that is.
  second.semaphore(1).release();
  for (let call = 0; call < 2; call++) {
    errors.push(await assertRejects(() => second.makeSemaphore(1), TdsmError));
  }
  const late = errors.splice(-2).map((error) => (error as TdsmError).message).sort();
  assertEquals(
    late,
    ["make a semaphore", "release semaphore 1"]
      .map((what) => `Cannot ${what}: the directory node has closed the cluster`),
  );
  assertEquals(errors.map((error) => (error as TdsmError).code), errors.map(() => "DirectoryLost"));
  assertEquals(
    errors.map((error) => (error as TdsmError).message),
    ["acquire semaphore 1", "acquire semaphore 1", 'wait at barrier "b" of 2 parties', "allocate"]
      .concat("free", 'lock mutex "m"')
      .map((what) => `Cannot ${what}: the directory node has closed the cluster`),
  );
});

/**
 * What a thread of a program can ask its node for, in words and as a call; but for a lock of its
 * own.
 */
const OPERATIONS: readonly (readonly [what: string, ask: (thread: NodeThread) => unknown])[] = [
  ["release semaphore 7", (thread) => thread.semaphore(7n).release()],
  ["acquire semaphore 7", (thread) => thread.semaphore(7n).acquire()],
  ["acquire semaphore 7", (thread) => thread.semaphore(7n).acquire({ timeoutMs: 60_000 })],
  ["acquire semaphore 7", (thread) => thread.semaphore(7n).acquireSync()],
  ["acquire semaphore 7", (thread) => thread.semaphore(7n).tryAcquire()],
  ["make a semaphore", (thread) => thread.makeSemaphore(1)],
  ['wait at barrier "b" of 2 parties', (thread) => thread.barrier("b", 2).wait()],
  ['wait at barrier "b" of 2 parties', (thread) => thread.barrier("b", 2).waitSync()],
  ['lock mutex "m"', (thread) => thread.mutex("m").lock()],
  ['lock mutex "m"', (thread) => thread.mutex("m").lockSync()],
  ['lock mutex "m"', (thread) => thread.mutex("m").tryLock()],
  ["wait for node 9", (thread) => thread.waitForPeer(9)],
  ["list the other nodes", (thread) => thread.peers()],
  ["read the node's counters", (thread) => thread.stats()],
  ["allocate", (thread) => thread.alloc(Int32Array, 1)],
];

/** Checks that a thread can ask for nothing, and is told why at each operation by its name. */
async function assertClosed(thread: NodeThread, why: string): Promise<void> {
  for (const [what, ask] of OPERATIONS) {
    const { code, message } = await assertRejects(async () => await ask(thread), TdsmError);
    assertEquals([code, message], ["NodeClosed", `Cannot ${what}: ${why}`]);
  }
}

Deno.test("join: what is asked of a node that closes, or is closed, is refused by its name", async () => {
  const directory = await host();
  const second = await joinTo(directory);
  const [first, other] = [attach(second.handle), attach(second.handle)];
  const lock = second.mutex("m").lockSync();
  const lockOfFirst = first.mutex("n").lockSync();
  const waiting = other.mutex("m").lock().catch((error) => error);
  first.detach();
  const detached = "this thread has detached from the node";
  assertThrows(() => lockOfFirst.unlock(), TdsmError, `Cannot unlock mutex "n": ${detached}`);
  await assertClosed(first, detached);
  const closing = second.close();
  const closed = "the node is closed";
  assertThrows(() => lock.unlock(), TdsmError, `Cannot unlock mutex "m": ${closed}`);
  await assertClosed(second, closed);
  await closing;
  assertEquals((await waiting).message, `Cannot lock mutex "m": ${closed}`);
  for (const thread of [second, other]) await assertClosed(thread, closed);
  other.detach();
  assertEquals(directory.semaphore(7n).tryAcquire(), false, "something was released");
  await directory.close();
});

Deno.test("join: a lock that is disposed of after its node is the directory's to give back", async () => {
  await using directory = await host();
  const second = await joinTo(directory);
  {
    using lock = await second.mutex("m").lock();
    await second.close();
    assertEquals(lock.abandoned, false);
  }
  using next = directory.mutex("m").tryLock();
  assertEquals(next?.abandoned, true);
});

Deno.test("join: the wait for a peer ends by its time or its signal, and leaves nothing behind", async () => {
  await using directory = await host();
  const late = await assertRejects(() => directory.waitForPeer(2, { timeoutMs: 10 }), TdsmError);
  assertEquals([late.code, late.message], ["TimedOut", "Could not wait for node 2 within 10 ms"]);
  const absent = await assertRejects(() => directory.waitForPeer(2, { timeoutMs: 0 }), TdsmError);
  assertEquals(absent.code, "TimedOut");
  const given = new AbortController();
  const aborted = directory.waitForPeer(2, { signal: given.signal }).catch((reason) => reason);
  const patient = [directory.waitForPeer(2, { timeoutMs: 60_000 }), directory.waitForPeer(2)];
  using thread = attach(directory.handle);
  // Of another thread, under the same number as one of those.
  const other = thread.waitForPeer(2, { signal: given.signal }).catch((reason) => reason);
  given.abort("enough");
  assertEquals([await aborted, await other], ["enough", "enough"]);
  const never = directory.waitForPeer(1, { signal: AbortSignal.abort("never") });
  assertEquals(await never.catch((reason) => reason), "never");
  await using _second = await joinTo(directory);
  await Promise.all(patient);
  await directory.waitForPeer(2, { timeoutMs: 0 });
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

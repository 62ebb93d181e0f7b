import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { SEMAPHORE_COUNT_MAX } from "../limits.ts";
import { attach } from "./attach.ts";
import { join } from "./join.ts";

const REFUSED = "Cannot release semaphore 7: it would have more than 2^31 - 1";

Deno.test("SyncClient: what the directory refuses rejects `closed`, and one call throws it", async () => {
  await using node = await join({ directory: true, port: 0 });
  const semaphore = node.semaphore(7n);
  semaphore.release(SEMAPHORE_COUNT_MAX);
  semaphore.release();
  await assertRejects(() => node.closed, TdsmError, REFUSED);
  await assertRejects(() => node.semaphore(8n).acquire(), TdsmError, REFUSED);
  assertEquals(semaphore.tryAcquire(), true);
});

Deno.test("SyncClient: the call that throws an earlier refusal has given back what it was to give back", async () => {
  await using node = await join({ directory: true, port: 0 });
  const [first, second] = [node.mutex("a").tryLock()!, node.mutex("b").tryLock()!];
  node.semaphore(7n).release(SEMAPHORE_COUNT_MAX);
  node.semaphore(7n).release();
  await assertRejects(() => node.closed, TdsmError, REFUSED);
  assertThrows(() => first.unlock(), TdsmError, REFUSED);
  second.unlock();
  for (const name of ["a", "b"]) node.mutex(name).tryLock()!.unlock();
});

Deno.test("SyncClient: a thread that detaches is told of what was refused", async () => {
  await using node = await join({ directory: true, port: 0 });
  const attached = attach(node.handle);
  attached.semaphore(7n).release(SEMAPHORE_COUNT_MAX);
  attached.semaphore(7n).release();
  // So the directory node has answered what was asked before; this call throws no refusal.
  attached.stats();
  assertThrows(() => attached.detach(), TdsmError, REFUSED);
  attached.detach();
});

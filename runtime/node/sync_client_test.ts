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

Deno.test("SyncClient: one call of a thread throws what was refused, at the latest detach", async () => {
  await using node = await join({ directory: true, port: 0 });
  node.semaphore(8n).release();
  const attached = attach(node.handle);
  attached.semaphore(7n).release(SEMAPHORE_COUNT_MAX);
  const refusals = [
    () => attached.semaphore(7n).release(),
    // Answers come in the order of the requests: with this one, at the latest.
    () => attached.semaphore(8n).acquireSync(),
    () => attached.detach(),
    () => attached.detach(),
  ].map(refusalOf).filter((refusal) => refusal !== undefined);
  assertEquals(refusals, [REFUSED]);
});

/** The message of the error that a call throws; `undefined` where it throws none. */
function refusalOf(call: () => void): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof TdsmError) return error.message;
    throw error;
  }
}

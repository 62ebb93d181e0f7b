import { assert, assertEquals } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { CALL_SLOTS_MAX } from "../limits.ts";
import { CallSlots, UNKNOWN_THREAD } from "./call_slots.ts";
import { newBody } from "./ring.ts";
import { TestThread } from "../../tests/support/test_thread.ts";

Deno.test("CallSlots: a thread that writes a call kicks an engine that sleeps, and no call is left", async () => {
  const slots = new CallSlots();
  const slot = slots.claim()!;
  const count = 20_000;
  // The word at 0 of `kicks` stands for the kernel's: a kick before the sleep ends the sleep at
  // once.
  const kicks = new Int32Array(new SharedArrayBuffer(4));
  using engine = new TestThread(
    `const slots = new CallSlots(data.buffer);
     const { calls, answers } = slots.rings(data.slot);
     let sleeps = 0;
     for (let taken = 0; taken < data.count;) {
       const poll = () => {
         const record = calls.pop();
         if (record === undefined) return false;
         taken++;
         answers.pushSync(record.call, record, Infinity);
         return true;
       };
       if (poll()) continue;
       slots.setAsleep(true);
       if (poll()) { slots.setAsleep(false); continue; }
       sleeps++;
       Atomics.wait(data.kicks, 0, 0);
       Atomics.store(data.kicks, 0, 0);
       slots.setAsleep(false);
     }
     postMessage(sleeps);`,
    { buffer: slots.buffer, slot, count, kicks },
  );
  const { calls, answers } = slots.rings(slot);
  for (let call = 0; call < count; call++) {
    assert(calls.push(call, newBody(0)));
    if (slots.takeAsleep()) {
      Atomics.store(kicks, 0, 1);
      Atomics.notify(kicks, 0);
    }
    // The news of the record before may come only now, and end the wait for this one.
    let record = answers.pop();
    const giveUpAt = performance.now() + 60_000;
    for (; record === undefined && performance.now() < giveUpAt; record = answers.pop()) {
      answers.waitForRecord(60_000);
    }
    assertEquals(record?.call, call, "the engine slept through a call");
  }
  assert(await engine.next() as number > 0, "it never slept, so nothing was tested");
});

Deno.test("CallSlots gives each thread a slot of its own, and no more than there are", () => {
  const slots = new CallSlots();
  const same = new CallSlots(slots.buffer);
  const claimed = Array.from(
    { length: CALL_SLOTS_MAX },
    (_, index) => (index % 2 === 0 ? slots : same).claim(),
  );
  assertEquals(claimed, Array.from({ length: CALL_SLOTS_MAX }, (_, index) => index));
  assertEquals(slots.claim(), undefined);
  assertEquals(same.claim(), undefined);
  assertEquals(slots.count, CALL_SLOTS_MAX);
  slots.rings(CALL_SLOTS_MAX - 1).answers.push(7, newBody(1, { payload: Uint8Array.of(9, 8, 7) }));
  assertEquals(same.rings(CALL_SLOTS_MAX - 1).answers.pop()!.payload, Uint8Array.of(9, 8, 7));
  assertEquals(same.rings(0).calls.pop(), undefined);
});

Deno.test("CallSlots.claim takes what was released, and the engine looks at it all the same", () => {
  const slots = new CallSlots();
  assertEquals([slots.claim(), slots.claim(), slots.claim()], [0, 1, 2]);
  slots.rings(1).calls.push(7, newBody(1, { payload: Uint8Array.of(3) }));
  slots.release(1, 1);
  assertEquals(slots.count, 3);
  assertEquals([slots.claim(), slots.claim(), slots.count], [1, 3, 4]);
  // What was written before it was released is still to be read.
  assertEquals(slots.rings(1).calls.pop()!.call, 7);
});

Deno.test("CallSlots knows the thread of each slot, and how many there are", () => {
  const slots = new CallSlots();
  const most = 2n ** 63n + 7n;
  assertEquals([slots.claim(5n), slots.claim(most), slots.claim()], [0, 1, 2]);
  assertEquals([0, 1, 2, 3].map((slot) => slots.thread(slot)), [5n, most, UNKNOWN_THREAD, 0n]);
  slots.release(1, 1);
  assertEquals([slots.thread(1), slots.threads, slots.released], [0n, 2, 1]);
});

Deno.test("CallSlots.awaitReleased asks the engine once, and ends with the next slot or the time", () => {
  const slots = new CallSlots();
  slots.claim(5n);
  let kicks = 0;
  const { released } = slots;
  assertEquals(slots.takeWanted(), false);
  slots.awaitReleased(released, 0, () => kicks++);
  assertEquals([kicks, slots.takeWanted(), slots.takeWanted()], [1, true, false]);
  slots.release(0, 1);
  // It was released before this thread could wait.
  slots.awaitReleased(released, 60_000, () => kicks++);
  assertEquals(kicks, 2);
});

Deno.test("CallSlots.takeAsleep tells exactly one of several callers", () => {
  const slots = new CallSlots();
  const other = new CallSlots(slots.buffer);
  assertEquals(slots.takeAsleep(), false);
  slots.setAsleep(true);
  assertEquals([other.takeAsleep(), slots.takeAsleep()], [true, false]);
  slots.setAsleep(true);
  slots.setAsleep(false);
  assertEquals(other.takeAsleep(), false);
});

Deno.test("CallSlots.closing is seen by every thread, and is not the end of the engine", () => {
  const slots = new CallSlots();
  const other = new CallSlots(slots.buffer);
  assertEquals([other.closing, other.ended], [false, false]);
  slots.beginClosing();
  assertEquals([other.closing, other.ended], [true, false]);
});

Deno.test("CallSlots.peers are those that the engine has told last", () => {
  const slots = new CallSlots();
  const reader = new CallSlots(slots.buffer);
  assertEquals(reader.peers, []);
  slots.setPeers([2, 3, 0xffff_fffe]);
  assertEquals(reader.peers, [2, 3, 0xffff_fffe]);
  slots.setPeers([3]);
  assertEquals(reader.peers, [3]);
});

Deno.test("CallSlots.fail: of two threads that write a reason at one time the first is kept, and is whole", () => {
  const slots = new CallSlots();
  const second = new TdsmError("PageLost", "a reason that is much longer than the first");
  const seen: unknown[] = [];
  // The second thread comes while the first one writes.
  const errno = {
    toJSON(): number {
      seen.push(slots.failure);
      slots.fail(second);
      seen.push(slots.failure);
      return 7;
    },
  };
  slots.fail({ code: "DirectoryLost", message: "first", errno } as unknown as TdsmError);
  assertEquals(seen, [undefined, undefined]);
  const { code, message, errno: kept } = slots.failure!;
  assertEquals([code, message, kept], ["DirectoryLost", "first", 7]);
  slots.fail(second);
  assertEquals(slots.failure!.code, "DirectoryLost");
});

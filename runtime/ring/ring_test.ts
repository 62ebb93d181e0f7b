import { assert, assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { CALL_RING_BYTES, CALL_SLOTS_MAX } from "../limits.ts";
import { CallSlots, newBody, Ring, UNKNOWN_THREAD } from "./ring.ts";

const WRITTEN_WORD = 0;
const READ_WORD = 16;

function newRing(): { ring: Ring; words: Int32Array } {
  const buffer = new SharedArrayBuffer(CALL_RING_BYTES + 32 * 4);
  return { ring: new Ring(buffer, 0), words: new Int32Array(buffer, 0, 32) };
}

/** Bytes that tell a record from every other, and each of its bytes from its neighbours. */
function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17 + (index >> 8)) & 0xff);
}

/** Runs module code on a thread of its own; what it posts is awaited with `next`. */
class TestThread implements Disposable {
  readonly #worker: Worker;
  readonly #news: unknown[] = [];
  #wake: () => void = () => {};

  constructor(code: string, start: unknown) {
    const ring = new URL("./ring.ts", import.meta.url).href;
    const source = `import { CallSlots } from ${JSON.stringify(ring)};
      self.onmessage = async ({ data }) => { ${code} };`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(url, { type: "module" });
    URL.revokeObjectURL(url);
    this.#worker.onmessage = ({ data }) => {
      this.#news.push(data);
      this.#wake();
    };
    this.#worker.postMessage(start);
  }

  async next(): Promise<unknown> {
    while (this.#news.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.#news.shift();
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/**
 * Waits, but not for ever. The timer keeps Deno's event loop, which `Atomics.waitAsync` does not.
 */
async function bounded(promise: Promise<unknown> | undefined): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("nobody woke the reader")), 60_000);
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

Deno.test("Ring gives back records in order, whatever their lengths", () => {
  const { ring } = newRing();
  const lengths = [0, 1, 15, 16, 17, 1000];
  for (const [index, length] of lengths.entries()) {
    assert(ring.push(0xffff_fff0 + index, newBody(index, { payload: pattern(length, index) })));
  }
  for (const [index, length] of lengths.entries()) {
    const record = ring.pop();
    assertEquals(record, {
      ...newBody(index, { payload: pattern(length, index) }),
      call: 0xffff_fff0 + index,
    });
  }
  assertEquals(ring.pop(), undefined);
});

Deno.test("Ring gives back each field as it was, and none of an earlier record", () => {
  const { ring } = newRing();
  const [u32, u64] = [0xffff_ffff, 2n ** 64n - 1n];
  const fields = [
    { code: u32 },
    { count: u32 },
    { id: u32 },
    { key: u64 },
    { key: 2n ** 63n },
    { key: 1n },
    { key: 2n ** 32n },
    { code: 1, count: 2, id: 3, key: 4n, payload: pattern(5, 5) },
  ];
  // Twice around the ring, so that every place has held every field.
  for (let call = 0; call < CALL_RING_BYTES / 16; call++) {
    const body = newBody(call % 3 === 0 ? u32 : 1, fields[call % fields.length]!);
    assert(ring.push(call, body));
    const record = ring.pop()!;
    if (call < 64 || record.key !== body.key) assertEquals(record, { ...body, call });
    assertEquals([record.code, record.count, record.id], [body.code, body.count, body.id]);
  }
});

Deno.test("Ring keeps payloads whole wherever they wrap around", () => {
  // The record's size is an odd multiple of their alignment: it begins at every place in turn.
  const sent = pattern(3968, 1);
  const { ring } = newRing();
  for (let round = 0; round < CALL_RING_BYTES / 32; round++) {
    assert(ring.push(round, newBody(1, { payload: sent })));
    const { call, payload } = ring.pop()!;
    assertEquals(call, round);
    if (payload.some((byte, at) => byte !== sent[at])) assertEquals(payload, sent);
  }
});

Deno.test("Ring has room for one payload of the greatest length at every position", () => {
  const { ring } = newRing();
  const payload = pattern(Ring.PAYLOAD_MAX_BYTES, 3);
  for (let shift = 0; shift < 8; shift++) {
    assert(ring.push(shift, newBody(1, { payload })));
    assertEquals(ring.push(shift, newBody(1)), false);
    assertEquals(ring.pop()!.payload, payload);
    assert(ring.push(0, newBody(1, { payload: new Uint8Array(shift * 100) })));
    ring.pop();
  }
});

Deno.test("Ring refuses a payload that would never fit, instead of waiting for room", () => {
  const { ring } = newRing();
  const payload = new Uint8Array(Ring.PAYLOAD_MAX_BYTES + 1);
  const expected = `at most ${Ring.PAYLOAD_MAX_BYTES}`;
  assertThrows(() => ring.push(1, newBody(1, { payload })), TdsmError, expected);
  assertThrows(() => ring.pushSync(1, newBody(1, { payload }), 60_000), TdsmError, expected);
  const error = assertThrows(() => ring.push(1, newBody(1, { payload })), TdsmError);
  assertEquals(error.code, "LimitExceeded");
});

Deno.test("Ring is full when the next record does not fit, and takes it after a pop", () => {
  const { ring } = newRing();
  const payload = new Uint8Array(224);
  let count = 0;
  while (ring.push(count, newBody(1, { payload }))) count++;
  assertEquals(count, CALL_RING_BYTES / 256);
  assertEquals(ring.pushSync(count, newBody(1, { payload }), 0), false);
  assertEquals(ring.pop()!.call, 0);
  assert(ring.push(count, newBody(1, { payload })));
  for (let call = 1; call <= count; call++) assertEquals(ring.pop()!.call, call);
});

Deno.test("Ring's positions go past 2^31 and 2^32", () => {
  for (const start of [0x7fff_ff00, -256]) {
    const { ring, words } = newRing();
    words[WRITTEN_WORD] = words[READ_WORD] = start;
    for (let call = 0; call < 20; call++) {
      assert(ring.push(call, newBody(1, { payload: pattern(50, call) })));
      assert(ring.push(call, newBody(2, { payload: pattern(5, call) })));
      assertEquals(ring.pop(), { ...newBody(1, { payload: pattern(50, call) }), call });
      assertEquals(ring.pop(), { ...newBody(2, { payload: pattern(5, call) }), call });
    }
    let count = 0;
    while (ring.push(count, newBody(1, { payload: new Uint8Array(992) }))) count++;
    assertEquals(count, CALL_RING_BYTES / 1024);
  }
});

Deno.test("Ring.untilRecord resolves at once when there is a record, else with the next", async () => {
  const { ring } = newRing();
  ring.push(1, newBody(1));
  await ring.untilRecord();
  ring.pop();
  const coming = ring.untilRecord();
  ring.push(2, newBody(1));
  await bounded(coming);
  assertEquals(ring.pop()!.call, 2);
});

Deno.test("Ring.push wakes nobody for a quiet record; with the next that is none, both are there", async () => {
  const { ring, words } = newRing();
  const waiting = ring.untilRecord();
  assert(ring.push(1, newBody(1, { payload: new Uint8Array(40) }), true));
  // The reader still sleeps, so this notify counts it, and wakes it.
  assertEquals(Atomics.notify(words, WRITTEN_WORD), 1);
  await bounded(waiting);
  assertEquals(ring.pop()!.call, 1);
  const next = ring.untilRecord();
  assert(ring.push(2, newBody(1, { payload: new Uint8Array(40) }), true));
  assert(ring.push(3, newBody(1, { payload: new Uint8Array(40) })));
  await bounded(next);
  assertEquals([ring.pop()!.call, ring.pop()!.call], [2, 3]);
});

Deno.test("Ring.push wakes the reader once many quiet records wait", async () => {
  const { ring } = newRing();
  const waiting = ring.untilRecord();
  for (let call = 0; call < 1000; call++) {
    assert(ring.push(call, newBody(1, { payload: new Uint8Array(40) }), true));
  }
  await bounded(waiting);
  for (let call = 0; call < 1000; call++) assertEquals(ring.pop()!.call, call);
});

Deno.test("Ring: a reader whose time is up still waits, if it does so in another way too", async () => {
  const { ring } = newRing();
  // As a thread does that listens, and blocks meanwhile.
  const listening = ring.untilRecord();
  ring.waitForRecord(1);
  assert(ring.push(1, newBody(1)));
  await bounded(listening);
  assertEquals(ring.pop()!.call, 1);
});

Deno.test("Ring carries many records between two threads that both block", async () => {
  const slots = new CallSlots();
  const slot = slots.claim()!;
  const count = 50_000;
  using echo = new TestThread(
    `const { calls, answers } = new CallSlots(data.buffer).rings(data.slot);
     for (let call = 0; call < data.count; call++) {
       let record;
       while ((record = calls.pop()) === undefined) calls.waitForRecord(Infinity);
       answers.pushSync(record.call, record, Infinity);
     }
     postMessage("done");`,
    { buffer: slots.buffer, slot, count },
  );
  const { calls, answers } = slots.rings(slot);
  // The answers may fill their ring while the calls fill theirs: so both are looked after in turn.
  let sent = 0;
  for (let taken = 0; taken < count;) {
    while (
      sent < count && calls.push(sent, newBody(sent % 7, { payload: pattern(sent % 97, sent) }))
    ) sent++;
    const record = answers.pop();
    if (record === undefined) {
      answers.waitForRecord(60_000);
      continue;
    }
    assertEquals(record.call, taken);
    if (taken % 16 === 0) assertEquals(record.payload, pattern(taken % 97, taken));
    taken++;
  }
  assertEquals(await echo.next(), "done");
});

Deno.test("Ring: no record is slept through by a thread that awaits, nor by one that blocks", async () => {
  const slots = new CallSlots();
  const slot = slots.claim()!;
  const count = 20_000;
  // Quiet records come between, so that a wait finds one, or none, or the next behind it.
  using echo = new TestThread(
    `const { calls, answers } = new CallSlots(data.buffer).rings(data.slot);
     for (let call = 0; call < data.count; call++) {
       let record;
       while ((record = calls.pop()) === undefined) calls.waitForRecord(Infinity);
       if (call % 3 === 0) answers.push(call, { ...record, kind: 1 }, true);
       answers.push(record.call, { ...record, kind: 0 });
     }
     postMessage("done");`,
    { buffer: slots.buffer, slot, count },
  );
  const { calls, answers } = slots.rings(slot);
  for (let call = 0; call < count; call++) {
    assert(calls.push(call, newBody(0)));
    for (;;) {
      const record = answers.pop();
      if (record === undefined) await bounded(answers.untilRecord());
      else if (record.kind === 0) {
        assertEquals(record.call, call);
        break;
      }
    }
  }
  assertEquals(await echo.next(), "done");
});

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
  slots.rings(CALL_SLOTS_MAX - 1).answers.push(7, newBody(1, { payload: pattern(9, 9) }));
  assertEquals(same.rings(CALL_SLOTS_MAX - 1).answers.pop()!.payload, pattern(9, 9));
  assertEquals(same.rings(0).calls.pop(), undefined);
});

Deno.test("CallSlots.claim takes what was released, and the engine looks at it all the same", () => {
  const slots = new CallSlots();
  assertEquals([slots.claim(), slots.claim(), slots.claim()], [0, 1, 2]);
  slots.rings(1).calls.push(7, newBody(1, { payload: pattern(3, 3) }));
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

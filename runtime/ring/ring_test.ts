import { assert, assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { CALL_RING_BYTES } from "../limits.ts";
import { CallSlots } from "./call_slots.ts";
import { newBody, Ring } from "./ring.ts";
import { TestThread } from "../../tests/support/test_thread.ts";

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

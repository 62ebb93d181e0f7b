import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { CallSlots } from "./call_slots.ts";
import { newBody, Ring } from "./ring.ts";
import { RingWriter } from "./writer.ts";

const HALF = new Uint8Array(Ring.PAYLOAD_MAX_BYTES / 2);

/** A ring and its writer. */
class Bench implements Disposable {
  readonly ring: Ring = new CallSlots().rings(0).calls;
  readonly writer: RingWriter;
  /** `Atomics.waitAsync` alone does not keep Deno's event loop; in a node the Worker does. */
  readonly #loop = setInterval(() => {}, 60_000);

  constructor(written?: () => void) {
    this.writer = new RingWriter(this.ring, written);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#loop);
  }
}

Deno.test("RingWriter.push writes at once where there is room", () => {
  let count = 0;
  using bench = new Bench(() => count++);
  const { ring, writer } = bench;
  assertEquals(writer.push(2, newBody(1)), undefined);
  assertEquals([ring.pop(), count], [{ ...newBody(1), call: 2 }, 1]);
  assert(writer.isIdle);
});

Deno.test("RingWriter.push keeps the order: a short record does not overtake a long one", async () => {
  let count = 0;
  using bench = new Bench(() => count++);
  const { ring, writer } = bench;
  await writer.push(1, newBody(1, { payload: HALF }));
  const second = writer.push(2, newBody(1, { payload: new Uint8Array(Ring.PAYLOAD_MAX_BYTES) }));
  const third = writer.push(3, newBody(1));
  assertEquals([writer.isIdle, count], [false, 1]);
  assertEquals(ring.pop()!.call, 1);
  await second;
  assertEquals(ring.pop()!.call, 2);
  await third;
  assertEquals(ring.pop()!.call, 3);
  assertEquals([ring.pop(), writer.isIdle, count], [undefined, true, 3]);
});

Deno.test("RingWriter.pushSync writes what waits first, though its promises never got a turn", async () => {
  using bench = new Bench();
  const { ring, writer } = bench;
  await writer.push(1, newBody(1, { payload: HALF }));
  const waiting = [writer.push(2, newBody(1, { payload: HALF })), writer.push(3, newBody(1))];
  // Nothing is read, so there is no room.
  assertEquals(writer.pushSync(4, newBody(1), 0), false);
  assertEquals(ring.pop()!.call, 1);
  assert(writer.pushSync(4, newBody(1), 0));
  await Promise.all(waiting);
  assertEquals([2, 3, 4].map(() => ring.pop()!.call), [2, 3, 4]);
  assertEquals(ring.pop(), undefined);
});

Deno.test("RingWriter refuses what never fits, and goes on with the others", async () => {
  using bench = new Bench();
  const { ring, writer } = bench;
  const tooLong = new Uint8Array(Ring.PAYLOAD_MAX_BYTES + 1);
  assertThrows(
    () => writer.push(1, newBody(1, { payload: tooLong })),
    TdsmError,
    "Cannot hand over",
  );
  assertThrows(
    () => writer.pushSync(1, newBody(1, { payload: tooLong }), 0),
    TdsmError,
    "Cannot hand over",
  );
  const whole = new Uint8Array(Ring.PAYLOAD_MAX_BYTES);
  assertEquals(writer.push(1, newBody(1, { payload: whole })), undefined);
  const second = writer.push(2, newBody(1, { payload: whole }));
  // What comes behind another learns of it in its turn.
  const refused = writer.push(3, newBody(1, { payload: tooLong }))!;
  const after = writer.push(4, newBody(1));
  assertEquals(ring.pop()!.call, 1);
  await second;
  await assertRejects(() => refused, TdsmError, "Cannot hand over");
  assertEquals(ring.pop()!.call, 2);
  await after;
  assertEquals(ring.pop()!.call, 4);
});

Deno.test("RingWriter passes on what the waking of the reader throws", () => {
  using bench = new Bench(() => {
    throw new Error("planted");
  });
  const { writer } = bench;
  assertThrows(() => writer.push(1, newBody(1)), Error, "planted");
  assertThrows(() => writer.pushSync(2, newBody(1), 0), Error, "planted");
});

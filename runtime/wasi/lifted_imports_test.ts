import { assert, assertEquals } from "@std/assert";
import type { AttachedNode } from "../node/attach.ts";
import { join } from "../node/join.ts";
import type { Node } from "../node/node.ts";
import { Errno } from "./errno.ts";
import { makeLiftedImports } from "./lifted_imports.ts";

/** Where a condition variable, a time and a barrier are. */
const [CONDITION, TIME, BARRIER] = [64, 128, 192];
const SECOND_NS = 1_000_000_000n;

interface Bench extends AsyncDisposable {
  readonly node: Node;
  readonly imports: ReturnType<typeof makeLiftedImports>;
  /** Writes a time of the program's clock, which stands at one second. */
  setTime(ns: bigint): void;
}

async function bench(nowNs = () => SECOND_NS): Promise<Bench> {
  const node = await join({ directory: true, port: 0, size: "64KiB" });
  const view = new DataView(node.shared);
  return {
    node,
    imports: makeLiftedImports(node as unknown as AttachedNode, node.shared, nowNs),
    setTime(ns): void {
      view.setBigInt64(TIME, ns / SECOND_NS, true);
      view.setInt32(TIME + 8, Number(ns % SECOND_NS), true);
    },
    [Symbol.asyncDispose]: () => node.close(),
  };
}

Deno.test("makeLiftedImports: a wait ends by a wake-up, or when its time is over", async () => {
  await using made = await bench();
  const { beginCondWait, endCondWait, wakeCond } = made.imports;
  assertEquals(wakeCond(CONDITION, 1), Errno.Success);
  made.setTime(SECOND_NS + 2_000_000n);
  const begunAt = performance.now();
  assertEquals(beginCondWait(CONDITION, TIME), Errno.Success);
  assertEquals(endCondWait(0), Errno.TimedOut);
  assert(performance.now() - begunAt >= 2);
  // A time that is past, the mutex of another thread, and a time that is none.
  made.setTime(-5n * SECOND_NS);
  beginCondWait(CONDITION, TIME);
  assertEquals(endCondWait(0), Errno.TimedOut);
  beginCondWait(CONDITION, 0);
  assertEquals(endCondWait(1), Errno.TimedOut);
  // Where one that was refused was woken, another thread is instead.
  beginCondWait(CONDITION, 0);
  const other = made.node.futex.waitAsync(made.node.view(Int32Array, CONDITION, 1), 0, 0);
  wakeCond(CONDITION, 1);
  assertEquals([endCondWait(1), await other.value], [Errno.Success, "ok"]);
  new DataView(made.node.shared).setInt32(TIME + 8, Number(SECOND_NS), true);
  assertEquals(beginCondWait(CONDITION, TIME), Errno.Invalid);
  for (const count of [1, -1]) {
    beginCondWait(CONDITION, 0);
    assertEquals(wakeCond(CONDITION, count), Errno.Success);
    assertEquals(endCondWait(0), Errno.Success);
  }
});

Deno.test("makeLiftedImports: a thread that has no core as its wait begins gives up no earlier", async () => {
  const [awayMs, waitMs] = [30, 10];
  let readAt = 0;
  await using made = await bench(() => {
    for (const end = performance.now() + awayMs; performance.now() < end;);
    readAt = performance.now();
    return SECOND_NS;
  });
  made.setTime(SECOND_NS + BigInt(waitMs) * 1_000_000n);
  made.imports.beginCondWait(CONDITION, TIME);
  assertEquals(made.imports.endCondWait(0), Errno.TimedOut);
  assert(performance.now() - readAt >= waitMs);
});

Deno.test("makeLiftedImports: a barrier is one by its address and its parties; one thread is the serial one", async () => {
  await using made = await bench();
  const { waitAtBarrier } = made.imports;
  const other = (parties: number): Promise<boolean> =>
    made.node.barrier(`pthread_barrier at ${BARRIER} of ${parties}`, parties).wait();
  // One of three parties goes on waiting meanwhile.
  const ofThree = [other(3), other(3)];
  const ofTwo = other(2);
  assertEquals([waitAtBarrier(BARRIER, 2), await ofTwo], [-1, false]);
  assertEquals([waitAtBarrier(BARRIER, 3), await Promise.all(ofThree)], [-1, [false, false]]);
});

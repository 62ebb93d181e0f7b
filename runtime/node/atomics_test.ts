import { assertEquals, assertThrows } from "@std/assert";
import { attach } from "./attach.ts";
import { join } from "./join.ts";

const OPTIONS = { directory: true, port: 0, size: "64KiB" } as const;
const { wait, waitAsync, notify } = Atomics;
const BEFORE = [wait, waitAsync, notify];

function now(): unknown[] {
  return [Atomics.wait, Atomics.waitAsync, Atomics.notify];
}

Deno.test("extendAtomics: words of the region are waited for across nodes, all others as before", async () => {
  await using node = await join(OPTIONS);
  const views = [node.view(Int32Array, 0, 4), new Int32Array(node.shared, 0, 4)];
  const own = new Int32Array(new SharedArrayBuffer(16));
  for (const view of [...views, own]) {
    assertEquals(Atomics.wait(view as Int32Array<SharedArrayBuffer>, 1, 5), "not-equal");
    assertEquals(Atomics.wait(view as Int32Array<SharedArrayBuffer>, 1, 0, 1), "timed-out");
    const { async, value } = Atomics.waitAsync(view as Int32Array<SharedArrayBuffer>, 1, 0);
    assertEquals([async, Atomics.notify(view, 1), Atomics.notify(view, 1)], [true, 1, 0]);
    assertEquals(await value, "ok");
  }
  const wide = new BigInt64Array(node.shared, 64, 4);
  assertEquals(Atomics.wait(wide, 3, 1n), "not-equal");
  // What Atomics refuses, it refuses in its own words.
  const bytes = new Uint8Array(16) as unknown as Int32Array;
  assertThrows(() => Atomics.notify(bytes, 0), TypeError, "is not an int32");
  assertEquals(Atomics.notify(new Int32Array(4), 0), 0);
});

Deno.test("extendAtomics: they are the realm's own before the first node and after the last one", async () => {
  assertEquals(now(), BEFORE);
  const node = await join(OPTIONS);
  const extended = now();
  for (const [at, name] of (["wait", "waitAsync", "notify"] as const).entries()) {
    assertEquals(extended[at] === BEFORE[at], false);
    assertEquals(Object.keys(Atomics).includes(name), false);
  }
  const attached = attach(node.handle);
  assertEquals(now(), extended);
  attached.detach();
  assertEquals(now(), extended);
  await node.close();
  assertEquals(now(), BEFORE);
});

Deno.test("extendAtomics: what another library put in their place stays when the last node goes", async () => {
  const node = await join(OPTIONS);
  const extended = Atomics.wait;
  const counted = { calls: 0 };
  const theirs = ((...parts: Parameters<typeof wait>) => {
    counted.calls++;
    return extended(...parts);
  }) as typeof wait;
  Atomics.wait = theirs;
  try {
    await node.close();
    assertEquals(now(), [theirs, waitAsync, notify]);
    assertEquals(Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1), "not-equal");
    assertEquals(counted.calls, 1);
  } finally {
    Atomics.wait = wait;
  }
});

Deno.test("extendAtomics: atomics: false leaves them as they are", async () => {
  await using node = await join({ ...OPTIONS, atomics: false });
  using attached = attach(node.handle, { atomics: false });
  assertEquals(now(), BEFORE);
  assertEquals(attached.futex.notify(attached.view(Int32Array, 0, 1), 0), 0);
  const slip = { atomic: false } as Record<string, boolean>;
  assertThrows(() => attach(node.handle, slip), TypeError, "atomics");
  const wrong = { atomics: 0 } as unknown as Record<string, boolean>;
  assertThrows(() => attach(node.handle, wrong), TypeError, "give true or false");
});

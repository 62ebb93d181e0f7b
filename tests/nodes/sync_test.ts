/** Semaphores and barriers between processes. Mutexes are in `mutex_test.ts`. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { failure, heard } from "../support/heard.ts";

/** Waits for a permit. */
function acquire(node: RemoteNode, key: string): Promise<number> {
  return node.evaluate(async (node, key) => {
    await node.semaphore(BigInt(key)).acquire();
    return node.id;
  }, key);
}

/** Gives permits. */
function release(node: RemoteNode, key: string, count = 1): Promise<void> {
  return node.evaluate(
    (node, key, count) => node.semaphore(BigInt(key)).release(count),
    key,
    count,
  );
}

/** Takes as many permits as there are, at most ten. */
function drain(node: RemoteNode, key: string): Promise<number> {
  return node.evaluate((node, key) => {
    let taken = 0;
    while (taken < 10 && node.semaphore(BigInt(key)).tryAcquire()) taken++;
    return taken;
  }, key);
}

Deno.test("semaphores: any number of 64 bits is a key, the same on every node", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3);
  const keys = ["0", "7", "-7", "9007199254740993", "-9223372036854775808", "9223372036854775809"];
  for (const [index, key] of keys.entries()) await release(second!, key, index + 1);
  // Two ways to write one key.
  await release(third!, "-1");
  assertEquals(await acquire(first!, "18446744073709551615"), 1);
  for (const [index, key] of keys.entries()) {
    assertEquals(await acquire(third!, key), 3);
    // The release of node 2 is there: the permit that came is one of it.
    assertEquals(await drain(first!, key), index, `key ${key}`);
  }
  for (const key of ["18446744073709551616", "-9223372036854775809"]) {
    assertEquals((await failure(acquire(second!, key)))[0], "RangeError");
  }
});

Deno.test("semaphores: waiting threads of all nodes are served in order of arrival", async () => {
  await using cluster = new ProcessCluster();
  const [first, ...others] = await cluster.start(3);
  const expected = [others[1]!, others[0]!, others[0]!, others[1]!, others[1]!, others[0]!];
  const order: number[] = [];
  const calls: Promise<unknown>[] = [];
  for (const [index, node] of expected.entries()) {
    const { call } = await heard(node, () => acquire(node, "5"));
    calls.push(call.then(() => order.push(index)));
  }
  for (const call of calls) {
    await release(first!, "5");
    await call;
  }
  assertEquals(order, [0, 1, 2, 3, 4, 5]);
  await release(others[0]!, "5", 2);
  await acquire(others[1]!, "5");
  assertEquals(await drain(first!, "5"), 1, "permits that nobody waits for are kept");
});

Deno.test("semaphores: a wait ends by its time or its signal, and no permit with it", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2);
  for (const node of [first!, second!]) {
    const [code, message] = await failure(
      node.evaluate((node) => node.semaphore(5n).acquire({ timeoutMs: 20 })),
    );
    assertEquals([code, message], ["TimedOut", "Could not acquire semaphore 5 within 20 ms"]);
    const blocked = await failure(
      node.evaluate((node) => node.semaphore(5n).acquireSync({ timeoutMs: 20 })),
    );
    assertEquals(blocked, [code, message]);
    const reasons = await node.evaluate(async (node) => {
      const aborting = new AbortController();
      const waiting = node.semaphore(5n).acquire({ signal: aborting.signal }).catch((why) => why);
      aborting.abort("enough");
      const at_once = AbortSignal.abort("never");
      return [
        await waiting,
        await node.semaphore(5n).acquire({ signal: at_once }).catch((why) => why),
      ];
    });
    assertEquals(reasons, ["enough", "never"]);
  }
  await release(second!, "5", 2);
  assertEquals(await acquire(second!, "5"), 2);
  assertEquals(await drain(first!, "5"), 1);
});

Deno.test("semaphores: a time that no timer can count is refused", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host();
  for (const timeoutMs of [-1, 2 ** 31]) {
    const waits = [
      node.evaluate((node, timeoutMs) => node.semaphore(5n).acquire({ timeoutMs }), timeoutMs),
      node.evaluate((node, timeoutMs) => node.semaphore(5n).acquireSync({ timeoutMs }), timeoutMs),
    ];
    const codes = (await Promise.all(waits.map(failure))).map(([code]) => code);
    assertEquals(codes, ["RangeError", "RangeError"], `${timeoutMs} ms`);
  }
});

Deno.test("semaphores: waiting threads, awaiting and blocking, get an error when the directory node is killed", async () => {
  await using cluster = new ProcessCluster();
  const [directory, ...others] = await cluster.start(5);
  const waits = others.map((node) =>
    node.evaluate(async (node) => {
      console.error("waiting");
      const waits = [
        () => node.semaphore(5n).acquire(),
        () => node.semaphore(5n).acquireSync(),
        () => node.barrier("b", 4).waitSync(),
        () => node.alloc(Uint8Array, 1).then(() => node.barrier("c", 4).wait()),
      ];
      await waits[node.id - 2]!();
    })
  );
  const ends = Promise.all(waits.map(failure));
  await Promise.all(others.map(({ process }) => process.untilPrinted(/^waiting$/m)));
  directory!.process.kill();
  assertEquals((await ends).map(([code]) => code), Array(4).fill("DirectoryLost"));
});

/** The processor time that a process has used, in ticks. */
async function cpuTicks({ process }: RemoteNode): Promise<number> {
  const fields = (await process.proc("stat")).split(") ")[1]!.split(" ");
  // User time and system time, fields 14 and 15 of the file; the name in parentheses is the second.
  return Number(fields[11]) + Number(fields[12]);
}

Deno.test("semaphores: a thread that blocks does not spin", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2);
  const call = second!.evaluate((node) => {
    console.error("blocking");
    node.semaphore(5n).acquireSync();
  });
  await second!.process.untilPrinted(/blocking/);
  const before = await Promise.all([cpuTicks(first!), cpuTicks(second!)]);
  await first!.evaluate((node) => {
    let x = 1;
    for (let i = 0; i < 600_000_000; i++) x = Math.imul(x, 31) + i | 0;
    node.semaphore(5n).release();
    return x;
  });
  await call;
  const after = await Promise.all([cpuTicks(first!), cpuTicks(second!)]);
  const [working, blocked] = after.map((ticks, index) => ticks - before[index]!);
  assert(working! > 20, `the working node used ${working} ticks only: too few to compare with`);
  assert(blocked! < working! / 4, `${blocked} ticks blocked, ${working} working`);
});

Deno.test("semaphores: permits are counted up to 2^31 - 1, and more end the program", async () => {
  await using cluster = new ProcessCluster();
  // The node that fails only leaves: the other is asked what is left.
  const first = await cluster.host();
  const second = await cluster.join(first, "--on-error=leave");
  for (const count of [0, -1, 1.5, 2 ** 31]) {
    assertEquals((await failure(release(second, "5", count)))[0], "RangeError", `${count}`);
  }
  await release(second, "5", 2 ** 31 - 1);
  assertEquals(await acquire(second, "5"), 2);
  await release(second, "5");
  await release(second, "5");
  const { code, stderr } = await second.process.exit();
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /Cannot release semaphore 5: it would have more than 2\^31 - 1/);
  assertEquals(await drain(first, "5"), 10);
});

Deno.test("semaphores: one that is made has a key of its own and its permits", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3);
  const made = await Promise.all(nodes.map((node) =>
    node.evaluate(async (node) => {
      const semaphores = await Promise.all(
        Array.from({ length: 50 }, (_, count) => node.makeSemaphore(count)),
      );
      return semaphores.map(({ key }) => String(key));
    })
  ));
  assertEquals(new Set(made.flat()).size, 150);
  assertEquals(await drain(nodes[2]!, made[0]![3]!), 3);
  assertEquals(await drain(nodes[0]!, made[1]![0]!), 0);
  assertEquals(await drain(nodes[1]!, made[2]![4]!), 4);
});

Deno.test("semaphores: a node that is killed while it waits loses its place, and nothing else", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third, fourth] = await cluster.start(4);
  const calls: Promise<number>[] = [];
  for (const node of [second!, third!, fourth!]) {
    calls.push((await heard(node, () => acquire(node, "5"))).call);
  }
  third!.process.kill();
  await first!.process.untilPrinted(/Node 3 is lost/);
  await release(first!, "5", 3);
  assertEquals(await Promise.all([calls[0], calls[2]]), [2, 4]);
  assertEquals(await drain(first!, "5"), 1);
});

Deno.test("semaphores: no page moves because of them", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3);
  const stats = () =>
    Promise.all(nodes.map((node) =>
      node.evaluate((node) => {
        const { faults, pagesReceived, pagesSent, pagesZero, pagesInvalidated } = node.stats();
        return { faults, pagesReceived, pagesSent, pagesZero, pagesInvalidated };
      })
    ));
  const before = await stats();
  await Promise.all(nodes.map((node) =>
    node.evaluate(async (node) => {
      const semaphore = node.semaphore(5n);
      for (let round = 0; round < 300; round++) {
        semaphore.release();
        if (round % 2 === 0) await semaphore.acquire();
        else semaphore.acquireSync();
      }
    })
  ));
  assertEquals(await stats(), before);
});

for (const [how, sync] of [["awaits", false], ["blocks", true]] as const) {
  Deno.test(`semaphores: a thread that ${how} reads what was written before the release`, async () => {
    await using cluster = new ProcessCluster();
    const [, writer, reader] = await cluster.start(3);
    const rounds = 1_000;
    const writing = writer!.evaluate(
      async (node, rounds, sync) => {
        const [full, empty] = [node.semaphore(1n), node.semaphore(2n)];
        const [a, b] = [node.view(Int32Array, 0, 64), node.view(Int32Array, 3 * 4096, 64)];
        for (let round = 1; round <= rounds; round++) {
          a.fill(round);
          b.fill(-round);
          full.release();
          if (sync) empty.acquireSync();
          else await empty.acquire();
        }
      },
      rounds,
      sync,
    );
    const stale = await reader!.evaluate(
      async (node, rounds, sync) => {
        const [full, empty] = [node.semaphore(1n), node.semaphore(2n)];
        const [a, b] = [node.view(Int32Array, 0, 64), node.view(Int32Array, 3 * 4096, 64)];
        const stale: number[] = [];
        for (let round = 1; round <= rounds; round++) {
          if (sync) full.acquireSync();
          else await full.acquire();
          const good = b.every((word) => word === -round) && a.every((word) => word === round);
          if (!good) stale.push(round);
          empty.release();
        }
        return stale;
      },
      rounds,
      sync,
    );
    await writing;
    assertEquals(stale, []);
  });
}

Deno.test("barriers: three nodes meet a thousand times, and one is the last each time", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3);
  const rounds = 1_000;
  const results = await Promise.all(nodes.map((node) =>
    node.evaluate(async (node, rounds) => {
      const barrier = node.barrier("phase", 3);
      const at = node.view(Int32Array, 0, 4);
      let [last, wrong] = [0, 0];
      for (let round = 1; round <= rounds; round++) {
        at[node.id] = round;
        // Two ways to wait at one barrier.
        if (node.id === 3 ? barrier.waitSync() : await barrier.wait()) last++;
        // A node that has passed this barrier may have reached the next one, but not passed it.
        for (const other of [1, 2, 3]) {
          if (at[other] !== round && at[other] !== round + 1) wrong++;
        }
      }
      return { last, wrong };
    }, rounds)
  ));
  assertEquals(results.map(({ wrong }) => wrong), [0, 0, 0]);
  assertEquals(results.reduce((sum, { last }) => sum + last, 0), rounds);
});

/** Waits at a barrier. */
function arrive(node: RemoteNode, parties: number, timeoutMs?: number): Promise<boolean> {
  return node.evaluate(
    (node, parties, timeoutMs) =>
      node.barrier("phase", parties).wait(timeoutMs === null ? {} : { timeoutMs }),
    parties,
    timeoutMs ?? null,
  );
}

Deno.test("barriers: different numbers of parties are an error for each of them", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3);
  const { call } = await heard(second!, () => arrive(second!, 3));
  const [code, message] = await failure(arrive(third!, 2));
  const what = (mine: number, other: number) =>
    `Cannot wait at barrier "phase" of ${mine} parties: another thread counts ${other} parties`;
  assertEquals([code, message], ["InvalidOption", what(2, 3)]);
  assertEquals(await failure(call), ["InvalidOption", what(3, 2)]);
  // Nobody is left at it.
  assertEquals((await Promise.all([first!, second!].map((node) => arrive(node, 2)))).sort(), [
    false,
    true,
  ]);
});

Deno.test("barriers: a party that gives up, or is killed, has not arrived", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third, fourth] = await cluster.start(4);
  assertEquals(await failure(arrive(second!, 3, 20)), [
    "TimedOut",
    'Could not wait at barrier "phase" of 3 parties within 20 ms',
  ]);
  await heard(third!, () => arrive(third!, 3));
  third!.process.kill();
  await first!.process.untilPrinted(/Node 3 is lost/);
  const { call: earlier } = await heard(second!, () => arrive(second!, 3));
  const { call: later } = await heard(fourth!, () => arrive(fourth!, 3));
  assertEquals(await arrive(first!, 3), true, "the third that is there is the last");
  assertEquals(await Promise.all([earlier, later]), [false, false]);
});

Deno.test("synchronisation: a time-out of 0 takes what is there at once, and else waits for nothing", async () => {
  await using cluster = new ProcessCluster();
  for (const node of await cluster.start(2)) {
    const ends = await node.evaluate(async (node) => {
      const now = { timeoutMs: 0 };
      const semaphore = node.semaphore(7n);
      const alone = node.barrier("alone", 1);
      const pair = node.barrier("pair", 2);
      const mutex = node.mutex("m");
      const locked = async (lock: () => Disposable | Promise<Disposable>) =>
        (await lock())[Symbol.dispose]();
      // What each does where there is something to take, and where there is nothing.
      const calls: (() => unknown)[] = [
        () => semaphore.acquire(now),
        () => semaphore.acquireSync(now),
        () => alone.wait(now),
        () => alone.waitSync(now),
        () => locked(() => mutex.lock(now)),
        () => locked(() => mutex.lockSync(now)),
        () => pair.wait(now),
        () => pair.waitSync(now),
        () => node.waitForPeer(9, now),
      ];
      const end = async (call: () => unknown) => {
        try {
          await call();
          return "taken";
        } catch (error) {
          return (error as { code?: string }).code;
        }
      };
      semaphore.release(2);
      const first: unknown[] = [];
      for (const call of calls) first.push(await end(call));
      using _held = await mutex.lock();
      const second: unknown[] = [];
      for (const call of calls) second.push(await end(call));
      return { first, second };
    });
    const taken = Array(6).fill("taken");
    const late = Array(3).fill("TimedOut");
    assertEquals(ends.first, [...taken, ...late]);
    assertEquals(ends.second, [
      "TimedOut",
      "TimedOut",
      "taken",
      "taken",
      "TimedOut",
      "TimedOut",
      ...late,
    ]);
  }
});

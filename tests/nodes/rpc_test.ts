/** Remote calls between processes. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";
import { failure } from "../support/heard.ts";
import type { Procedures } from "./programs/procedures.ts";
import { spawnRpcNode, startRpcNodes } from "../support/rpc_nodes.ts";

/** What the functions below find in the node's process. */
declare const procedures: Procedures;

Deno.test("rpc: runs in the process of the node that is called, also of all", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await startRpcNodes(cluster, 3);
  const pids = nodes.map(({ process }) => process.pid);
  for (const caller of nodes) {
    const found = await caller.evaluate(async () => {
      const one: number[] = [];
      for (const node of [1, 2, 3]) {
        procedures.processId.remote = node;
        one.push(await procedures.processId());
      }
      const all = await procedures.processId.onAll()();
      return { one, ids: all.map(({ node }) => node), all: all.map(({ value }) => value) };
    });
    assertEquals(found, { one: pids, ids: [1, 2, 3], all: pids });
  }
});

Deno.test("rpc: values arrive as they were, and come back so", async () => {
  await using cluster = new ProcessCluster();
  const [, second] = await startRpcNodes(cluster, 3);
  const different = await second!.evaluate(async () => {
    const values: unknown[] = [
      0,
      -0,
      NaN,
      -Infinity,
      2 ** 53 + 2,
      1.5e-310,
      0n,
      -(2n ** 63n),
      2n ** 64n - 1n,
      "",
      "ä\u0000🦕",
      true,
      null,
      undefined,
      new Date(-1),
      new Uint8Array([0, 255]),
      new Float64Array([0.1, -0, NaN]),
      new BigInt64Array([-1n]),
      [],
      [[], [null, [undefined]]],
      {},
      { "": 1, nested: { list: [{ at: new Date(0) }], bytes: new Uint8Array(3) } },
    ];
    const different: string[] = [];
    for (const value of values) {
      const here = Deno.inspect(value, { depth: 9 });
      const [there, back] = await Promise.all([
        procedures.describe.on(3)(value),
        procedures.echo.on(3)(value),
      ]);
      const again = Deno.inspect(back, { depth: 9 });
      if (there !== here || again !== here) different.push(`${here}: ${there}, ${again}`);
    }
    return different;
  });
  assertEquals(different, []);
  const [code, message] = await failure(
    second!.evaluate(() => procedures.echo.on(3)({ items: [{ callback: () => 1 }] })),
  );
  assertEquals(code, "InvalidArgument");
  assertMatch(message, /argument 0 of rpc echo: .*items\[0\].callback is a function/);
});

Deno.test("rpc: views of the region travel by reference, also inside of other values", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await startRpcNodes(cluster, 3);
  const found = await second!.evaluate(async (node) => {
    const rows = [node.view(Int32Array, 0, 4), await node.alloc(Int32Array, 5)];
    rows[1]!.fill(10);
    const reply = await procedures.bumpRows.on(3)({ name: "grid", rows });
    return {
      name: reply.name,
      here: rows.map((row) => [...row]),
      same: reply.rows.map(({ buffer, byteOffset, length }) => [
        buffer === node.memory.buffer,
        byteOffset - rows[1]!.byteOffset,
        length,
      ]),
    };
  });
  assertEquals(found, {
    name: "grid!",
    here: [[1, 1, 1, 1], [11, 11, 11, 11, 11]],
    same: [[true, 4, 4]],
  });
  assertEquals(await first!.load(0), 1);
});

Deno.test("rpc: an exception comes back with the node and the stack where it was thrown", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await startRpcNodes(cluster, 2);
  const error = await second!.evaluate(() =>
    procedures.reject.on(1)().catch((error) => ({ ...error, message: error.message }))
  ) as unknown as Record<string, string | number>;
  assertEquals([error.name, error.message, error.code, error.remoteCode, error.node], [
    "RangeError",
    "no such cell",
    "RemoteException",
    "NoCell",
    1,
  ]);
  assertMatch(String(error.remoteStack), /procedures\.ts:\d+:\d+[^]*Caused by: Error: it is gone/);
  assertEquals(
    await first!.evaluate(() =>
      procedures.reject.onAll()().catch(({ name, errors }) => [name, errors.length])
    ) as unknown,
    ["AggregateError", 2],
  );
});

Deno.test("rpc: a node without the procedure, and one that is not there, are told apart", async () => {
  await using cluster = new ProcessCluster();
  const [first] = await startRpcNodes(cluster, 1);
  const plain = await cluster.join(first!);
  const call = (node: number) =>
    failure(first!.evaluate((_, node) => procedures.add.on(node)(1, 2), node));
  assertEquals((await call(2))[0], "UnknownProcedure");
  assertEquals((await call(9))[0], "PeerAbsent");
  await plain.leave();
  assertEquals((await call(2))[0], "PeerAbsent");
});

Deno.test("rpc: a call ends when the called node is killed, its time is up or its signal fires", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await startRpcNodes(cluster, 3);
  const calling = failure(second!.evaluate(() => procedures.wait.on(3)()));
  await third!.process.untilPrinted(/waiting for ever/);
  const [late, message] = await failure(
    second!.evaluate(() => procedures.wait.on(1, { timeoutMs: 20 })()),
  );
  assertEquals(late, "TimedOut", message);
  // A call that does not wait for its answer is served all the same.
  const [unawaited] = await failure(
    second!.evaluate(() => procedures.wait.on(1, { timeoutMs: 0 })()),
  );
  assertEquals(unawaited, "TimedOut");
  await first!.process.until("two calls to wait", () => {
    const served = first!.process.stderr.match(/waiting for ever/g)?.length;
    return served === 2 || undefined;
  });
  const aborted = second!.evaluate(() => {
    const aborting = new AbortController();
    const call = procedures.wait.on(1, { signal: aborting.signal })();
    aborting.abort();
    return call;
  });
  assertEquals((await failure(aborted))[0], "Aborted");
  third!.process.kill();
  const [code, why] = await calling;
  assertEquals(code, "PeerLost", why);
  assertMatch(why, /node 3/i);
  // Neither end of it disturbs what comes later.
  assertEquals(await second!.evaluate(() => procedures.add.on(1)(1, 2)), 3);
});

Deno.test("rpc: a call ends when the called node leaves, or the directory node is killed", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third, fourth] = await startRpcNodes(cluster, 4);
  const call = (node: number) =>
    failure(second!.evaluate((_, node) => procedures.wait.on(node)(), node));
  const [leaving, staying] = [call(3), call(4)];
  await third!.process.untilPrinted(/waiting for ever/);
  await fourth!.process.untilPrinted(/waiting for ever/);
  assertEquals((await third!.leave()).code, 0);
  assertEquals((await leaving)[0], "PeerLost");
  first!.process.kill();
  assertEquals((await staying)[0], "DirectoryLost");
});

Deno.test("rpc: calls call back, as deep as they like", async () => {
  await using cluster = new ProcessCluster();
  const [, second, third] = await startRpcNodes(cluster, 3);
  const path = await second!.evaluate(() => procedures.countDown.on(3)(20, 3, 2));
  const [b, c] = [second!.process.pid, third!.process.pid];
  assertEquals(path, Array.from({ length: 21 }, (_, index) => index % 2 === 0 ? c : b));
});

Deno.test("rpc: a thousand calls at once from each of three nodes all get their own answers", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await startRpcNodes(cluster, 3);
  const wrong = await Promise.all(nodes.map((node) =>
    node.evaluate(async ({ id }) => {
      const calls = Array.from(
        { length: 1_000 },
        (_, index) => procedures.add.on(1 + (id + index % 2) % 3)(index, 1_000 * id),
      );
      const sums = await Promise.all(calls);
      return sums.filter((sum, index) => sum !== index + 1_000 * id).length;
    })
  ));
  assertEquals(wrong, [0, 0, 0]);
});

Deno.test("rpc: half a mebibyte is carried both ways, and what is too much is refused", async () => {
  await using cluster = new ProcessCluster();
  const [, second] = await startRpcNodes(cluster, 3);
  const same = await second!.evaluate(async () => {
    const bytes = new Uint8Array(500 * 1024).map((_, index) => index * 7 + (index >> 8));
    const expected = bytes.reduce((sum, byte) => Math.imul(sum, 31) + byte | 0, 0);
    // Several at once do not fit into the rings at one time.
    const calls = Array.from({ length: 8 }, async () => {
      const back = await procedures.echo.on(3)(bytes) as Uint8Array;
      return await procedures.checksum.on(1)(back) === expected;
    });
    return await Promise.all(calls);
  });
  assertEquals(same, Array(8).fill(true));
  const [code, message] = await failure(
    second!.evaluate(() => procedures.checksum.on(3)(new Uint8Array(2 ** 20))),
  );
  assertEquals(code, "LimitExceeded");
  assertMatch(message, /rpc checksum.*view/);
  // The answer is too large where the procedure ran.
  const why = await second!.evaluate(() =>
    procedures.produce.on(3)(2 ** 20).catch(({ code, remoteCode }) => [code, remoteCode])
  );
  assertEquals<unknown>(why, ["RemoteException", "LimitExceeded"]);
  assertEquals(
    await second!.evaluate(async () => (await procedures.produce.on(3)(9)).length),
    9,
  );
});

Deno.test("rpc: a node that only serves never runs its main, and ends by itself", async () => {
  await using cluster = new ProcessCluster();
  const [first] = await startRpcNodes(cluster, 1);
  const serving = spawnRpcNode(cluster, `--directory-address=${first!.at}`, { RPC_SERVER: "1" });
  const pid = await first!.evaluate(async (node) => {
    await node.waitForPeer(2);
    return await procedures.processId.on(2)();
  });
  assertEquals(pid, serving.pid);
  assertEquals((await first!.leave()).code, 0);
  const { code, stdout, stderr } = await serving.exit();
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

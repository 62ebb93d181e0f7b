/** Programs that look at a cluster again and again, as a dashboard and `--status --watch` do. */

import { assert, assertEquals } from "@std/assert";
import { ClusterLook } from "../../runtime/cli/look.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

Deno.test("look: twenty programs look at once, each by one connection; a silent node holds none up for long", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  const at = { hostname: "127.0.0.1", port: directory!.info.port };
  using looks = new DisposableStack();
  const all = Array.from({ length: 20 }, () => looks.use(new ClusterLook({ directory: at })));
  const timed = async <Value>(work: Promise<Value>): Promise<[Value, ms: number]> => {
    const begun = performance.now();
    return [await work, performance.now() - begun];
  };
  for (let round = 0; round < 3; round++) {
    for (const { nodes, events } of await Promise.all(all.map((look) => look.look()))) {
      assertEquals(nodes.map(({ id, counters }) => [id, counters !== undefined]), [
        [1, true],
        [2, true],
      ]);
      assert(events.length >= 2);
    }
  }
  assertEquals(all.map((look) => look.connections), all.map(() => 1));

  // Each of them looks at other pages, so that none can have the answer of another.
  second!.process.kill("SIGSTOP");
  let [one, alone] = await timed(all[0]!.look());
  // Its last answer may have been on its way.
  while (one.nodes[1]!.counters !== undefined) [one, alone] = await timed(all[0]!.look());
  const looked = all.map((look, first) => look.look([{ first, count: 1 }]));
  const [seen, together] = await timed(Promise.all(looked));
  second!.process.kill("SIGCONT");
  for (const { nodes } of seen) assertEquals(nodes[1]!.counters, undefined);
  assert(together < 5 * alone, `${together} ms for twenty, ${alone} ms for one`);
});

Deno.test("look: where its connection has ended, a program looks by another one", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const { port } = directory.info;
  using look = new ClusterLook({ directory: { hostname: "127.0.0.1", port } });
  await look.look();
  assertEquals((await directory.leave()).code, 0);
  await RemoteNode.ready(cluster.spawnNode(["--directory", `--port=${port}`]));
  const { nodes } = await look.look();
  assertEquals([nodes.map(({ id }) => id), look.connections], [[1], 2]);
});

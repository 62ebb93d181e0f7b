/** Pages whose homes are on every node: what is asked of which node, and how often. */

import { assertEquals } from "@std/assert";
import { Access, PageState } from "./page.ts";
import { ScriptedCluster } from "../../../tests/support/scripted_cluster.ts";

const { Invalid, Shared, Exclusive } = PageState;
const REGION = { placement: "first-touch", chunkPages: 4 } as const;

Deno.test("Coherence: the first node to touch a chunk asks once, and then nobody", () => {
  const cluster = new ScriptedCluster(3, REGION);
  assertEquals(cluster.access(2, 4, Access.Write), ["locate 2>1", "located 1>2"]);
  for (const page of [5, 6, 7]) assertEquals(cluster.access(2, page, Access.Write), []);
  assertEquals(cluster.states(4), [Invalid, Exclusive, Invalid]);
  assertEquals(cluster.access(1, 0, Access.Write), []);
});

Deno.test("Coherence: a miss costs what it does at the directory node, once its home is known", () => {
  const cluster = new ScriptedCluster(3, REGION);
  for (const page of [4, 5]) cluster.access(2, page, Access.Write);
  assertEquals(cluster.access(3, 4, Access.Read), [
    "locate 3>1",
    "located 1>3",
    "request 3>2",
    "grant 2>3",
  ]);
  assertEquals(cluster.access(3, 5, Access.Read), ["request 3>2", "grant 2>3"]);
  assertEquals(cluster.states(5), [Invalid, Shared, Shared]);
});

Deno.test("Coherence: nodes take turns where chunks are spread, and a home need not be asked first", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, placement: "spread" });
  const homes = [0, 4, 8, 12].map((page) => {
    cluster.access(3, page, Access.Write);
    return cluster.node(1).homes.of(page);
  });
  assertEquals(homes, [1, 2, 3, 1]);
  // Node 2 was told nothing of its chunk, but by the request.
  assertEquals(cluster.node(2).homes.of(4), 2);
  assertEquals(cluster.node(2).directory!.copies(4), { owner: 3, nodes: [3] });
});

Deno.test("Coherence: a run ends where the next page has another home, or one that is not known", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, runPages: 8 });
  cluster.step(2, { kind: "fetch", first: 2, count: 8, access: Access.Write });
  assertEquals(cluster.log, ["locate 2>1", "locate 2>1", "locate 2>1"]);
  cluster.flush();
  assertEquals([1, 2, 9, 10].map((page) => cluster.node(2).state(page)), [
    Invalid,
    Exclusive,
    Exclusive,
    Invalid,
  ]);
});

Deno.test("Coherence: a request to a node that is not the home is a breach", () => {
  const cluster = new ScriptedCluster(3, REGION);
  cluster.access(3, 0, Access.Write);
  cluster.access(2, 0, Access.Read);
  const message = { kind: "request", access: Access.Read, first: 0, count: 1, request: 9 } as const;
  for (const node of [1, 2]) {
    const { events } = cluster.step(node, { kind: "message", from: 3, message });
    assertEquals(events.map(({ kind }) => kind), ["violation"]);
  }
});

Deno.test("Coherence: word of a home that was not asked for is a breach", () => {
  const cluster = new ScriptedCluster(2, REGION);
  const message = { kind: "located", first: 0, count: 1, node: 2 } as const;
  const { events } = cluster.step(2, { kind: "message", from: 1, message });
  const reason = "located page 0, which this node did not ask about";
  assertEquals(events, [{ kind: "violation", node: 1, reason }]);
});

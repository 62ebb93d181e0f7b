/** `mod.ts --dashboard`, by what it answers; the page in a browser is in `tests/launchers/`. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { History } from "../../runtime/dashboard/model.ts";
import type { ClusterSnapshot, Snapshot } from "../../runtime/dashboard/snapshot.ts";
import { LOOK_RUNS_MAX } from "../../runtime/limits.ts";
import { ProcessCluster, RemoteNode, type TestProcess } from "../support/process_cluster.ts";
import { KeyFile } from "../support/key_file.ts";

function spawn(cluster: ProcessCluster, ...flags: string[]): TestProcess {
  const permissions = ["--allow-ffi", "--allow-net=127.0.0.1,0.0.0.0"];
  const args = ["run", "--no-prompt", ...permissions, "mod.ts", ...flags];
  return cluster.spawn(flags.join(" "), { args });
}

const URL_LINE = /The dashboard is at (http:\S+)\n/;

function fetchSnapshot(url: string, query = ""): Promise<Snapshot> {
  return fetch(`${url}snapshot${query}`).then((response) => response.json());
}

/** Snapshots, until one is of a cluster and passes. */
async function see(
  cluster: ProcessCluster,
  url: string,
  query: string,
  passes: (snapshot: ClusterSnapshot) => boolean,
): Promise<ClusterSnapshot> {
  return await cluster.bounded(
    "a snapshot",
    (async () => {
      for (;;) {
        const snapshot = await fetchSnapshot(url, query);
        if (snapshot.kind === "cluster" && passes(snapshot)) return snapshot;
      }
    })(),
  );
}

/** Has a node write to a cell of an array again and again, until its process ends. */
function fight(node: RemoteNode, cell: number): Promise<void> {
  return node.evaluate(async (node, cell) => {
    const cells = await node.alloc(Int32Array, 16, { name: "totals" });
    const quiet = await node.alloc(Int32Array, 4096, { name: "quiet" });
    Atomics.load(quiet, 0);
    setInterval(() => Atomics.add(cells, cell, 1), 1);
  }, cell);
}

Deno.test("dashboard: of a cluster it tells what is fought over, which nodes hold and take it, and what happens", async () => {
  await using cluster = new ProcessCluster();
  const main = spawn(cluster, "--dashboard=0", "--port=0");
  const [, url] = await main.untilPrinted(URL_LINE);
  const [, port] = await main.untilPrinted(/--directory-address 127\.0\.0\.1:(\d+)/);
  const join = () => RemoteNode.ready(cluster.spawnNode([`--directory-address=127.0.0.1:${port}`]));
  const second = await join();
  const third = await join();
  await fight(second, 0);
  await fight(third, 1);
  await third.evaluate(async (node) => void await node.mutex("ledger").lock());

  const all = await see(cluster, url!, "", ({ nodes }) => nodes.length === 3);
  const totals = all.allocations.find(({ name }) => name === "totals")!;
  const query = `?first=${totals.first}&count=1`;
  const past = new History();
  let isFought = false;
  let owners: number[] = [];
  await see(cluster, url!, query, (snapshot) => {
    const { allocations, cells } = past.take(snapshot);
    isFought ||= allocations[0]?.name === "totals" && allocations[0].isFought;
    const [cell] = cells;
    owners = cell!.owners.map(({ node }) => node);
    const takers = cell!.byNode.map(({ node }) => node).toSorted();
    return isFought && owners.length === 1 && takers.join() === "2,3";
  });
  assert(owners[0] === 2 || owners[0] === 3, `${owners}`);
  const held = await see(cluster, url!, query, ({ places }) => places.length > 0);
  assertEquals(held.places, [
    { kind: "mutex", name: "ledger", holder: 3, parties: 0, count: 0, waiting: [] },
  ]);

  third.process.kill();
  // Node 2 ends as well if node 3 had the only copy of the page.
  const lost = await see(cluster, url!, "", ({ nodes }) => !nodes.some(({ id }) => id === 3));
  const texts = lost.events.map(({ text }) => text);
  assertMatch(texts[0]!, /^Hosting the directory at /);
  assertMatch(texts[1]!, /^Node 2 has joined/);
  assert(texts.some((text) => text.startsWith("Node 3 is lost")), `${texts}`);
  assertEquals(lost.places.map(({ holder }) => holder).filter((holder) => holder === 3), []);
});

Deno.test("dashboard: of browsers that look at different pages each is shown its own", async () => {
  await using cluster = new ProcessCluster();
  const main = spawn(cluster, "--dashboard=0", "--port=0");
  const [, url] = await main.untilPrinted(URL_LINE);
  const all = await see(cluster, url!, "", ({ nodes }) => nodes.length === 1);
  const browsers = Array.from({ length: LOOK_RUNS_MAX + 4 }, async (_, first) => {
    const snapshot = await fetchSnapshot(url!, `?first=${first}&count=1`);
    if (snapshot.kind !== "cluster") throw new Error(snapshot.reason);
    assertEquals(snapshot.run, { first, count: 1 });
    assert(snapshot.atMs > all.atMs, "what was seen before has none of these pages");
  });
  await cluster.bounded("all snapshots", Promise.all(browsers));
});

Deno.test("dashboard: beside a cluster it takes no id, and needs its key", async () => {
  await using cluster = new ProcessCluster();
  using key = new KeyFile();
  const directory = await cluster.host(key.flag);
  const args = ["run", "--no-prompt", "--allow-ffi", "--allow-net=127.0.0.1"];
  const beside = cluster.spawn("beside", {
    args: [
      ...args,
      `--allow-read=${key.path}`,
      "mod.ts",
      "--dashboard=0",
      key.flag,
      `--directory-address=${directory.at}`,
    ],
  });
  const [, url] = await beside.untilPrinted(URL_LINE);
  const seen = await see(cluster, url!, "?first=0&count=1000", () => true);
  assertEquals([seen.nodes.length, seen.cellPages, seen.directory], [1, 4, directory.at]);
  assertEquals((await cluster.join(directory, key.flag)).info.id, 2);

  const strange = cluster.spawn("without the key", {
    args: [...args, "mod.ts", "--dashboard=0", `--directory-address=${directory.at}`],
  });
  const [, other] = await strange.untilPrinted(URL_LINE);
  const refused = await fetchSnapshot(other!);
  assertEquals(refused.kind, "none");
  assertStringIncludes(JSON.stringify(refused), "key");
});

Deno.test("dashboard: what it does not answer, it refuses by one line", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const nowhere = `--directory-address=127.0.0.1:${listener.addr.port}`;
  const open = spawn(cluster, "--dashboard=0.0.0.0:0", nowhere);
  const [, url] = await open.untilPrinted(/The dashboard is at http:\/\/HOST:(\d+\/\?token=\w+)\n/);
  const at = `http://127.0.0.1:${url}`;
  const ask = async (url: string, init: RequestInit = {}) => {
    const response = await fetch(url, { redirect: "manual", ...init });
    return [response.status, await response.text()];
  };
  const without = at.replace(/\?.*/, "");
  assertEquals(await ask(without), [
    401,
    "The dashboard needs its token: open the address that it has printed\n",
  ]);
  const welcomed = await fetch(at, { redirect: "manual" });
  await welcomed.body?.cancel();
  const cookie = welcomed.headers.get("set-cookie")!.replace(/;.*/, "");
  const [status, page] = await ask(without, { headers: { cookie } });
  assertEquals(status, 200);
  assertMatch(String(page), /^<!doctype html>/i);
  for (const path of ["page.js", "style.css"]) {
    assertEquals((await ask(without + path, { headers: { cookie } }))[0], 200, path);
  }
  assertEquals(await ask(`${without}snapshot?first=1`, { headers: { cookie } }), [
    400,
    "first and count must be pages of the region\n",
  ]);
  assertEquals((await ask(`${without}nothing`, { headers: { cookie } }))[0], 404);

  const port = new URL(at).port;
  const taken = await spawn(cluster, `--dashboard=0.0.0.0:${port}`, nowhere).exit();
  assertEquals([taken.code, taken.stdout], [70, ""]);
  assertMatch(
    taken.stderr,
    /^tdsm: error: Cannot serve the dashboard at 0\.0\.0\.0:\d+: the port is taken, maybe by another dashboard\. Name another one with --dashboard \[HOST:\]PORT \(ListenFailed\)\n$/,
  );
  const both = await spawn(cluster, "--dashboard", "--status").exit();
  assertMatch(both.stderr, /Cannot use --dashboard and --status together/);
});

Deno.test("dashboard: browsers that take all its file descriptors, and say nothing, do not end it", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=64KiB");
  const words = ["--dashboard=0", `--directory-address=${directory.at}`];
  const main = cluster.spawn("few files", {
    args: ["run", "--no-prompt", "--allow-net=127.0.0.1", "mod.ts", ...words],
    prefix: ["sh", "-c", 'ulimit -n 64; exec "$0" "$@"'],
  });
  const [, url] = await main.untilPrinted(URL_LINE);
  const { hostname, port } = new URL(url!);
  const held: Deno.Conn[] = [];
  let hasEnded = false;
  void main.ended.then(() => hasEnded = true);
  try {
    while (!main.stderr.includes("Not every connection of the dashboard is served")) {
      assert(!hasEnded, main.stderr);
      await Deno.connect({ hostname, port: Number(port) })
        .then((connection) => held.push(connection), () => {});
    }
    let response: Response | undefined;
    while (response === undefined) response = await fetch(url!).catch(() => undefined);
    assertEquals(response.status, 200);
    assertMatch(await response.text(), /^<!doctype html>/i);
  } finally {
    for (const connection of held) connection.close();
  }
});

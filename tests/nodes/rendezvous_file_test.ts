/** Nodes that find each other by a file: the first one hosts, and dead clusters are found out. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join, TdsmError } from "../../mod.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

/** Gives the path of a file that is not there yet to `use`, and removes its folder then. */
async function withPath(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/cluster`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts nodes at once that find each other by a file; returns them by their ids, from 1 on. */
async function meetAt(
  cluster: ProcessCluster,
  path: string,
  nodes: number,
  ...flags: string[]
): Promise<RemoteNode[]> {
  const processes = Array.from(
    { length: nodes },
    () => cluster.spawnNode([`--rendezvous=file:${path}`, `--nodes=${nodes}`, ...flags]),
  );
  const all = await Promise.all(processes.map((process) => RemoteNode.ready(process)));
  return all.sort((a, b) => a.info.id - b.info.id);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

/** What `join` throws that finds its directory by the file. */
function refusal(path: string, options = {}): Promise<TdsmError> {
  return assertRejects(() => join({ rendezvous: `file:${path}`, ...options }), TdsmError);
}

Deno.test("rendezvous file: of nodes that start at once one hosts, and the file goes with it", async () => {
  await withPath(async (path) => {
    await using cluster = new ProcessCluster();
    const nodes = await meetAt(cluster, path, 4);
    assertEquals(nodes.map(({ info }) => info.id), [1, 2, 3, 4]);
    await nodes[3]!.store(64, 7);
    assertEquals(await nodes[1]!.load(64), 7);
    const { mode } = await Deno.stat(path);
    assertEquals(mode! & 0o777, 0o600);
    for (const node of nodes.toReversed()) {
      const { code, stderr } = await node.leave();
      assertEquals([code, stderr], [0, ""]);
    }
    assert(!await isThere(path), "the file is removed");
  });
});

Deno.test("rendezvous file: a file of a cluster that was killed is found out, and nodes begin anew", async () => {
  await withPath(async (path) => {
    await using cluster = new ProcessCluster();
    const old = await meetAt(cluster, path, 2);
    await old[0]!.store(0, 1);
    for (const { process } of old) process.kill();
    await Promise.all(old.map(({ process }) => process.exit()));
    assertStringIncludes(await Deno.readTextFile(path), old[0]!.at);
    const nodes = await meetAt(cluster, path, 3);
    assertEquals(nodes.map(({ info }) => info.id), [1, 2, 3]);
    assertEquals(await nodes[2]!.load(0), 0);
    assertStringIncludes(await Deno.readTextFile(path), nodes[0]!.at);
  });
});

Deno.test("rendezvous file: clusters at two files do not mix, with a key of each", async () => {
  await withPath(async (path) => {
    await using cluster = new ProcessCluster();
    const [a, b] = await Promise.all([
      meetAt(cluster, `${path}-a`, 2),
      meetAt(cluster, `${path}-b`, 2),
    ]);
    await a[0]!.store(0, 1);
    await b[0]!.store(0, 2);
    assertEquals([await a[1]!.load(0), await b[1]!.load(0)], [1, 2]);
    if (Deno.env.get("TDSM_TEST_KEY") === undefined) {
      const error = await assertRejects(
        () => join({ directoryAddress: a[0]!.at, key: new Uint8Array(32) }),
        TdsmError,
      );
      assertEquals(error.code, "KeyMismatch");
    }
  });
});

Deno.test("rendezvous file: a node that claims it and dies before it listens is replaced", async () => {
  await withPath(async (path) => {
    await using cluster = new ProcessCluster();
    const claim = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
    await claim.lock(true);
    const process = cluster.spawnNode([`--rendezvous=file:${path}`, "--log-level=3"]);
    // Only a node that waits for the one that has the lock is ready to join.
    const late = refusal(path, { joinTimeoutMs: 100 });
    assertEquals(
      (await late).message,
      `Cannot join by the file ${path} within 100 ms: the node that has claimed it does not listen ` +
        "yet. Start a node that hosts, or wait longer with --join-timeout",
    );
    claim.close();
    assertEquals((await RemoteNode.ready(process)).info.id, 1);
  });
});

Deno.test("rendezvous file: a node that only serves waits for one that hosts", async () => {
  await withPath(async (path) => {
    const error = await refusal(path, { rpcServer: true, joinTimeoutMs: 50 });
    assertMatch(error.message, /no node has claimed it\. A node that only serves calls does not/);
    await using cluster = new ProcessCluster();
    const flags = [`--rendezvous=file:${path}`, "--join-timeout=60000"];
    const server = cluster.spawnNode([...flags, "--rpc-server", "--log-level=3"]);
    const host = await RemoteNode.ready(cluster.spawnNode([...flags, "--nodes=2"]));
    assertEquals(host.info.id, 1);
    await host.leave();
    assertEquals((await server.exit()).code, 0);
  });
});

Deno.test("rendezvous file: what is no file of a rendezvous is left as it is", async () => {
  await withPath(async (path) => {
    await Deno.writeTextFile(path, "a letter", { mode: 0o600 });
    const other = await refusal(path);
    assertEquals(
      other.message,
      `Cannot use the file ${path} to find the directory: it has something else in it. ` +
        "Name a file that is not there yet",
    );
    assertEquals(await Deno.readTextFile(path), "a letter");
    await Deno.chmod(path, 0o644);
    assertStringIncludes((await refusal(path)).message, `Run chmod 600 ${path}`);
    await Deno.remove(path);
    assertStringIncludes((await refusal(`${path}/in/no/folder`)).message, "os error 2");
    assertStringIncludes((await refusal("/")).message, "os error 21");
  });
});

Deno.test({
  name: "rendezvous file: a file of another user is left as it is",
  // Nobody else can open such a file, nor give it away.
  ignore: Deno.uid() !== 0,
  async fn() {
    await withPath(async (path) => {
      await Deno.writeTextFile(path, "", { mode: 0o600 });
      await Deno.chown(path, 65_534, null);
      assertEquals(
        (await refusal(path)).message,
        `Cannot use ${path} to find the directory: it is a file of another user (65534), and it ` +
          "has the key. Name a file that is not there yet, in a folder of your own",
      );
      assertEquals(await Deno.readTextFile(path), "");
      // No key is in the file where all nodes are given one.
      await using node = await join({ rendezvous: `file:${path}`, key: new Uint8Array(32) });
      assertEquals(node.id, 1);
    });
  },
});

/** Writes what a directory of another machine would have written. */
async function writeForeign(path: string, address: string): Promise<void> {
  const record = JSON.stringify({ tdsm: 1, address, boot: "another" });
  await Deno.writeTextFile(path, record, { mode: 0o600 });
}

Deno.test("rendezvous file: where locks do not reach other machines, a living directory is not replaced", async () => {
  await withPath(async (path) => {
    using listener = Deno.listen({ hostname: "127.0.0.2", port: 0 });
    // Not loopback for the runtime's eyes: by name.
    await writeForeign(path, `localhost:${listener.addr.port}`);
    const accepting = listener.accept().catch(() => undefined);
    listener.close();
    await accepting;
    // Nothing answers there: the cluster is dead, and this node hosts.
    await using node = await join({ rendezvous: `file:${path}` });
    assertEquals(node.id, 1);
  });
  await withPath(async (path) => {
    using listener = Deno.listen({ hostname: "localhost", port: 0 });
    await writeForeign(path, `localhost:${listener.addr.port}`);
    const accepting = listener.accept();
    const error = await refusal(path);
    (await accepting).close();
    assertEquals(error.code, "JoinRefused");
    assertStringIncludes(error.message, "its lock is free, but something answers at localhost:");
  });
});

Deno.test("rendezvous file: a directory that only its own machine reaches is named to others", async () => {
  await withPath(async (path) => {
    await writeForeign(path, "127.0.0.1:9");
    using file = await Deno.open(path, { read: true, write: true });
    await file.lock(true);
    assertStringIncludes(
      (await refusal(path)).message,
      "its directory is on another machine, and listens at 127.0.0.1:9",
    );
  });
});

Deno.test({
  name: "rendezvous file: permissions that are missing are named",
  permissions: { ffi: true, net: true, read: true },
  async fn() {
    const error = await refusal("/tmp/tdsm-not-there");
    assertEquals(error.code, "PermissionMissing");
    assertEquals(
      error.message,
      "Cannot use the file /tmp/tdsm-not-there to find the directory: run Deno with " +
        "--allow-write=/tmp/tdsm-not-there",
    );
  },
});

Deno.test("rendezvous file: rank and node count: as the launcher says, and else as nodes says", async () => {
  await withPath(async (path) => {
    await using cluster = new ProcessCluster();
    const [first] = await meetAt(cluster, path, 2);
    const place = (node: { rank?: number | undefined; nodeCount: number }) => [
      node.rank ?? null,
      node.nodeCount,
    ];
    assertEquals(await first!.evaluate(place), [null, 2]);
  });
});

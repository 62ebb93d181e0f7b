/** Nodes find each other by a real etcd. Run by `./tdsm test:launchers`. */

import { assertEquals } from "@std/assert";
import { ETCD_LEASE_S } from "../../runtime/limits.ts";
import { ProcessCluster, RemoteNode, type TestProcess } from "../support/process_cluster.ts";
import { testsWith } from "./needs.ts";

const test = testsWith(["etcd"]);

/** An etcd of one member, on ports of its own. */
class Etcd implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync();
  readonly #ports: readonly number[];
  #process: Deno.ChildProcess | undefined;

  private constructor() {
    const listeners = [1, 2].map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
    this.#ports = listeners.map(({ addr }) => addr.port);
    for (const listener of listeners) listener.close();
  }

  static async start(): Promise<Etcd> {
    const etcd = new Etcd();
    await etcd.begin();
    return etcd;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports[0]}`;
  }

  /** Starts it, or starts it again with all that it had; resolves once it answers. */
  async begin(): Promise<void> {
    const peers = `http://127.0.0.1:${this.#ports[1]}`;
    const args = [
      `--data-dir=${this.#folder}`,
      `--listen-client-urls=${this.url}`,
      `--advertise-client-urls=${this.url}`,
      `--listen-peer-urls=${peers}`,
    ];
    const command = new Deno.Command("etcd", { args, stdout: "null", stderr: "null" });
    this.#process = command.spawn();
    const giveUpAt = performance.now() + 60_000;
    // It tells nobody that it is ready.
    while (!await this.#answers()) {
      if (performance.now() > giveUpAt) throw new Error("etcd does not answer within a minute");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #answers(): Promise<boolean> {
    try {
      await this.values();
      return true;
    } catch {
      return false;
    }
  }

  /** Ends it; what it has stays in its folder. */
  async end(): Promise<void> {
    this.#process?.kill();
    await this.#process?.status;
    this.#process = undefined;
  }

  /** All records. */
  async values(): Promise<string[]> {
    const everything = { key: btoa("\0"), range_end: btoa("\0") };
    const body = JSON.stringify(everything);
    const response = await fetch(`${this.url}/v3/kv/range`, { method: "POST", body });
    const { kvs = [] } = await response.json() as { kvs?: { value: string }[] };
    return kvs.map(({ value }) => atob(value));
  }

  /** Waits until there are so many records with an address. */
  async untilRecords(count: number): Promise<string[]> {
    const giveUpAt = performance.now() + 60_000;
    for (;;) {
      const values = await this.values();
      if (values.length === count && values.every((it) => it.includes('"address"'))) return values;
      if (performance.now() > giveUpAt) throw new Error(`within a minute etcd has only ${values}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function spawn(cluster: ProcessCluster, etcd: Etcd, prefix: string, ...flags: string[]) {
  const rendezvous = `--rendezvous=etcd:${etcd.url}/${prefix}`;
  return cluster.spawnNode([rendezvous, "--join-timeout=60000", ...flags]);
}

/** Waits until all nodes have joined; returns them by their ids. */
async function ready(processes: readonly TestProcess[]): Promise<RemoteNode[]> {
  const nodes = await Promise.all(processes.map((process) => RemoteNode.ready(process)));
  return nodes.sort((a, b) => a.info.id - b.info.id);
}

function start(cluster: ProcessCluster, etcd: Etcd, prefix: string, nodes: number) {
  return ready(
    Array.from({ length: nodes }, () => spawn(cluster, etcd, prefix, `--nodes=${nodes}`)),
  );
}

test("etcd: of nodes that start at once one hosts; its record goes with it", async () => {
  await using etcd = await Etcd.start();
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, etcd, "tdsm/a", 4);
  assertEquals(nodes.map(({ info }) => info.id), [1, 2, 3, 4]);
  assertEquals((await etcd.values()).length, 1);
  await nodes[3]!.store(0, 5);
  assertEquals(await nodes[0]!.load(0), 5);
  for (const node of nodes.toReversed()) {
    const { code, stderr } = await node.leave();
    assertEquals([code, stderr], [0, ""]);
  }
  assertEquals(await etcd.values(), []);
});

test("etcd: clusters of two prefixes do not mix", async () => {
  await using etcd = await Etcd.start();
  await using cluster = new ProcessCluster();
  const [a, b] = await Promise.all([start(cluster, etcd, "a", 2), start(cluster, etcd, "b", 2)]);
  await a[0]!.store(0, 1);
  await b[0]!.store(0, 2);
  assertEquals([await a[1]!.load(0), await b[1]!.load(0)], [1, 2]);
});

test("etcd: the record of a node that is killed goes, and nodes begin anew", async () => {
  await using etcd = await Etcd.start();
  await using cluster = new ProcessCluster();
  const [old] = await start(cluster, etcd, "a", 1);
  old!.process.kill();
  await old!.process.exit();
  assertEquals((await etcd.values()).length, 1);
  const nodes = await start(cluster, etcd, "a", 2);
  assertEquals(nodes.map(({ info }) => info.id), [1, 2]);
});

test("etcd: the record stays while the program computes, for longer than its lease", async () => {
  await using etcd = await Etcd.start();
  await using cluster = new ProcessCluster();
  const [host] = await start(cluster, etcd, "a", 1);
  const before = await etcd.values();
  await host!.evaluate((_, ms) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  }, 2_000 * ETCD_LEASE_S);
  assertEquals(await etcd.values(), before);
  const other = await RemoteNode.ready(spawn(cluster, etcd, "a"));
  assertEquals(other.info.id, 2);
});

test("etcd: a record that went while its node was suspended comes again", async () => {
  await using etcd = await Etcd.start();
  await using cluster = new ProcessCluster();
  const [host] = await start(cluster, etcd, "a", 1);
  const before = await etcd.values();
  host!.process.kill("SIGSTOP");
  await etcd.untilRecords(0);
  host!.process.kill("SIGCONT");
  assertEquals(await etcd.untilRecords(1), before);
});

test("etcd: one that goes away is told of, and found again; nodes go on meanwhile", async () => {
  await using etcd = await Etcd.start();
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, etcd, "a", 2);
  await etcd.end();
  const [host] = nodes;
  await host!.process.untilPrinted(
    /warning: etcd at http:\S+ does not answer: new nodes do not find this cluster/,
  );
  await host!.store(0, 3);
  assertEquals(await nodes[1]!.load(0), 3);
  await etcd.begin();
  await etcd.untilRecords(1);
  assertEquals((await RemoteNode.ready(spawn(cluster, etcd, "a"))).info.id, 3);
});

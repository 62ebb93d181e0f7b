/**
 * Real nodes that are told what Slurm tells its tasks, without Slurm: ports that others use, ranks
 * that come again. `tests/launchers/` has the real one.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { portsOf } from "../../runtime/rendezvous/ports.ts";
import { ProcessCluster, RemoteNode, type TestProcess } from "../support/process_cluster.ts";

/** A number of a job that other tests do not have at the same time. */
function newJob(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** A step of a job on this machine. */
class Step implements AsyncDisposable {
  readonly job = newJob();
  readonly #folder = Deno.makeTempDirSync();
  readonly #cluster = new ProcessCluster();

  /** Starts a task, of so many. */
  spawn(rank: number, tasks: number, ...flags: string[]): TestProcess {
    const env = {
      SLURM_PROCID: String(rank),
      SLURM_STEP_NUM_TASKS: String(tasks),
      SLURM_JOB_ID: String(this.job),
      SLURM_STEP_ID: "0",
      SLURM_NODEID: "0",
      SLURM_JOB_NODELIST: "n1",
      SLURM_SUBMIT_DIR: this.#folder,
      // The key of the step is to be used, not the one that tests may share.
      TDSM_KEY: "",
    };
    return this.#cluster.spawnNode(flags, { env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A node's rank, how many there are, and its id. */
function placeOf(node: RemoteNode): Promise<unknown[]> {
  return node.evaluate(({ rank, nodeCount, id }) => [rank, nodeCount, id]);
}

Deno.test("rendezvous slurm: tasks find task 0, where others have its first ports", async () => {
  await using step = new Step();
  // A program that says nothing, and one that hangs up.
  const [silent, rude] = portsOf(step.job, 0);
  using _silent = Deno.listen({ hostname: "127.0.0.1", port: silent });
  using listener = Deno.listen({ hostname: "127.0.0.1", port: rude! });
  const serving = (async () => {
    for await (const connection of listener) connection.close();
  })();
  const processes = [2, 1, 0].map((rank) => step.spawn(rank, 3, "--join-timeout=60000"));
  const nodes = await Promise.all(processes.map((process) => RemoteNode.ready(process)));
  const places = await Promise.all(nodes.map(placeOf));
  // An id is kept for each rank, in whatever order the nodes join.
  assertEquals(places, [[2, 3, 3], [1, 3, 2], [0, 3, 1]]);
  assertEquals(nodes[2]!.info.port, portsOf(step.job, 0)[2]);
  await nodes[0]!.store(0, 9);
  assertEquals(await nodes[1]!.load(0), 9);
  for (const node of nodes) assertEquals((await node.leave()).code, 0);
  listener.close();
  await serving;
});

Deno.test("rendezvous slurm: a directory of another job on its port is passed over", async () => {
  await using step = new Step();
  await using others = new ProcessCluster();
  const [first] = portsOf(step.job, 0);
  const env = { TDSM_KEY: new Uint8Array(32).fill(1).toBase64() };
  const stranger = others.spawnNode(["--directory", `--port=${first}`], { env });
  await RemoteNode.ready(stranger);
  const processes = [1, 0].map((rank) => step.spawn(rank, 2, "--join-timeout=60000"));
  const [one, zero] = await Promise.all(processes.map((process) => RemoteNode.ready(process)));
  assertEquals([await placeOf(zero!), await placeOf(one!)], [[0, 2, 1], [1, 2, 2]]);
  assertEquals(zero!.info.port, first + 1);
});

Deno.test("rendezvous slurm: a task that is started again has its rank, and a new id", async () => {
  await using step = new Step();
  const flags = ["--on-error=leave"];
  const [zero, one] = await Promise.all(
    [0, 1].map((rank) => RemoteNode.ready(step.spawn(rank, 2, ...flags))),
  );
  assertEquals(await placeOf(one!), [1, 2, 2]);
  one!.process.kill();
  await one!.process.exit();
  const again = await RemoteNode.ready(step.spawn(1, 2, ...flags));
  const [rank, nodeCount, id] = await placeOf(again);
  assertEquals([rank, nodeCount], [1, 2]);
  assert(Number(id) > 2);
  assertEquals(await placeOf(zero!), [0, 2, 1]);
});

Deno.test("rendezvous slurm: a task whose task 0 never comes says where it has looked", async () => {
  await using step = new Step();
  const env = { TDSM_KEY: new Uint8Array(32).toBase64() };
  await using others = new ProcessCluster();
  const task = others.spawnNode(["--join-timeout=300"], {
    env: {
      ...env,
      SLURM_PROCID: "1",
      SLURM_STEP_NUM_TASKS: "2",
      SLURM_JOB_ID: String(step.job),
      SLURM_STEP_ID: "0",
      SLURM_NODEID: "0",
      SLURM_JOB_NODELIST: "n1",
    },
  });
  const { code, stderr } = await task.exit();
  assertEquals(code, 70);
  const [first] = portsOf(step.job, 0);
  assertMatch(
    stderr,
    new RegExp(
      `^tdsm: error: Cannot join: the directory is at none of 127.0.0.1:${first} to ${
        first + 7
      }, ` +
        "tried for \\d+ ms \\(Connection refused \\(os error 111\\)\\)\\. See whether node 1 has " +
        "started, or wait longer with --join-timeout \\(NoDirectory\\)\n$",
    ),
  );
});

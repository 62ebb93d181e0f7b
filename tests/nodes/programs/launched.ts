/** A program for the launcher: each node says that it is there, then does as its argument says. */

import { type Barrier, join, type Node, run } from "../../../mod.ts";

const [what, whose = "0", code = "0"] = Deno.args;

/** Waits until the process is ended from outside. */
function forever(): Promise<never> {
  setInterval(() => {}, 60_000);
  return new Promise(() => {});
}

const ACTS: Readonly<Record<string, (node: Node) => void | Promise<void>>> = {
  /** Tells what the launcher has given to the node. */
  async tell(node) {
    const granted = ["ffi", "net", "env", "read", "write", "run", "sys"]
      .filter((name) => Deno.permissions.querySync({ name } as never).state === "granted");
    const loopback = Deno.permissions.querySync({ name: "net", host: "127.0.0.1:80" }).state;
    const input = await new Response(Deno.stdin.readable).text();
    const { memoryLimitBytes } = node.stats();
    const args = Deno.args.slice(1);
    const { size, rank, nodeCount } = node;
    const told = { granted, loopback, rank, nodeCount, size, memoryLimitBytes, args, input };
    console.log(JSON.stringify(told));
    console.error("and to stderr");
  },

  /** One node ends with code 3 while the others go on. */
  fail(node) {
    if (node.id === Number(whose)) Deno.exit(3);
    return forever();
  },

  /** One node leaves the others at a barrier, and is the last to end, with the code named. */
  async lose(node) {
    const { step, others } = await untilAllAreThere(node);
    if (node.id === Number(whose)) {
      // Called once the node has left: its own listener stands before this one.
      addEventListener("unload", () => others.forEach(untilGone));
      Deno.exit(Number(code));
    }
    const waiting = step.wait();
    // `run` gets the error in both ways: from `main`, and as one that nothing catches.
    if (node.id === 1) await waiting;
    await forever();
  },

  /**
   * One node starts a process that outlives it, with its output; then it ends by the code named.
   */
  hold(node) {
    if (node.id !== Number(whose)) return;
    const sleep = new Deno.Command("sleep", {
      args: ["3600"],
      detached: true,
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    sleep.unref();
    console.log(`started process ${sleep.pid}`);
    Deno.exit(Number(code));
  },

  /** Goes on until it is ended, with a process of its own group. */
  parent() {
    const { pid } = new Deno.Command("sleep", { args: ["3600"] }).spawn();
    console.error(`process ${Deno.pid} has child ${pid}`);
    return forever();
  },

  /** Goes on until it is ended. */
  stay: forever,

  /** Goes on until it is ended, as far as a node has joined. */
  apart: forever,

  /** Goes on until another node has ended the cluster. */
  async abort(node) {
    const nodes = Number(Deno.env.get("NODES"));
    node.view(Int32Array, 0, nodes)[node.id - 1] = Deno.pid;
    await node.barrier("all are there", nodes).wait();
    await forever();
  },

  /** Ends well. */
  backwards() {},

  /** Prints until it is ended. */
  chatter(node) {
    setInterval(() => console.log(`node ${node.id} chatters`), 10);
    return forever();
  },

  /** Ends well at the first signal, and says which it was. */
  async listen() {
    const { promise, resolve } = Promise.withResolvers<string>();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => {
        console.log(`got ${signal}`);
        resolve(signal);
      });
    }
    console.log("listening");
    const loop = setInterval(() => {}, 60_000);
    await promise;
    clearInterval(loop);
  },
};

/** The number that the launcher has given to this process; programs have no need of it. */
const number = Number(Deno.env.get("TDSM_LAUNCHER")?.split("/")[2]);

/** Waits until there is such a file, or until there is none. */
async function untilFile(path: string, there: boolean): Promise<void> {
  const isThere = (): Promise<boolean> => Deno.stat(path).then(() => true, () => false);
  while (await isThere() !== there) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Waits for all nodes at a barrier; returns it, and the processes of the other nodes. */
async function untilAllAreThere(node: Node): Promise<{ step: Barrier; others: readonly number[] }> {
  const nodes = Number(Deno.env.get("NODES"));
  const pids = node.view(Int32Array, 0, nodes);
  pids[node.id - 1] = Deno.pid;
  const step = node.barrier("step", nodes);
  await step.wait();
  return { step, others: [...pids].filter((pid) => pid !== Deno.pid) };
}

/** Blocks until a process has ended. */
function untilGone(pid: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (Array.from(Deno.readDirSync("/proc"), ({ name }) => name).includes(String(pid))) {
    Atomics.wait(cell, 0, 0, 5);
  }
}

// The last node is the first that wants to join; `whose` is a folder, `code` the number of nodes.
if (what === "backwards") {
  if (number < Number(code)) await untilFile(`${whose}/${number + 1}`, true);
  await Deno.writeTextFile(`${whose}/${number}`, "");
}

// One node hosts a directory of its own, instead of joining.
if (what === "apart" && number === Number(whose)) {
  await join({ directory: true, port: 0 });
  await forever();
}

// One node leaves the others at a barrier, and is the last to end, with the code named. The others
// block their threads there, so that the error ends their processes before anything else runs in
// them.
if (what === "leave") {
  const node = await join();
  const { step, others } = await untilAllAreThere(node);
  if (node.id === Number(whose)) {
    await node.close();
    others.forEach(untilGone);
    Deno.exit(Number(code));
  }
  if (node.id === 1) step.waitSync();
  const worker = new Worker(new URL("party_worker.ts", import.meta.url), { type: "module" });
  worker.postMessage({ handle: node.handle, nodes: step.parties });
  await forever();
}

// One node ends the cluster, but is the last to end itself, with the code named.
if (what === "abort" && number === Number(whose)) {
  const node = await join();
  const ended = node.barrier("all are there", Number(Deno.env.get("NODES")));
  const pids = node.view(Int32Array, 0, Number(Deno.env.get("NODES")));
  await ended.wait();
  const others = [...pids].filter((pid) => pid !== 0);
  node.abort("enough");
  for (const pid of others) await untilFile(`/proc/${pid}`, false);
  Deno.exit(Number(code));
}

if (what === "join") {
  // Node 1 shall not find the others there.
  if (Deno.env.get("DIRECTORY_ADDRESS")) await forever();
  await using node = await join();
  console.log(`node ${node.id} is process ${Deno.pid}`);
} else {
  await run(async (node) => {
    console.log(`node ${node.id} is process ${Deno.pid}`);
    await ACTS[what!]!(node);
  }, {
    // The runtime would end the process, maybe before its own listener has run.
    signals: what !== "listen",
  });
}

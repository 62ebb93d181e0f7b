/** A program for the launcher: each node says that it is there, then does what the first argument says. */

import { join, type Node, run } from "../../../mod.ts";

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
    const told = { granted, loopback, size: node.size, args: Deno.args.slice(1), input };
    console.log(JSON.stringify(told));
    console.error("and to stderr");
  },

  /** One node ends with code 3 while the others go on. */
  fail(node) {
    if (node.id === Number(whose)) Deno.exit(3);
    return forever();
  },

  /** One node starts a process that has its output and outlives it; then it ends, with the code named. */
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

  /** Goes on until it is ended. */
  stay: forever,

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

/** A program has one node for its Workers, and shows it in logs without touching the region. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";

const PERMISSIONS = ["--no-prompt", "--allow-ffi", "--allow-net", "--allow-read"];
const PROGRAM = "tests/nodes/programs/one_file.ts";
const ADVICE = /this is a Worker of a program that has a node already\..*attach\(handle\)/;

Deno.test("one node: run in a Worker of a program that has a node says to attach, and ends the program", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", ...PERMISSIONS, PROGRAM, "--port=0"];
  const { code, stderr } = await cluster.spawn("program", { args }).exit();
  assertEquals(code, 1, stderr);
  assertMatch(stderr, ADVICE);
  assertMatch(stderr, /^tdsm: error: The program of node 1 has failed: .*Worker/m);
});

Deno.test("one node: join in a Worker of a program that has a node says to attach", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", ...PERMISSIONS, PROGRAM, "--join"];
  const { code, stdout, stderr } = await cluster.spawn("program", { args }).exit();
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, new RegExp(`^AlreadyJoined: Cannot join: ${ADVICE.source}`));
});

Deno.test("one node: Workers of a program without one may join", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const worker = `
    import { join } from ${JSON.stringify(import.meta.resolve("../../mod.ts"))};
    const node = await join({ directoryAddress: "${directory.at}" });
    await node.close();
    postMessage(node.id);
    self.close();`;
  const program = `
    const url = "data:text/javascript," + ${JSON.stringify(encodeURIComponent(worker))};
    const ids = [];
    for (let count = 0; count < 2; count++) {
      new Worker(url, { type: "module" }).onmessage = ({ data }) => console.log(data);
    }`;
  const args = ["eval", "--no-lock", program];
  const { code, stdout, stderr } = await cluster.spawn("program", { args }).exit();
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.trim().split("\n").sort(), ["2", "3"]);
});

Deno.test("inspect: a node is shown by what it is, in every way, and no byte of the region is fetched", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second, third] = await cluster.start(3, "--size=1MiB");
  const shown = await second!.evaluate(async (node, mod) => {
    const { inspect } = await import("node:util");
    const { attach } = await import(mod);
    await node.waitForPeer(3);
    const before = node.stats().faults;
    const attached = attach(node.handle);
    const texts = [node, attached].flatMap((each) => [
      Deno.inspect(each),
      inspect(each),
      Deno.inspect({ each }),
      JSON.stringify(each),
    ]);
    attached.detach();
    return { texts, faults: node.stats().faults - before };
  }, import.meta.resolve("../../mod.ts"));
  assertEquals(shown.faults, 0);
  const { port } = second!.info;
  for (const [index, text] of shown.texts.entries()) {
    for (const part of ["127.0.0.1", `${port}`, "1048576", "4096"]) {
      assertStringIncludes(text, part);
    }
    assertEquals(/Uint8Array|SharedArrayBuffer|Promise/.test(text), false, text);
    if (index % 4 !== 3) assertStringIncludes(text, index < 4 ? "Node {" : "AttachedNode {");
  }
  const json = { id: 2, address: "127.0.0.1", port, size: 1 << 20, pageSize: 4096, peers: [1, 3] };
  assertEquals([JSON.parse(shown.texts[3]!), JSON.parse(shown.texts[7]!)], [json, json]);
  await third!.leave();
  // The directory node tells of it when it has.
  await second!.evaluate(async (node) => {
    while (node.peers().length > 1) await new Promise((go) => setTimeout(go, 1));
    return node.toJSON();
  }).then(({ peers }) => assertEquals(peers, [1]));
  assertEquals(directory!.info.id, 1);
});

Deno.test("inspect: semaphores, barriers and mutexes are shown by key or name", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host();
  const shown = await node.evaluate(async (node) => {
    using lock = await node.mutex("m").lock();
    const things = [node.semaphore(7n), node.barrier("b", 2), node.mutex("m"), lock];
    return things.map((thing) => [Deno.inspect(thing), JSON.stringify(thing)]);
  });
  assertEquals(shown, [
    ["Semaphore { key: 7n }", '{"key":"7"}'],
    ['Barrier { name: "b", parties: 2 }', '{"name":"b","parties":2}'],
    ['Mutex { name: "m" }', '{"name":"m"}'],
    ["MutexLock { abandoned: false }", '{"abandoned":false}'],
  ]);
});

/** Traces of real nodes, as files, and merged into one. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { arrowsOf, parseTrace, type TraceEvent } from "../support/trace_checker.ts";

/** A folder for the files of a test. */
function folder(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

function readTrace(path: string): TraceEvent[] {
  return parseTrace(Deno.readTextFileSync(path));
}

/** The two nodes write to one page in turns. */
async function fight(nodes: readonly RemoteNode[]): Promise<void> {
  for (let round = 0; round < 20; round++) {
    for (const [index, node] of nodes.entries()) await node.store(4 * index, round + 1);
  }
}

Deno.test("trace: of two nodes, merged on one time line: each message arrives after it was sent", async () => {
  using temporary = folder();
  await using cluster = new ProcessCluster();
  const flag = `--trace=${temporary.path}/trace.json`;
  const directory = await cluster.host(flag, "--no-migration");
  const second = await cluster.join(directory, flag);
  await fight([directory, second]);
  await second.evaluate(async (node) => {
    node.semaphore(7n).release();
    await node.semaphore(7n).acquire();
  });
  const stats = await second.evaluate((node) => node.stats());
  assertEquals((await second.leave()).code, 0);
  assertEquals((await directory.leave()).code, 0);
  const files = [1, 2].map((id) => `${temporary.path}/trace.${id}.json`);
  const [ofDirectory, ofSecond] = files.map(readTrace);

  const named = (events: TraceEvent[], pattern: RegExp) =>
    events.filter(({ ph, name }) => ph === "X" && pattern.test(name));
  const faults = named(ofSecond!, /^(?:read|write|upgrade|zero|stale) page 0$/);
  assert(faults.length > 10, "the page that is fought over is in the trace, again and again");
  assertEquals(named(ofSecond!, /^fault: /).length, stats.faults);
  assertEquals(named(ofSecond!, /^acquire semaphore 7$/).length, 1);
  const transactions = named(ofDirectory!, /^(?:read|write) page 0 for 2$/);
  assert(transactions.length > 5, "the home tells of the transactions of the other node");

  const out = `${temporary.path}/all.json`;
  const args = [
    "run",
    "--no-prompt",
    `--allow-read=${temporary.path}`,
    `--allow-write=${out}`,
    "mod.ts",
    "--merge-traces",
    out,
    ...files,
  ];
  const merging = await cluster.spawn("merging", { args }).exit();
  assertEquals([merging.code, merging.stderr], [0, ""]);
  assertMatch(
    merging.stdout,
    /^Node 1: by its clock\nNode 2: its clock was [\d.]+ us (?:ahead|behind), within [\d.]+ us\nOpen /,
  );
  const merged = readTrace(out);
  const arrows = arrowsOf(merged).filter(({ from, to }) => from.pid !== to.pid);
  assert(arrows.length > 40, "messages have both their ends");
  for (const { from, to } of arrows) assert(to.ts! >= from.ts! - 1, JSON.stringify({ from, to }));
  const again = await cluster.spawn("again", { args }).exit();
  assertEquals(again.code, 2);
  assertMatch(again.stderr, /^tdsm: error: Cannot write .*: there is such a file already\. /);
});

Deno.test("trace: a program traces one phase and then another, and nothing between and after them", async () => {
  using temporary = folder();
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  const nodes = [directory!, second!];
  /** Traces what happens while the nodes fight; each phase is a file. */
  const phase = async (name: string): Promise<TraceEvent[]> => {
    const path = await second!.evaluate(async (node, path) => {
      const traces = globalThis as unknown as { trace?: AsyncDisposable };
      const trace = await node.trace(path);
      traces.trace = trace;
      return trace.path;
    }, `${temporary.path}/${name}.json`);
    assertEquals(path, `${temporary.path}/${name}.2.json`);
    await fight(nodes);
    await second!.evaluate(async () => {
      const traces = globalThis as unknown as { trace?: AsyncDisposable };
      await traces.trace![Symbol.asyncDispose]();
    });
    return readTrace(path);
  };
  const faultsIn = (events: TraceEvent[]): number =>
    events.filter(({ name }) => /^fault: .* page 0$/.test(name)).length;
  const faults = (): Promise<number> => second!.evaluate((node) => node.stats().faults);

  await fight(nodes);
  const before = await faults();
  const first = await phase("first");
  const between = await faults();
  assertEquals(faultsIn(first), between - before);
  assert(faultsIn(first) > 10);
  await fight(nodes);
  const after = await faults();
  assertEquals(faultsIn(await phase("other")), await faults() - after);
  assert(await faults() > after && after > between);
  // A file that is closed grows no more.
  await fight(nodes);
  assertEquals(readTrace(`${temporary.path}/first.2.json`), first);

  const refusals = await second!.evaluate(async (node, path) => {
    const why = (work: () => Promise<unknown>): Promise<string> =>
      work().then(() => "", (error) => `${error.name} ${error.code}: ${error.message}`);
    const trace = await node.trace(`${path}/third.json`);
    const twice = await why(() => node.trace(`${path}/fourth.json`));
    const dropped = await trace.stop();
    return [
      twice,
      dropped,
      await trace.stop(),
      await why(() => node.trace(`${path}/none/t.json`)),
      await why(() => node.trace(7 as unknown as string)),
      await why(() => node.trace(`${path}/`)),
    ];
  }, temporary.path);
  const [twice, dropped, again, nowhere, number, none] = refusals;
  assertEquals(
    twice,
    "TdsmError InvalidArgument: Cannot begin a trace: node 2 writes one to " +
      `${temporary.path}/third.2.json. Stop that first`,
  );
  assertEquals([dropped, again], [0, 0]);
  assertMatch(
    String(nowhere),
    /^TdsmError InvalidOption: Cannot write a trace: No such file .*Name another file$/,
  );
  assertEquals(
    number,
    "TypeError undefined: Cannot begin a trace in 7: give the path of a file",
  );
  assertMatch(String(none), /^TypeError undefined: Cannot begin a trace in .*: give the path/);
});

Deno.test("trace: one that a program leaves open is whole once its node is closed", async () => {
  using temporary = folder();
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--metrics=0", "--log-level=0");
  const path = await directory.evaluate(async (node, path) => {
    const trace = await node.trace(path);
    node.memory[0] = 1;
    return trace.path;
  }, `${temporary.path}/left`);
  assertEquals((await directory.leave()).code, 0);
  assert(readTrace(path).some(({ name }) => /page 0$/.test(name)));
});

/** Waits until a file has some text. */
async function untilWritten(path: string, text: RegExp): Promise<void> {
  using watcher = Deno.watchFs(path);
  if (text.test(Deno.readTextFileSync(path))) return;
  for await (const _ of watcher) if (text.test(Deno.readTextFileSync(path))) return;
}

Deno.test("trace: a node that is killed leaves a file that can be read, and merged", async () => {
  using temporary = folder();
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--log-level=0");
  const second = await cluster.join(directory, `--trace=${temporary.path}/trace`);
  await fight([directory, second]);
  const path = `${temporary.path}/trace.2`;
  await cluster.bounded("a trace that tells of page 0", untilWritten(path, /page 0/));
  second.process.kill();
  await second.process.exit();
  const text = Deno.readTextFileSync(path);
  assert(!text.endsWith("]\n"));
  assert(parseTrace(`${text}]`).length > 10);
  const args = ["run", "-A", "mod.ts", "--merge-traces", `${temporary.path}/one`, path];
  assertEquals((await cluster.spawn("merging", { args }).exit()).code, 0);
  assert(readTrace(`${temporary.path}/one`).length > 10);
});

Deno.test("trace: a missing permission and a folder that is not there are one line that says so", async () => {
  using temporary = folder();
  await using cluster = new ProcessCluster();
  const start = (trace: string, ...permissions: string[]) => {
    const args = ["run", "--no-prompt", "--allow-ffi", "--allow-net", ...permissions, "mod.ts"];
    return cluster.spawn(trace, { args: [...args, "--port=0", `--trace=${trace}`] }).exit();
  };
  const script = `import { join } from ${JSON.stringify(import.meta.resolve("../../mod.ts"))};
    await using node = await join({ directory: true, port: 0 });
    await node.trace("${temporary.path}/t.json").catch((error) => console.log(error.message));`;
  Deno.writeTextFileSync(`${temporary.path}/main.ts`, script);
  const called = cluster.spawn("a call", {
    args: ["run", "--no-prompt", "--allow-ffi", "--allow-net", `${temporary.path}/main.ts`],
  }).exit();
  const [denied, nowhere] = await Promise.all([
    start(`${temporary.path}/t.json`),
    start(`${temporary.path}/none/t.json`, "--allow-write"),
  ]);
  assertEquals([denied.code, denied.stderr], [
    2,
    `tdsm: error: Cannot write a trace into ${temporary.path}/, ` +
    "to a file with the node's id in its name: " +
    `run Deno with --allow-write=${temporary.path}/ (PermissionMissing)\n`,
  ]);
  const { stdout } = await called;
  assertEquals(
    stdout,
    `Cannot write a trace into ${temporary.path}/, to a file with the node's id in its name: ` +
      `run Deno with --allow-write=${temporary.path}/\n`,
  );
  assertEquals(nowhere.code, 2);
  assertMatch(
    nowhere.stderr,
    /^tdsm: error: Cannot write a trace: No such file .*none\/t\.1\.json'.*--trace \(InvalidOption\)\n$/,
  );
});

Deno.test("merge-traces: what is missing, of one node twice, or no trace is one line that says so", async () => {
  using temporary = folder();
  await using cluster = new ProcessCluster();
  const [one, other] = [`${temporary.path}/one`, `${temporary.path}/other`];
  Deno.writeTextFileSync(
    one,
    '[\n{"ph":"M","pid":3,"name":"process_name","args":{"name":"x"}}\n]\n',
  );
  Deno.writeTextFileSync(other, "tdsm\n");
  const merge = async (...args: string[]) => {
    const words = ["run", "-A", "mod.ts", "--merge-traces", ...args];
    const { code, stdout, stderr } = await cluster.spawn("merging", { args: words }).exit();
    assertEquals([code, stdout], [2, ""]);
    return stderr;
  };
  const out = `${temporary.path}/out`;
  const [nothing, twice, none, absent] = await Promise.all([
    merge(out),
    merge(out, one, one),
    merge(out, one, other),
    merge(out, `${temporary.path}/absent`),
  ]);
  assertMatch(nothing!, /^tdsm: error: Cannot merge nothing\. Usage: .*\n$/);
  assertMatch(twice!, /both are of node 3 \(InvalidOption\)\n$/);
  assertMatch(
    none!,
    /other: it is no trace of a node, as --trace writes them \(InvalidOption\)\n$/,
  );
  assertMatch(absent!, /^tdsm: error: Cannot read .*absent: .*\n$/);
});

/** The benchmark runs, says what it promises to say, and judges right. */

import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { atLeast, atMost, Context, type Family, Run } from "./family.ts";
import { BusyLoops } from "./busy_loops.ts";
import { cpuTimeUs } from "./machine.ts";
import { BenchCluster } from "./nodes.ts";
import { readOptions } from "./main.ts";
import { Random } from "../tests/simulator/coherence/random.ts";
import { Progress } from "./progress.ts";
import { markdown, type Report, table } from "./report.ts";
import {
  choose,
  columnsOf,
  distribution,
  failedRows,
  type RowResult,
  runFamily,
  twoStates,
} from "./runner.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function bench(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", MAIN, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("a quick run of some rows prints what it measured", async () => {
  const names = ["first-touch", "cached-sum", "start-deno", "memtest", "messages-home"];
  const args = ["--quick", "--json", "--column", "free", "--row", ...names];
  const { code, stdout, stderr } = await bench(args);
  assertEquals(code, 0, stderr);
  const { machine, quick, seconds, busyness, rows, notes } = JSON.parse(stdout) as Report;
  assert(machine.cores >= 1 && machine.deno === Deno.version.deno && seconds > 0);
  assertEquals(quick, true);
  for (const share of [busyness.own, busyness.others, busyness.stolen]) {
    assert(share >= 0 && share <= 1, `${share} is no share`);
  }
  // What is compared with comes along; a family that is named by a row of it does not come whole.
  const [touched, ...others] = names;
  const ids = [touched, "floor-first-touch", "cached-sum", "plain-sum", ...others.slice(1)];
  assertEquals(rows.map(({ id }) => id), ids);
  for (const { id, family, measured } of rows) {
    const { count, min, p50, p99, max } = measured!;
    assert(0 < min && min <= p50 && p50 <= p99 && p99 <= max, `${id}: ${JSON.stringify(measured)}`);
    // On a busy machine there may be time for one round only, which a note says.
    const isCutShort = notes.some((note) => note.startsWith(`${family}: there was time for`));
    assert(count >= (id === "memtest" || isCutShort ? 1 : 2), id);
  }
  const [touch, , sum, plain] = rows as [RowResult, RowResult, RowResult, RowResult];
  const messages = rows.at(-1)!;
  assertEquals(touch.met, touch.measured!.p50 <= touch.goal!.limit);
  const [comparison] = sum.against;
  assertEquals(comparison!.ratio, sum.measured!.p50 / plain.measured!.p50);
  assertEquals(comparison!.met, comparison!.ratio! <= comparison!.goal!.limit);
  assertEquals([messages.met, messages.measured!.p50], [true, 2]);
  for (const name of ids) {
    assert(stderr.includes(rows.find(({ id }) => id === name)!.title), stderr);
  }
});

Deno.test("where there is no taskset, threads are free, and a note says so", async () => {
  const args = ["--quick", "--json", "--row", "cached-sum"];
  const { code, stdout, stderr } = await bench(args, { PATH: "/nowhere" });
  assertEquals(code, 0, stderr);
  const { rows, notes } = JSON.parse(stdout) as Report;
  assertEquals(rows.map(({ id, column }) => [id, column]), [
    ["cached-sum", "free"],
    ["plain-sum", "free"],
  ]);
  assertMatch(notes.join(), /to tie them to cores takes taskset/);
});

Deno.test("what the command line says wrong is refused, and measures nothing", async () => {
  const { code, stdout, stderr } = await bench(["--row", "nonsense"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^bench: error: there is no row nonsense/);
  for (
    const [wrong, said] of [
      ["read-miss", "names stand behind --row"],
      ["--ablation --list", "--list and --ablation exclude each other"],
      ["--list --row misses", "--row goes with rows only"],
      ["--programs --column free", "--column goes with rows, --ablation only"],
      ["--column free,fast", '--column takes free, tied, busy, with commas; not "fast"'],
      ["--ablation --column free,tied", "--ablation has one column"],
      ["--json --markdown", "--json and --markdown exclude each other"],
      ["--nodes 2", "--nodes goes with --programs only"],
      ["--programs --nodes 1,x", "--nodes takes whole numbers from 1 to 64"],
      ["--programs --engine-us=", "--engine-us takes a number from 0 to 1000"],
    ] as const
  ) {
    assertThrows(() => readOptions(wrong.split(" ")), TypeError, said);
  }
  const names = new Set(["misses", "scan-read", "idle"]);
  const args = ["--row", "misses", "scan-read", "--json", "--row=idle", "--column=busy,free"];
  const rest = { quick: false, json: true, markdown: false, programs: {} };
  assertEquals(readOptions(args), { mode: "rows", names, columns: ["free", "busy"], ...rest });
  assertEquals(readOptions([]).columns, ["free", "tied", "busy"]);
  assertEquals(readOptions(["--ablation"]).columns, ["free"]);
  const { programs, mode } = readOptions(["--programs", "--nodes", "1,3", "--engine-us", "0.5"]);
  assertEquals([mode, programs], ["programs", { nodes: [1, 3], engineUs: 0.5 }]);
});

Deno.test("a node says why it cannot do something, and goes on", async () => {
  await using cluster = await BenchCluster.start(2);
  const node = cluster.node(2);
  const page = { first: 7, count: 1, stride: 1, value: 5 };
  await cluster.node(1).run("writePages", page);
  const wrong = node.run("readPages", { ...page, value: 6 });
  await assertRejects(() => wrong, Error, "readPages: 1 of 1 pages do not have what was written");
  const outside = node.run("writePages", { ...page, first: 1 << 20 });
  await assertRejects(() => outside, Error, "writePages: Cannot view");
  assert(await node.run("readPages", page) > 0);
  const { us, misses } = await node.run("timePages", { ...page, write: true, seed: 1 });
  assertEquals([us.length, misses], [1, 1]);
});

Deno.test("tied, each process has a core of its own, or shares the last", async () => {
  await using context = new Context(true, true);
  await using cluster = await context.cluster(3);
  const cores = cluster.nodes.map(({ ready }) => {
    const status = Deno.readTextFileSync(`/proc/${ready.pid}/status`);
    return Number(/^Cpus_allowed_list:\t(\d+)$/m.exec(status)?.[1]);
  });
  const last = navigator.hardwareConcurrency - 1;
  // Joined at the same time, so the ids of the others do not tell which was started first.
  assertEquals(cores.toSorted((a, b) => a - b), [0, Math.min(1, last), Math.min(2, last)]);
  assertEquals([cores[0], new Context(true).cores], [0, []]);
});

/** A family whose rounds are numbers that are told before. */
function family(rounds: Readonly<Record<string, number[][]>>): Family {
  return {
    name: "made-up",
    rows: [
      { id: "floor", title: "The floor", unit: "us" },
      {
        id: "slow",
        title: "Slow",
        unit: "us",
        against: [
          { row: "floor", goal: atMost(2) },
          { row: "slow", of: "p99", to: "mean" },
          { row: "absent", goal: atLeast(1) },
        ],
      },
      { id: "fast", title: "Fast", unit: "MB/s", goal: atLeast(10), constant: true },
      { id: "absent", title: "Absent", unit: "us" },
    ],
    rounds: { full: 2, quick: 1, warmUp: true },
    open: () =>
      Promise.resolve({
        take: Object.fromEntries(
          Object.entries(rounds).map(([id, taken]) => [
            id,
            () => Promise.resolve(taken.shift()!),
          ]),
        ),
        skipped: { absent: "not here" },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
}

Deno.test("rounds are added up, but the first, and judged by their medians", async () => {
  await using run = new Run(false, ["free"]);
  const made = family({
    floor: [[1000], [1, 2], [3]],
    slow: [[1000], [1], [9, 5]],
    fast: [[1000], [11], [12]],
  });
  const { wanted } = choose([made], new Set())[0]!;
  const rows = await runFamily(made, run, wanted, new Progress(3));
  const [floor, slow, fast, absent] = rows as [RowResult, RowResult, RowResult, RowResult];
  assertEquals(floor.measured, { count: 3, p50: 2, mean: 2, p99: 3, min: 1, max: 3 });
  assertEquals(slow.against, [
    { row: "floor", of: "p50", to: "p50", ratio: 2.5, goal: atMost(2), met: false },
    { row: "slow", of: "p99", to: "mean", ratio: 1.8 },
    { row: "absent", of: "p50", to: "p50", goal: atLeast(1) },
  ]);
  assertEquals([floor.met, slow.met, fast.met], [undefined, undefined, false]);
  assertEquals([absent.measured, absent.skipped], [undefined, "not here"]);
  const busyness = { own: 0.5, others: 0.4, stolen: 0, tooBusy: true };
  const machine = {
    cores: 2,
    cpu: "made up",
    memoryMiB: 1,
    kernel: "1",
    deno: "1",
    zig: "1",
    date: "now",
  };
  const report = { machine, quick: false, seconds: 1, busyness, notes: ["one"], rows };
  const text = table(report);
  assertMatch(text, /2\.50 × The floor, goal ≤ 2: NOT MET/);
  assertMatch(text, /\? × Absent, goal ≥ 1: not measured/);
  assertMatch(text, /Fast.+11\.5 +11\.5 +12 +MB\/s\n +goal ≥ 10 MB\/s, the same for all: NOT MET/);
  assertMatch(text, /1\.80 × its mean: the p99\n/);
  assertMatch(text, /0 of 2 goals met/);
  assertMatch(text, /TOO BUSY/);
  const lines = markdown(report).split("\n").filter((line) => line.startsWith("|"));
  const cells = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  assertEquals(new Set(lines.map(({ length }) => length)).size, 1);
  assertEquals(cells[0], ["row: p50 / mean / p99", "free threads", "goal", "met"]);
  assertEquals(cells.slice(2), [
    ["The floor, us", "2 / 2 / 3", "", ""],
    ["Slow, us", "5 / 5 / 9", "", ""],
    ["× The floor", "2.50", "≤ 2", "NOT MET"],
    ["× its mean: the p99", "1.80", "", ""],
    ["× Absent", "?", "≥ 1", "not measured"],
    ["Fast, MB/s", "11.5 / 11.5 / 12", "≥ 10 MB/s, the same for all", "NOT MET"],
    ["Absent, us", "-", "", ""],
  ]);
});

Deno.test("each column is measured in each round, and goals hold where no loop is busy", async () => {
  await using run = new Run(true, ["free", "busy"]);
  const made: Family = {
    ...family({ floor: [[9], [1], [2]], slow: [[9], [4], [2]] }),
    columns: ["busy", "free"],
  };
  const wanted = new Set(["floor", "slow"]);
  // The first round does not count, and is none of those beside busy loops.
  const rows = await runFamily(made, run, wanted, new Progress(2));
  assertEquals(rows.map(({ id, column, measured }) => [id, column, measured!.p50]), [
    ["floor", "busy", 1],
    ["floor", "free", 2],
    ["slow", "busy", 4],
    ["slow", "free", 2],
  ]);
  assertEquals(rows.slice(2).map(({ against: [first] }) => [first!.ratio, first!.met]), [
    [4, undefined],
    [1, true],
  ]);
  assertEquals(columnsOf(made, ["tied", "free"]), ["free"]);
  assertEquals(columnsOf(made, ["tied"]), ["busy"]);
  assertEquals(columnsOf(family({}), ["busy", "tied"]), ["tied"]);
});

Deno.test("a family that takes too long ends after a round, and a note says so", async () => {
  await using run = new Run(false, ["free"]);
  const made = { ...family({ floor: [[9], [1], [2]] }), maxMs: 0 };
  const [floor] = await runFamily(made, run, new Set(["floor"]), new Progress(3));
  assertEquals(floor!.measured!.max, 1);
  assertEquals([...run.notes], ["made-up: there was time for 2 of 3 rounds only"]);
});

Deno.test("busy loops spin on each core until they are to rest", async () => {
  await using loops = await BusyLoops.start(2);
  for (let time = 0; time < 2; time++) {
    await loops.spin();
    const before = loops.pids.map(cpuTimeUs);
    const spun = () => loops.pids.every((pid, loop) => cpuTimeUs(pid) > before[loop]! + 20_000);
    while (!spun()) await new Promise((resolve) => setTimeout(resolve, 1));
    await loops.rest();
    // A thread that spins is ready to run whenever one looks.
    const runs = (pid: number): boolean =>
      [...Deno.readDirSync(`/proc/${pid}/task`)].some(({ name }) =>
        / R /.test(readOfThread(pid, name, "stat"))
      );
    while (loops.pids.some(runs)) await new Promise((resolve) => setTimeout(resolve, 1));
  }
});

/** Reads a file of a thread; empty if the thread has ended meanwhile. */
function readOfThread(pid: number | "self", thread: string, file: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/task/${thread}/${file}`);
  } catch {
    return "";
  }
}

Deno.test("the time of a process has that of threads which have ended", async () => {
  const before = cpuTimeUs(Deno.pid);
  const spin = `
    const end = performance.now() + 50;
    while (performance.now() < end);
    postMessage(Deno.readLinkSync("/proc/thread-self"));
  `;
  const url = `data:text/javascript,${encodeURIComponent(spin)}`;
  const worker = new Worker(url, { type: "module" });
  const path = await new Promise<string>((resolve) => worker.onmessage = (e) => resolve(e.data));
  const during = cpuTimeUs(Deno.pid);
  worker.terminate();
  const thread = path.split("/").at(-1)!;
  while (readOfThread("self", thread, "stat") !== "") {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert(during > before);
  assert(cpuTimeUs(Deno.pid) >= during);
});

Deno.test("two states of a floor are told apart, and the noise of one is not", () => {
  const random = new Random(7);
  // Times have a long tail: the logarithm of each is a sum of many small things.
  const noise = (middle: number) =>
    middle * Math.exp(
      0.3 * Array.from({ length: 12 }, () => random.below(1000) / 1000 - 0.5)
        .reduce((sum, part) => sum + part, 0),
    );
  const times = (count: number, middle: number) =>
    Array.from({ length: count }, () => noise(middle));
  assertEquals(twoStates(times(1000, 12)), undefined);
  assertEquals(twoStates([...times(500, 12), ...times(500, 13)]), undefined);
  const [fast, slow] = twoStates([...times(300, 12), ...times(700, 90)])!;
  assert(Math.abs(fast.p50 - 12) < 2 && Math.abs(slow.p50 - 90) < 10, `${fast.p50}, ${slow.p50}`);
  assert(Math.abs(slow.share - 0.7) < 0.02, `${slow.share}`);
  assertEquals(twoStates([5]), undefined);
  assertEquals(twoStates([5, 5, 5]), undefined);
});

Deno.test("a family that cannot be measured says so in each of its rows", async () => {
  await using run = new Run(false, ["free"]);
  const made = family({ floor: [[1], [1], [1]] });
  const wanted = new Set(["floor", "slow"]);
  const error = await assertRejects(() => runFamily(made, run, wanted, new Progress(3)));
  const rows = failedRows(made, wanted, error);
  assertEquals(rows.map(({ id, failed }) => [id, failed]), [
    ["floor", "Nothing measures slow"],
    ["slow", "Nothing measures slow"],
  ]);
});

Deno.test("a row brings what it is compared with, and no more", () => {
  const made = [family({}), { ...family({}), name: "again" }];
  const chosen = (...names: string[]) =>
    choose(made, new Set(names)).map(({ family, wanted }) => [family.name, ...wanted]);
  assertEquals(chosen("slow"), [["made-up", "slow", "floor", "absent"]]);
  assertEquals(chosen("again").map(([name]) => name), ["again"]);
  assertThrows(() => chosen("slow", "quick"), TypeError, "no row quick");
});

Deno.test("the median lies in the middle, and the 99th percentile is a measurement", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assertEquals(distribution(hundred), {
    count: 100,
    p50: 50.5,
    mean: 50.5,
    p99: 99,
    min: 1,
    max: 100,
  });
  assertEquals(distribution([7]), { count: 1, p50: 7, mean: 7, p99: 7, min: 7, max: 7 });
  assertThrows(() => distribution([]), RangeError);
});

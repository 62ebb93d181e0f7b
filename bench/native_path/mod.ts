/**
 * What would an engine gain whose page bytes travel on sockets of its own? A prototype: nothing of
 * the runtime uses it, and its numbers decide whether anything should.
 *
 *   ./tdsm bench --native-path [--quick]
 *
 * Two processes over loopback TCP, each a program with its engine in a Worker, fetch pages of 4 KiB
 * without coherence, with the same page operations in the same library:
 *
 * - over Deno's sockets: event loop kept awake by `setImmediate`, and told by
 *   DENO_TOKIO_EVENT_INTERVAL=1 to look at sockets each turn; or asleep, as Deno sleeps; or the
 *   Worker sits in one `poll` of faults and of the descriptor beneath Deno's socket, and gives the
 *   event loop a turn when that ends;
 * - over own sockets, which Deno connects and the engine then takes: calls through FFI that do not
 *   block, in a turn of the event loop, many times in a turn, or in a loop without it; asleep, the
 *   Worker itself sits in one `poll` of faults and socket.
 *
 * All take turns with the native floor (`bench/floor`) in one run. Read the ratios.
 */

import { Floor } from "../floor/floor.ts";
import { PAGE_BYTES, Waiting } from "./native.ts";
import { Pair } from "./pair.ts";

/** How much is measured. */
interface Effort {
  readonly rounds: number;
  readonly misses: number;
  readonly silences: number;
  readonly scanPages: number;
}
const FULL: Effort = { rounds: 9, misses: 1000, silences: 2, scanPages: 32768 };
const QUICK: Effort = { rounds: 3, misses: 500, silences: 1, scanPages: 8192 };
const STRIDE_PAGES = 3;
const RUN_PAGES = 128;
const SILENCE_MS = 1000;

/** One line of a table: what it is, and how a round of it is measured. */
interface Row {
  readonly name: string;
  /** Microseconds: of each access, or of each page of a scan. */
  readonly measure: () => Promise<readonly number[]>;
}

/**
 * Rows that are compared with each other: first the blocking floor, then the spinning one if any.
 */
interface Table {
  readonly title: string;
  readonly floors: number;
  readonly rounds: number;
  readonly rows: readonly Row[];
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)]!;
}

/** Lets the rows take turns; resolves with the lines of the table. */
async function run({ title, floors, rounds, rows }: Table): Promise<string[]> {
  const samples = rows.map((): number[] => []);
  // What a process does first is slow in ways of its own.
  for (const { measure } of rows) await measure();
  for (let round = 0; round < rounds; round++) {
    for (const [at, { measure }] of rows.entries()) samples[at]!.push(...await measure());
  }
  const sorted = samples.map((some) => some.sort((a, b) => a - b));
  const medians = sorted.map((some) => quantile(some, 0.5));
  const heads = ["p50 us", "p99 us", "MB/s", ...["x blocking", "x spinning"].slice(0, floors)];
  const lines = ["", `${title.padEnd(46)}${heads.map((head) => head.padStart(11)).join("")}`];
  for (const [at, { name }] of rows.entries()) {
    const median = medians[at]!;
    const ratios = medians.slice(0, floors).map((floor) => (median / floor).toFixed(2));
    const figures = [
      median.toFixed(2),
      quantile(sorted[at]!, 0.99).toFixed(2),
      (PAGE_BYTES / median).toFixed(0),
      ...ratios,
    ];
    lines.push(`  ${name.padEnd(44)}${figures.map((figure) => figure.padStart(11)).join("")}`);
  }
  return lines;
}

/** The rows of what is measured busy: both floors, and every way to be awake. */
function busyRows(
  floor: (how: "blocking" | "spinning") => Promise<readonly number[]>,
  pairs: { readonly deno: Pair; readonly own: Pair },
  measure: (pair: Pair, waiting: Waiting) => Promise<readonly number[]>,
): Row[] {
  return [
    { name: "floor, blocking", measure: () => floor("blocking") },
    { name: "floor, spinning", measure: () => floor("spinning") },
    { name: "Deno sockets, setImmediate", measure: () => measure(pairs.deno, Waiting.Turns) },
    { name: "own sockets, setImmediate", measure: () => measure(pairs.own, Waiting.Turns) },
    { name: "own sockets, 32 looks a turn", measure: () => measure(pairs.own, Waiting.Looks) },
    { name: "own sockets, loop", measure: () => measure(pairs.own, Waiting.Loop) },
    { name: "Deno sockets, asleep", measure: () => measure(pairs.deno, Waiting.Asleep) },
    {
      name: "Deno sockets, asleep in one poll",
      measure: () => measure(pairs.deno, Waiting.Poll),
    },
    { name: "own sockets, asleep in one poll", measure: () => measure(pairs.own, Waiting.Asleep) },
  ];
}

/** Misses, scans and misses after silence, each as a table. */
function tables(floor: Floor, pairs: { readonly deno: Pair; readonly own: Pair }, effort: Effort) {
  const { rounds, misses, silences, scanPages } = effort;
  const miss = { count: misses, stride: STRIDE_PAGES };
  const scan = { run: RUN_PAGES, count: scanPages };
  const silence = { count: silences, stride: STRIDE_PAGES, silenceMs: SILENCE_MS };
  const after = async (pair: Pair, waiting: Waiting): Promise<readonly number[]> =>
    (await pair.round(waiting, silence)).samplesUs;
  return {
    silence: {
      title: "first miss after a second of silence",
      floors: 1,
      rounds,
      rows: [
        { name: "floor, blocking", measure: () => floor.missAfterSilence(silences, SILENCE_MS) },
        { name: "Deno sockets, asleep", measure: () => after(pairs.deno, Waiting.Asleep) },
        {
          name: "Deno sockets, asleep in one poll",
          measure: () => after(pairs.deno, Waiting.Poll),
        },
        {
          name: "own sockets, asleep in one poll",
          measure: () => after(pairs.own, Waiting.Asleep),
        },
      ],
    },
    miss: {
      title: "remote miss of 4 KiB, one after the other",
      floors: 2,
      rounds,
      rows: busyRows(
        (how) => floor.miss(how, misses),
        pairs,
        async (pair, waiting) => (await pair.round(waiting, miss)).samplesUs,
      ),
    },
    scan: {
      title: `scan, ${RUN_PAGES} pages a request; figures are per page`,
      floors: 2,
      rounds,
      rows: busyRows(
        async (how) => [(await floor.scan(how, RUN_PAGES, scanPages)).us / scanPages],
        pairs,
        async (pair, waiting) => [(await pair.round(waiting, scan)).us / scanPages],
      ),
    },
  } satisfies Record<string, Table>;
}

/**
 * Measures all tables.
 *
 * @param quick Whether to measure less.
 * @param progress Is told what is being measured.
 * @returns Lines for people.
 */
export async function nativePath(
  quick: boolean,
  progress: (line: string) => void,
): Promise<string> {
  await using floor = await Floor.start();
  await using denoPair = await Pair.start("deno");
  await using ownPair = await Pair.start("own");
  const lines: string[] = [];
  const pairs = { deno: denoPair, own: ownPair };
  for (const table of Object.values(tables(floor, pairs, quick ? QUICK : FULL))) {
    progress(table.title);
    lines.push(...await run(table));
  }
  return lines.join("\n");
}

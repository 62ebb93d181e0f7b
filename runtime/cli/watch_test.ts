import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { plain } from "./paint.ts";
import type { ClusterStatus, NodeStatus } from "./status.ts";
import { formatWatch, type Look, watch } from "./watch.ts";

function node(id: number, pages: number, moves: number[] = []): NodeStatus {
  const stats = {
    faults: 2 * pages,
    pagesReceived: pages,
    pagesSent: pages,
    pagesInvalidated: 0,
    bytesReceived: 4096 * pages,
    bytesSent: 4096 * pages,
    messagesSent: pages,
    memoryBytes: 2 ** 20,
    memoryLimitBytes: 2 ** 26,
  };
  return { id, address: "::1", port: 1, stats, moves };
}

function look(atMs: number, nodes: readonly NodeStatus[]): Look {
  const allocations = [{ name: "still", first: 0, count: 1 }, { name: "grid", first: 1, count: 9 }];
  const base = { size: 2 ** 26, pageSize: 4096, compression: false, allocations };
  return { status: { ...base, nodes }, atMs };
}

const WIDE = { size: () => undefined, paint: plain };

Deno.test("formatWatch: rates of two looks, the node and the allocation that move most first", () => {
  const before = look(1000, [node(1, 10), node(2, 10, [5, 0]), node(3, 0)]);
  const silent = { ...node(3, 0), stats: null, moves: null };
  const after = look(3000, [node(1, 11, [0, 1]), node(2, 2010, [5, 1000]), silent]);
  assertEquals(
    formatWatch(before, after, WIDE),
    `3 nodes, region of 64MiB: 1001 pages/s, 3.9MiB/s

NODE  FAULTS  PAGES IN   OUT  TAKEN  BYTES IN     OUT  MESSAGES  MEMORY
   2    2000      1000  1000      0    3.9MiB  3.9MiB      1000    1MiB
   1     1.0       0.5   0.5      0      2KiB    2KiB       0.5    1MiB
   3       -         -     -      -         -       -         -       -

ALLOCATION  PAGES  MOVES  TO NODE
grid            9    501  2: 500, 1: 0.5
`,
  );
});

Deno.test("formatWatch: at the first look no rate is known", () => {
  const text = formatWatch(undefined, look(0, [node(1, 10)]), WIDE);
  assertEquals(text.split("\n")[0], "1 node, region of 64MiB: measuring");
  assertEquals(text.split("\n")[3]!.trim().split(/ +/), ["1", ..."-------", "1MiB"]);
});

Deno.test("formatWatch: what a node that did not answer has moved before is not counted as new", () => {
  const silent = { ...node(1, 0), stats: null, moves: null };
  const text = formatWatch(look(0, [silent]), look(1000, [node(1, 5, [0, 900])]), WIDE);
  assertEquals(text.includes("grid"), false, text);
});

Deno.test("formatWatch: what does not fit on a terminal is counted", () => {
  const nodes = Array.from({ length: 64 }, (_, index) => node(index + 1, 0));
  const later = nodes.map(({ id }) => node(id, id, [0, id]));
  const size = () => ({ columns: 80, rows: 20 });
  const lines = formatWatch(look(0, nodes), look(1000, later), { size, paint: plain })
    .trimEnd().split("\n");
  assertEquals(lines.length <= 19, true, lines.join("\n"));
  assertEquals(lines.find((line) => line.startsWith("…")), "… and 52 more nodes");
  assertEquals(lines[3]!.trim().split(" ")[0], "64");
  assertEquals(lines.at(-1)!.startsWith("grid"), true);
});

Deno.test("formatWatch: no line is longer than the terminal is wide", () => {
  const size = () => ({ columns: 40, rows: 20 });
  const [before, after] = [look(0, [node(1, 0, [0, 0])]), look(1000, [node(1, 5, [0, 9])])];
  const lines = formatWatch(before, after, { size, paint: plain }).split("\n");
  assertEquals(Math.max(...lines.map(({ length }) => length)), 39);
  assertEquals(lines.length, formatWatch(before, after, WIDE).split("\n").length);
});

Deno.test("formatWatch: marks what moves, what is full, what does not answer and what is fought over", () => {
  const full = node(4, 0);
  const stats = { ...full.stats!, memoryBytes: 2 ** 26 };
  const before = look(0, [node(1, 0), node(2, 0), node(3, 0), full]);
  const after = look(1000, [
    node(1, 50, [0, 20]),
    node(2, 20, [1, 10]),
    { ...node(3, 0), stats: null, moves: null },
    { ...full, stats },
  ]);
  const marks = formatWatch(before, after, { ...WIDE, paint: (text, style) => `${style}|${text}` })
    .split("\n").map((line) => [/^\w+(?=\|)/.exec(line)?.[0], line.replace(/^\w+\|/, "").trim()]);
  const markOf = (begin: string) => marks.slice(1).find(([, line]) => line!.startsWith(begin))![0];
  assertEquals(["1 ", "2 ", "3 ", "4 ", "grid", "still"].map(markOf), [
    "yellow",
    undefined,
    "red",
    "red",
    "yellow",
    undefined,
  ]);
});

Deno.test("watch: looks until a look fails, and shows each, on a terminal over the last", async () => {
  const status: ClusterStatus = look(0, [node(1, 1)]).status;
  for (const [isTerminal, json] of [[true, false], [false, true]] as const) {
    const written: string[] = [];
    let looks = 0;
    const gone = new TdsmError("NoDirectory", "it is gone");
    const screen = {
      size: () => isTerminal ? { columns: 80, rows: 24 } : undefined,
      paint: plain,
      write: (text: string) => Promise.resolve(void written.push(text)),
    };
    const watching = watch(
      () => looks++ < 1 ? Promise.resolve(status) : Promise.reject(gone),
      screen,
      json,
      0,
    );
    await assertRejects(() => watching, TdsmError, "it is gone");
    assertEquals(written.length, 1);
    if (json) assertEquals(JSON.parse(written[0]!).nodes.length, 1);
    else {assertEquals([written[0]!.startsWith("\x1b[H\x1b[J"), written[0]!.endsWith("\x1b[J")], [
        true,
        true,
      ]);}
  }
});

Deno.test("watch: ends where nobody reads on", async () => {
  const { status } = look(0, [node(1, 1)]);
  const write = () => Promise.reject(new Deno.errors.BrokenPipe());
  await watch(() => Promise.resolve(status), { ...WIDE, write }, false);
});

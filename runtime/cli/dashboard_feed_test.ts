import { assert, assertEquals } from "@std/assert";
import { LOOK_RUNS_MAX, SNAPSHOT_NODE_MS, SNAPSHOTS_WAITING_MAX } from "../limits.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import { encodeCells } from "../wire/status_control.ts";
import { Feed, type LookPart, readRun } from "./dashboard_feed.ts";
import type { Seen } from "./look.ts";

Deno.test("readRun: takes pages of the largest region, and nothing else", () => {
  const read = (query: string) => readRun(new URLSearchParams(query), 1000);
  assertEquals(read(""), undefined);
  assertEquals(read("first=0&count=1000"), { first: 0, count: 1000 });
  for (
    const wrong of [
      "first=1",
      "count=1",
      "first=0&count=0",
      "first=1&count=1000",
      "first=-1&count=1",
      "first=1.5&count=1",
      "first=&count=1",
      "first=1e2&count=1",
      "first=99999999999&count=1",
    ]
  ) assertEquals(read(wrong), "wrong", wrong);
});

Deno.test("Feed: so many requests wait at one time, and none looks at a cluster once the feed has ended", async () => {
  const feed = new Feed({ directory: () => undefined });
  const starts = { kind: "none", reason: "The directory node starts" } as const;
  const snapshots = Array.from({ length: SNAPSHOTS_WAITING_MAX }, () => feed.snapshot());
  assertEquals(feed.snapshot(), undefined);
  for (const snapshot of await Promise.all(snapshots)) assertEquals(snapshot, starts);
  const ended = new Feed({
    directory() {
      throw new Error("it looks");
    },
  });
  ended[Symbol.dispose]();
  assertEquals(await ended.snapshot(), { kind: "none", reason: "The dashboard ends" });
});

/** A cluster of so many nodes, whose cells say which run they are of. */
class FakeLook implements LookPart {
  readonly connections = 1;
  /** The runs of each look, and when it was. */
  readonly looks: { readonly runs: readonly PageRun[]; readonly atMs: number }[] = [];
  readonly #nodes: number;

  constructor(nodes: number) {
    this.#nodes = nodes;
  }

  look(runs: readonly PageRun[] = []): Promise<Seen> {
    this.looks.push({ runs, atMs: performance.now() });
    const cells = runs.map(({ first }) => encodeCells([{ moves: first, shared: 0, exclusive: 1 }]));
    const nodes = Array.from({ length: this.#nodes }, (_, index) => ({
      id: index + 1,
      address: "127.0.0.1",
      port: 1,
      counters: {},
      cells,
    }));
    return Promise.resolve({
      cluster: {
        kind: "clusterStatus",
        size: 4096,
        pageSize: 4096,
        compression: false,
        nodes: this.#nodes,
      },
      nodes,
      places: [],
      events: [],
    });
  }

  [Symbol.dispose](): void {}
}

function feedOf(look: FakeLook): Feed {
  return new Feed({ directory: () => ({ hostname: "127.0.0.1", port: 1 }), open: () => look });
}

Deno.test("Feed: browsers that look at different pages share looks, each of which shows a bounded number", async () => {
  const look = new FakeLook(1);
  using feed = feedOf(look);
  const ask = async (first: number): Promise<number> => {
    const snapshot = await feed.snapshot({ first, count: 1 });
    if (snapshot?.kind !== "cluster") throw new Error("no cluster");
    assertEquals(snapshot.run, { first, count: 1 });
    const bytes = Uint8Array.fromBase64(snapshot.nodes[0]!.cells!);
    assertEquals(new DataView(bytes.buffer).getUint32(0, true), first);
    return snapshot.atMs;
  };
  // The same pages twice are one run.
  const wanted = [...Array(LOOK_RUNS_MAX + 3).keys(), 0];
  const times = await Promise.all(wanted.map(ask));
  assertEquals(look.looks.map(({ runs }) => runs.length), [LOOK_RUNS_MAX, LOOK_RUNS_MAX]);
  assertEquals(new Set(times).size, 2);
  // Those who had to wait are the first of the next look, and what it has seen is there for others.
  const lasts = look.looks[1]!.runs.slice(0, 3).map(({ first }) => first);
  assertEquals(lasts, [LOOK_RUNS_MAX, LOOK_RUNS_MAX + 1, LOOK_RUNS_MAX + 2]);
  assertEquals(await ask(LOOK_RUNS_MAX), times[LOOK_RUNS_MAX]);
  assertEquals(look.looks.length, 2);
});

Deno.test("Feed: the more nodes there are, the longer it waits before it looks again", async () => {
  const nodes = 32;
  const look = new FakeLook(nodes);
  using feed = feedOf(look);
  for (const first of [0, 1]) await feed.snapshot({ first, count: 1 });
  const [before, after] = look.looks;
  assert(after!.atMs - before!.atMs >= nodes * SNAPSHOT_NODE_MS - 1);
});

/**
 * What each optimisation gains: rows that are measured with all of them on, and with one switched
 * off alone. Every variant has a cluster of its own, and all of them take turns.
 */

import type { BenchCluster, NodeSettings } from "../nodes.ts";
import type { Family, OpenFamily, Row } from "../family.ts";
import { alternateRounds, batonRounds, falseSharingRounds } from "./contention.ts";
import { missRounds } from "./misses.ts";
import { scanRounds } from "./scans.ts";
import { handOffRounds } from "./sync.ts";

/** The runtime with something switched off. */
export interface Variant {
  readonly name: string;
  readonly settings: NodeSettings;
}

/** The pages of a scan: 16 MiB, or 4 MiB of a quick run. */
const SCAN_PAGES = { full: 4_096, quick: 1_024 };
/** How long a round goes on in which nodes are after one page, in milliseconds. */
const CONTENTION_MS = 100;
/** The first area of misses, and the first page that two nodes are after: all behind the scans. */
const FIRST_AREA = 16;
const CONTENDED_PAGE = 16_000;

/** What can be switched off, one by one. */
export const VARIANTS: readonly Variant[] = [
  { name: "runs", settings: { runPages: 1 } },
  { name: "read-ahead", settings: { readAhead: false } },
  { name: "migration", settings: { migration: false } },
  { name: "polling", settings: { pollTimeUs: 0 } },
  { name: "hold", settings: { holdTimeUs: 0 } },
  { name: "checksums", settings: { checksums: false } },
];

/** What stands in the ids of rows behind that of the row with everything on. */
export const WITHOUT = "/without-";

/** The rows with everything on. */
const ROWS: readonly Row[] = [
  { id: "read-miss", title: "read miss, clean at the home", unit: "us" },
  { id: "read-miss-three-hops", title: "read miss, dirty at a third node", unit: "us" },
  { id: "write-miss", title: "write miss, exclusive at the home", unit: "us" },
  { id: "scan-read", title: "sequential read", unit: "MB/s" },
  { id: "scan-write", title: "sequential write", unit: "MB/s" },
  { id: "alternate", title: "two nodes alternate on one word, a turn", unit: "us" },
  { id: "baton", title: "a cell read and written in turns, a turn", unit: "us" },
  { id: "false-sharing", title: "false sharing: additions of both", unit: "1/ms" },
  { id: "hand-off", title: "semaphore hand-off", unit: "us" },
];

/**
 * The id of a row without an optimisation.
 *
 * @param row The row with all of them.
 * @param variant What is off.
 * @returns The id.
 */
export function withoutId(row: string, variant: string): string {
  return `${row}${WITHOUT}${variant}`;
}

function rounds(
  context: Parameters<Family["open"]>[0],
  cluster: BenchCluster,
): OpenFamily["take"] {
  const [home, third, requester] = [cluster.node(1), cluster.node(2), cluster.node(3)];
  const count = context.quick ? SCAN_PAGES.quick : SCAN_PAGES.full;
  const miss = (name: string, area: number, write: boolean, owner = home, readers = [third]) =>
    missRounds(context, { name, area: FIRST_AREA + area, requester, write, owner, readers });
  return {
    "read-miss": miss("read-miss", 0, false),
    "read-miss-three-hops": miss("read-miss-three-hops", 1, false, third, []),
    "write-miss": miss("write-miss", 2, true, home, []),
    "scan-read": scanRounds(requester, home, { count, write: false }),
    "scan-write": scanRounds(requester, home, { count, write: true }),
    "alternate": alternateRounds(cluster, CONTENDED_PAGE, CONTENTION_MS),
    "baton": batonRounds(cluster, CONTENDED_PAGE + 1),
    "false-sharing": falseSharingRounds(cluster, CONTENDED_PAGE + 2).additions,
    "hand-off": handOffRounds(cluster, false),
  };
}

/** Everything on, and each thing off. */
export const ablation: Family = {
  name: "ablation",
  rows: ROWS.flatMap((row) => [
    row,
    ...VARIANTS.map(({ name }) => ({
      id: withoutId(row.id, name),
      title: `${row.title}, without ${name}`,
      unit: row.unit,
      against: [{ row: row.id }],
    })),
  ]),
  rounds: { full: 8, quick: 2, warmUp: true },
  maxMs: 300_000,
  async open(context, stack) {
    const start = async (settings: NodeSettings) =>
      rounds(context, stack.use(await context.cluster(3, settings)));
    const take: Record<string, () => Promise<readonly number[]>> = { ...await start({}) };
    for (const { name, settings } of VARIANTS) {
      for (const [id, round] of Object.entries(await start(settings))) {
        take[withoutId(id, name)] = round;
      }
    }
    return { take };
  },
};

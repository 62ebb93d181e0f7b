/** What it costs that the bytes between nodes are sealed, beside nodes that only show a key. */

import { KEY_BYTES, PAGE_SIZE_DEFAULT_BYTES as PAGE_BYTES } from "../../runtime/limits.ts";
import { atLeast, atMost, type Family } from "../family.ts";
import { missRounds } from "./misses.ts";
import { scanRounds } from "./scans.ts";

/** The pages of a scan: 64 MiB, or 16 MiB of a quick run; and the area of misses behind them. */
const SCAN_PAGES = { full: 16_384, quick: 4_096 };
const MISS_AREA = 32;
const REGION_PAGES = 32_768;

/** Nodes with a key. */
export const sealed: Family = {
  name: "sealed",
  rows: [
    {
      id: "sealed-read-miss",
      title: "read miss, at the home, sealed",
      unit: "us",
      against: [{ row: "plain-read-miss", goal: atMost(1.1) }],
    },
    { id: "plain-read-miss", title: "read miss, at the home, with --plain", unit: "us" },
    {
      id: "sealed-scan",
      title: "sequential read, pages at the home, sealed",
      unit: "MB/s",
      against: [{ row: "plain-scan", goal: atLeast(0.8) }],
    },
    {
      id: "plain-scan",
      title: "sequential read, pages at the home, with --plain",
      unit: "MB/s",
    },
  ],
  rounds: { full: 8, quick: 2, warmUp: true },
  async open(context, stack) {
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toBase64();
    const count = context.quick ? SCAN_PAGES.quick : SCAN_PAGES.full;
    const size = String(REGION_PAGES * PAGE_BYTES);
    const rounds = async (name: "sealed" | "plain") => {
      const settings = { size, key, plain: name === "plain" };
      const cluster = stack.use(await context.cluster(2, settings));
      const [owner, requester] = [cluster.node(1), cluster.node(2)];
      const id = `${name}-read-miss`;
      const miss = { name: id, area: MISS_AREA, requester, write: false, owner };
      return {
        [id]: missRounds(context, miss),
        [`${name}-scan`]: scanRounds(requester, owner, { count, write: false }),
      };
    };
    return { take: { ...await rounds("sealed"), ...await rounds("plain") } };
  },
};

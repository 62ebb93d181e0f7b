/**
 * What packing and unpacking cost and gain, by what is in the pages:
 * `deno run runtime/cluster/compression_bench.ts [--page-size 4096] [--count 1]`.
 */

import { parseArgs } from "../std/parse_args.js";
import { joinPages, makePage, PAGE_KINDS } from "../../tests/fuzz/compression_pages.ts";
import { unpackPages } from "./compression.ts";
import { packPages } from "./page_packer.ts";

const ROUNDS = 9;
const ROUND_BYTES = 4 * 1024 * 1024;

const flags = parseArgs(Deno.args, { string: ["page-size", "count"] });
const pageSize = Number(flags["page-size"] ?? 4096);
const count = Number(flags.count ?? 1);
if (!Number.isInteger(Math.log2(pageSize)) || pageSize < 4096 || !Number.isInteger(count)) {
  throw new RangeError("--page-size must be a power of two of at least 4096, --count a number");
}

/** The best of some rounds, in microseconds for each page. */
function measure(action: () => void): number {
  const times = Math.max(1, Math.floor(ROUND_BYTES / pageSize / count));
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    for (let time = 0; time < times; time++) action();
    best = Math.min(best, (performance.now() - begin) * 1000 / times / count);
  }
  return best;
}

console.log(`${count} pages of ${pageSize} bytes; microseconds for each page`);
console.log(`${"".padEnd(26)}  stored    pack  unpack`);
for (const kind of PAGE_KINDS) {
  const pages = joinPages(
    Array.from({ length: count }, (_, page) => makePage(kind, pageSize, page + 1)),
  );
  const target = new Uint8Array(pages.length);
  const size = packPages(pages, pageSize, target);
  const packUs = measure(() => packPages(pages, pageSize, target));
  const payload = target.slice(0, size ?? 0);
  const unpacked = new Uint8Array(pages.length);
  const unpackUs = size === undefined
    ? "as is"
    : measure(() => unpackPages(payload, pageSize, count, unpacked)).toFixed(2);
  const stored = ((size ?? pages.length) * 100 / pages.length).toFixed(1);
  console.log(
    `${kind.padEnd(26)}${stored.padStart(7)}%${packUs.toFixed(2).padStart(8)}${
      unpackUs.padStart(8)
    }`,
  );
}

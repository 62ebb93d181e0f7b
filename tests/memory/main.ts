/**
 * Nodes at the limit of their memory, with more data and for longer than in the tests. Three nodes
 * in cgroups of 300 MiB keep 200 MiB of pages each, and then for minutes the 172 MiB that are their
 * default. Ends with exit code 1 where a value is wrong, a process is killed, or the memory of a
 * node grows.
 */

import { ToolFlags } from "../support/tool_flags.ts";
import type { Sizes } from "./bounded_nodes.ts";
import { soakAtLimit } from "./soak_at_limit.ts";
import {
  leaveWithMore,
  onlyRead,
  type Outcome,
  writeAndReadAll,
  writeTooMuch,
} from "./scenarios.ts";

const BOUND = { groupMiB: 300, limit: "200MiB" };
const MIB = 2 ** 20;

const MINUTES_DEFAULT = 10;
const HELP = `Has nodes in cgroups use more memory than each may.

Usage: ./tdsm memory [--minutes N]

  --minutes N  how long the last part takes; ${MINUTES_DEFAULT} unless said`;

const minutes = new ToolFlags(HELP, { values: ["minutes"] }).minutes(MINUTES_DEFAULT);

async function show(
  name: string,
  scenario: (sizes: Sizes) => Promise<Outcome>,
  dataMiB: number,
): Promise<void> {
  const begun = performance.now();
  const { killed, peaksMiB, stats } = await scenario({ ...BOUND, dataMiB });
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const held = stats.map(({ memoryBytes }) => Math.round(memoryBytes / MIB)).join(", ");
  const moved = stats.map(({ pagesDropped, pagesOffloaded }) =>
    `${pagesDropped}+${pagesOffloaded}`
  );
  console.log(
    `${name}, ${dataMiB} MiB: right, ${killed} killed, ${seconds} s; cgroups at most ` +
      `${peaksMiB.join(", ")} MiB, pages ${held} MiB, dropped+offloaded ${moved.join(", ")}`,
  );
  if (killed > 0) Deno.exitCode = 1;
}

await show("three write and read all", writeAndReadAll, 480);
await show("one only reads", onlyRead, 480);
await show("one leaves, its home is smaller", leaveWithMore, 512);
const { killed, exits, peaksMiB } = await writeTooMuch({ ...BOUND, dataMiB: 720 });
console.log(`three write 720 MiB: ${killed} killed; cgroups at most ${peaksMiB.join(", ")} MiB`);
for (const { code, stderr } of exits) console.log(`  exit code ${code}: ${stderr.trim()}`);
if (killed > 0 || !exits.some(({ stderr }) => stderr.includes("MemoryExhausted"))) {
  Deno.exitCode = 1;
}
// Over minutes the process itself needs more of the 300 MiB than is left here: the limit that a
// node takes by itself leaves enough.
const { groupMiB } = BOUND;
const grown = await soakAtLimit({ groupMiB, dataMiB: 400 }, minutes, (line) => console.log(line));
if (grown) Deno.exitCode = 1;

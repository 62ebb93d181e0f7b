/**
 * Prints what real programs move, and the speed-up that the simulator predicts. Run:
 * `./tdsm deno run -A bench/programs/main.ts`, after `./tdsm build`.
 */

import { parseArgs } from "../../runtime/std/parse_args.js";
import { describe, programs } from "./mod.ts";
import { ENGINE_US } from "./network.ts";

const HELP = `Runs three programs on nodes of this machine, and simulates them on others.

Usage: main.ts [OPTIONS]

Options:
  --nodes N,...  On how many real nodes (default 1,2,4,8)
  --quick        Smaller sizes
  --engine-us N  What an engine works for an input, or a message that it sends, in
                 microseconds (default ${ENGINE_US}): assumed, for predictions
  --json         Print JSON
  --help         Show this
`;
const NODES_MAX = 64;
const ENGINE_MAX_US = 1000;

const flags = parseArgs(Deno.args, { string: ["nodes", "engine-us"] });
if (flags["help"]) {
  console.log(HELP);
  Deno.exit(0);
}
const nodes = String(flags["nodes"] ?? "1,2,4,8").split(",").map(Number);
if (!nodes.every((count) => Number.isInteger(count) && count >= 1 && count <= NODES_MAX)) {
  console.error(`error: --nodes must be whole numbers from 1 to ${NODES_MAX}, with commas`);
  Deno.exit(2);
}
const engineUs = Number(flags["engine-us"] ?? ENGINE_US);
if (!(engineUs >= 0 && engineUs <= ENGINE_MAX_US)) {
  console.error(`error: --engine-us must be from 0 to ${ENGINE_MAX_US}`);
  Deno.exit(2);
}
const [load] = Deno.loadavg();
if (load! > navigator.hardwareConcurrency / 2) {
  console.error(`note: the machine is busy (load ${load!.toFixed(1)}): do not trust times`);
}
const reports = await programs({
  nodes,
  engineUs,
  quick: flags["quick"] === true,
  progress: (line) => console.error(`measuring: ${line}`),
});
console.log(flags["json"] ? JSON.stringify(reports, null, 2) : describe(reports));

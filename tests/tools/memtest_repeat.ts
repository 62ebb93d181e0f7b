/** Runs the memory test many times in a row, each with three processes of its own. */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { repeat, report, runsOf } from "./repeat.ts";

const PROGRAM = fileURLToPath(new URL("./memtest.ts", import.meta.url));
/** How often the test is run where nothing is said. */
const RUNS_DEFAULT = 100;

const HELP = `Usage: memtest_repeat.ts [--load] [--runs RUNS]

Runs the memory test RUNS times (default ${RUNS_DEFAULT}). With --load, beside processes that compute.
`;

const { values } = parseArgs({
  options: {
    help: { type: "boolean", short: "h" },
    load: { type: "boolean", default: false },
    runs: { type: "string", default: String(RUNS_DEFAULT) },
  },
});
const count = runsOf(values.runs);
if (values.help) {
  console.log(HELP);
} else if (count === undefined) {
  console.error(`memtest_repeat: error: RUNS must be a whole number from 1 on\n${HELP}`);
  Deno.exitCode = 2;
} else {
  const memtest = { name: "memtest", args: ["run", "-A", PROGRAM], lastLine: "[1] OK" };
  report(await repeat([memtest], count, values.load));
}

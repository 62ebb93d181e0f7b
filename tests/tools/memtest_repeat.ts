/** Runs the memory test many times in a row, each with three processes of its own. */

import { fileURLToPath } from "node:url";
import { ToolFlags } from "../support/tool_flags.ts";
import { repeat, report } from "./repeat.ts";

const PROGRAM = fileURLToPath(new URL("./memtest.ts", import.meta.url));
/** How often the test is run where nothing is said. */
const RUNS_DEFAULT = 100;

const HELP = `Runs the memory test many times, and sums up.

Usage: memtest_repeat.ts [--load] [--runs N]

  --load    beside processes that compute
  --runs N  how often; ${RUNS_DEFAULT} unless said`;

const flags = new ToolFlags(HELP, { values: ["runs"], switches: ["load"] });
const count = flags.wholeNumber("runs", RUNS_DEFAULT);
const memtest = { name: "memtest", args: ["run", "-A", PROGRAM], lastLine: "[1] OK" };
report(await repeat([memtest], { count, isLoaded: flags.isSet("load") }));

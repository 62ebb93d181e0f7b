/**
 * The litmus tests as a program: prints a histogram of outcomes for each test, back end and
 * placement. Exits with 1 when an outcome was seen that the memory model does not allow.
 */

import { ToolFlags } from "../support/tool_flags.ts";
import type { LitmusTest } from "./program.ts";
import { type Report, runSuite } from "./suite.ts";
import { printSummary } from "./summary.ts";
import { LITMUS_TESTS } from "./tests.ts";

const ITERATIONS_DEFAULT = 500;
const HELP = `Runs litmus tests on real nodes and in the simulator.

Usage: ./tdsm litmus [--iterations N] [--test NAME,...] [--only real|simulated] [--seed S] [--json]
    [--node-flags=FLAGS]

  --iterations N  runs of each test in each placement; ${ITERATIONS_DEFAULT} unless said
  --test NAME     only these: ${LITMUS_TESTS.map(({ name }) => name).join(" ")}
  --only WHERE    only on real nodes, or only in the simulator
  --seed S        what chance starts from; drawn and printed unless said
  --node-flags=F  more flags of the directory node, as --node-flags="--hold-time=0"
  --json          one object for all, and nothing else on stdout`;

function chosenTests(names: string | undefined): readonly LitmusTest[] {
  if (names === undefined) return LITMUS_TESTS;
  return names.split(",").map((name) => {
    const found = LITMUS_TESTS.find((test) => test.name.toLowerCase() === name.toLowerCase());
    return found ?? flags.refuse(`there is no test ${name}`);
  });
}

function print(report: Report): void {
  const { where, placement, accesses, model, runs, allowed, relaxed, failure } = report;
  const seen = report.outcomes.filter((outcome) => outcome.allowed).length;
  const verdict = report.forbidden > 0
    ? `${report.forbidden} FORBIDDEN`
    : `${relaxed > 0 ? `relaxed ${relaxed} times` : "relaxed never"}`;
  console.log(
    `${report.test}, ${where}, ${accesses}, ${placement}: ${runs} runs, ` +
      `${seen} of ${allowed} outcomes of ${model}, ${verdict}`,
  );
  console.log(report.histogram);
  if (failure !== undefined) console.log(`  FAILED: ${failure}`);
}

const flags = new ToolFlags(HELP, {
  values: ["iterations", "test", "only", "seed", "node-flags"],
  switches: ["json"],
});
const only = flags.value("only");
if (only !== undefined && only !== "real" && only !== "simulated") {
  flags.refuse("--only must be real or simulated");
}
const tests = chosenTests(flags.value("test"));
const iterations = flags.wholeNumber("iterations", ITERATIONS_DEFAULT);
const seed = flags.seed();
const isJson = flags.isSet("json");
const reports: Report[] = [];
let last = "";
const options = {
  tests,
  iterations,
  seed,
  real: only !== "simulated",
  simulated: only !== "real",
  nodeFlags: flags.value("node-flags")?.split(" ") ?? [],
};
for await (const report of runSuite(options)) {
  reports.push(report);
  if (isJson) continue;
  if (report.test !== last) {
    last = report.test;
    console.log(`\n== ${last}: ${tests.find(({ name }) => name === last)!.about}`);
  }
  print(report);
}
const runs = reports.reduce((sum, { runs }) => sum + runs, 0);
const forbidden = reports.reduce((sum, { forbidden }) => sum + forbidden, 0);
const failures = reports.filter(({ failure }) => failure !== undefined).length;
if (isJson) console.log(JSON.stringify({ seed, iterations, runs, forbidden, reports }));
else {
  console.log(`\n${printSummary(reports)}`);
  console.log(`seed ${seed}: ${runs} runs, ${forbidden} with a forbidden outcome`);
}
if (forbidden > 0 || failures > 0) Deno.exitCode = 1;

/**
 * The linearizability check as a program: records random `Atomics` operations of twelve threads on
 * three nodes, and searches for an order that explains them. Exits with 1 when there is none.
 */

import { ToolFlags } from "../support/tool_flags.ts";
import { checkRegister, printViolation } from "./checker.ts";
import { NODES, record, THREADS_PER_NODE, WORDS } from "./record.ts";
import { OPERATIONS } from "./register.ts";

const OPERATIONS_DEFAULT = 100_000;
const HELP =
  `Records operations of several nodes on a few words, and checks that they are linearizable.

Usage: ./tdsm linearizability [--operations N] [--seed S] [--json] [--node-flags=FLAGS]

  --operations N  how many in all, at least; ${OPERATIONS_DEFAULT} unless said
  --seed S        what chance starts from; drawn and printed unless said
  --node-flags=F  more flags of the directory node, as --node-flags="--hold-time=0"
  --json          one object, and nothing else on stdout`;

const flags = new ToolFlags(HELP, {
  values: ["operations", "seed", "node-flags"],
  switches: ["json"],
});
const operations = flags.wholeNumber("operations", OPERATIONS_DEFAULT);
const seed = flags.seed();

const { history, pagesReceived } = await record(
  operations,
  seed,
  flags.value("node-flags")?.split(" "),
);
const start = performance.now();
const words = history.words.map((own, index) => ({
  word: WORDS[index]!,
  kinds: Object.fromEntries(
    OPERATIONS.map((kind) => [kind, own.filter((operation) => operation.kind === kind).length]),
  ),
  exchanged:
    own.filter(({ kind, result, expected }) => kind === "compareExchange" && result === expected)
      .length,
  ...checkRegister(own),
}));
const seconds = (performance.now() - start) / 1000;
const broken = words.filter(({ violation }) => violation !== undefined);
if (flags.isSet("json")) {
  const { size } = history;
  console.log(JSON.stringify({ seed, operations: size, pagesReceived, seconds, words }));
} else {
  const threads = NODES * THREADS_PER_NODE;
  console.log(`seed ${seed}: ${threads} threads on ${NODES} nodes, ${history.size} operations,`);
  console.log(`  ${pagesReceived} pages moved; checked in ${seconds.toFixed(1)} s`);
  for (const { word, operations, overlapping, pieces, configurationsMax, ...rest } of words) {
    const kinds = Object.entries(rest.kinds).map(([kind, count]) => `${kind} ${count}`).join(", ");
    console.log(
      `word ${word}: ${operations} operations, ${overlapping} of them overlapping, ` +
        `${pieces} pieces, at most ${configurationsMax} configurations`,
    );
    console.log(`  ${kinds} (${rest.exchanged} exchanged)`);
  }
  for (const { word, violation } of broken) {
    console.log(`word ${word} is NOT linearizable: ${printViolation(violation!)}`);
  }
  console.log(`${words.length - broken.length} of ${words.length} words linearizable`);
}
if (broken.length > 0) Deno.exitCode = 1;

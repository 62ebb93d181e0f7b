/**
 * Tries as many broken payloads of packed pages as it is told:
 * `deno run tests/fuzz/compression_main.ts [--inputs 1000000] [--seed 1]`.
 */

// @ts-types="../../runtime/std/parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { fuzzCompression, PACKED_INPUTS } from "./compression.ts";

const flags = parseArgs(Deno.args, { string: ["inputs", "seed"] });
const inputs = Number(flags.inputs ?? PACKED_INPUTS);
const seed = Number(flags.seed ?? Date.now() % 2 ** 32);
if (!Number.isSafeInteger(inputs) || inputs < 1 || !Number.isSafeInteger(seed)) {
  throw new RangeError("--inputs and --seed must be whole numbers, and --inputs at least 1");
}

console.log(`${inputs} inputs from seed ${seed}`);
const tally = [...fuzzCompression(seed, inputs)].sort(([, a], [, b]) => b - a);
for (const [name, times] of tally) console.log(`${String(times).padStart(12)}  ${name}`);

/**
 * Damages the connection of two nodes many times, each time at another place:
 * `deno run -A tests/failures/damage_main.ts [--rounds 100] [--seed S] [--kind flip]`.
 * A round that fails is shown, and ends the program with exit code 1.
 */

import { parseArgs } from "node:util";
import { DAMAGE_KINDS, drawDamage, runDamaged } from "./damage.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "100" },
    seed: { type: "string" },
    kind: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const kinds = DAMAGE_KINDS.filter((kind) => values.kind === undefined || kind === values.kind);
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  throw new RangeError("--rounds and --seed must be whole numbers, and --rounds at least 1");
}
if (kinds.length === 0) throw new RangeError(`--kind must be one of ${DAMAGE_KINDS.join(", ")}`);

console.log(`${rounds} rounds from seed ${seed}`);
const ends = new Map<string, number>();
for (let round = seed; round < seed + rounds; round++) {
  const damage = drawDamage(round, kinds);
  let end: string;
  try {
    const result = await runDamaged(damage);
    end = `${damage.kind} ${result.done ? "done" : "not reached"}: ${result.end}`;
  } catch (error) {
    end = `${damage.kind}: FAILED`;
    console.error(`seed ${round}, ${JSON.stringify(damage)}: ${(error as Error).message}`);
    Deno.exitCode = 1;
  }
  ends.set(end, (ends.get(end) ?? 0) + 1);
}
for (const [end, times] of [...ends].sort()) console.log(`${String(times).padStart(8)}  ${end}`);

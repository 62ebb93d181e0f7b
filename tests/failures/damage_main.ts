/**
 * Damages the connection of two nodes many times, each time at another place. A round that fails is
 * shown, and ends the program with exit code 1.
 */

import { ToolFlags } from "../support/tool_flags.ts";
import { DAMAGE_KINDS, drawDamage, runDamaged } from "./damage.ts";

const ROUNDS_DEFAULT = 100;
const HELP = `Damages the connection of two nodes, each time at another place.

Usage: ./tdsm damage [--rounds N] [--seed S] [--kind KIND]

  --rounds N   how often; ${ROUNDS_DEFAULT} unless said
  --seed S     the first round's seed; drawn and printed unless said
  --kind KIND  in this way alone: ${DAMAGE_KINDS.join(", ")}`;

const flags = new ToolFlags(HELP, { values: ["rounds", "seed", "kind"] });
const rounds = flags.wholeNumber("rounds", ROUNDS_DEFAULT);
const seed = flags.seed();
const named = flags.value("kind");
const kinds = DAMAGE_KINDS.filter((kind) => named === undefined || kind === named);
if (kinds.length === 0) flags.refuse(`there is no kind ${named}`);

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

/** The clock that all threads of a program have: that of the home node. */

import { WASM_CLOCK_LOOKS } from "../limits.ts";

/**
 * This machine's clock, in nanoseconds since 1970. Threads of one program must agree on the time,
 * so all of its clocks are this one.
 *
 * @returns The time.
 */
export function clockNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1_000)) * 1_000n;
}

/**
 * Measures by how much another clock is ahead of this machine's. The look that took the shortest
 * time tells it best.
 *
 * @param there Reads the other clock, in nanoseconds.
 * @param here Reads this machine's.
 * @returns What to add to this machine's clock. Nothing where both may be the same, as on one
 * machine.
 */
export async function measureOffsetNs(
  there: () => Promise<bigint>,
  here: () => bigint = clockNs,
): Promise<bigint> {
  let best: { tripNs: bigint; offsetNs: bigint } | undefined;
  for (let look = 0; look < WASM_CLOCK_LOOKS; look++) {
    const before = here();
    const time = await there();
    const after = here();
    const tripNs = after - before;
    if (best !== undefined && tripNs >= best.tripNs) continue;
    best = { tripNs, offsetNs: time - (before + after) / 2n };
  }
  const { tripNs, offsetNs } = best!;
  return offsetNs <= tripNs && -offsetNs <= tripNs ? 0n : offsetNs;
}

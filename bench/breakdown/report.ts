/** The table of a breakdown, in Markdown. */

import type { Busyness, Machine } from "../machine.ts";
import { type Breakdown, STAGES } from "./stages.ts";

/** What was found of one case. */
export interface Part extends Breakdown {
  readonly name: string;
  /** The median of an access while nothing was recorded, in microseconds. */
  readonly plainP50: number;
  /** How many events were recorded of a miss, in the median. */
  readonly events: number;
  /** Misses that cannot be told apart, since an event of their round was lost. */
  readonly unrecorded: number;
}

/** Below this a stage is nothing that happened, in microseconds. */
const NOTHING_US = 0.005;

/**
 * Puts cases beside each other.
 *
 * @param parts The cases.
 * @param machine Where they were measured.
 * @param busyness How busy that was.
 * @returns Lines of text.
 */
export function report(parts: readonly Part[], machine: Machine, busyness: Busyness): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  const rows = [
    ["stage: p50 / p90 in us, share", ...parts.map(({ name }) => name)],
    ["---", ...parts.map(() => "---:")],
    ...STAGES.map((name, stage) => [
      name,
      ...parts.map(({ stages }) => {
        const { p50, p90, share } = stages[stage]!;
        if (p90 < NOTHING_US) return "–";
        return `${p50.toFixed(1)} / ${p90.toFixed(1)}, ${percent(share)}`;
      }),
    ]),
    ["whole access", ...parts.map(({ p50, p90 }) => `${p50.toFixed(1)} / ${p90.toFixed(1)}`)],
    ["the same, not recorded (p50)", ...parts.map(({ plainP50 }) => plainP50.toFixed(1))],
    ["events recorded of a miss", ...parts.map(({ events }) => String(events))],
    [
      "recording adds, an event",
      ...parts.map(({ p50, plainP50, events }) => ((p50 - plainP50) / events).toFixed(1)),
    ],
    ["misses", ...parts.map(({ misses }) => String(misses))],
  ];
  return [
    `${machine.cores} cores ${machine.cpu}, Linux ${machine.kernel}, Deno ${machine.deno}`,
    "",
    ...aligned(rows),
    "",
    ...parts.filter(({ unrecorded }) => unrecorded > 0).map(({ name, unrecorded }) =>
      `${name}: ${unrecorded} more misses are left out, since not all of their events were recorded.`
    ),
    `Other processes used ${percent(busyness.others)} of the cores.` +
    (busyness.tooBusy ? " That is too much: do not trust this." : ""),
  ].join("\n");
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
    );
    return `| ${cells.join(" | ")} |`;
  });
}

/** A program on one core, in memory of its own: what its work takes here. */

import { cpuUsage } from "node:process";
import { type Context, type Memory, type Program, wholeRun } from "./program.ts";

/** What a program takes on one core, between its marks. */
export interface SerialRun {
  /** The time that it has a core, in milliseconds; the least of some runs. */
  readonly ms: number;
  /** Its work, in the program's units. */
  readonly units: number;
}

/**
 * Runs a program serially.
 *
 * @param program The program.
 * @param runs How often.
 * @returns How long it takes, and how much work it is.
 */
export function runSerially(program: Program, runs: number): SerialRun {
  const units = countUnits(program);
  let ms = Infinity;
  for (let run = 0; run < runs; run++) ms = Math.min(ms, time(program));
  return { ms, units };
}

function alone({ bytes }: Program, traced: boolean, computed: boolean): Context {
  const buffer = new ArrayBuffer(bytes);
  const memory: Memory = { view: (Type, offset, length) => new Type(buffer, offset, length) };
  return { memory, base: 0, rank: 0, nodes: 1, traced, computed };
}

function time(program: Program): number {
  const marks: number[] = [];
  for (const { kind } of wholeRun(program, alone(program, false, true))) {
    if (kind === "mark") marks.push(coreMs());
  }
  return marks[1]! - marks[0]!;
}

/** How long this process has had a core: what others take of the machine does not count. */
function coreMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

function countUnits(program: Program): number {
  let units = 0;
  let marks = 0;
  for (const step of wholeRun(program, alone(program, true, program.dependsOnData))) {
    if (step.kind === "mark") marks++;
    else if (step.kind === "work" && marks === 1) units += step.units;
  }
  return units;
}

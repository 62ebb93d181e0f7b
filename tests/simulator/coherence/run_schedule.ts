/**
 * What a seed stands for: a cluster, and whether nodes of it are frozen.
 */

import { FrozenSchedule } from "./frozen.ts";
import { makeHomes, makeIncidents, makeOptions } from "./plan.ts";
import { NO_BUG, type PlantedBug } from "./planted_bugs.ts";
import type { ProtocolCoverage } from "./protocol_coverage.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import { World } from "./world.ts";

/** Each seed that is a multiple of it has nodes that are frozen. */
export const FROZEN_EVERY = 10;

/** Of so many seeds in a row one has homes on every node, and another one has frees as well. */
const HOMES_EVERY = 7;
const HOMES_REST = 3;
const HOMES_AND_FREES_REST = 5;

/** Of those with homes on every node these have them by `auto`, of so many seeds in a row. */
const AUTO_EVERY = 11;
const AUTO_RESTS: readonly number[] = [1, 5, 6, 7];

/** @returns Whether a seed has homes on every node. */
export function hasHomes(seed: number): boolean {
  return seed % HOMES_EVERY === HOMES_REST || seed % HOMES_EVERY === HOMES_AND_FREES_REST;
}

/** What became of a schedule. */
export interface ScheduleResult {
  /** How many things happened. */
  readonly steps: number;
}

/**
 * Runs one schedule to its end.
 *
 * @param seed Everything about it.
 * @param bug What is wrong with the nodes, if anything.
 * @param coverage Where to count, if anywhere.
 * @param trace Is told everything that happens.
 * @returns What became of it.
 * @throws {InvariantError} When a promise of the protocol is broken.
 */
export function runSchedule(
  seed: number,
  bug: PlantedBug = NO_BUG,
  coverage?: ProtocolCoverage,
  trace?: (line: string) => void,
): ScheduleResult {
  const random = new Random(seed);
  const isFrozen = seed % FROZEN_EVERY === 0;
  const drawn = makeOptions(random);
  // What a node that was given up does to its memory, the oracle of that node does not follow.
  const unlimited = isFrozen ? { ...drawn, memoryPages: [], reservePages: [] } : drawn;
  const homes = hasHomes(seed) ? makeHomes(random, unlimited.memoryPages) : {};
  const auto = hasHomes(seed) && AUTO_RESTS.includes(seed % AUTO_EVERY)
    ? { placement: "auto" } as const
    : {};
  const options = { ...unlimited, ...homes, ...auto };
  const world = new World(options, random, bug, coverage, trace);
  const drawnIncidents = makeIncidents(random, world);
  const hasFrees = seed % HOMES_EVERY !== HOMES_REST;
  const incidents = drawnIncidents.filter(({ kind }) => hasFrees || kind !== "free");
  const schedule = isFrozen
    ? new FrozenSchedule(random, world, incidents, bug.freezing)
    : new Schedule(random, world, incidents);
  schedule.run();
  return { steps: schedule.steps };
}

/**
 * The clusters that are explored, each with a name: nodes × pages, and what else can happen there.
 */

import type { PlantedBug } from "../simulator/coherence/planted_bugs.ts";
import type { CacheTables } from "../simulator/coherence/cache_coverage.ts";
import { type Exploration, explore, type Limits } from "./explore.ts";
import { HomesModel, type HomesOptions } from "./homes_model.ts";
import { Model, type ModelOptions } from "./model.ts";

/** A cluster with a name. */
export interface World {
  readonly name: string;
  /**
   * Visits its states.
   *
   * @param limits Where to stop.
   * @param bug What is wrong with its nodes, if anything.
   * @param tables Where its caches count what they visit, if anywhere.
   * @returns What was found.
   */
  explore(limits: Limits, bug: PlantedBug, tables?: CacheTables): Exploration;
}

const NOBODY_GOES = { count: 0, kinds: [] } as const;
const ONE_DIES = { count: 1, kinds: ["die"] } as const;
const ONE_LEAVES = { count: 1, kinds: ["leave"] } as const;
const ONE_GOES = { count: 1, kinds: ["die", "leave"] } as const;
const TWO_GO = { count: 2, kinds: ["die", "leave"] } as const;

function world(
  name: string,
  nodes: number,
  pages: number,
  options: Partial<ModelOptions> = {},
): World {
  const defaults = {
    runPages: pages,
    holds: true,
    migration: false,
    readAhead: false,
    departures: NOBODY_GOES,
    frees: 0,
    memoryPages: Infinity,
    reservePages: 0,
    roomAnyTime: true,
  };
  const shape = { nodes, pages, ...defaults, ...options };
  return { name, explore: (limits, bug, tables) => explore(new Model(shape, bug, tables), limits) };
}

/** A cluster with homes on every node. */
function homes(
  name: string,
  nodes: number,
  pages: number,
  options: Partial<HomesOptions> = {},
): World {
  const shape = { nodes, pages, placement: "spread", departures: NOBODY_GOES, ...options } as const;
  return {
    name,
    explore: (limits, bug, tables) => explore(new HomesModel(shape, bug, tables), limits),
  };
}

/** Small enough to be visited to the end within seconds. */
export const SMALL_WORLDS: readonly World[] = [
  world("2x1", 2, 1),
  world("2x1 and a death", 2, 1, { departures: ONE_DIES }),
  world("2x1 and a leave", 2, 1, { departures: ONE_LEAVES }),
  world("3x1", 3, 1),
  world("3x1 and a death", 3, 1, { departures: ONE_DIES }),
  world("3x1 and a leave", 3, 1, { departures: ONE_LEAVES }),
  world("3x1 and two that die or leave", 3, 1, { departures: TWO_GO, holds: false }),
  world("2x1 migrating", 2, 1, { migration: true }),
  world("2x1 migrating and a death", 2, 1, { migration: true, departures: ONE_DIES }),
  world("3x1 migrating", 3, 1, { migration: true }),
  world("3x1 migrating and a death", 3, 1, { migration: true, departures: ONE_DIES }),
  world("3x1 migrating and a leave", 3, 1, { migration: true, departures: ONE_LEAVES }),
  world("2x2 reading ahead", 2, 2, { readAhead: true, holds: false }),
  world("2x2 migrating and reading ahead", 2, 2, {
    migration: true,
    readAhead: true,
    holds: false,
  }),
  world("2x1 and a free", 2, 1, { frees: 1 }),
  world("2x1, a death and two frees", 2, 1, { departures: ONE_DIES, frees: 2 }),
  world("2x1, a leave and a free", 2, 1, { departures: ONE_LEAVES, frees: 1 }),
  world("3x1 and a free", 3, 1, { frees: 1, holds: false }),
  world("2x1 of one page", 2, 1, { memoryPages: 1 }),
  world("2x1 of one page and a free", 2, 1, { memoryPages: 1, frees: 1 }),
  world("2x1 of one page and a death", 2, 1, { memoryPages: 1, departures: ONE_DIES }),
  world("2x1 of one page and a leave", 2, 1, { memoryPages: 1, departures: ONE_LEAVES }),
  world("3x1 of one page", 3, 1, { memoryPages: 1, roomAnyTime: false, holds: false }),
  world("2x2 of one page", 2, 2, { memoryPages: 1, holds: false }),
  world("2x2 of one page that is kept free", 2, 2, {
    memoryPages: 1,
    reservePages: 1,
    holds: false,
  }),
  world("2x2 of one page and one that dies or leaves", 2, 2, {
    memoryPages: 1,
    holds: false,
    departures: ONE_GOES,
  }),
  homes("2x1 by first touch and a death", 2, 1, {
    placement: "first-touch",
    departures: ONE_DIES,
  }),
  homes("2x1 by first touch and a leave", 2, 1, {
    placement: "first-touch",
    departures: ONE_LEAVES,
  }),
  homes("2x2 with two homes", 2, 2),
  homes("2x2 with two homes and a death", 2, 2, { departures: ONE_DIES }),
  homes("2x2 with two homes and a leave", 2, 2, { departures: ONE_LEAVES }),
];

/** As deep as there is time. */
export const LARGE_WORLDS: readonly World[] = [
  world("3x1, a death and a free", 3, 1, { departures: ONE_DIES, frees: 1, holds: false }),
  world("2x2 of one page and a free", 2, 2, { memoryPages: 1, holds: false, frees: 1 }),
  world("2x2", 2, 2, { holds: false }),
  world("2x2 and holds", 2, 2),
  world("2x2 reading ahead and a death", 2, 2, {
    readAhead: true,
    holds: false,
    departures: ONE_DIES,
  }),
  world("2x2 reading ahead and a free", 2, 2, { readAhead: true, holds: false, frees: 1 }),
  world("2x2 reading ahead, a death and a free", 2, 2, {
    readAhead: true,
    holds: false,
    departures: ONE_DIES,
    frees: 1,
  }),
  world("2x3 reading ahead", 2, 3, { readAhead: true, holds: false, runPages: 2 }),
  world("2x2 with everything", 2, 2, { migration: true, readAhead: true, departures: ONE_DIES }),
  world("3x1 migrating and two that die or leave", 3, 1, {
    migration: true,
    departures: TWO_GO,
    holds: false,
  }),
  world("2x2 with everything, one that dies or leaves, and a free", 2, 2, {
    migration: true,
    readAhead: true,
    departures: ONE_GOES,
    frees: 1,
  }),
  world("3x1 with everything, two that die or leave, and a free", 3, 1, {
    migration: true,
    departures: TWO_GO,
    frees: 1,
  }),
  world("3x2 with everything, and two that die or leave", 3, 2, {
    migration: true,
    readAhead: true,
    departures: TWO_GO,
    holds: false,
  }),
  world("3x1 of one page and a death", 3, 1, {
    memoryPages: 1,
    roomAnyTime: false,
    holds: false,
    departures: ONE_DIES,
  }),
  world("3x1 of one page and a free", 3, 1, {
    memoryPages: 1,
    roomAnyTime: false,
    holds: false,
    frees: 1,
  }),
  world("3x1 of one page and one that leaves", 3, 1, {
    memoryPages: 1,
    roomAnyTime: false,
    holds: false,
    departures: ONE_LEAVES,
  }),
  world("3x1 of one page, and two that die or leave", 3, 1, {
    memoryPages: 1,
    roomAnyTime: false,
    holds: false,
    departures: TWO_GO,
  }),
  world("2x2 of one page with everything", 2, 2, {
    memoryPages: 1,
    migration: true,
    readAhead: true,
    departures: ONE_GOES,
  }),
  world("3x2 of one page", 3, 2, { memoryPages: 1, holds: false }),
  world("3x2", 3, 2, { holds: false }),
  world("3x2 and a death", 3, 2, { holds: false, departures: ONE_DIES }),
  homes("3x1 by first touch and a death", 3, 1, {
    placement: "first-touch",
    departures: ONE_DIES,
  }),
  homes("3x1 by first touch and a leave", 3, 1, {
    placement: "first-touch",
    departures: ONE_LEAVES,
  }),
  homes("3x2 with two homes", 3, 2),
  homes("3x2 with two homes and a death", 3, 2, { departures: ONE_DIES }),
  homes("3x2 with two homes and a leave", 3, 2, { departures: ONE_LEAVES }),
  world("4x1", 4, 1, { holds: false }),
  world("4x1 and a death", 4, 1, { holds: false, departures: ONE_DIES }),
];

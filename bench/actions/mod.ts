/** Everything that a node of the benchmark can be asked to do, by its name. */

import { fillOnes, sums } from "./cached.ts";
import { addApart, alternate, store, work } from "./contention.ts";
import {
  readPages,
  stats,
  timeAfterSilence,
  timePages,
  timeRandomReads,
  writePages,
} from "./pages.ts";
import { barrierLoop, callLoop, handOff } from "./sync.ts";

/** The actions. Each is given the node and its arguments, and returns what can be JSON. */
export const actions = {
  addApart,
  alternate,
  barrierLoop,
  callLoop,
  fillOnes,
  handOff,
  readPages,
  stats,
  store,
  sums,
  timeAfterSilence,
  timePages,
  timeRandomReads,
  work,
  writePages,
} as const;

/** Their types, for the coordinator. */
export type Actions = typeof actions;

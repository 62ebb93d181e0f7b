/** Every family of the benchmark, in the order in which they are measured. */

import type { Family } from "../family.ts";
import { constant, departures } from "./constant.ts";
import { contention } from "./contention.ts";
import { busy, cached, jacobi } from "./local.ts";
import { loaded, misses, silence, upgrades } from "./misses.ts";
import { growth, idle, memory, memtest, start, temporary } from "./node_life.ts";
import { redis } from "./redis.ts";
import { firstTouch, scans } from "./scans.ts";
import { sealed } from "./sealed.ts";
import { sync, syncCached, tcp } from "./sync.ts";
import { threads } from "./threads.ts";
import { watched } from "./watched.ts";

/** The families. */
export const FAMILIES: readonly Family[] = [
  tcp,
  misses,
  silence,
  upgrades,
  loaded,
  scans,
  firstTouch,
  sealed,
  watched,
  contention,
  sync,
  syncCached,
  threads,
  cached,
  jacobi,
  busy,
  start,
  idle,
  memory,
  temporary,
  memtest,
  constant,
  departures,
  growth,
  redis,
];

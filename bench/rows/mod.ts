/** Every family of the benchmark, in the order in which they are measured. */

import type { Family } from "../row.ts";
import { busy } from "./busy.ts";
import { cached } from "./cached.ts";
import { contention } from "./contention.ts";
import { growth } from "./messages.ts";
import { misses, silence } from "./misses.ts";
import { idle, memory, memtest, start } from "./node_life.ts";
import { redis } from "./redis.ts";
import { firstTouch, scans } from "./scans.ts";
import { sync, syncCached, tcp } from "./sync.ts";
import { upgrades } from "./upgrades.ts";

/** The families. */
export const FAMILIES: readonly Family[] = [
  tcp,
  misses,
  silence,
  upgrades,
  scans,
  firstTouch,
  contention,
  sync,
  syncCached,
  cached,
  busy,
  start,
  idle,
  memory,
  memtest,
  growth,
  redis,
];

/**
 * The decisions that a seed makes in advance: a cluster, its programs, and when nodes join, leave
 * and die.
 */

import { PAGE_WORDS } from "./mmu.ts";
import type { SimulatedNode, Thread } from "./node.ts";
import type { Operation } from "./operation.ts";
import type { Random } from "./random.ts";
import type { World, WorldOptions } from "./world.ts";

/** Something that happens once, from some step on. */
export type Incident =
  & { readonly step: number }
  & (
    | { readonly kind: "join" | "leave" | "kill" | "openWindow"; readonly node: SimulatedNode }
    | { readonly kind: "close" | "beat" }
    /** Pages are freed, and given at once to a node that can zero them, any (0), or none. */
    | {
      readonly kind: "free";
      readonly first: number;
      readonly count: number;
      readonly user: number | undefined;
    }
    /**
     * A node dies that is to send bytes, as soon as there is one; for a write that others drop
     * copies for, or any.
     */
    | { readonly kind: "killSource"; readonly shared: boolean }
  );

/** @returns The protocol's settings, drawn at random. */
export function makeSettings(
  random: Random,
): Omit<WorldOptions, "pageCount" | "threads" | "checked" | "memoryPages" | "reservePages"> {
  const drawn = {
    runPages: random.between(1, 8),
    // None, about as long as a message takes, or longer than most else.
    holdTimeUs: [0, random.between(1, 60), 10_000][random.below(3)]!,
    migration: random.chance(50),
    readAhead: random.chance(50),
    readAheadMinPages: random.between(1, 4),
  };
  return {
    ...drawn,
    // Not drawn as well, so that what else a seed stands for is as before.
    followsMin: drawn.readAheadMinPages % 2,
    preemptPercent: random.chance(50) ? 0 : 20,
    // As little as there is, so that requests come in between as often as they can.
    workPages: 1,
  };
}

/** @returns A thread that has not begun, through one window or another. */
export function makeThread(random: Random, program: readonly Operation[]): Thread {
  const pace = random.chance(20) ? random.between(1, 4) : 8;
  return { program, pace, registers: [], next: 0, window: 0, blocked: false };
}

function makeProgram(random: Random, pageCount: number, length: number): Operation[] {
  const program: Operation[] = [];
  while (program.length < length) {
    const page = random.below(pageCount);
    const kind = (["read", "read", "write", "add"] as const)[random.below(4)]!;
    const word = random.below(PAGE_WORDS);
    const walk = random.chance(30) ? random.between(2, pageCount) : 1;
    if (random.chance(4)) {
      program.push({ kind: "fetch", page, count: random.between(1, pageCount - page) });
    }
    for (let next = page; next < Math.min(page + walk, pageCount); next++) {
      program.push({ kind, page: next, word, value: 1 + random.below(1_000_000), expected: 0 });
    }
  }
  return program;
}

/** Few limits, many, or one page for each node. */
function makeLimits(random: Random, nodes: number, pageCount: number): number[] {
  const limited = [0, 0, random.between(1, 100), 100][random.below(4)]!;
  const most = random.chance(30) ? 1 : pageCount + 1;
  return Array.from(
    { length: nodes },
    () => random.chance(limited) ? random.between(1, most) : Infinity,
  );
}

/** How many pages of its limit each node keeps free: none, or any number. */
function makeReserves(random: Random, memoryPages: readonly number[]): number[] {
  if (random.chance(50)) return [];
  return memoryPages.map((pages) => pages === Infinity ? 0 : random.below(pages + 1));
}

/** @returns A cluster, drawn at random. */
export function makeOptions(random: Random): WorldOptions {
  const pageCount = random.between(1, 6);
  const length = random.between(2, 10);
  const threads: Thread[][] = [];
  for (let nodes = random.between(2, 5); nodes > 0; nodes--) {
    const own: Thread[] = [];
    for (let count = random.between(1, 3); count > 0; count--) {
      own.push(makeThread(random, makeProgram(random, pageCount, length)));
    }
    threads.push(own);
  }
  const settings = makeSettings(random);
  const memoryPages = makeLimits(random, threads.length, pageCount);
  const reservePages = makeReserves(random.fork(), memoryPages);
  return { pageCount, threads, checked: true, memoryPages, reservePages, ...settings };
}

/**
 * Where the homes of pages are, drawn at random.
 *
 * @param random Where chance comes from.
 * @param memoryPages The most pages that each node may keep.
 * @returns What makes a cluster one whose homes are on every node. Homes know the room of node 1
 *   only, which has no limit.
 */
export function makeHomes(
  random: Random,
  memoryPages: readonly number[],
): Pick<WorldOptions, "placement" | "chunkPages" | "memoryPages"> {
  const placement = random.chance(50) ? "first-touch" : "spread";
  return {
    placement,
    chunkPages: 2 ** random.below(3),
    memoryPages: [Infinity, ...memoryPages.slice(1)],
  };
}

/** @returns What happens to the nodes of a cluster, the last first. */
export function makeIncidents(random: Random, { nodes, pageCount }: World): Incident[] {
  const incidents: Incident[] = [];
  const deaths = random.chance(40);
  for (const node of nodes) {
    if (random.chance(20)) incidents.push({ step: random.below(100), kind: "openWindow", node });
    if (node.id === 1) continue;
    const step = random.chance(75) ? 0 : random.below(80);
    incidents.push({ step, kind: "join", node });
    if (deaths && random.chance(40)) {
      incidents.push({ step: step + random.below(150), kind: "kill", node });
    }
    if (random.chance(30)) incidents.push({ step: step + random.below(100), kind: "leave", node });
  }
  if (random.chance(20)) incidents.push({ step: random.below(200), kind: "close" });
  for (let kills = deaths ? random.below(3) : 0; kills > 0; kills--) {
    incidents.push({ step: random.below(150), kind: "killSource", shared: random.chance(60) });
  }
  const addFrees = (count: number, random: Random, user: () => number | undefined): void => {
    for (; count > 0; count--) {
      const first = random.below(pageCount);
      const run = { first, count: random.between(1, pageCount - first) };
      incidents.push({ step: random.below(250), kind: "free", ...run, user: user() });
    }
  };
  addFrees(deaths ? random.below(6) : 0, random, () => 0);
  // From a generator of their own: a seed that found something once is the same schedule still.
  const aside = random.fork();
  if (aside.chance(50)) addFrees(aside.below(6), aside, () => 0);
  if (aside.chance(50)) {
    addFrees(aside.below(6), aside, () => {
      return aside.chance(50) ? undefined : aside.below(nodes.length + 1);
    });
    for (let beats = aside.below(6); beats > 0; beats--) {
      incidents.push({ step: aside.below(250), kind: "beat" });
    }
  }
  return incidents.sort((a, b) => b.step - a.step);
}

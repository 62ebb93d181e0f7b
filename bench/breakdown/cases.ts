/** The misses that are taken apart: of real nodes, and of the floor. */

import { Floor, type Waiting } from "../floor/floor.ts";
import { BenchCluster } from "../nodes.ts";
import { ACCESSES, AREA_PAGES, STRIDE_PAGES } from "../rows/page_rounds.ts";
import type { Parties } from "./chain.ts";

/** The silence before a single miss, in milliseconds. */
const SILENCE_MS = 1_000;

/** Two processes that are ready for misses. */
export interface Case {
  readonly name: string;
  readonly parties: Parties;
  /** What is to be done before a round, which is not recorded. */
  prepare(): Promise<void>;
  /** A round of misses; resolves with what each access took, in microseconds. */
  round(): Promise<number[]>;
}

/** Cases that share their processes. */
export interface Group extends AsyncDisposable {
  readonly cases: readonly Case[];
}

/** @returns Misses of busy nodes: of a page that its home shares already, and of one that it has alone. */
export async function openNodes(): Promise<Group> {
  const cluster = await BenchCluster.start(3, { size: "64MiB" });
  const [home, third, asker] = [cluster.node(1), cluster.node(2), cluster.node(3)];
  const parties: Parties = { asker: asker.ready.pid, owner: home.ready.pid };
  const miss = (name: string, area: number, shared: boolean): Case => {
    const first = AREA_PAGES * (area + 1);
    const all = { first, count: ACCESSES * STRIDE_PAGES, stride: 1 };
    const touched = { first, count: ACCESSES, stride: STRIDE_PAGES, write: false };
    let value = 0;
    return {
      name,
      parties,
      async prepare() {
        await home.run("writePages", { ...all, value: ++value });
        if (shared) await third.run("readPages", { ...all, value });
      },
      async round() {
        return (await asker.run("timePages", { ...touched, value, seed: value })).us;
      },
    };
  };
  return {
    cases: [miss("clean at the home", 0, true), miss("exclusive at the home", 1, false)],
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/**
 * The first miss of nodes that were silent for a second.
 *
 * @param warmUp How many rounds of 100 misses they have behind them, at other pages.
 * @returns The case.
 */
export async function openSilentNodes(warmUp: number): Promise<Group> {
  const cluster = await BenchCluster.start(2, { size: "64MiB" });
  const [home, asker] = [cluster.node(1), cluster.node(2)];
  let value = 0;
  const others = { first: 2 * AREA_PAGES, count: ACCESSES, stride: STRIDE_PAGES };
  for (; value < warmUp; value++) {
    await home.run("writePages", { ...others, value });
    await asker.run("timePages", { ...others, value, write: false, seed: value });
  }
  const page = () => ({ first: AREA_PAGES, value });
  return {
    cases: [{
      name: warmUp === 0 ? "young nodes, after silence" : "after silence",
      parties: { asker: asker.ready.pid, owner: home.ready.pid },
      async prepare() {
        value++;
        await home.run("writePages", { ...page(), count: 1, stride: 1 });
      },
      async round() {
        return [await asker.run("timeAfterSilence", { ...page(), silenceMs: SILENCE_MS })];
      },
    }],
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** @returns The same of the floor's processes, which `how` waits. */
export async function openFloor(how: Waiting, silent: boolean): Promise<Group> {
  const floor = await Floor.start();
  // Once they have talked, both run their program for sure.
  await floor.ping("blocking", 32, 32, 1);
  return {
    cases: [{
      name: silent ? "floor, after silence" : `floor, ${how}`,
      parties: floorParties(),
      prepare: () => Promise.resolve(),
      round: () => silent ? floor.missAfterSilence(1) : floor.miss(how, ACCESSES, "kept"),
    }],
    [Symbol.asyncDispose]: () => floor[Symbol.asyncDispose](),
  };
}

/** The floor's processes, which do not say who they are: this process's children of their names. */
function floorParties(): Parties {
  const found: Partial<Record<string, number>> = {};
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const words = commandOf(name);
    if (words === undefined || !/\/floor-[^/]*$/.test(words[0] ?? "")) continue;
    if (parentOf(name) === Deno.pid) found[words[1]!] = Number(name);
  }
  const { asker, owner } = found;
  if (asker === undefined || owner === undefined) throw new Error("The floor's processes are gone");
  return { asker, owner };
}

function commandOf(pid: string): string[] | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

function parentOf(pid: string): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1]);
}

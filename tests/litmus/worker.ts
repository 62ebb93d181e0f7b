/** One thread of the litmus tests: a Worker of a node, which plays another part in each batch. */

import type { AttachedNode } from "../../mod.ts";
import { Random } from "../simulator/coherence/random.ts";
import { serveCrew } from "./crew_worker.ts";
import { MEETING_WORD, type Placement, placementOf } from "./placements.ts";
import { type BatchPlan, type Job, planBatch } from "./plan.ts";
import { wordsOf } from "./program.ts";
import { LITMUS_TESTS } from "./tests.ts";
import { compileThread, packValues } from "./thread_code.ts";

/** What a thread is to do. */
export interface WorkerTask {
  readonly job: Job;
  /** Which thread this is. */
  readonly slot: number;
  /** Where to write a byte of registers for each run, and behind them one of final values. */
  readonly file: string;
}

/** Half of the accesses follow at once. */
function skewTurns(random: Random, bits: number): number {
  return random.chance(50) ? 0 : random.below(1 << bits);
}

/** Brings the pages of a batch into the state that the plan says, as far as this thread does it. */
function warm(words: Int32Array, places: Int32Array, plan: BatchPlan, slot: number): void {
  if (!plan.readers[slot]) return;
  for (const place of places) Atomics.load(words, place);
}

/** Reads and then writes each page, beginning elsewhere than the other threads do. */
function takeTurns(words: Int32Array, places: Int32Array, pageWords: number, part: number): void {
  const first = Math.floor(places.length * part);
  for (let index = 0; index < places.length; index++) {
    const place = places[(first + index) % places.length]!;
    // The last word of the page belongs to no instance.
    const last = place - place % pageWords + pageWords - 1;
    Atomics.store(words, last, Atomics.load(words, last) + 1);
  }
}

/** No thread is waited for longer: another thread may have no core, and this one goes on alone. */
const MEETING_TURNS_MAX = 50_000;

/** Makes what is called before each instance. */
function meeting(words: Int32Array, inStep: boolean, threads: number): (instance: number) => void {
  if (!inStep) return () => {};
  return (instance) => {
    Atomics.add(words, MEETING_WORD, 1);
    const all = threads * (instance + 1);
    for (let turns = MEETING_TURNS_MAX; turns > 0; turns--) {
      if (Atomics.load(words, MEETING_WORD) >= all) return;
    }
  };
}

function runJob(node: AttachedNode, { job, slot, file }: WorkerTask): void {
  const test = LITMUS_TESTS.find(({ name }) => name === job.test)!;
  const placement: Placement = placementOf(job.placement);
  const { instances } = job;
  const count = wordsOf(test);
  const code = test.threads.map((thread) => compileThread(thread, count, job.atomic));
  const words = node.view(Int32Array, 0, node.size / 4);
  const meet = meeting(words, placement.inStep, test.threads.length);
  const barrier = node.barrier("litmus", job.slots);
  const own = new Random(job.seed ^ Math.imul(slot + 1, 0x9e3779b1));
  const accesses = Math.max(...test.threads.map(({ length }) => length));
  const skews = new Int32Array(instances * accesses);
  const runs = job.batches * instances;
  const results = new Uint8Array(2 * runs);
  let before: Int32Array | undefined;
  for (let batch = 0; batch <= job.batches; batch++) {
    const plan = planBatch(job, batch);
    const places = placement.place(plan.random, instances, count, slot);
    if (plan.preparer === slot && before !== undefined) {
      const start = runs + (batch - 1) * instances;
      for (let i = 0; i < instances; i++) {
        const value = (word: number) => Atomics.load(words, before![i * count + word]!);
        results[start + i] = packValues(test.finals.map(value));
      }
    }
    if (batch === job.batches) break;
    if (plan.preparer === slot) {
      for (const place of places) Atomics.store(words, place, 0);
      Atomics.store(words, MEETING_WORD, 0);
    }
    barrier.waitSync();
    if (placement.turns) takeTurns(words, places, node.pageSize / 4, slot / job.slots);
    warm(words, places, plan, slot);
    const part = plan.slotOf.indexOf(slot);
    for (let index = 0; index < skews.length; index++) {
      skews[index] = skewTurns(own, plan.skewBits);
    }
    barrier.waitSync();
    code[part]?.(words, places, meet, skews, results, batch * instances, instances);
    barrier.waitSync();
    before = places;
  }
  Deno.writeFileSync(file, results);
}

serveCrew(runJob);

/**
 * Throws broken inputs, on all cores, at all code that reads bytes of other nodes, and counts the
 * outcomes.
 *
 * Inputs are numbered from the seed on; a failure names its number, and `--inputs 1 --seed NUMBER`
 * tries that one alone. It ends the program with exit code 1, and so does an input without an end.
 */

import { ToolFlags } from "../support/tool_flags.ts";
import { addTally, type Tally } from "./target.ts";
import { TARGETS } from "./targets.ts";
import type { Share, ShareResult } from "./worker.ts";

const INPUTS_DEFAULT = 1_000_000;
/** The inputs of a share: enough that handing it out costs nothing, few enough to see progress. */
const SHARE_INPUTS = 10_000;
/** A share that takes longer has an input that has no end. A share takes about a second. */
const SHARE_MAX_MS = 120_000;
const PROGRESS_MS = 2_000;

/** Hands out shares until there are none or one has failed. */
class Run {
  readonly tally: Tally = new Map();
  done = 0;
  failure: string | undefined;
  readonly #seed: number;
  readonly #inputs: number;
  readonly #target: string | undefined;
  #next = 0;

  constructor(seed: number, inputs: number, target: string | undefined) {
    this.#seed = seed;
    this.#inputs = inputs;
    this.#target = target;
  }

  /** Works on one core. */
  async work(): Promise<void> {
    const worker = new Worker(import.meta.resolve("./worker.ts"), { type: "module" });
    try {
      for (let share = this.#share(); share !== undefined; share = this.#share()) {
        const result = await ask(worker, share);
        if ("failure" in result) {
          this.failure ??= result.failure;
        } else {
          addTally(this.tally, result.tally);
          this.done += share.inputs;
        }
      }
    } finally {
      worker.terminate();
    }
  }

  #share(): Share | undefined {
    if (this.failure !== undefined || this.#next >= this.#inputs) return undefined;
    const inputs = Math.min(SHARE_INPUTS, this.#inputs - this.#next);
    const seed = this.#seed + this.#next;
    this.#next += inputs;
    return { seed, inputs, target: this.#target };
  }
}

/** Lets a worker try a share. */
function ask(worker: Worker, share: Share): Promise<ShareResult> {
  const { promise, resolve } = Promise.withResolvers<ShareResult>();
  const { seed, inputs } = share;
  const timer = setTimeout(() => {
    const range = `${seed} to ${seed + inputs - 1}`;
    resolve({ failure: `One of inputs ${range} is not done within ${SHARE_MAX_MS} ms` });
  }, SHARE_MAX_MS);
  worker.onmessage = ({ data }: MessageEvent<ShareResult>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    resolve({ failure: `After input ${seed - 1}: ${event.message}` });
  };
  worker.postMessage(share);
  return promise.finally(() => clearTimeout(timer));
}

/** Prints how often each target came to each outcome. */
function printTally(tally: Tally): void {
  for (const { name } of TARGETS) {
    const outcomes = [...tally].filter(([outcome]) => outcome.startsWith(`${name}: `));
    if (outcomes.length === 0) continue;
    const total = outcomes.reduce((sum, [, times]) => sum + times, 0);
    console.log(`${name}: ${total} inputs`);
    for (const [outcome, times] of outcomes.sort(([, a], [, b]) => b - a)) {
      console.log(`${String(times).padStart(12)}  ${outcome.slice(name.length + 2)}`);
    }
  }
}

async function main(seed: number, inputs: number, target: string | undefined): Promise<number> {
  console.log(`${inputs} inputs from seed ${seed}`);
  const run = new Run(seed, inputs, target);
  const start = performance.now();
  const rate = (): string => {
    const perSecond = run.done / (performance.now() - start) * 1000;
    return `${run.done} inputs, ${Math.round(perSecond)} a second`;
  };
  const progress = setInterval(() => console.error(rate()), PROGRESS_MS);
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, () => run.work()));
  clearInterval(progress);
  printTally(run.tally);
  console.log(rate());
  if (run.failure === undefined) return 0;
  console.error(run.failure);
  return 1;
}

const names = TARGETS.map(({ name }) => name);
const HELP = `Throws broken inputs at all code that reads bytes of other nodes.

Usage: ./tdsm fuzz [--inputs N] [--seed S] [--target NAME]

  --inputs N     how many; ${INPUTS_DEFAULT} unless said
  --seed S       the number of the first; drawn and printed unless said
  --target NAME  at this alone: ${names.join(", ")}`;

const flags = new ToolFlags(HELP, { values: ["inputs", "seed", "target"] });
const inputs = flags.wholeNumber("inputs", INPUTS_DEFAULT);
const seed = flags.seed();
const target = flags.value("target");
if (target !== undefined && !names.includes(target)) flags.refuse(`there is no target ${target}`);
Deno.exitCode = await main(seed, inputs, target);

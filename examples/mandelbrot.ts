/**
 * The Mandelbrot set, drawn by Workers of all nodes. Each node has a share of the picture; a Worker
 * whose node has nothing left to draw steals from another, by `Atomics.add` on that node's counter.
 *
 * ```sh
 * deno run -A examples/mandelbrot.ts --png mandelbrot.png
 * ```
 */

import type { Node } from "../mod.ts";
import { collect, count, ExampleError, runExample } from "./example.ts";
import { draw, type Job, type JobReport, STEPS_MAX } from "./mandelbrot_set.ts";
import { writePicture } from "./picture.ts";
import { showProgress } from "./progress.ts";

const HELP = `Draws the Mandelbrot set with Workers on all nodes.

Usage: mandelbrot.ts [OPTIONS]

Options:
  --width N      Width of the picture (default 1024)
  --height N     Height of the picture (default 768)
  --workers N    Workers on each node (default 2)
  --png FILE     Write the picture
`;
/** Which rows node 1 draws again, to check: each one of so many. */
const CHECKED_ROWS = 16;

/** The values of the flags. */
interface Told {
  readonly width: number;
  readonly height: number;
  readonly workers: number;
  /** Where to write the picture, if anywhere. */
  readonly png: string | undefined;
}

/** Starts a Worker on a job; resolves with its report. */
async function startWorker(job: Job): Promise<JobReport> {
  const worker = new Worker(import.meta.resolve("./mandelbrot_worker.ts"), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<JobReport>();
  worker.onmessage = ({ data }: MessageEvent<JobReport>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new ExampleError(`A Worker failed: ${event.message}`));
  };
  worker.postMessage(job);
  try {
    return await promise;
  } finally {
    worker.terminate();
  }
}

async function main(node: Node, nodes: number, told: Told): Promise<void> {
  const { width, height, workers, png } = told;
  const picture = await node.alloc(Uint16Array, width * height, { name: "picture" });
  // A page for each counter, so that a node transfers another's counter only to steal from that node.
  const taken = await node.alloc(Uint8Array, nodes * node.pageSize, { name: "taken" });
  const drawn = await node.alloc(Int32Array, 1, { name: "drawn" });
  const tiles = Math.ceil(picture.byteLength / node.pageSize);
  const phase = node.barrier("phase", nodes);
  await phase.wait();

  const since = performance.now();
  const job: Job = {
    handle: node.handle,
    nodes,
    width,
    height,
    picture: node.offsetOf(picture),
    taken: node.offsetOf(taken),
    drawn: node.offsetOf(drawn),
  };
  const progress = node.id === 1
    ? showProgress("drawing", {
      total: tiles,
      done: () => Atomics.load(drawn, 0),
      format: (amount) => `${Math.round(amount)} tiles`,
    })
    : undefined;
  const reports = await Promise.all(Array.from({ length: workers }, () => startWorker(job)));
  progress?.[Symbol.dispose]();
  await phase.wait();
  const ms = performance.now() - since;

  const sum = (part: keyof JobReport) => reports.reduce((total, report) => total + report[part], 0);
  const drew = await collect(node, nodes, "tiles of each node", sum("drawn"));
  const stole = await collect(node, nodes, "of other nodes' shares", sum("stolen"));
  if (node.id !== 1) return;
  for (const [i, tiles] of drew.entries()) {
    console.log(`Node ${i + 1} drew ${tiles} tiles, ${stole[i]} of other nodes' shares`);
  }
  check(picture, width, height);
  if (drawn[0] !== tiles) throw new ExampleError(`${tiles} tiles were drawn ${drawn[0]} times`);
  const rate = width * height / ms / 1000;
  console.log(
    `${nodes} nodes with ${workers} Workers each drew ${tiles} tiles in ${ms.toFixed(0)} ms, ` +
      `${rate.toFixed(1)} million pixels/s`,
  );
  if (png !== undefined) {
    writePicture(png, width, height, (i) => colourOf(picture[i]!));
  }
}

/** Compares some rows with what this thread draws. */
function check(picture: Uint16Array, width: number, height: number): void {
  const expected = new Uint16Array(width);
  for (let row = 0; row < height; row += CHECKED_ROWS) {
    draw(expected, row * width, width, height);
    const found = picture.subarray(row * width, (row + 1) * width);
    const wrong = found.findIndex((steps, column) => steps !== expected[column]);
    if (wrong !== -1) {
      throw new ExampleError(`Pixel ${wrong} of row ${row} has ${found[wrong]} steps`);
    }
  }
}

/** Black for the set itself; around it, colours that go round with the logarithm of the steps. */
function colourOf(steps: number): [red: number, green: number, blue: number] {
  if (steps === STEPS_MAX) return [0, 0, 0];
  const turn = Math.log2(1 + steps);
  const wave = (phase: number): number => 128 - 127 * Math.cos(turn + phase);
  return [wave(0), wave(0.6), wave(1.2)];
}

await runExample({
  program: import.meta.filename!,
  help: HELP,
  flags: ["width", "height", "workers", "png"],
  read: ({ width, height, workers, png }) => ({
    width: count(width, "width", 1024, 1, 1 << 14),
    height: count(height, "height", 768, 1, 1 << 14),
    workers: count(workers, "workers", 2, 1, 16),
    png,
  }),
  main,
});

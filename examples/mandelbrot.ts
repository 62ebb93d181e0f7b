// Workers of all nodes draw the Mandelbrot set: each takes tile after tile from one counter that
// all of them share. Node 1 writes the picture into mandelbrot.png. In a project of your own,
// `deno add npm:fast-png` first.
//
//   ./tdsm launch -n 3 --allow-read --allow-write examples/mandelbrot.ts
import { attach, type Node, type NodeHandle, run } from "@tdsm/runtime";
import { encode } from "fast-png";

const WIDTH = 1024;
const HEIGHT = 768;
/** How many Workers each node has. */
const WORKERS = 2;
/** A point is taken to be in the set if it has not escaped after so many steps. */
const STEPS_MAX = 1000;

/** The job of a Worker. Offsets are the same on every node. */
interface Job {
  readonly handle: NodeHandle;
  /** Where the picture is: a 16-bit number of steps for each pixel. */
  readonly picture: number;
  /** Where the number of tiles that are taken is, a 32-bit word. */
  readonly taken: number;
}

/** How many steps a point takes to escape. */
function stepsOf(real: number, imaginary: number): number {
  let [x, y, steps] = [0, 0, 0];
  for (; steps < STEPS_MAX && x * x + y * y <= 4; steps++) {
    [x, y] = [x * x - y * y + real, 2 * x * y + imaginary];
  }
  return steps;
}

/** Draws pixels of the picture, of which the first has the index `first`. */
function draw(pixels: Uint16Array, first: number): void {
  const scale = 3 / WIDTH;
  for (let i = 0; i < pixels.length; i++) {
    const [column, row] = [(first + i) % WIDTH, Math.floor((first + i) / WIDTH)];
    pixels[i] = stepsOf(column * scale - 2.2, (row - HEIGHT / 2) * scale);
  }
}

/** A Worker's part: draws tiles until none is left; returns how many it drew. */
function work({ handle, ...at }: Job): number {
  using node = attach(handle);
  const picture = node.at(Uint16Array, at.picture, WIDTH * HEIGHT);
  const taken = node.at(Int32Array, at.taken, 1);
  // A tile is a page of the picture, so that no two nodes write to one page.
  const tile = node.pageSize / Uint16Array.BYTES_PER_ELEMENT;
  for (let drawn = 0;; drawn++) {
    const first = Atomics.add(taken, 0, 1) * tile;
    if (first >= picture.length) return drawn;
    draw(picture.subarray(first, first + tile), first);
  }
}

/** Starts a Worker on a job; resolves with the number of tiles that it drew. */
async function startWorker(job: Job): Promise<number> {
  const worker = new Worker(import.meta.url, { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault(); // run tells it, and so not Deno as well
    reject(event);
  };
  worker.postMessage(job);
  try {
    return await promise;
  } finally {
    worker.terminate();
  }
}

async function main(node: Node): Promise<void> {
  const picture = await node.alloc(Uint16Array, WIDTH * HEIGHT, { name: "picture" });
  const taken = await node.alloc(Int32Array, 1, { name: "taken" });
  const phase = node.barrier("phase", node.peers().length + 1);
  await phase.wait();
  const since = performance.now();
  const job = {
    handle: node.handle,
    picture: node.offsetOf(picture),
    taken: node.offsetOf(taken),
  };
  const drawn = await Promise.all(Array.from({ length: WORKERS }, () => startWorker(job)));
  const ms = performance.now() - since;
  console.log(`My Workers drew ${drawn.join(" and ")} tiles in ${ms.toFixed(0)} ms`);
  await phase.wait();
  if (node.id === 1) finish(picture);
}

/** Draws the middle row again, to check it, and writes the picture. */
function finish(picture: Uint16Array): void {
  const first = WIDTH * Math.floor(HEIGHT / 2);
  const expected = new Uint16Array(WIDTH);
  draw(expected, first);
  const wrong = expected.findIndex((steps, i) => steps !== picture[first + i]);
  if (wrong !== -1) throw new Error(`Pixel ${wrong} of the middle row is wrong`);

  const data = new Uint8Array(3 * picture.length);
  for (let i = 0; i < picture.length; i++) data.set(colourOf(picture[i]!), 3 * i);
  const png = encode({ width: WIDTH, height: HEIGHT, data, channels: 3, depth: 8 });
  Deno.writeFileSync("mandelbrot.png", png);
  console.log("The picture is in mandelbrot.png");
  console.log("OK");
}

/** Black for the set itself; around it, colours that go round with the logarithm of the steps. */
function colourOf(steps: number): [red: number, green: number, blue: number] {
  if (steps === STEPS_MAX) return [0, 0, 0];
  const turn = Math.log2(1 + steps);
  const wave = (phase: number): number => 128 - 127 * Math.cos(turn + phase);
  return [wave(0), wave(0.6), wave(1.2)];
}

// The main thread and its Workers load the same file.
if ("WorkerGlobalScope" in globalThis) {
  const thread = self as unknown as Worker;
  thread.onmessage = ({ data }: MessageEvent<Job>) => thread.postMessage(work(data));
} else {
  await run(main, { programFlags: [] });
}

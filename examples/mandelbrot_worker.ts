/** A Worker of `mandelbrot.ts`: takes tiles, first of its node's share, then of others. */

import { attach } from "../mod.ts";
import { share } from "./example.ts";
import { draw, type Job, type JobReport } from "./mandelbrot_set.ts";

function work({ handle, nodes, width, height, ...at }: Job): JobReport {
  using node = attach(handle);
  const picture = node.at(Uint16Array, at.picture, width * height);
  const drawn = node.at(Int32Array, at.drawn, 1);
  // A tile is a page of the picture: no two nodes write to one.
  const tile = node.pageSize / Uint16Array.BYTES_PER_ELEMENT;
  const tiles = Math.ceil(picture.length / tile);
  const report = { drawn: 0, stolen: 0 };
  for (let turn = 0; turn < nodes; turn++) {
    const victim = (node.id - 1 + turn) % nodes;
    const [first, end] = share(tiles, nodes, victim);
    const taken = node.at(Int32Array, at.taken + victim * node.pageSize, 1);
    for (;;) {
      // The same for a thread of this node and for one of another: the thread that adds has the tile.
      const index = first + Atomics.add(taken, 0, 1);
      if (index >= end) break;
      draw(picture.subarray(index * tile, (index + 1) * tile), index * tile, width, height);
      Atomics.add(drawn, 0, 1);
      report.drawn += 1;
      if (turn > 0) report.stolen += 1;
    }
  }
  return report;
}

// The other end looks the same: messages come, and go.
const program = self as unknown as Worker;
program.onmessage = ({ data }: MessageEvent<Job>): void => program.postMessage(work(data));

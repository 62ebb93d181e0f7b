/** What the nodes and Workers of `mandelbrot.ts` compute. */

import type { NodeHandle } from "../mod.ts";

/** A point is taken to be in the set if it has not escaped after so many steps. */
export const STEPS_MAX = 1000;
/** The part of the plane that the picture shows. */
const LEFT = -2.2;
const WIDTH = 3;

/** The job of a Worker. All offsets are the same on every node. */
export interface Job {
  /** The node, as it goes from thread to thread. */
  readonly handle: NodeHandle;
  /** How many nodes take part. */
  readonly nodes: number;
  /** The picture's width, in pixels. */
  readonly width: number;
  /** The picture's height, in pixels. */
  readonly height: number;
  /** Where the picture is: a 16-bit number of steps for each pixel. */
  readonly picture: number;
  /** Where the counters are, of tiles taken from each node's share: a 32-bit word at the start of a page each. */
  readonly taken: number;
  /** Where the number of all tiles that are drawn is, a 32-bit word. */
  readonly drawn: number;
}

/** The report of a Worker. */
export interface JobReport {
  /** How many tiles it drew. */
  readonly drawn: number;
  /** How many of them came from another node's share. */
  readonly stolen: number;
}

/** How many steps a point takes to escape; {@linkcode STEPS_MAX} if it does not. */
function stepsOf(real: number, imaginary: number): number {
  let [x, y, steps] = [0, 0, 0];
  for (; steps < STEPS_MAX && x * x + y * y <= 4; steps++) {
    [x, y] = [x * x - y * y + real, 2 * x * y + imaginary];
  }
  return steps;
}

/**
 * Draws pixels of the picture.
 *
 * @param pixels Where, the steps of one pixel an element.
 * @param first The index of the first of them in the picture, row by row.
 * @param width The picture's width, in pixels.
 * @param height The picture's height, in pixels.
 */
export function draw(pixels: Uint16Array, first: number, width: number, height: number): void {
  const scale = WIDTH / width;
  for (let i = 0; i < pixels.length; i++) {
    const [column, row] = [(first + i) % width, Math.floor((first + i) / width)];
    pixels[i] = stepsOf(LEFT + column * scale, (row - height / 2) * scale);
  }
}

/** Pictures of what the examples compute. */

import { encode } from "npm:fast-png@8.0.0";

/**
 * Writes a picture as PNG.
 *
 * @param path The file.
 * @param width Its width, in pixels.
 * @param height Its height, in pixels.
 * @param colourAt The colour of each pixel, by its index row by row: red, green and blue, 0 to 255.
 */
export function writePicture(
  path: string,
  width: number,
  height: number,
  colourAt: (index: number) => readonly [number, number, number],
): void {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(colourAt(i), 3 * i);
  Deno.writeFileSync(path, encode({ width, height, data, channels: 3, depth: 8 }));
  console.log(`Picture of ${width} × ${height} in ${path}`);
}

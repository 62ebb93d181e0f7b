/**
 * Three nodes that work at the limit of their memory for a long time: their memory must not grow.
 */

import { Random } from "../simulator/coherence/random.ts";
import { memoryUse, SAMPLES, SMALL_HEAP } from "../support/own_memory.ts";
import { BoundedNodes, type Sizes, verify, write } from "./bounded_nodes.ts";

const MIB = 2 ** 20;
/** What is written and read as one. */
const CHUNK_BYTES = MIB;
/** How many chunks a node writes, and then reads, in a round. */
const CHUNKS = 24;
/** What the memory of a process may differ by between its first and its last samples. */
const GROWTH_MAX_BYTES = 16 * MIB;

/**
 * Has nodes write chunks of their own and read those of all, in rounds.
 *
 * @param sizes How large everything is.
 * @param minutes How long it takes.
 * @param print Prints a line.
 * @returns Whether the memory of a node has grown, or a process was killed.
 * @throws {Error} Where a value is wrong.
 */
export async function soakAtLimit(
  sizes: Sizes,
  minutes: number,
  print: (line: string) => void,
): Promise<boolean> {
  await using bounded = await BoundedNodes.three(sizes, { DENO_V8_FLAGS: SMALL_HEAP });
  const { nodes } = bounded;
  const random = new Random(1);
  const chunks = Math.floor(sizes.dataMiB * MIB / CHUNK_BYTES);
  const salts = new Int32Array(chunks);
  const part = (chunk: number) => ({ from: chunk * CHUNK_BYTES, bytes: CHUNK_BYTES });
  await Promise.all(nodes.map(async (node, index) => {
    for (let chunk = index; chunk < chunks; chunk += 3) await write(node, part(chunk));
  }));
  const samples: { readonly ownBytes: number[]; readonly pageBytes: number[] }[] = [];
  const [begin, duration] = [performance.now(), minutes * 60_000];
  let round = 0;
  for (; performance.now() - begin < duration; round++) {
    const draw = (index: number): number[] =>
      Array.from({ length: CHUNKS }, () => 3 * random.below(Math.floor(chunks / 3)) + index);
    const own = nodes.map((_, index) => draw(index));
    for (const chunk of own.flat()) salts[chunk] = round + 1;
    await Promise.all(nodes.map(async (node, index) => {
      for (const chunk of own[index]!) await write(node, part(chunk), salts[chunk]);
    }));
    const read = nodes.map(() => Array.from({ length: CHUNKS }, () => random.below(chunks)));
    await Promise.all(nodes.map(async (node, index) => {
      for (const chunk of read[index]!) await verify(node, part(chunk), salts[chunk]);
    }));
    if ((performance.now() - begin) / duration * SAMPLES < samples.length) continue;
    const stats = await bounded.stats();
    samples.push({
      ownBytes: await bounded.ownBytes(),
      pageBytes: stats.map(({ memoryBytes }) => memoryBytes),
    });
    for (const { memoryBytes, memoryLimitBytes } of stats) {
      if (memoryBytes > memoryLimitBytes) print(`${memoryBytes} bytes of ${memoryLimitBytes}`);
    }
  }
  const stats = await bounded.stats();
  await bounded.leave();
  const moved = stats.reduce((sum, { pagesReceived }) => sum + pagesReceived, 0);
  print(`${round} rounds, ${moved} pages moved, all right, ${bounded.killed} killed`);
  let grown = bounded.killed > 0;
  for (const index of nodes.keys()) {
    const own = samples.map(({ ownBytes }) => ownBytes[index]!);
    const { first, last } = memoryUse(own);
    grown ||= last - first > GROWTH_MAX_BYTES;
    const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
    print(`node ${index + 1}: its own memory ${mib(first)} MiB, then ${mib(last)} MiB`);
    print(`  own ${own.map(mib).join(" ")}`);
    print(`  pages ${samples.map(({ pageBytes }) => mib(pageBytes[index]!)).join(" ")}`);
  }
  return grown;
}

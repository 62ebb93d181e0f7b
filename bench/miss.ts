/**
 * One of the two processes of the benchmark: the directory's node owns pages and echoes, the other
 * reads pages and pings, in rounds that take turns.
 */

import { type Node, run } from "../mod.ts";
import { echo, Pinger } from "./ping_pong.ts";
import { type Samples, samples } from "./samples.ts";

/** What the reader prints, as JSON. */
export interface MissReport {
  readonly miss: Samples;
  readonly pingPong: Samples;
  readonly scan: { readonly bytes: number; readonly us: number };
}

const ROUNDS = 20;
const PER_ROUND = 200;
/** Pages between two misses, so that they look like no sequence. */
const STRIDE_PAGES = 3;
const PING_BYTES = 32;
const PONG_BYTES = 4096;
/** Words of the first page: the owner's echo port once all is written, then the reader's end. */
const ECHO_PORT = 0;
const FINISHED = 1;

async function own(node: Node): Promise<void> {
  console.log(node.port);
  const words = new Int32Array(node.memory.buffer);
  const step = node.pageSize / words.BYTES_PER_ELEMENT;
  for (let page = 1; page < node.size / node.pageSize; page++) words[page * step] = page;
  const { port, ended } = echo(PING_BYTES, PONG_BYTES);
  Atomics.store(words, ECHO_PORT, port);
  await ended;
  if (Atomics.load(words, FINISHED) !== 1) throw new Error("The reader did not finish");
}

async function read(node: Node): Promise<MissReport> {
  const words = new Int32Array(node.memory.buffer);
  const step = node.pageSize / words.BYTES_PER_ELEMENT;
  let port = 0;
  while ((port = Atomics.load(words, ECHO_PORT)) === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  using pinger = await Pinger.connect(port, PING_BYTES, PONG_BYTES);
  const misses: number[] = [];
  const pings: number[] = [];
  let page = STRIDE_PAGES;
  for (let round = 0; round < ROUNDS; round++) {
    for (let index = 0; index < PER_ROUND; index++, page += STRIDE_PAGES) {
      const begin = performance.now();
      const value = words[page * step];
      misses.push(performance.now() - begin);
      if (value !== page) throw new Error(`Page ${page} has ${value}`);
    }
    for (let index = 0; index < PER_ROUND; index++) {
      const begin = performance.now();
      await pinger.ping();
      pings.push(performance.now() - begin);
    }
  }
  const first = (page + 1) * step;
  const begin = performance.now();
  for (let word = first; word < words.length; word += step) {
    if (words[word] !== word / step) throw new Error(`Page ${word / step} has ${words[word]}`);
  }
  const scan = { bytes: (words.length - first) * 4, us: (performance.now() - begin) * 1000 };
  Atomics.store(words, FINISHED, 1);
  return { miss: samples(misses), pingPong: samples(pings), scan };
}

await run(async (node) => {
  if (node.id === 1) await own(node);
  else console.log(JSON.stringify(await read(node)));
}, { size: "128MiB" });

/**
 * One of the two processes of the benchmark: the directory's node owns pages and echoes, the other
 * reads pages and pings, in rounds that take turns.
 */

import { type Node, run } from "../mod.ts";

/** A distribution, in microseconds. */
export interface Samples {
  readonly p50: number;
  readonly p99: number;
}

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
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  Atomics.store(words, ECHO_PORT, listener.addr.port);
  const connection = await listener.accept();
  connection.setNoDelay(true);
  const pong = new Uint8Array(PONG_BYTES);
  while (await readFully(connection, new Uint8Array(PING_BYTES))) {
    await writeFully(connection, pong);
  }
  connection.close();
  listener.close();
  if (Atomics.load(words, FINISHED) !== 1) throw new Error("The reader did not finish");
}

async function read(node: Node): Promise<MissReport> {
  const words = new Int32Array(node.memory.buffer);
  const step = node.pageSize / words.BYTES_PER_ELEMENT;
  let port = 0;
  while ((port = Atomics.load(words, ECHO_PORT)) === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  const ping = new Uint8Array(PING_BYTES);
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
      await writeFully(connection, ping);
      await readFully(connection, new Uint8Array(PONG_BYTES));
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
  connection.close();
  return { miss: samples(misses), pingPong: samples(pings), scan };
}

async function readFully(connection: Deno.Conn, target: Uint8Array): Promise<boolean> {
  for (let there = 0; there < target.length;) {
    const received = await connection.read(target.subarray(there));
    if (received === null) return false;
    there += received;
  }
  return true;
}

async function writeFully(connection: Deno.Conn, source: Uint8Array): Promise<void> {
  for (let sent = 0; sent < source.length;) sent += await connection.write(source.subarray(sent));
}

function samples(milliseconds: number[]): Samples {
  const sorted = milliseconds.map((ms) => ms * 1000).sort((a, b) => a - b);
  return { p50: sorted[sorted.length >> 1]!, p99: sorted[Math.floor(sorted.length * 0.99)]! };
}

await run(async (node) => {
  if (node.id === 1) await own(node);
  else console.log(JSON.stringify(await read(node)));
}, { size: "128MiB" });

/**
 * A process of the prototype: a program, and its engine in a Worker.
 *
 *   process.ts LIBRARY deno|own         owns pages; says its port as JSON
 *   process.ts LIBRARY deno|own PORT    touches pages; takes rounds as JSON on stdin
 */

import { viewMemory } from "../../ffi/native_values.ts";
import type { EngineNews, EngineStart } from "./engine.ts";
import { END_PAGE, PAGE_BYTES, type Round } from "./native.ts";

/** What a round came to. */
export interface RoundResult {
  /** What each access took, in microseconds. */
  readonly samplesUs: readonly number[];
  /** What all took, sleeping left out, in microseconds. */
  readonly us: number;
}

const PAGE_WORDS = PAGE_BYTES / 4;
const worker = new Worker(new URL("engine.ts", import.meta.url), { type: "module" });
const waiters = new Map<EngineNews["kind"], (news: EngineNews) => void>();
worker.onmessage = ({ data }) => waiters.get((data as EngineNews).kind)?.(data as EngineNews);

function next<Kind extends EngineNews["kind"]>(
  kind: Kind,
): Promise<Extract<EngineNews, { kind: Kind }>> {
  return new Promise((resolve) => waiters.set(kind, resolve as (news: EngineNews) => void));
}

/** Touches the pages of a round, then the end page. */
async function touch(words: Uint32Array, round: Round): Promise<RoundResult> {
  const samplesUs: number[] = new Array(round.count).fill(0);
  let slept = 0;
  const first = performance.now();
  for (let index = 0; index < round.count; index++) {
    if (round.silenceMs > 0) {
      const before = performance.now();
      await new Promise((resolve) => setTimeout(resolve, round.silenceMs));
      slept += performance.now() - before;
    }
    const page = index * round.stride;
    const begin = performance.now();
    const value = words[page * PAGE_WORDS];
    samplesUs[index] = (performance.now() - begin) * 1000;
    if (value !== page + 1) throw new Error(`Page ${page} has ${value}`);
  }
  const us = (performance.now() - first - slept) * 1000;
  if (words[END_PAGE * PAGE_WORDS] !== 0) throw new Error("The end page is not blank");
  return { samplesUs: round.stride === 1 ? [] : samplesUs, us };
}

async function ask(windowAddress: bigint): Promise<void> {
  const bytes = viewMemory(windowAddress, (END_PAGE + 1) * PAGE_BYTES);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let text = "";
  for await (const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
      const round = JSON.parse(text.slice(0, end)) as Round;
      const [begun, over] = [next("begun"), next("over")];
      worker.postMessage(round);
      await begun;
      const result = await touch(words, round);
      await over;
      console.log(JSON.stringify(result));
    }
  }
}

const [library, sockets, port] = Deno.args as [string, "deno" | "own", string?];
const start: EngineStart = { library, sockets, ...(port && { port: Number(port) }) };
if (port === undefined) {
  const [listening, ended] = [next("listening"), next("ended")];
  worker.postMessage(start);
  console.log(JSON.stringify({ port: (await listening).port }));
  // With its connection, or with the process that started it if none ever connects.
  await Promise.race([ended, Deno.stdin.read(new Uint8Array(1))]);
} else {
  const connected = next("connected");
  worker.postMessage(start);
  await ask((await connected).windowAddress);
}
Deno.exit(0);

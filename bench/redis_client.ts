/**
 * A process that asks a redis-server. Its arguments are the port, and `polling` or `asleep`: whether it
 * keeps its event loop awake while it waits for an answer, as the runtime's engine does.
 */

import { serve } from "./serve.ts";

const VALUE_BYTES = 4096;
const KEY = "tdsm-bench";

const [port, how] = Deno.args;
const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
connection.setNoDelay(true);
const encoder = new TextEncoder();
const value = "x".repeat(VALUE_BYTES);
const commands: Readonly<Record<string, { readonly bytes: Uint8Array; readonly answer: number }>> =
  {
    // The length of the answer: "$4096\r\n", the value, "\r\n"; or "+OK\r\n".
    GET: { bytes: command("GET", KEY), answer: VALUE_BYTES + 9 },
    SET: { bytes: command("SET", KEY, value), answer: 5 },
  };
const answer = new Uint8Array(2 * VALUE_BYTES);

/** A command as Redis reads it: an array of strings. */
function command(...words: string[]): Uint8Array {
  const strings = words.map((word) => `$${word.length}\r\n${word}\r\n`);
  return encoder.encode(`*${words.length}\r\n${strings.join("")}`);
}

async function ask(name: string): Promise<void> {
  const { bytes, answer: length } = commands[name]!;
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  for (let there = 0; there < length;) {
    const received = await connection.read(answer.subarray(there));
    if (received === null) throw new Error("redis-server has ended the connection");
    there += received;
    if (answer[0] === "-".charCodeAt(0)) {
      throw new Error(new TextDecoder().decode(answer.subarray(0, there)));
    }
  }
}

let polls = false;
function turn(): void {
  if (polls) setImmediate(turn);
}

async function measure(name: string, count: number): Promise<number[]> {
  const us: number[] = [];
  polls = how === "polling";
  turn();
  try {
    for (let index = 0; index < count; index++) {
      const begin = performance.now();
      await ask(name);
      us.push((performance.now() - begin) * 1000);
    }
  } finally {
    polls = false;
  }
  return us;
}

await ask("SET");
await serve({ pid: Deno.pid }, (name, count) => measure(name, count as number));

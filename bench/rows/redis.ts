/** GET and SET of 4 KiB at a redis-server, from Deno: what people use instead. */

import type { Context, Family, OpenFamily, Row } from "../family.ts";
import { DenoClient, type DenoWaiting } from "../floor/deno_ping.ts";
import type { Exchange } from "../floor/deno_socket.ts";
import { freePort } from "../machine.ts";

/** One way to ask Redis. */
export interface RedisRow {
  readonly command: "GET" | "SET";
  /** How the Deno process waits for the answer. */
  readonly how: DenoWaiting;
}

/** Commands in a round. */
const COMMANDS = 100;
const MISSING = "no redis-server on PATH";
const VALUE_BYTES = 4096;
const KEY = "tdsm-bench";

const EXCHANGES: Readonly<Record<RedisRow["command"], Omit<Exchange, "count">>> = {
  // The answer is "$4096\r\n", the value, "\r\n".
  GET: { request: command("GET", KEY), answerBytes: VALUE_BYTES + 9 },
  // The answer is "+OK\r\n".
  SET: { request: command("SET", KEY, "x".repeat(VALUE_BYTES)), answerBytes: 5 },
};

/** A command as Redis reads it: an array of strings. */
function command(...words: string[]): string {
  const strings = words.map((word) => `$${word.length}\r\n${word}\r\n`);
  return `*${words.length}\r\n${strings.join("")}`;
}

/**
 * @param kind The way to ask.
 * @returns Its row.
 */
export function redisRow({ command, how }: RedisRow): Row {
  return {
    id: `redis-${command.toLowerCase()}-${how}`,
    title: `Redis ${command} of 4 KiB from Deno, ${how}`,
    unit: "us",
    floor: true,
  };
}

/**
 * Starts a redis-server, where there is one, and processes that ask it.
 *
 * @param context The run.
 * @param stack Gets the processes.
 * @param kinds The ways to ask.
 * @returns How rounds are taken.
 */
export async function redisRounds(
  context: Context,
  stack: AsyncDisposableStack,
  kinds: readonly RedisRow[],
): Promise<OpenFamily> {
  const take: Record<string, () => Promise<readonly number[]>> = {};
  const port = await startServer(stack);
  if (port === undefined) {
    return { take, skipped: Object.fromEntries(kinds.map((kind) => [redisRow(kind).id, MISSING])) };
  }
  for (const how of new Set(kinds.map(({ how }) => how))) {
    const client = stack.use(await DenoClient.start(how, port, context.cores[1]));
    await client.ask({ ...EXCHANGES.SET, count: 1 });
    for (const kind of kinds.filter((kind) => kind.how === how)) {
      take[redisRow(kind).id] = () => client.ask({ ...EXCHANGES[kind.command], count: COMMANDS });
    }
  }
  return { take };
}

/**
 * Starts a redis-server that keeps nothing; its port, or `undefined` where there is none on PATH.
 */
async function startServer(stack: AsyncDisposableStack): Promise<number | undefined> {
  const port = freePort();
  let server: Deno.ChildProcess;
  try {
    server = new Deno.Command("redis-server", {
      args: ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const ready = Promise.withResolvers<void>();
  const reading = (async () => {
    let text = "";
    for await (const more of server.stdout.pipeThrough(new TextDecoderStream())) {
      text += more;
      if (/ready to accept connections/i.test(text)) ready.resolve();
    }
    ready.reject(new Error(`redis-server ended: ${text}`));
  })();
  // Its end is an error only before it was ready.
  ready.promise.catch(() => {});
  stack.defer(async () => {
    try {
      server.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await server.status;
    await reading;
  });
  await ready.promise;
  return port;
}

const KINDS: readonly RedisRow[] = [
  { command: "GET", how: "polling" },
  { command: "SET", how: "polling" },
  { command: "GET", how: "asleep" },
  { command: "SET", how: "asleep" },
];

/** Redis by itself. */
export const redis: Family = {
  name: "redis",
  rows: KINDS.map(redisRow),
  rounds: { full: 6, quick: 2, warmUp: true },
  open: (context, stack) => redisRounds(context, stack, KINDS),
};

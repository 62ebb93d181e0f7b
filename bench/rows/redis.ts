/** GET and SET of 4 KiB at a redis-server, from Deno: what people use instead. */

import type { Family, OpenFamily, Row } from "../row.ts";
import { type Ready, Served } from "../served.ts";

/** One way to ask Redis. */
export interface RedisRow {
  readonly command: "GET" | "SET";
  /** How the Deno process waits for the answer. */
  readonly how: "polling" | "asleep";
}

/** Commands in a round. */
const COMMANDS = 100;
const MISSING = "no redis-server on PATH";

/**
 * @param kind The way to ask.
 * @returns Its row.
 */
export function redisRow({ command, how }: RedisRow): Row {
  return {
    id: `redis-${command.toLowerCase()}-${how}`,
    title: `Redis ${command} of 4 KiB from Deno, ${how}`,
    unit: "us",
  };
}

/**
 * Starts a redis-server, where there is one, and processes that ask it.
 *
 * @param stack Gets what is to be ended.
 * @param kinds The ways to ask.
 * @returns How rounds are taken.
 */
export async function redisRounds(
  stack: AsyncDisposableStack,
  kinds: readonly RedisRow[],
): Promise<Pick<OpenFamily, "take" | "skipped">> {
  const take: Record<string, () => Promise<readonly number[]>> = {};
  const port = await startServer(stack);
  if (port === undefined) {
    return { take, skipped: Object.fromEntries(kinds.map((kind) => [redisRow(kind).id, MISSING])) };
  }
  for (const how of new Set(kinds.map(({ how }) => how))) {
    const env = how === "polling" ? { DENO_TOKIO_EVENT_INTERVAL: "1" } : {};
    const client = stack.use(
      await Served.start<Ready>("redis_client.ts", [String(port), how], env),
    );
    for (const kind of kinds.filter((kind) => kind.how === how)) {
      take[redisRow(kind).id] = async () =>
        await client.ask(kind.command, COMMANDS) as readonly number[];
    }
  }
  return { take };
}

/** Starts a redis-server that keeps nothing; its port, or `undefined` where there is none on PATH. */
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
  // Only who still waits for it is to be told of its end.
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

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
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
  rounds: { full: 10, quick: 3, warmUp: true },
  async open() {
    const stack = new AsyncDisposableStack();
    try {
      const rounds = await redisRounds(stack, KINDS);
      return { ...rounds, [Symbol.asyncDispose]: () => stack.disposeAsync() };
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  },
};

/**
 * A process with one TCP connection, for `deno_ping.ts`.
 *
 *   deno_socket.ts asleep|polling         answers on a connection to the port that it says
 *   deno_socket.ts asleep|polling PORT    connects, and asks
 */

import { type Ready, serve } from "../process.ts";

/** What it says of itself. */
export interface EchoReady extends Ready {
  /** Where it listens, if it answers. */
  readonly port?: number;
}

/** What is sent, and what comes back. */
export interface Exchange {
  /** The bytes out, as text; or how many zeros. */
  readonly request: string | number;
  /** How many bytes come back. */
  readonly answerBytes: number;
  /** How often it is timed; it happens once more before. */
  readonly count: number;
}

const [how, port] = Deno.args;

/** Keeps the event loop awake until disposed of, if this process polls. */
function keepAwake(): Disposable {
  let over = how !== "polling";
  const turn = (): void => {
    if (!over) setImmediate(turn);
  };
  turn();
  return { [Symbol.dispose]: () => void (over = true) };
}

async function readFully(connection: Deno.Conn, target: Uint8Array): Promise<void> {
  for (let there = 0; there < target.length;) {
    const received = await connection.read(target.subarray(there));
    if (received === null) throw new Error("The other side ended");
    there += received;
    // An error of Redis, which is shorter than the answer.
    if (target[0] === "-".charCodeAt(0)) {
      throw new Error(new TextDecoder().decode(target.subarray(0, there)));
    }
  }
}

async function writeFully(connection: Deno.Conn, source: Uint8Array): Promise<void> {
  for (let sent = 0; sent < source.length;) sent += await connection.write(source.subarray(sent));
}

async function answer(
  connection: Deno.Conn,
  { requestBytes, answerBytes, count }: Record<"requestBytes" | "answerBytes" | "count", number>,
): Promise<void> {
  const [request, bytes] = [new Uint8Array(requestBytes), new Uint8Array(answerBytes)];
  using _awake = keepAwake();
  for (let index = 0; index < count; index++) {
    await readFully(connection, request);
    await writeFully(connection, bytes);
  }
}

async function ask(connection: Deno.Conn, exchange: Exchange): Promise<number[]> {
  const { request, answerBytes, count } = exchange;
  const source = typeof request === "string"
    ? new TextEncoder().encode(request)
    : new Uint8Array(request);
  const target = new Uint8Array(answerBytes);
  const samplesUs: number[] = new Array(count).fill(0);
  using _awake = keepAwake();
  // The first does not count: the other process may be asleep.
  for (let index = -1; index < count; index++) {
    const begin = performance.now();
    await writeFully(connection, source);
    await readFully(connection, target);
    if (index >= 0) samplesUs[index] = (performance.now() - begin) * 1000;
  }
  return samplesUs;
}

if (port === undefined) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let connected: Promise<Deno.TcpConn> | undefined;
  const ready: EchoReady = { pid: Deno.pid, port: listener.addr.port };
  await serve(ready, async (_name, args) => {
    const connection = await (connected ??= listener.accept());
    connection.setNoDelay(true);
    await answer(connection, args as Parameters<typeof answer>[1]);
  });
  if (connected !== undefined) (await connected).close();
} else {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  connection.setNoDelay(true);
  await serve({ pid: Deno.pid }, (_name, args) => ask(connection, args as Exchange));
}

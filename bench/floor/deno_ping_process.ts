/**
 * One of the two processes of `deno_ping.ts`.
 *
 *   deno_ping_process.ts asleep|polling         answers; says its port as JSON
 *   deno_ping_process.ts asleep|polling PORT    asks; takes `REQUEST_BYTES ANSWER_BYTES COUNT` on stdin
 *
 * A round begins with its three numbers on the connection, so that both sides know its end.
 */

const BYTES_MAX = 1 << 20;
const ROUND_WORDS = 3;

const [how, port] = Deno.args;
if (how !== "asleep" && how !== "polling") throw new Error("Say asleep or polling");

/** Keeps the event loop awake until disposed of, if this process polls. */
function keepAwake(): Disposable {
  let over = how !== "polling";
  const turn = (): void => {
    if (!over) setImmediate(turn);
  };
  turn();
  return { [Symbol.dispose]: () => void (over = true) };
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

async function answer(): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(JSON.stringify({ port: listener.addr.port }));
  // If whoever started this goes away before anybody connects, nobody ever will.
  let connected = false;
  void Deno.stdin.read(new Uint8Array(1)).then(() => connected || Deno.exit(0));
  using connection = await listener.accept();
  connected = true;
  connection.setNoDelay(true);
  const round = new Uint32Array(ROUND_WORDS);
  while (await readFully(connection, new Uint8Array(round.buffer))) {
    const [requestBytes, answerBytes, count] = round as unknown as [number, number, number];
    const [request, bytes] = [new Uint8Array(requestBytes), new Uint8Array(answerBytes)];
    using _awake = keepAwake();
    for (let index = 0; index < count; index++) {
      if (!await readFully(connection, request)) return;
      await writeFully(connection, bytes);
    }
  }
}

async function ask(connection: Deno.TcpConn, line: string): Promise<number[]> {
  const numbers = line.split(" ").map(Number);
  const round = Uint32Array.from(numbers);
  const [requestBytes, answerBytes, count] = round as unknown as [number, number, number];
  if (round.length !== ROUND_WORDS || numbers.some((value, at) => value !== round[at])) {
    throw new Error(`Three whole numbers are needed, not "${line}"`);
  }
  if (Math.min(...round) < 1 || Math.max(requestBytes, answerBytes) > BYTES_MAX) {
    throw new Error(`Out of range: "${line}"`);
  }
  const [request, bytes] = [new Uint8Array(requestBytes), new Uint8Array(answerBytes)];
  const samplesUs: number[] = new Array(count).fill(0);
  using _awake = keepAwake();
  await writeFully(connection, new Uint8Array(round.buffer));
  for (let index = 0; index < count; index++) {
    const begin = performance.now();
    await writeFully(connection, request);
    if (!await readFully(connection, bytes)) throw new Error("The other side ended");
    samplesUs[index] = (performance.now() - begin) * 1000;
  }
  return samplesUs;
}

if (port === undefined) {
  await answer();
  Deno.exit(0);
}
using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
connection.setNoDelay(true);
let text = "";
for await (const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  text += part;
  for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
    console.log(JSON.stringify({ samplesUs: await ask(connection, text.slice(0, end)) }));
  }
}

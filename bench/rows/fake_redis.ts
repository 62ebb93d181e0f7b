/** What the benchmark needs of a redis-server: GET and SET of one value, by RESP. For its test. */

const port = Number(Deno.args[Deno.args.indexOf("--port") + 1]);
const listener = Deno.listen({ hostname: "127.0.0.1", port });
const decoder = new TextDecoder();
const encoder = new TextEncoder();
let value = "";

/**
 * The answer to the first command of a text and the rest of it; `undefined` while it is not whole.
 */
function take(text: string): { readonly answer: string; readonly rest: string } | undefined {
  let rest = text;
  const line = (mark: string): number => {
    const end = rest.indexOf("\r\n");
    if (end < 0) return NaN;
    if (rest[0] !== mark) throw new Error(`${JSON.stringify(rest)} is no RESP`);
    const number = Number(rest.slice(1, end));
    rest = rest.slice(end + 2);
    return number;
  };
  const words: string[] = [];
  const count = line("*");
  while (words.length < count) {
    const length = line("$");
    if (!(rest.length >= length + 2)) return undefined;
    words.push(rest.slice(0, length));
    rest = rest.slice(length + 2);
  }
  if (words.length === 0) return undefined;
  if (words[0] === "SET") {
    value = words[2]!;
    return { answer: "+OK\r\n", rest };
  }
  return { answer: `$${value.length}\r\n${value}\r\n`, rest };
}

async function serve(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (let count; (count = await connection.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, count));
    for (let taken; (taken = take(text)) !== undefined; text = taken.rest) {
      const bytes = encoder.encode(taken.answer);
      for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
    }
  }
}

console.log("Ready to accept connections");
for await (const connection of listener) void serve(connection);

import { assertEquals, assertStringIncludes } from "@std/assert";
import { SERVED_CONNECTIONS_MAX } from "../limits.ts";
import { LastingServer } from "./lasting_server.ts";

function serve(): LastingServer {
  return new LastingServer({ hostname: "127.0.0.1", port: 0 }, {
    answer({ method, url, headers }) {
      if (url.endsWith("/fails")) throw new Error("as asked");
      return new Response(method === "HEAD" ? null : `${method} ${url} ${headers.get("x")}`);
    },
    failed: (error) => new Response(String(error), { status: 500 }),
    interrupted(reason) {
      throw new Error(reason);
    },
  });
}

/** Sends text; resolves with all that is answered. */
async function ask(server: LastingServer, text: string): Promise<string> {
  using connection = await Deno.connect(server.address);
  await connection.write(new TextEncoder().encode(text));
  let answer = "";
  for await (const part of connection.readable.pipeThrough(new TextDecoderStream())) answer += part;
  return answer;
}

Deno.test("LastingServer: answers GET and HEAD, and an error", async () => {
  await using server = serve();
  const url = `http://127.0.0.1:${server.address.port}`;
  const got = await fetch(`${url}/a?b=c`, { headers: { x: "y" } });
  assertEquals([got.status, await got.text()], [200, `GET ${url}/a?b=c y`]);
  const head = await fetch(url, { method: "HEAD" });
  assertEquals([head.status, await head.text()], [200, ""]);
  const failed = await fetch(`${url}/fails`);
  assertEquals([failed.status, await failed.text()], [500, "Error: as asked"]);
});

Deno.test("LastingServer: what is no request is answered 400, and an endless one not at all", async () => {
  await using server = serve();
  for (const text of ["hello\r\n\r\n", "GET / HTTP/1.1\r\n:\r\n\r\n", "GET / HTTP/2\r\n\r\n"]) {
    assertStringIncludes(await ask(server, text), "HTTP/1.1 400 ");
  }
  assertEquals(await ask(server, `GET /${"a".repeat(16 * 1024 - 5)}`), "");
});

Deno.test("LastingServer: of clients that ask for nothing the oldest make room", async () => {
  await using server = serve();
  const idle: Deno.TcpConn[] = [];
  try {
    while (idle.length < 500) idle.push(await Deno.connect(server.address));
    const got = await fetch(`http://127.0.0.1:${server.address.port}/`);
    assertEquals(got.status, 200);
    await got.body?.cancel();
    const dropped = idle.slice(0, 501 - SERVED_CONNECTIONS_MAX);
    const buffer = new Uint8Array(1);
    for (const connection of dropped) assertEquals(await connection.read(buffer), null);
    // The last that came is still there, and may ask.
    await idle.at(-1)!.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    assertEquals(await idle.at(-1)!.read(buffer), 1);
  } finally {
    for (const connection of idle) connection.close();
  }
});

import { assertEquals } from "@std/assert";
import { MetricsServer } from "./metrics_server.ts";

const ANY_PORT = { hostname: "127.0.0.1", port: 0 };

/** Sends a request as it stands, and does not read its answer. */
async function send({ address }: MetricsServer, request: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect(address);
  await connection.write(new TextEncoder().encode(request));
  return connection;
}

Deno.test("MetricsServer: a scraper that does not read its answer does not keep it from ending", async () => {
  const server = MetricsServer.open(ANY_PORT);
  const answering = Promise.withResolvers<void>();
  // More than the kernel takes for a connection.
  const help = "a".repeat(2 ** 26);
  server.serve(() => {
    answering.resolve();
    return [{ name: "a", help, type: "gauge", samples: [[{}, 1]] }];
  });
  using _connection = await send(server, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  await answering.promise;
  await server[Symbol.asyncDispose]();
});

Deno.test("MetricsServer: a request that names no host has no metrics", async () => {
  await using server = MetricsServer.open(ANY_PORT);
  using connection = await send(server, "GET /metrics HTTP/1.1\r\nHost: a b\r\n\r\n");
  const bytes = new Uint8Array(64);
  const text = new TextDecoder().decode(bytes.subarray(0, await connection.read(bytes) ?? 0));
  assertEquals(text.split("\r\n")[0], "HTTP/1.1 404 Not Found");
});

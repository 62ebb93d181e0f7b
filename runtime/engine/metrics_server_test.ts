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
  using _connection = await send(server, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await answering.promise;
  await server[Symbol.asyncDispose]();
});

/** The status of the answer to a request for metrics that names a host. */
async function statusFor(server: MetricsServer, host: string): Promise<string | undefined> {
  using connection = await send(server, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const bytes = new Uint8Array(64);
  const text = new TextDecoder().decode(bytes.subarray(0, await connection.read(bytes) ?? 0));
  return text.split(" ")[1];
}

Deno.test("MetricsServer: on loopback only names of this machine have metrics", async () => {
  await using server = MetricsServer.open(ANY_PORT);
  server.serve(() => []);
  for (const host of ["127.0.0.1:9464", "localhost", "[::1]:9464"]) {
    assertEquals(await statusFor(server, host), "200", host);
  }
  for (const host of ["evil.example", "127.0.0.1.evil.example:9464", "10.0.0.1"]) {
    assertEquals(await statusFor(server, host), "403", host);
  }
  for (const host of ["a b", "evil.example@127.0.0.1"]) {
    assertEquals(await statusFor(server, host), "400", host);
  }
});

Deno.test("MetricsServer: beyond loopback any name of the machine has metrics", async () => {
  await using server = MetricsServer.open({ hostname: "0.0.0.0", port: 0 });
  server.serve(() => []);
  assertEquals(await statusFor(server, "box.example:9464"), "200");
});

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Asked, type HttpBounds, HttpServer } from "./http_server.ts";

/** Bounds of time that no test reaches. */
const LONG: HttpBounds = { connections: 4, headMs: 600_000, idleMs: 600_000 };
const HEAD = "GET /a HTTP/1.1\r\nHost: localhost\r\n";

/** A server that answers with what it is asked, and keeps what it tells. */
function serve(
  bounds: Partial<HttpBounds>,
  answer: (request: Asked) => Response | Promise<Response> = ({ method, url }) =>
    new Response(`${method} ${url}\n`),
): { server: HttpServer; told: string[] } {
  const told: string[] = [];
  const served = {
    answer,
    failed: (error: unknown) => new Response(String(error), { status: 500 }),
    interrupted: (reason: string) => void told.push(reason),
  };
  const anyPort = { hostname: "127.0.0.1", port: 0 };
  return { server: new HttpServer(anyPort, served, { ...LONG, ...bounds }), told };
}

/** A client of a server, which sends what it is told to, as it stands. */
class Client implements Disposable {
  #text = "";
  readonly #connection: Deno.TcpConn;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async of({ address }: HttpServer): Promise<Client> {
    return new Client(await Deno.connect(address));
  }

  async send(text: string): Promise<void> {
    await this.#connection.write(new TextEncoder().encode(text));
  }

  /** Reads until what has come, and was not returned before, is as wanted. Returns it. */
  async until(wanted: RegExp): Promise<string> {
    while (!wanted.test(this.#text)) assert(await this.#read(), `ended after ${this.#text}`);
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** Reads until the server ends the connection. Returns what has come. */
  async untilEnded(): Promise<string> {
    while (await this.#read());
    return this.#text;
  }

  async #read(): Promise<boolean> {
    const bytes = new Uint8Array(65_536);
    const count = await this.#connection.read(bytes).catch((error) => {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      return null;
    });
    this.#text += new TextDecoder().decode(bytes.subarray(0, count ?? 0));
    return count !== null;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** The status of the answer to a request on a connection of its own; 0 where it is ended. */
async function statusNow(server: HttpServer): Promise<number> {
  using client = await Client.of(server);
  // The server may end it before it has been sent.
  await client.send(`${HEAD}Connection: close\r\n\r\n`).catch(() => {});
  return Number(/^HTTP\/1\.1 (\d+)/.exec(await client.untilEnded())?.[1] ?? 0);
}

Deno.test("HttpServer: where as many connections as may be have asked, the next is ended, which is told once", async () => {
  const { server, told } = serve({});
  await using _server = server;
  const clients: Client[] = [];
  while (clients.length < LONG.connections) {
    const client = await Client.of(server);
    clients.push(client);
    await client.send(`${HEAD}\r\n`);
    await client.until(/localhost\/a\n$/);
  }
  assertEquals([await statusNow(server), await statusNow(server)], [0, 0]);
  assertEquals(told.length, 1);
  assertMatch(told[0]!, /^there are 4 already\. Find out what opens so many/);
  await clients[0]!.send(`${HEAD}\r\n`);
  await clients[0]!.until(/localhost\/a\n$/);
  clients.pop()![Symbol.dispose]();
  while (await statusNow(server) !== 200);
  for (const client of clients) client[Symbol.dispose]();
});

Deno.test("HttpServer: of 100 connections that say nothing the oldest make room, and a scrape succeeds at once", async () => {
  const { server, told } = serve({});
  await using _server = server;
  const silent: Client[] = [];
  while (silent.length < 100) silent.push(await Client.of(server));
  assertEquals(await statusNow(server), 200);
  assertEquals(await silent[0]!.untilEnded(), "");
  assertEquals(told.length, 1);
  // The last ones are open.
  await silent.at(-1)!.send(`${HEAD}\r\n`);
  await silent.at(-1)!.until(/localhost\/a\n$/);
  for (const client of silent) client[Symbol.dispose]();
});

Deno.test("HttpServer: a connection over which no whole head comes is ended in time", async () => {
  const { server } = serve({ headMs: 50 });
  await using _server = server;
  using silent = await Client.of(server);
  using slow = await Client.of(server);
  await slow.send(HEAD);
  assertEquals([await silent.untilEnded(), await slow.untilEnded()], ["", ""]);
});

Deno.test("HttpServer: a byte now and then makes no head, and no time", async () => {
  const { server } = serve({ headMs: 100 });
  await using _server = server;
  using client = await Client.of(server);
  const ended = client.untilEnded();
  let isEnded = false;
  void ended.then(() => isEnded = true);
  await client.send(`${HEAD}A: `);
  while (!isEnded) {
    await client.send("a").catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(await ended, "");
});

Deno.test("HttpServer: a connection that has asked may wait for longer, and is ended in time, too", async () => {
  const { server } = serve({ headMs: 600_000, idleMs: 50 });
  await using _server = server;
  using idle = await Client.of(server);
  await idle.send(`${HEAD}\r\n`);
  using half = await Client.of(server);
  await half.send(`${HEAD}\r\n${HEAD}`);
  for (const client of [idle, half]) assertMatch(await client.untilEnded(), /GET .*\/a\n$/);
});

Deno.test("HttpServer: where all connections have been taken a scrape succeeds once the bounds allow", async () => {
  const { server } = serve({ idleMs: 100 });
  await using _server = server;
  const clients: Client[] = [];
  while (clients.length < LONG.connections) {
    const client = await Client.of(server);
    clients.push(client);
    await client.send(`${HEAD}\r\n`);
  }
  await Promise.all(clients.map((client) => client.untilEnded()));
  assertEquals(await statusNow(server), 200);
  for (const client of clients) client[Symbol.dispose]();
});

Deno.test("HttpServer: a client that does not read its answer is ended in time", async () => {
  // More than the kernel takes for a connection.
  const body = "a".repeat(2 ** 25);
  const { server } = serve({ connections: 1, idleMs: 100 }, ({ url }) => {
    return new Response(url.endsWith("/a") ? body : "");
  });
  await using _server = server;
  using client = await Client.of(server);
  await client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await client.until(/^HTTP/);
  // It is the only one that there may be.
  while (true) {
    using other = await Client.of(server);
    await other.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").catch(() => {});
    if (/^HTTP\/1\.1 200/.test(await other.untilEnded())) break;
  }
});

Deno.test("HttpServer: clients that go before they are answered, or in the middle of a request, do no harm", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  const { server } = serve({}, ({ method }) => {
    if (method === "POST") asked.resolve();
    return method === "POST" ? answer.promise : new Response();
  });
  await using _server = server;
  {
    using early = await Client.of(server);
    await early.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    using half = await Client.of(server);
    await half.send(HEAD);
    await asked.promise;
  }
  assertEquals(await statusNow(server), 200);
  answer.resolve(new Response("a".repeat(2 ** 20)));
  assertEquals(await statusNow(server), 200);
});

Deno.test("HttpServer: requests one after the other, or all at once, are answered by one connection", async () => {
  const { server } = serve({});
  await using _server = server;
  using client = await Client.of(server);
  for (let count = 0; count < 3; count++) {
    await client.send(`${HEAD}\r\n`);
    assertMatch(await client.until(/localhost\/a\n$/), /^HTTP\/1\.1 200 OK\r\n/);
  }
  await client.send(`${HEAD}\r\n${HEAD}\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\n${HEAD}\r\n`);
  const text = await client.until(/(?:HTTP[^]*){4}localhost\/a\n$/);
  assertEquals(text.match(/HTTP\/1\.1 200 OK|(?:GET|HEAD) http:\S+/g), [
    "HTTP/1.1 200 OK",
    "GET http://localhost/a",
    "HTTP/1.1 200 OK",
    "GET http://localhost/a",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "GET http://localhost/a",
  ]);
});

Deno.test("HttpServer: it passes on what is asked and answered, as they stand", async () => {
  const { server } = serve({}, ({ method, url, headers }) => {
    const text = [method, url, headers.get("Cookie"), headers.get("none")].join();
    const answered = { "set-cookie": "a=b; HttpOnly", "location": "/c" };
    return new Response(text, { status: 303, headers: answered });
  });
  await using _server = server;
  using client = await Client.of(server);
  await client.send(
    "POST http://b/c?d HTTP/1.1\r\nHost: a\r\nCookie: e\r\nConnection: close\r\n\r\n",
  );
  const answer = await client.untilEnded();
  assertMatch(answer, /^HTTP\/1\.1 303 See Other\r\n/);
  assertMatch(answer, /\r\nset-cookie: a=b; HttpOnly\r\n/i);
  assertMatch(answer, /\r\nlocation: \/c\r\n/i);
  assertMatch(answer, /\r\n\r\nPOST,http:\/\/b\/c\?d,e,$/);
});

Deno.test("HttpServer: what is no HTTP, has too long a head, or cannot be answered is refused", async () => {
  const { server } = serve({}, () => {
    throw new Error("planted");
  });
  await using _server = server;
  const statuses: (string | undefined)[] = [];
  for (const request of ["GARBAGE\r\n\r\n", `${HEAD}A: ${"a".repeat(2 ** 16)}\r\n\r\n`]) {
    using client = await Client.of(server);
    await client.send(request);
    statuses.push(/^HTTP\/1\.1 (\d+)/.exec(await client.untilEnded())?.[1]);
  }
  assertEquals([...statuses, await statusNow(server)], ["400", "431", 500]);
});

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Access, accessAt, objectionTo } from "./dashboard_access.ts";

const LOCAL: Access = { hostname: "127.0.0.1", port: 9635, token: undefined };
const TOKEN = "0123456789abcdef0123456789abcdef";
const OPEN: Access = { hostname: "0.0.0.0", port: 9635, token: TOKEN };

/** The status of the answer that refuses a request, or 200. */
async function status(
  access: Access,
  path: string,
  headers: Record<string, string>,
  method = "GET",
  origin = "http://localhost:9635",
): Promise<number> {
  const request = new Request(`${origin}${path}`, { headers, method });
  return (await objectionTo(request, access))?.status ?? 200;
}

Deno.test("objectionTo: on loopback only names of this machine are answered", async () => {
  for (const host of ["127.0.0.1:9635", "localhost:9635", "[::1]:9635", "localhost"]) {
    assertEquals(await status(LOCAL, "/", { host }), 200, host);
  }
  for (const host of ["evil.example:9635", "127.0.0.1.evil.example", "10.0.0.1:9635"]) {
    assertEquals(await status(LOCAL, "/snapshot", { host }), 403, host);
  }
  assertEquals(await status(LOCAL, "/", { host: "2130706433" }), 403);
  const elsewhere = "http://evil.example";
  assertEquals(await status(LOCAL, "/snapshot", { host: "localhost" }, "GET", elsewhere), 403);
  assertEquals(await status(LOCAL, "/", {}), 400);
  const asIfLocal = [
    "evil.example@127.0.0.1",
    "localhost#.evil",
    "localhost?.evil",
    "a:b@localhost",
  ];
  for (const host of ["", "a b", "[::1", "x:99999", ...asIfLocal]) {
    assertEquals(await status(LOCAL, "/", { host }), 400, host);
  }
  assertEquals(await status(LOCAL, "/", { host: "localhost" }, "POST"), 405);
});

Deno.test("objectionTo: beyond loopback the token is asked for, and kept as a cookie", async () => {
  const host = "10.0.0.1:9635";
  assertEquals(await status(OPEN, "/", { host }), 401);
  assertEquals(await status(OPEN, "/?token=wrong", { host }), 401);
  assertEquals(await status(OPEN, "/", { host, cookie: "tdsm-9635=wrong" }), 401);
  assertEquals(await status(OPEN, "/", { host, cookie: `tdsm-9636=${TOKEN}` }), 401);
  const kept = { host, cookie: `other=1; tdsm-9635=${TOKEN}` };
  assertEquals(await status(OPEN, "/snapshot", kept), 200);
  const request = new Request(`http://any.invalid/?token=${TOKEN}`, { headers: { host } });
  const answer = await objectionTo(request, OPEN);
  assertEquals([answer?.status, answer?.headers.get("location")], [303, "/"]);
  assertMatch(answer!.headers.get("set-cookie")!, /^tdsm-9635=\w+; .*HttpOnly; SameSite=Lax$/);
});

Deno.test("accessAt: a token is made where other machines may reach the port", () => {
  for (const hostname of ["127.0.0.1", "localhost", "::1", "127.8.8.8"]) {
    assertEquals(accessAt(hostname, 1).token, undefined, hostname);
  }
  for (const hostname of ["0.0.0.0", "::", "10.0.0.1", "box"]) {
    assertMatch(accessAt(hostname, 1).token!, /^[0-9a-f]{32}$/, hostname);
  }
  const tokens = [1, 2].map(() => accessAt("::", 1).token);
  assert(tokens[0] !== tokens[1]);
});

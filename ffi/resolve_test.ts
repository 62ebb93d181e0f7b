import { assert, assertEquals, assertRejects } from "@std/assert";
import { resolveName } from "./resolve.ts";

Deno.test("resolveName: addresses stand for themselves, names for theirs, each once", async () => {
  assertEquals(await resolveName("127.0.0.7"), ["127.0.0.7"]);
  assertEquals(await resolveName("::1"), ["::1"]);
  const local = await resolveName("localhost");
  assert(local.includes("127.0.0.1") || local.includes("::1"));
  assertEquals(local, [...new Set(local)]);
  await assertRejects(() => resolveName("no-such-name.invalid"), Error);
});

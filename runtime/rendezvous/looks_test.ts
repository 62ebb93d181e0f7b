import { assert, assertEquals } from "@std/assert";
import { Looks } from "./looks.ts";

Deno.test("Looks: a node looks until its time is up, and not again", async () => {
  const giveUpAtMs = performance.now() + 30;
  const looks = new Looks(giveUpAtMs);
  while (await looks.again());
  assert(performance.now() >= giveUpAtMs);
  assertEquals(await looks.again(), false);
});

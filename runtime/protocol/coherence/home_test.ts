import { assertEquals } from "@std/assert";
import { DIRECTORY_NODE, homeOf } from "./home.ts";

Deno.test("every page has its home where the directory is", () => {
  assertEquals([0, 1, 2 ** 28 - 1].map(homeOf), Array(3).fill(DIRECTORY_NODE));
});

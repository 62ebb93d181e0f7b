import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { FAMILIES } from "./families.ts";

for (const { name, run, runBatch } of FAMILIES) {
  Deno.test(`simulated schedules of ${name}: what happens is told, and what was visited`, () => {
    const lines: string[] = [];
    run(5, (line) => lines.push(line));
    assertNotEquals(lines, []);
    const { visited, failure } = runBatch(5, 1);
    assertEquals(failure, undefined);
    assertStringIncludes(visited.text, "times");
    // One schedule does not get into every corner, and that is told.
    assertNotEquals(visited.unvisited, []);
  });
}

import { assertEquals } from "@std/assert";
import { noSuchFile } from "./no_such_file.ts";

Deno.test("noSuchFile: a file of the same folder whose name is near is told", () => {
  const here = `there is no such file in ${Deno.cwd()}`;
  const file = import.meta.filename!;
  const wrong = file.replace("no_such", "no_sch");
  assertEquals(noSuchFile(wrong), `${here}. Did you mean ${file}?`);
  for (const far of [`${import.meta.dirname}/nothing.ts`, "/nowhere/no_such_file.ts", ""]) {
    assertEquals(noSuchFile(far), here, far);
  }
  // A path within the current folder stays one.
  assertEquals(noSuchFile("deno.jsom"), `${here}. Did you mean deno.json?`);
});

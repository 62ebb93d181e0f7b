import { assertEquals } from "@std/assert";
import { formatTable } from "./table.ts";

Deno.test("formatTable lines up numbers at the right and names at the left", () => {
  const rows = [["N", "NAME", "COUNT"], ["1", "a", "7"], ["20", "longer", "12345678"]];
  assertEquals(
    formatTable(rows, [1]),
    [" N  NAME       COUNT", " 1  a              7", "20  longer  12345678", ""].join("\n"),
  );
  assertEquals(formatTable([["A", "B"], ["1", ""]], [0, 1]), "A  B\n1\n");
});

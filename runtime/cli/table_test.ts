import { assertEquals } from "@std/assert";
import { formatTable } from "./table.ts";

Deno.test("formatTable lines up numbers at the right and names at the left", () => {
  const rows = [["N", "NAME", "COUNT"], ["1", "a", "7"], ["20", "longer", "12345678"]];
  assertEquals(
    formatTable(rows, { left: [1] }),
    [" N  NAME       COUNT", " 1  a              7", "20  longer  12345678", ""].join("\n"),
  );
  assertEquals(formatTable([["A", "B"], ["1", ""]], { left: [0, 1] }), "A  B\n1\n");
});

Deno.test("formatTable puts columns that do not fit below, beside the first one", () => {
  const rows = [["N", "NAME", "LOST", "FOUND"], ["1", "abcdef", "7", "1"], [
    "20",
    "b",
    "1234",
    "2",
  ]];
  const paint = (line: string, row: number): string => row === 0 ? `<${line}>` : line;
  assertEquals(
    formatTable(rows, { left: [1], width: 16, paint }),
    [
      "< N  NAME    LOST>",
      " 1  abcdef     7",
      "20  b       1234",
      "",
      "< N  FOUND>",
      " 1      1",
      "20      2",
      "",
    ].join("\n"),
  );
  // One column is never parted.
  assertEquals(formatTable(rows, { width: 1 }).split("\n\n").length, 3);
});

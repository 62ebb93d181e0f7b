import { assertEquals } from "@std/assert";
import { tracePath } from "./trace_file.ts";

Deno.test("tracePath: the node's id stands before the ending, where there is one", () => {
  const paths = ["trace.json", "a.b/trace", "/x/t.pftrace.json", ".hidden", "a.b/.c", "dir/t."];
  assertEquals(paths.map((path) => tracePath(path, 12)), [
    "trace.12.json",
    "a.b/trace.12",
    "/x/t.pftrace.12.json",
    ".hidden.12",
    "a.b/.c.12",
    "dir/t..12",
  ]);
});

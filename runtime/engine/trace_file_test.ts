import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import { withFolder } from "../../tests/support/folder.ts";
import { TdsmError } from "../errors.ts";
import { TraceFile, tracePath } from "./trace_file.ts";

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

const OPTIONS = { node: 1, name: "node 1", by: " with --trace", ended: () => {} };

Deno.test("TraceFile: a FIFO, with a reader or without one, and a device are refused at once", () =>
  withFolder(async (folder) => {
    await new Deno.Command("mkfifo", { args: [`${folder}/idle.1`, `${folder}/read.1`] }).output();
    using _reader = await Deno.open(`${folder}/read.1`, { read: true, write: true });
    await Deno.symlink("/dev/null", `${folder}/device.1`);
    for (const name of ["idle", "read", "device"]) {
      const options = { ...OPTIONS, path: `${folder}/${name}` };
      assertThrows(
        () => new TraceFile(options),
        TdsmError,
        `Cannot write a trace: ${folder}/${name}.1 is no file. Name another file with --trace`,
      );
    }
    await Deno.writeTextFile(`${folder}/file.1`, "what was in it");
    const options = { ...OPTIONS, path: `${folder}/file` };
    await new TraceFile(options)[Symbol.asyncDispose]();
    assertFalse((await Deno.readTextFile(`${folder}/file.1`)).includes("what was in it"));
  }));

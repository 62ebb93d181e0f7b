import { assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { WIDTH_MAX } from "../settings/help.ts";
import { LAUNCH_HELP } from "./launch_arguments.ts";
import { parseWasm, wasmHelp } from "./wasm_arguments.ts";

const environment = (name: string): string | undefined => name === "HOME" ? "/home/me" : undefined;

Deno.test("parseWasm: reads what is before the program, and leaves the rest to it", () => {
  const words = "-n 3 --size 1GiB --no-read-ahead --threads-per-node=4 --no-lift --dir data " +
    "--dir a/b::/b --env HOME --env X=y=z program.wasm --size 5 -n 2";
  assertEquals(parseWasm(words.split(" "), environment), {
    program: "program.wasm",
    args: ["--size", "5", "-n", "2"],
    settings: ["--nodes=3", "--size=1GiB", "--no-read-ahead"],
    threadsPerNode: 4,
    lift: false,
    folders: { data: "data", "/b": "a/b" },
    env: { HOME: "/home/me", X: "y=z" },
  });
});

Deno.test("parseWasm: the number of nodes can be written as launchers have it", () => {
  for (const words of ["-n4", "-n=4", "--nodes=4", "--nodes 4"]) {
    const parsed = parseWasm([...words.split(" "), "program.wasm"], environment);
    assertEquals([words, parsed?.settings], [words, ["--nodes=4"]]);
  }
  assertEquals(parseWasm(["program.wasm"], environment)?.lift, true);
  for (const flag of ["-h", "--help"]) assertEquals(parseWasm([flag], environment), undefined);
});

Deno.test("wasmHelp: fits into 80 columns, as the launcher's help does", () => {
  const lines = [wasmHelp(), LAUNCH_HELP].flatMap((text) => text.split("\n"));
  assertEquals(lines.filter((line) => line.length > WIDTH_MAX), []);
});

/** Arguments that are refused, and the message. */
const REFUSED: Readonly<Record<string, string>> = {
  "-n 2": "Cannot run: no program is named. Write ./tdsm wasm -n 2 program.wasm",
  "-n": "Cannot use -n without a value",
  "-n two p": 'Cannot use "two" of -n: it must be a whole number from 1 to 1024',
  "--nodes=0 p": 'Cannot use "0" of -n: it must be a whole number from 1 to 1024',
  "--dir=": "Cannot use --dir= without a value",
  "--env =x p": "Cannot use --env: write --env NAME=VALUE",
  "--threads-per-node 0 p":
    'Cannot use "0" of --threads-per-node: it must be a whole number from 1 to 60',
  "--thread-per-node 2 p": "Cannot use --thread-per-node: did you mean --threads-per-node?",
  "--no-lift=1 p": "Cannot use --no-lift=1: --no-lift takes no value",
  "--nolift p": "Cannot use --nolift: did you mean --no-lift?",
  "--sise 2 p": "Cannot use --sise: did you mean --size?",
  "-x p": "Cannot use -x: --help tells what there is",
};

for (const [words, message] of Object.entries(REFUSED)) {
  Deno.test(`parseWasm: refuses ${words}`, () => {
    assertThrows(() => parseWasm(words.split(" "), environment), TdsmError, message);
  });
}

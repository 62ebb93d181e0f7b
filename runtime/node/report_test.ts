import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { report, reportedExitCode } from "./report.ts";

/** Reports what was thrown; returns the line or lines that are printed. */
function printedOf(thrown: unknown, exitCode: number): string {
  const { error } = console;
  let printed = "";
  console.error = (_format: string, _red: string, _plain: string, text: string) => printed = text;
  try {
    report(thrown, exitCode, "Here");
  } finally {
    console.error = error;
  }
  return printed;
}

Deno.test("report leaves out what has called the program, and not what the program has called", () => {
  const error = new Error("planted", { cause: new Error("deep") });
  const runtime = new URL("..", import.meta.url).href;
  const stack = (message: string, ...frames: string[]): string =>
    [`Error: ${message}`, ...frames.map((frame) => `    at ${frame}`)].join("\n");
  const [inner, own, caller] = [
    `checkCount (${runtime}node/arguments.ts:25:9)`,
    "main (file:///somewhere/program.ts:2:1)",
    `begin (${runtime}node/run.ts:195:9)`,
  ];
  error.stack = stack("planted", inner, own, caller, own);
  (error.cause as Error).stack = stack("deep", inner, caller);
  const printed = printedOf(error, 1);
  const lines = printed.split("\n").map((line) => line.trim());
  assertEquals(lines.slice(0, 4), [
    "Here: Error: planted",
    `at ${inner}`,
    `at ${own}`,
    `at ${own} {`,
  ]);
  // Without a frame of the program the error is one of the runtime, whose frames say where.
  assertMatch(printed, /deep\n +at checkCount .*\n +at begin /);
});

Deno.test("report leaves out what has called the program on a terminal with colours, too", () => {
  // Deno gives a colour to the current folder, in the middle of a frame's path.
  const folder = new URL("../..", import.meta.url).href;
  const error = new Error("planted");
  error.stack = `Error: planted
    at main (${folder}program.ts:2:1)
    at begin (${folder}runtime/node/run.ts:195:9)`;
  const noColor = Object.getOwnPropertyDescriptor(Deno, "noColor")!;
  const coloured = Deno.inspect(error, { colors: true });
  Object.defineProperty(Deno, "noColor", { value: false, configurable: true });
  Object.assign(Deno.stderr, { isTerminal: () => true });
  try {
    const printed = printedOf(error, 1);
    assertStringIncludes(printed, "\x1b[");
    assertEquals(printed, `Here: ${coloured.split("\n").slice(0, 2).join("\n")}`);
  } finally {
    Object.defineProperty(Deno, "noColor", noColor);
    delete (Deno.stderr as Partial<typeof Deno.stderr>).isTerminal;
  }
});

Deno.test("report gives of an error of the runtime only the program's frames", () => {
  const error = new TdsmError("LibraryNotFound", "Cannot load ./x.so");
  const root = new URL("../..", import.meta.url).href;
  const own = "    at main (file:///somewhere/program.ts:2:1)";
  const frames = [`open (${root}ffi/module.ts:1:1)`, `load (${root}runtime/node/module.ts:1:1)`];
  error.stack = ["TdsmError: …", ...frames.map((frame) => `    at ${frame}`), own].join("\n");
  assertEquals(printedOf(error, 1), `Cannot load ./x.so (LibraryNotFound)\n${own}`);
});

Deno.test("reportedExitCode knows each error, and of values that are no objects the last", () => {
  const errors = [new Error("planted"), () => {}];
  for (const [index, error] of errors.entries()) {
    assertEquals(reportedExitCode(error), undefined);
    printedOf(error, index + 2);
  }
  assertEquals(errors.map(reportedExitCode), [2, 3]);
  for (const value of ["first", NaN]) {
    assertEquals(reportedExitCode(value), undefined);
    printedOf(value, 70);
    assertEquals(reportedExitCode(value), 70);
  }
  assertEquals(["first", undefined, ...errors].map(reportedExitCode), [undefined, undefined, 2, 3]);
});

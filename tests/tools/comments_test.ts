/** Comments have lines of up to 100 columns, which no formatter of Deno or Zig sees to. */

import { assert, assertEquals } from "@std/assert";
import { relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname!, "../..");
const COLUMNS_MAX = 100;
/** A line that is a comment, or a part of one. */
const COMMENT = /^\s*(?:\/\/|\/?\*)/;

/** Every source file in TypeScript or Zig below a folder. */
function sources(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sources(path);
    return /\.(?:ts|zig)$/.test(name) ? [path] : [];
  });
}

/** The numbers of the lines of comments that are too long. */
function tooLong(text: string): number[] {
  return text.split("\n").flatMap((line, index) =>
    COMMENT.test(line) && [...line].length > COLUMNS_MAX ? [index + 1] : []
  );
}

Deno.test("comments: no line is longer than 100 columns", () => {
  const folders = ["bench", "examples", "ffi", "runtime", "tests", "zig"];
  const paths = [`${ROOT}/mod.ts`, ...folders.flatMap((folder) => sources(`${ROOT}/${folder}`))];
  assert(paths.length > 300, "the files were found");
  const long = paths.flatMap((path) =>
    tooLong(Deno.readTextFileSync(path)).map((line) => `${relative(ROOT, path)}:${line}`)
  );
  assertEquals(long, []);
});

Deno.test("comments: a line that is too long is found, and code is none", () => {
  const words = "long ".repeat(20).trimEnd(); // 99 columns
  assertEquals(tooLong(`/** ${words} */\n*${words}\n  // ${words}\n//! ${words}`), [1, 3, 4]);
  assertEquals(tooLong(`const text = "${words} ${words}";`), []);
});

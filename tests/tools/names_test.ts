/**
 * Tests, and their files, carry the name of what they test, so that `--filter Directory` finds
 * them.
 */

import { assert, assertEquals } from "@std/assert";
import { dirname, relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname!, "../..");
const EXPORT = /^export (?:async )?(?:abstract )?(?:class|const|function|interface|type) (\w+)/gm;
/** The name of a test; of those that a loop makes, the template. */
const TEST = /\bDeno\.test\(\s*(?:\{\s*name:\s*)?(["`])(.+?)\1/g;

/** Every TypeScript file below a folder. */
function files(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return files(path);
    return name.endsWith(".ts") ? [path] : [];
  });
}

/** What the names of tests in a file may begin with: what it imports, or a script beside it. */
function subjects(path: string, text: string, exported: ReadonlySet<string>): Set<string> {
  const used = [...text.matchAll(/\w+/g)].map(([word]) => word);
  const scripts = [...Deno.readDirSync(dirname(path))].map(({ name }) => name);
  return new Set([...used.filter((word) => exported.has(word)), ...scripts]);
}

Deno.test("names: a test in runtime/ begins with the class, function or script that it tests", () => {
  const paths = files(`${ROOT}/runtime`);
  const [tests, sources] = [true, false].map((wanted) =>
    paths.filter((path) => path.endsWith("_test.ts") === wanted)
  ) as [string[], string[]];
  const exported = new Set(
    sources.flatMap((path) =>
      [...Deno.readTextFileSync(path).matchAll(EXPORT)].map(([, name]) => name!)
    ),
  );
  let count = 0;
  const wrong = tests.flatMap((path) => {
    const text = Deno.readTextFileSync(path);
    const known = subjects(path, text, exported);
    const names = [...text.matchAll(TEST)].map(([, , name]) => name!);
    count += names.length;
    return names
      .filter((name) => !known.has(/^\w+\.ts\b|^\w+/.exec(name)?.[0] ?? ""))
      .map((name) => `${relative(ROOT, path)}: "${name}" names nothing that the file tests`);
  });
  assert(count > 400, "the tests were found");
  assertEquals(wrong, []);
});

Deno.test("names: a file of tests in runtime/ or ffi/ begins with the name of a file beside it", () => {
  const paths = [...files(`${ROOT}/runtime`), ...files(`${ROOT}/ffi`)];
  const all = new Set(paths);
  const strays = paths.filter((path) => path.endsWith("_test.ts")).filter((path) => {
    let tested = path.replace(/_test\.ts$/, "");
    while (!all.has(`${tested}.ts`) && /_[^/_]+$/.test(tested)) {
      tested = tested.replace(/_[^/_]+$/, "");
    }
    return !all.has(`${tested}.ts`);
  });
  assertEquals(strays.map((path) => relative(ROOT, path)), []);
});

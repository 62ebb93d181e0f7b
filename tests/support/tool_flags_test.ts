import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { relative } from "node:path";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The programs below a folder that read their arguments by `ToolFlags`. */
function programs(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return programs(path);
    const isProgram = name.endsWith(".ts") && !name.endsWith("_test.ts") &&
      Deno.readTextFileSync(path).includes("new ToolFlags(");
    return isProgram ? [relative(ROOT, path)] : [];
  });
}

/** Runs a program; it must not take long enough to do anything. */
async function run(path: string, argument: string): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", path, argument],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, text: new TextDecoder().decode(code === 0 ? stdout : stderr) };
}

const found = programs(decodeURIComponent(`${ROOT}/tests`));

Deno.test("tools: the programs were found", () => {
  assert(found.includes("tests/model/main.ts") && found.length > 10, found.join());
});

for (const path of found) {
  Deno.test(`tools: ${path} prints its help, and does nothing over a flag that it does not have`, async () => {
    const { code, text } = await run(path, "--help");
    assertEquals(code, 0, text);
    assertMatch(text, /^Usage: /m);
    const wrong = await run(path, "--no-such-flag");
    assertEquals([wrong.code, wrong.text], [
      2,
      `Cannot begin: there is no --no-such-flag\n\n${text}`,
    ]);
  });
}

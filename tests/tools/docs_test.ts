/** The pages of documentation say what there is. */

import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { FrameType } from "../../runtime/wire/layout.ts";
import { PAGE_MESSAGES } from "../../runtime/wire/page_messages.ts";

const read = (path: string): Promise<string> =>
  Deno.readTextFile(new URL(`../../${path}`, import.meta.url));

Deno.test("docs/guide.md has cause and remedy of each error code, and of no other", async () => {
  const errors = await read("runtime/errors.ts");
  const codes = [...errors.matchAll(/^ {2}\| "(\w+)"/gm)].map(([, code]) => code!);
  assert(codes.includes("InvalidOption") && codes.includes("Aborted"), "the list was found");
  const rows = [...(await read("docs/guide.md")).matchAll(/^\| `(\w+)` *\|(.+)\|(.+)\|$/gm)];
  assertEquals(rows.map(([, code]) => code), codes);
  for (const [row, , cause, remedy] of rows) {
    assert(cause!.trim() !== "" && remedy!.trim() !== "", row);
  }
});

Deno.test("docs/protocol.md has every type of frame, every reason and every control message", async () => {
  const page = await read("docs/protocol.md");
  const sources = [
    "wire/reason",
    "wire/control",
    "protocol/allocation/messages",
    "wire/status_control",
  ];
  const [reasons, ...controls] = await Promise.all(
    sources.map((name) => read(`runtime/${name}.ts`)),
  );
  const types = [
    ...Object.entries(PAGE_MESSAGES).map(([kind, { type }]) => [kind, type] as const),
    ...Object.entries(FrameType),
  ];
  const names = types.map(([name, type]) =>
    `| ${String(type).padStart(4)} | ${name[0]!.toLowerCase()}${name.slice(1)} `
  );
  names.push(...[...reasons!.matchAll(/^ {2}\| "(\w+)"/gm)].map(([, name]) => `\`${name}\``));
  const kinds = controls.join("").matchAll(/^ {2}readonly kind: "(\w+)"/gm);
  // What the allocator answers to its own caller is no message.
  const messages = [...kinds].map(([, kind]) => kind!).filter((kind) => kind !== "error");
  names.push(...messages.map((kind) => `| \`${kind}\` `));
  assert(names.length > 50, "the lists were found");
  assertEquals(names.filter((name) => !page.includes(name)), []);
});

Deno.test("deno doc of mod.ts shows no type of the runtime's own in constructors and protected members", async () => {
  const args = ["doc", fileURLToPath(new URL("../../mod.ts", import.meta.url))];
  const env = { NO_COLOR: "1" };
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, env, stderr: "null" })
    .output();
  const page = new TextDecoder().decode(stdout);
  const exported = [...page.matchAll(/^(?:abstract )?(?:class|interface|type) (\w+)/gm)]
    .map(([, name]) => name!);
  assert(exported.length > 20, "the exports were found");
  const shown = [...page.matchAll(/^ {2}(?:(?:private |protected )?constructor\(|protected ).*$/gm)]
    .flatMap(([line]) => line.match(/\b[A-Z]\w+/g) ?? []);
  assertEquals(shown.filter((name) => !exported.includes(name) && !(name in globalThis)), []);
});

Deno.test("docs/guide.md says each thing under one heading", async () => {
  const headings = [...(await read("docs/guide.md")).matchAll(/^## (.+)$/gm)].map(([, text]) =>
    text!
  );
  assert(headings.length > 15, "the headings were found");
  assertEquals(headings, [...new Set(headings)]);
});

Deno.test("CONTRIBUTING.md names files and tasks that are there", async () => {
  const page = await read("CONTRIBUTING.md");
  const paths = [...page.matchAll(/`((?:runtime|tests|docs|examples|ffi|zig)\/[\w/.]+|mod\.ts)`/g)];
  assert(paths.length > 30, "paths were found");
  for (const [, path] of paths) {
    if (!path!.includes("NAME")) await Deno.stat(new URL(`../../${path}`, import.meta.url));
  }
  const { tasks } = JSON.parse(await read("deno.json"));
  const named = [...page.matchAll(/\.\/tdsm ([a-z][\w:]*)/g)].map(([, task]) => task!);
  assertEquals(named.filter((task) => !(task in tasks)), []);
});

Deno.test("docs/decisions/README.md lists every decision once, by its title, and the oldest first", async () => {
  const titles = new Map<string, string>();
  for await (const { name } of Deno.readDir(new URL("../../docs/decisions", import.meta.url))) {
    if (name === "README.md") continue;
    titles.set(name, /^# (.+)$/m.exec(await read(`docs/decisions/${name}`))![1]!);
  }
  const index = await read("docs/decisions/README.md");
  const rows = [...index.matchAll(/^(\d+)\. \[(.+)\]\((\S+)\)$/gm)];
  assertEquals(rows.map(([, number]) => Number(number)), rows.map((_, at) => at + 1));
  assertEquals(new Map(rows.map(([, , title, name]) => [name!, title!])), titles);
  assertEquals(rows.length, titles.size);
  const dates = rows.map(([, , , name]) => name!.slice(0, "YYYY-MM-DD".length));
  assertEquals(dates, dates.toSorted());
});

/** Every page and source file of a folder, as paths from the root. */
function* prose(folder: string): Generator<string> {
  for (
    const { name, isDirectory } of Deno.readDirSync(new URL(`../../${folder}`, import.meta.url))
  ) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* prose(path);
    else if (/\.(?:ts|zig|md)$/.test(name)) yield path;
  }
}

Deno.test("pages, comments and messages name the node, thread or caller that is meant", async () => {
  const folders = ["bench", "docs", "examples", "ffi", "runtime", "tests", "zig"];
  const paths = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "mod.ts",
    ...folders.flatMap((folder) => [...prose(folder)]),
  ];
  const vague = new RegExp(["who" + "ever", "directory" + "'s node"].join("|"), "i");
  const wrong: string[] = [];
  for (const path of paths) if (vague.test(await read(path))) wrong.push(path);
  assertEquals(wrong, [], "say which node, thread or caller; and directory node");
});

Deno.test("links between the pages lead to files and headings that are there", async () => {
  const names = ["README.md", "CONTRIBUTING.md", "SECURITY.md"];
  for (const folder of ["docs", "docs/decisions"]) {
    for await (const { name } of Deno.readDir(new URL(`../../${folder}`, import.meta.url))) {
      if (name.endsWith(".md")) names.push(`${folder}/${name}`);
    }
  }
  let links = 0;
  for (const name of names) {
    for (const [, target] of (await read(name)).matchAll(/\]\(([^):]+)\)/g)) {
      const [path, heading] = target!.split("#");
      const url = new URL(path!, new URL(name, "file:///"));
      const file = path === "" ? name : url.pathname.slice(1);
      const { isFile } = await Deno.stat(new URL(`../../${file}`, import.meta.url));
      links++;
      if (heading === undefined || !isFile) continue;
      const headings = [...(await read(file)).matchAll(/^#+ (.+)$/gm)].map(([, text]) =>
        text!.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-")
      );
      assert(headings.includes(heading), `${name}: ${target}`);
    }
  }
  assert(links > 20);
});

/**
 * Programs for wasm32-wasip1-threads as npm has them, which others have built. CI leaves these
 * tests out, since Deno has to fetch the packages: 20 MB.
 */

import { assert, assertEquals } from "@std/assert";
import { rewriteWasm } from "../../mod.ts";
import { ProcessCluster } from "../support/process_cluster.ts";

/** How long the scanner may take, in milliseconds: for a minute where the cores are busy. */
const RUN_MAX_MS = 600_000;
const SCANNER = "@tailwindcss/oxide-wasm32-wasi";
/** The packages, and the version of each. */
const PACKAGES: Readonly<Record<string, string>> = {
  [SCANNER]: "4.3.5",
  "@napi-rs/lzma-wasm32-wasi": "1.4.5",
  "@napi-rs/tar-wasm32-wasi": "1.1.3",
  "@node-rs/argon2-wasm32-wasi": "2.2.1",
  "@oxc-minify/binding-wasm32-wasi": "0.150.0",
  "@rolldown/binding-wasm32-wasi": "1.2.19",
  "@unrs/resolver-binding-wasm32-wasi": "1.12.2",
};
/** What gives an addon for Node.js its functions. */
const EMNAPI = { "@emnapi/core": "1.11.3", "@emnapi/runtime": "1.11.3" };

const folder = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
const dependencies = { ...PACKAGES, ...EMNAPI };
await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ dependencies }));
const install = new Deno.Command(Deno.execPath(), { args: ["install"], cwd: folder });
const { success, stderr } = await install.output();
if (!success) throw new Error(`Cannot install: ${new TextDecoder().decode(stderr)}`);

for (const [name, version] of Object.entries(PACKAGES)) {
  Deno.test(`npm: ${name} ${version} is rewritten, and is as valid as before`, async () => {
    const path = `${folder}/node_modules/${name}`;
    const file = [...Deno.readDirSync(path)].find(({ name }) => name.endsWith(".wasm"))!.name;
    const bytes = rewriteWasm(await Deno.readFile(`${path}/${file}`));
    assert(WebAssembly.validate(bytes));
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
    const own = imports.filter(({ module }) => module === "tdsm").map(({ name }) => name);
    assertEquals(own, ["wait32", "wait64", "notify", "grow", "size"]);
  });
}

Deno.test("npm: Tailwind's scanner has threads on two nodes, and finds what it is to find", async () => {
  await using cluster = new ProcessCluster(RUN_MAX_MS);
  const flags = ["-A", "--config", `${folder}/deno.json`, "-n", "2"];
  const program = ["tests/launchers/programs/scanner.ts", folder, "--size", "5GiB"];
  const args = ["run", "-A", "--no-prompt", "runtime/cli/launch.ts", ...flags, ...program];
  const { code, stdout } = await cluster.spawn("scanner", { args }).exit();
  const lines = ["[1] 5051 names found, 0 missing", "[1] threads ran on nodes 1 1 2 2", ""];
  assertEquals([code, stdout], [0, lines.join("\n")]);
});

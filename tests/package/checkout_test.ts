/** Checkouts in folders with odd names, not built yet, or not to be written to. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { pathToFileURL } from "node:url";
import { PERMISSIONS, ROOT, Scratch } from "./scratch.ts";

/** A name with the characters that mean something else in a URL, a shell or an import map. */
const NAME = `tdsm "ümlaut" 100%41 #1 & $HOME;?`;

/** The files and folders that are needed to build and to run a node. */
const NEEDED = [
  "tdsm",
  ".tool-versions",
  "deno.json",
  "deno.lock",
  "mod.ts",
  "runtime",
  "ffi",
  "zig",
];

/** Copies the checkout, without the files that were built in it. */
async function copyCheckout(scratch: Scratch): Promise<string> {
  const folder = `${scratch.path}/${NAME}`;
  await Deno.mkdir(folder);
  const { code, stderr } = await scratch.run(
    ["cp", "-r", ...NEEDED.map((name) => `${ROOT}/${name}`), folder],
  );
  assertEquals(code, 0, stderr);
  await Deno.remove(`${folder}/runtime/engine/worker.bundle.js`);
  await Deno.remove(`${folder}/ffi/embedded`, { recursive: true });
  return folder;
}

/** Uses a checkout by an entry of an import map. */
async function useCheckout(scratch: Scratch, folder: string): Promise<void> {
  const imports = { "@tdsm/runtime": pathToFileURL(`${folder}/mod.ts`).href, "own/": "./own/" };
  scratch.write("deno.json", { imports });
  await scratch.runProgram();
}

let built: { scratch: Scratch; folder: string } | undefined;

/** A checkout in a folder of an odd name, built there, once for all tests. */
async function buildCheckout(): Promise<{ scratch: Scratch; folder: string }> {
  if (built !== undefined) return built;
  const scratch = new Scratch("own");
  addEventListener("unload", () => scratch[Symbol.dispose]());
  const folder = await copyCheckout(scratch);
  const { code, stdout, stderr } = await scratch.run([`${folder}/tdsm`, "build"]);
  assertEquals(code, 0, stdout + stderr);
  return built = { scratch, folder };
}

Deno.test("checkout: one that is not built says what to do", async () => {
  using scratch = new Scratch();
  const folder = await copyCheckout(scratch);
  const run = [Deno.execPath(), "run", ...PERMISSIONS];
  const node = await scratch.run([...run, `${folder}/mod.ts`, "--port=0"]);
  assert(node.code !== 0);
  assertStringIncludes(node.stderr, "`./tdsm build`");
  assertStringIncludes(node.stderr, folder);
  assertEquals(node.stderr.trim().split("\n").length, 1, node.stderr);

  const doctor = await scratch.run([...run, `${folder}/mod.ts`, "--doctor", "--json", "--port=0"]);
  assertEquals(doctor.code, 1, doctor.stderr);
  const { checks } = JSON.parse(doctor.stdout);
  for (const name of ["library", "engine"]) {
    const check = checks.find((check: { name: string }) => check.name === name);
    assertEquals([check.verdict, check.remedy], ["failed", "./tdsm build"], name);
  }
});

Deno.test("checkout: it builds, and is used, in a folder of any name", async () => {
  const { scratch, folder } = await buildCheckout();
  await useCheckout(scratch, folder);
});

Deno.test("checkout: it is used through a symbolic link", async () => {
  const { scratch, folder } = await buildCheckout();
  const link = `${scratch.path}/link to it`;
  await Deno.symlink(folder, link);
  await useCheckout(scratch, link);
  const version = await scratch.deno(["run", ...PERMISSIONS, `${link}/mod.ts`, "--version"]);
  assertStringIncludes(version, "tdsm ");
});

Deno.test("checkout: an error of the runtime shows the program's frames alone, whatever the folder's name", async () => {
  const { scratch, folder } = await buildCheckout();
  const imports = { "@tdsm/runtime": pathToFileURL(`${folder}/mod.ts`).href };
  scratch.write("late/deno.json", { imports });
  scratch.write(
    "late/late.ts",
    `import { run } from "@tdsm/runtime";
await run(async (node) => {
  await node.semaphore(1n).acquire({ timeoutMs: 1 });
}, { port: 0 });
`,
  );
  const program = `${scratch.path}/late/late.ts`;
  const { code, stderr } = await scratch.run([Deno.execPath(), "run", ...PERMISSIONS, program]);
  assertEquals(code, 1, stderr);
  const [told, ...frames] = stderr.trimEnd().split("\n");
  assertStringIncludes(told!, "(TimedOut)");
  assertEquals(frames.filter((frame) => !frame.includes("/late/late.ts:")), []);
  assert(frames.length > 0, stderr);
});

Deno.test("checkout: ./tdsm through a symbolic link on PATH builds and runs it", async () => {
  const { scratch, folder } = await buildCheckout();
  await Deno.mkdir(`${scratch.path}/bin`);
  await Deno.symlink(`${folder}/tdsm`, `${scratch.path}/bin/tdsm`);
  scratch.write("where.ts", "console.log(Deno.cwd());");
  const PATH = `${scratch.path}/bin:${Deno.env.get("PATH")}`;
  const { code, stdout, stderr } = await scratch.run([
    "sh",
    "-c",
    "tdsm build && tdsm deno run -A where.ts",
  ], {
    env: { PATH },
  });
  assertEquals([code, stdout.trim()], [0, scratch.path], stderr);
});

Deno.test("checkout: once built it may be read-only", async (test) => {
  const { scratch, folder } = await buildCheckout();
  const root = Deno.uid() === 0;
  // For root only a mount of its own is read-only: the permission bits of a file do not bind root.
  const close = root
    ? 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"'
    : `trap 'chmod -R u+w "$1"' EXIT && chmod -R a-w "$1"`;
  const use = `! touch "$1/written" && "$1/tdsm" build && cd / &&
    "$2" run ${PERMISSIONS.join(" ")} "$1/mod.ts" --doctor --port=0`;
  const command = ["sh", "-c", `${close} && ${use}`, "sh", folder, Deno.execPath()];
  const { code, stdout, stderr } = await scratch.run(
    root ? ["unshare", "--mount", ...command] : command,
  );
  if (root && /^(?:unshare|mount): /m.test(stderr)) {
    return console.log(`${test.name}: skipped, no mount may be made: ${stderr.trim()}`);
  }
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "A node can run here");
});

Deno.test("checkout: no file takes the pathname of a URL for a path", async () => {
  using scratch = new Scratch();
  const folders = ["runtime", "ffi", "zig", "examples", "tests", "bench"];
  const search = ["grep", "-rn", "--include=*.ts", "import\\.meta\\.url)\\.pathname", ...folders];
  const { code, stdout } = await scratch.run(search, { cwd: ROOT });
  assertEquals([code, stdout], [1, ""], "fileURLToPath of node:url decodes it");
});

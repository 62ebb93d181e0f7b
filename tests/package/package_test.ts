/**
 * Each way to depend on the package, outside of the checkout, under exactly the permissions of a
 * node: with an import map of the program's own, and without a registry from which something
 * missing could come.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../../mod.ts";
import { PERMISSIONS, PROGRAM_PRINTS, ROOT, Scratch } from "./scratch.ts";
import { buildThreads } from "../wasi/build_threads.ts";
import { type Package, Registry } from "./registry.ts";

/** The import map of the program, which no way of adding the package may change. */
const OWN = { "own/": "./own/" };

let packed: Promise<Package> | undefined;

/** Makes the package, once for all tests. */
function pack(): Promise<Package> {
  return packed ??= (async () => {
    const folder = await Deno.makeTempDir({ prefix: "tdsm packed " });
    addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    using scratch = new Scratch("own");
    const script = `${ROOT}/tests/tools/pack.ts`;
    // Compiling a part of the library for the second machine that is not built yet needs the user's
    // cache.
    await scratch.deno(["run", "-A", script, "--output", folder], { cwd: ROOT, env: zig() });
    const names = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
    const tarball = names.find((name) => name.endsWith(".tgz"))!;
    const single = names.find((name) => name.endsWith(".js"))!;
    const text = await scratch.run(["tar", "-xzOf", tarball, "package/package.json"]);
    return { tarball, single, manifest: JSON.parse(text.stdout) };
  })();
}

/** The variable that names the Zig of `./tdsm`, where `./tdsm` runs this test. */
function zig(): Record<string, string> {
  const path = Deno.env.get("TDSM_ZIG");
  return path === undefined ? {} : { TDSM_ZIG: path };
}

/** Unpacks a package where npm would install it. */
async function unpack(scratch: Scratch, tarball: string): Promise<void> {
  scratch.write("deno.json", { imports: OWN });
  scratch.write("package.json", { dependencies: { "@tdsm/runtime": VERSION } });
  const folder = `${scratch.path}/node_modules/@tdsm/runtime`;
  await Deno.mkdir(folder, { recursive: true });
  await scratch.run(["tar", "-xzf", tarball, "--strip-components=1", "-C", folder]);
}

/** Bundles the program of a folder, then runs the one file from another folder. */
async function runBundled(scratch: Scratch): Promise<void> {
  await scratch.deno(["bundle", "--quiet", "--platform", "deno", "-o", "out.js", "program.ts"]);
  const elsewhere = { cwd: "/" };
  const printed = await scratch.deno(["run", ...PERMISSIONS, `${scratch.path}/out.js`], elsewhere);
  assertEquals(printed, PROGRAM_PRINTS);
}

Deno.test("package: the tarball has what a program needs, and nothing else", async () => {
  const { tarball, single, manifest } = await pack();
  assertEquals(manifest["dependencies"], undefined);
  assertEquals(manifest["bin"], { tdsm: "./mod.js" });
  // The modules contain the version too, since neither a bundle nor a tarball has a deno.json.
  assertEquals(manifest["version"], VERSION);
  using scratch = new Scratch();
  const list = (await scratch.run(["tar", "-tzf", tarball])).stdout.trim().split("\n");
  const files = list.filter((name) => !name.endsWith("/")).map((name) => name.slice(8));
  const native = ["zig/include/tdsm.h", "zig/include/tdsm.hpp", "zig/rdma.ld"];
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md", "types/mod.d.ts", ...native]) {
    assert(files.includes(name), name);
  }
  for (const machine of ["x86_64", "aarch64"]) {
    assertEquals(files.filter((name) => name.startsWith(`${machine}-`)).length, 1, machine);
  }
  const others = files.filter((name) => !native.includes(name)).filter((name) =>
    !/^(?:[\w.-]+|runtime\/cli\/launch|runtime\/wasi\/worker)\.js$|^types\/.+\.d\.ts$|^package\.json$|^[A-Z]+(?:\.md)?$/
      .test(name)
  );
  assertEquals(others, []);
  assertEquals(files.filter((name) => /testdata|_test|_bench/.test(name)), []);
  const text = await Deno.readTextFile(single);
  const imports = [...text.matchAll(/^import .*? from "(.*)";$/gm)].map(([, name]) => name!);
  assertEquals(
    imports.filter((name) => !name.startsWith("node:")),
    [],
    "all but Deno's own is in it",
  );
});

Deno.test("package: npm install of the tarball, beside a package.json", async (test) => {
  const { tarball } = await pack();
  using scratch = new Scratch();
  scratch.write("deno.json", { imports: OWN });
  scratch.write("package.json", { type: "module", private: true });
  const install = ["npm", "install", "--offline", "--no-audit", "--no-fund", tarball];
  const { code, stderr } = await scratch.run(install).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { code: undefined, stderr: "" };
  });
  if (code === undefined) return console.log(`${test.name}: skipped, no npm is on PATH`);
  assertEquals(code, 0, stderr);
  await scratch.runProgram();
  await scratch.checkProgram();
  const tdsm = await scratch.run([`${scratch.path}/node_modules/.bin/tdsm`, "--version"]);
  assertStringIncludes(tdsm.stdout, "tdsm ");
  assertEquals(scratch.read("deno.json"), { imports: OWN });
});

Deno.test("package: deno add from a registry", async () => {
  await using registry = await Registry.of(await pack());
  using scratch = new Scratch(registry.url);
  scratch.write("deno.json", { imports: OWN });
  await scratch.deno(["add", "npm:@tdsm/runtime"]);
  const version = `^${registry.version}`;
  assertEquals(scratch.read("deno.json"), {
    imports: { "@tdsm/runtime": `npm:@tdsm/runtime@${version}`, ...OWN },
  });
  await scratch.runProgram();
  await scratch.checkProgram();
});

Deno.test("package: deno add from a registry, beside a package.json", async () => {
  await using registry = await Registry.of(await pack());
  using scratch = new Scratch(registry.url);
  scratch.write("deno.json", { imports: OWN });
  scratch.write("package.json", { type: "module" });
  await scratch.deno(["add", "npm:@tdsm/runtime"]);
  await scratch.runProgram();
});

Deno.test("package: without a project it is a program: a node, and what a machine lacks", async () => {
  await using registry = await Registry.of(await pack());
  using scratch = new Scratch(registry.url);
  const program = ["run", ...PERMISSIONS, "npm:@tdsm/runtime"];
  assertStringIncludes(await scratch.deno([...program, "--version"]), registry.version);
  const usage = "Usage: deno run --allow-ffi --allow-net npm:@tdsm/runtime [OPTIONS]\n";
  assertStringIncludes(await scratch.deno([...program, "--help"]), usage);
  const doctor = JSON.parse(await scratch.deno([...program, "--doctor", "--json", "--port=0"]));
  assertEquals(doctor.canRun, true);
  const { found } = doctor.checks.find(({ name }: { name: string }) => name === "library");
  assertMatch(found, /^\/proc\/self\/fd\//);
});

Deno.test("package: what deno pack makes by itself is used by a program, too", async () => {
  await pack();
  using scratch = new Scratch("own");
  const tarball = `${scratch.path}/own.tgz`;
  await scratch.deno(["pack", "--quiet", "--allow-dirty", "--output", tarball], { cwd: ROOT });
  await unpack(scratch, tarball);
  await scratch.runProgram();
});

Deno.test("package: a Worker of a program attaches to the library in memory", async () => {
  const { tarball } = await pack();
  using scratch = new Scratch();
  await unpack(scratch, tarball);
  scratch.write(
    "worker.ts",
    `import { attach, type NodeHandle } from "@tdsm/runtime";
self.onmessage = ({ data }: MessageEvent<NodeHandle>) => {
  using node = attach(data);
  self.postMessage(Atomics.add(node.view(Int32Array, 0, 1), 0, 20) + 20);
};
`,
  );
  scratch.write(
    "attached.ts",
    `import { join } from "@tdsm/runtime";
await using node = await join({ directory: true, port: 0 });
Atomics.add(node.view(Int32Array, 0, 1), 0, 1);
const worker = new Worker(import.meta.resolve("./worker.ts"), { type: "module" });
const answer = new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
worker.postMessage(node.handle);
console.log(await answer);
worker.terminate();
`,
  );
  const printed = await scratch.deno(["run", ...PERMISSIONS, "--allow-read", "attached.ts"]);
  assertEquals(printed, "21\n");
});

Deno.test("package: the launcher starts examples that are copied into a project", async () => {
  await using registry = await Registry.of(await pack());
  using scratch = new Scratch(registry.url);
  scratch.write("deno.json", { imports: OWN });
  await scratch.deno(["add", "npm:@tdsm/runtime"]);
  const launch = ["run", "-A", "npm:@tdsm/runtime/launch", "-n", "2"];
  const printed: string[][] = [];
  for (const name of ["hello.ts", "demo.ts"]) {
    scratch.write(name, await Deno.readTextFile(`${ROOT}/examples/${name}`));
    printed.push((await scratch.deno([...launch, name])).trim().split("\n"));
  }
  assertEquals(printed[0]!.sort(), [1, 2].map((id) => `[${id}] Node ${id} of 2 reads 200000`));
  assertEquals(printed[1]!.at(-1), "[1] OK");
  const help = await scratch.deno([...launch.slice(0, 3), "--help"]);
  assertStringIncludes(help, `\nUsage: deno ${launch.slice(0, 3).join(" ")} [DENO'S FLAGS] -n N`);
});

Deno.test("package: runs a WebAssembly program whose threads are spread over nodes", async () => {
  const { tarball, single } = await pack();
  using scratch = new Scratch();
  await unpack(scratch, tarball);
  await buildThreads(`${scratch.path}/threads.wasm`);
  const words = ["wasm", "-n", "2", "threads.wasm", "count"];
  const printed = await scratch.deno(["run", "-A", "npm:@tdsm/runtime", ...words]);
  assertMatch(printed, /^(?:node [12]\n){6}counted 1200\n$/);
  const refused = await scratch.run([scratch.executable, "run", "-A", single, ...words]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "without the script of threads; use the package");
});

Deno.test("package: a checkout in links, with and without a package.json", async () => {
  for (const beside of [false, true]) {
    using scratch = new Scratch();
    scratch.write("deno.json", { imports: OWN, links: [ROOT] });
    if (beside) scratch.write("package.json", { type: "module" });
    await scratch.runProgram();
    if (!beside) await scratch.checkProgram();
  }
});

Deno.test("package: deno link to a checkout", async () => {
  const lines = "deno link path/to/tdsm\ndeno run --allow-ffi --allow-net program.ts\n";
  assertStringIncludes(await Deno.readTextFile(`${ROOT}/README.md`), lines);
  // Deno fetches what `imports` of the checkout names, though a program needs none of it.
  using scratch = new Scratch("own");
  scratch.write("deno.json", { imports: OWN });
  await scratch.deno(["link", ROOT]);
  assertEquals(scratch.read("deno.json")["imports"], OWN);
  const fetched = Object.keys(scratch.read("deno.lock")["npm"] as object);
  assertEquals(fetched.map((name) => name.replace(/@[^@]+$/, "")), [
    "@logtape/logtape",
    "deno-std",
    "lz4-wasm",
  ]);
  await scratch.runProgram();
});

Deno.test("package: one entry of an import map, for mod.ts, with and without a package.json", async () => {
  for (const beside of [false, true]) {
    using scratch = new Scratch();
    scratch.write("deno.json", { imports: { "@tdsm/runtime": `${ROOT}/mod.ts`, ...OWN } });
    if (beside) scratch.write("package.json", { type: "module" });
    await scratch.runProgram();
    if (!beside) await scratch.checkProgram();
  }
});

Deno.test("package: one file over the network, without an import map for it", async () => {
  const { single } = await pack();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async () =>
      new Response(await Deno.readTextFile(single), {
        headers: { "content-type": "text/javascript" },
      }),
  );
  const host = `127.0.0.1:${server.addr.port}`;
  using scratch = new Scratch();
  const program = Deno.readTextFileSync(`${scratch.path}/program.ts`)
    .replace("@tdsm/runtime", `http://${host}/tdsm.js`)
    // A file of JavaScript cannot import types.
    .replace("type Node, ", "").replace(": Node", "")
    .replace("own/double.ts", "./own/double.ts");
  scratch.write("program.ts", program);
  const run = ["run", ...PERMISSIONS, `--allow-import=${host}`];
  assertEquals(await scratch.deno([...run, "program.ts"]), PROGRAM_PRINTS);
  const url = `http://${host}/tdsm.js`;
  const help = await scratch.deno([...run, url, "--help"]);
  const usage = `deno run --allow-ffi --allow-net --allow-import=${host} ${url} [OPTIONS]`;
  assertStringIncludes(help, usage);
});

Deno.test("package: deno bundle of a program, from the checkout, run from /", async () => {
  using scratch = new Scratch("own");
  scratch.write("deno.json", { imports: { "@tdsm/runtime": `${ROOT}/mod.ts`, ...OWN } });
  await runBundled(scratch);
});

Deno.test("package: deno bundle of a program, from node_modules, run from /", async () => {
  const { tarball } = await pack();
  using scratch = new Scratch("own");
  await unpack(scratch, tarball);
  await runBundled(scratch);
});

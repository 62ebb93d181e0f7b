/** Which folder may import which: arrows point down only, and the protocol is pure. */

import { assert, assertEquals } from "@std/assert";
import { dirname, relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname!, "../..");

/**
 * The layers, from the top down. A file may import from its own folder and from those in lines
 * below its own, and never from those in the same line.
 */
const LAYERS: readonly (readonly string[])[] = [
  ["mod.ts"],
  ["runtime/cli"],
  ["runtime/wasi", "runtime/dashboard/page"],
  ["runtime/dashboard"],
  ["runtime/node"],
  ["runtime/engine"],
  ["runtime/cluster", "runtime/ring", "runtime/observe"],
  ["runtime/secure"],
  ["runtime/wire"],
  ["runtime/protocol/sync", "runtime/protocol/allocation", "runtime/rendezvous"],
  ["runtime/protocol/coherence", "runtime/rpc", "runtime/settings", "ffi"],
  ["runtime/wasm"],
  [
    "runtime/address.ts",
    "runtime/arguments",
    "runtime/log.ts",
    "runtime/signals.ts",
    "runtime/size.ts",
    "runtime/version.ts",
    "runtime/std",
  ],
  ["runtime/errors.ts", "runtime/event_loop.ts", "runtime/limits.ts", "runtime/start_command.ts"],
  ["runtime/printable.ts"],
];

/** What the protocol must not reach, since the simulator could not drive it. */
const IMPURE =
  /\bDeno\.|\bawait\b|\basync\b|\bPromise\b|\bDate\b|\bMath\.random\b|\bperformance\b|\bcrypto\b|\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bconsole\b/;

interface Arrow {
  readonly from: string;
  readonly to: string;
}

/** Every source file that ships, as paths from the root. */
function sources(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return name === "testdata" ? [] : sources(path);
    const ships = name.endsWith(".ts") && !/_(?:test|bench)\.ts$/.test(name);
    return ships ? [path] : [];
  });
}

/** What a file imports from files of the project. */
function arrowsOf(path: string, text: string): Arrow[] {
  return [...text.matchAll(/(?:\bfrom|\bimport\(?) ?"(\.[^"]+\.ts)"/g)].map(([, target]) => ({
    from: path,
    to: relative(ROOT, resolve(ROOT, dirname(path), target!)),
  }));
}

/** The folder, or the single file, that stands in {@linkcode LAYERS} for a file; its line there. */
function placeOf(path: string): { box: string; line: number } {
  for (const [line, boxes] of LAYERS.entries()) {
    const box = boxes.find((name) => path === name || dirname(path) === name);
    if (box !== undefined) return { box, line };
  }
  throw new Error(`${path} is in no layer: name its folder in LAYERS`);
}

/** The arrows that do not point down. */
function wrong(arrows: readonly Arrow[]): string[] {
  return arrows.filter(({ from, to }) => {
    const [above, below] = [placeOf(from), placeOf(to)];
    return above.box !== below.box && above.line >= below.line;
  }).map(({ from, to }) => `${from} imports ${to}`);
}

Deno.test("layers: every import points down", () => {
  const paths = ["mod.ts", ...sources("runtime"), ...sources("ffi")];
  const arrows = paths.flatMap((path) => arrowsOf(path, Deno.readTextFileSync(`${ROOT}/${path}`)));
  assert(arrows.length > 200, "the imports were found");
  assertEquals(wrong(arrows), []);
});

/** The first circle of imports, from file to file; nothing where there is none. */
function circle(arrows: readonly Arrow[]): string[] {
  const targets = Map.groupBy(arrows, ({ from }) => from);
  const done = new Set<string>();
  const look = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const { to } of targets.get(path) ?? []) {
      const found = look(to, [...trail, path]);
      if (found.length > 0) return found;
    }
    done.add(path);
    return [];
  };
  for (const path of targets.keys()) {
    const found = look(path, []);
    if (found.length > 0) return found;
  }
  return [];
}

Deno.test("layers: no file imports itself in a roundabout way, not even for a type", () => {
  const paths = ["mod.ts", ...sources("runtime"), ...sources("ffi")];
  const arrows = paths.flatMap((path) => arrowsOf(path, Deno.readTextFileSync(`${ROOT}/${path}`)));
  assertEquals(circle(arrows), []);
  const back = arrowsOf(
    "runtime/address.ts",
    'import type { Settings } from "./settings/types.ts";',
  );
  const found = circle([...arrows, ...back]);
  assertEquals(found.at(0), found.at(-1));
  assertEquals(new Set(found), new Set(["runtime/address.ts", "runtime/settings/types.ts"]));
});

Deno.test("layers: a name is imported from the file that makes it: mod.ts alone passes names on", () => {
  const paths = [...sources("runtime"), ...sources("ffi")];
  const passing = paths.filter((path) =>
    /^export [^;]*? from "/m.test(
      Deno.readTextFileSync(`${ROOT}/${path}`).replace(/\/\*[^]*?\*\//g, ""),
    )
  );
  assertEquals(passing, []);
});

Deno.test("layers: frames are for other nodes: what threads of one program say is in no frame", () => {
  const paths = [...sources("runtime/ring"), ...sources("runtime/node")];
  assert(paths.length > 15, "the files were found");
  const arrows = paths.flatMap((path) => arrowsOf(path, Deno.readTextFileSync(`${ROOT}/${path}`)));
  const ofFrames = arrows.filter(({ to }) => placeOf(to).box === "runtime/wire");
  // By its own link a thread talks to another node.
  const links = new Set(ofFrames.map(({ from }) => from));
  assertEquals([...links], ["runtime/ring/thread_link.ts"]);
});

Deno.test("layers: an arrow that runs back up, or across, is found", () => {
  const up = arrowsOf("runtime/wire/framer.ts", 'import { Link } from "../cluster/link.ts";');
  assertEquals(wrong(up), ["runtime/wire/framer.ts imports runtime/cluster/link.ts"]);
  const across = arrowsOf("runtime/ring/ring.ts", 'const link = import("../cluster/link.ts");');
  assertEquals(wrong(across), ["runtime/ring/ring.ts imports runtime/cluster/link.ts"]);
  const down = arrowsOf("runtime/engine/host.ts", 'import { type A,\n B } from "../cluster/b.ts";');
  assertEquals(wrong(down), []);
});

/** The files that a program's import map or bundler has to do with: all but the engine's. */
function reachable(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const { to } of arrowsOf(path, Deno.readTextFileSync(`${ROOT}/${path}`))) {
    reachable(to, found);
  }
  return found;
}

Deno.test("layers: what a program imports needs no import map", () => {
  const paths = [...reachable("mod.ts")];
  assert(paths.length > 50, "the imports were found");
  assert(!paths.includes("runtime/engine/worker.ts"), "the engine is a bundle");
  const bare = paths.flatMap((path) => {
    const text = Deno.readTextFileSync(`${ROOT}/${path}`).replace(/\/\*[^]*?\*\//g, "");
    const names = [...text.matchAll(/(?:\bfrom|\bimport\(?) ?"([^"]+)"/g)].map(([, name]) => name!);
    return names.filter((name) => !/^(?:\.|node:)/.test(name)).map((name) => `${path}: ${name}`);
  });
  // Of Deno's std, runtime/std/bundle.ts makes files that are imported by their path.
  assertEquals(bare, []);
});

Deno.test("layers: an example can be copied: it imports packages, and files beside it", () => {
  const { imports, scopes } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const packages = [
    "@tdsm/runtime",
    ...Object.keys(imports),
    ...Object.keys(scopes["./examples/"]),
  ];
  const paths = sources("examples");
  assert(paths.includes("examples/heat.ts"), "the examples were found");
  const others = paths.flatMap((path) => {
    const text = Deno.readTextFileSync(`${ROOT}/${path}`);
    const names = [...text.matchAll(/(?:\bfrom|\bimport\(?) ?"([^"]+)"/g)].map(([, name]) => name!);
    return names.filter((name) => !packages.includes(name) && !/^(?:node:|\.\/\w+\.ts$)/.test(name))
      .map((name) => `${path}: ${name}`);
  });
  assertEquals(others, []);
});

Deno.test("layers: deno link fetches no package that only examples or tests use: scopes name those", () => {
  const { imports } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const texts = sources("runtime").map((path) => Deno.readTextFileSync(`${ROOT}/${path}`));
  const packageOf = (specifier: string) => /^npm:\/?((?:@[^/]+\/)?[^@/]+)/.exec(specifier)![1]!;
  const used = Object.entries<string>(imports)
    .filter(([name]) => texts.some((text) => text.includes(`"${name}"`)))
    .map(([, specifier]) => packageOf(specifier));
  assert(used.includes("lz4-wasm"), "the names were found");
  assertEquals(new Set(Object.values<string>(imports).map(packageOf)), new Set(used));
});

Deno.test("layers: what is bundled of Deno's std is what deno.json names", async () => {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "runtime/std/bundle.ts", "--check"],
    cwd: ROOT,
    stdin: "null",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
});

Deno.test("layers: the protocol is pure", () => {
  const protocol = sources("runtime/protocol");
  assert(protocol.length > 15, "the protocol was found");
  const impure = protocol.filter((path) => {
    const code = Deno.readTextFileSync(`${ROOT}/${path}`)
      .replace(/\/\*[^]*?\*\//g, "").replace(/\/\/.*$/gm, "");
    return IMPURE.test(code);
  });
  assertEquals(impure, []);
  assert(IMPURE.test("const now = Date.now();"));
});

/** The files that are loaded with a file: its imports, but not for types alone or on demand. */
function loadedWith(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const target of loadedBy(path).filter((name) => name.startsWith("."))) {
    loadedWith(relative(ROOT, resolve(ROOT, dirname(path), target)), found);
  }
  return found;
}

/** What a file names in the imports that are done when it is loaded. */
function loadedBy(path: string): string[] {
  const text = Deno.readTextFileSync(`${ROOT}/${path}`).replace(/\/\*[^]*?\*\//g, "");
  return [...text.matchAll(/^(?:import|export)(?! type\b)[^;]*? from "([^"]+)"/gm)]
    .map(([, name]) => name!);
}

Deno.test("layers: what takes long to load is loaded on demand: a node joins without it", () => {
  const program = [...loadedWith("mod.ts")];
  assert(program.includes("runtime/node/join.ts") && program.length > 50, "the imports were found");
  // With one of these modules Deno loads most of its copy of Node.
  const ofNode = program.filter((path) => loadedBy(path).some((name) => name.startsWith("node:")));
  assertEquals(ofNode, []);
  const engine = [...loadedWith("runtime/engine/worker.ts")];
  assert(engine.includes("runtime/engine/driver.ts"), "the imports were found");
  // It is compiled when it is loaded, whether pages are to be compressed or not.
  assertEquals(engine.filter((path) => loadedBy(path).includes("lz4")), []);
});

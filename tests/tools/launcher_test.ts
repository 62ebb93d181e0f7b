/**
 * `./tdsm` in a project folder of its own, with a Python, a Deno and a Zig that only act as if:
 * what is tested is what the launcher does about tools that are there, missing, old or half
 * fetched.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

const ROOT = `${import.meta.dirname}/../..`;
const BASICS = [
  "sh",
  "awk",
  "dirname",
  "find",
  "flock",
  "grep",
  "mkdir",
  "mv",
  "readlink",
  "rm",
  "sed",
  "sleep",
  "cat",
];

const FAKE_DENO = `#!/bin/sh
case $1 in
  --version) echo "deno VERSION (stable, release)" ;;
  *) echo "deno $*"; echo "TDSM_ZIG=$TDSM_ZIG"; echo "store=$DENO_TLS_CA_STORE" ;;
esac
`;
const FAKE_ZIG = "#!/bin/sh\necho VERSION\n";

// Stands for `python3 -m pip install … --target FOLDER PACKAGE==VERSION` and
// `python3 -m venv FOLDER`.
const FAKE_PYTHON = `#!/bin/sh
case "$2 $0" in
  pip*) [ -z "$NO_PIP" ] || case $0 in *-venv/*) ;; *) echo "No module named pip"; exit 1 ;; esac ;;
  venv*)
    [ -z "$NO_VENV" ] || { echo "ensurepip is not available"; exit 1; }
    mkdir -p "$3/bin" && cat "$0" >"$3/bin/python3" && chmod +x "$3/bin/python3"
    exit ;;
esac
while [ $# -gt 1 ]; do [ "$1" != --target ] || target=$2; shift; done
echo "$1" >>"$FETCHED"
sleep "\${PIP_SECONDS:-0}"
mkdir -p "$target/bin" "$target/ziglang"
case $1 in
  deno==*) cat "$FAKES/deno" >"$target/bin/deno"; chmod +x "$target/bin/deno" ;;
  ziglang==*) cat "$FAKES/zig" >"$target/ziglang/zig"; chmod +x "$target/ziglang/zig" ;;
esac
`;

/** Where the program `name` is on this machine. */
function locate(name: string): string | undefined {
  const folders = Deno.env.get("PATH")!.split(":");
  return folders.map((folder) => `${folder}/${name}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** A project with the launcher in it, and a PATH that has just what a test puts there. */
class Project implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "tdsm launcher " });
  readonly bin = `${this.root}/bin`;
  /** What is called. */
  launcher = `${this.root}/tdsm`;
  readonly #fetched = `${this.root}/fetched.txt`;
  readonly versions: ReadonlyMap<string, string>;

  constructor() {
    for (const name of ["tdsm", ".tool-versions", "deno.json"]) {
      Deno.copyFileSync(`${ROOT}/${name}`, `${this.root}/${name}`);
    }
    const lines = Deno.readTextFileSync(`${this.root}/.tool-versions`).trim().split("\n");
    this.versions = new Map(lines.map((line) => line.split(" ") as [string, string]));
    Deno.mkdirSync(this.bin);
    Deno.mkdirSync(`${this.root}/fakes`);
    for (const name of [...BASICS, "chmod"]) {
      const path = locate(name);
      if (path !== undefined) Deno.symlinkSync(path, `${this.bin}/${name}`);
    }
    this.put("fakes/deno", FAKE_DENO, this.versions.get("deno")!);
    this.put("fakes/zig", FAKE_ZIG, this.versions.get("zig")!);
    this.put("bin/python3", FAKE_PYTHON, "");
  }

  /** Puts the program `text` there, as one of version `version`. */
  put(path: string, text: string, version: string): void {
    Deno.writeTextFileSync(`${this.root}/${path}`, text.replace("VERSION", version), {
      mode: 0o755,
    });
  }

  async run(args: string[], env: Record<string, string> = {}): Promise<{
    code: number;
    stdout: string;
    stderr: string;
  }> {
    const { code, stdout, stderr } = await new Deno.Command(this.launcher, {
      args,
      clearEnv: true,
      env: { PATH: this.bin, FAKES: `${this.root}/fakes`, FETCHED: this.#fetched, ...env },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** The packages that were fetched so far. */
  fetched(): string[] {
    try {
      return Deno.readTextFileSync(this.#fetched).trim().split("\n").sort();
    } catch {
      return [];
    }
  }

  get both(): string[] {
    return [`deno==${this.versions.get("deno")}`, `ziglang==${this.versions.get("zig")}`];
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

Deno.test("without a task it lists every task with its description, and fetches nothing", async () => {
  using project = new Project();
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  for (const args of [[], ["--help"]]) {
    const { code, stdout } = await project.run(args);
    assertEquals(code, 0);
    const [, listed] = stdout.split("\n\n");
    // A name, and its description behind it and below.
    const rows = [...listed!.matchAll(/^ {2}(\S+) +(\S.*(?:\n {3,}\S.*)*)$/gm)]
      .map(([, name, text]) => [name, text!.replaceAll(/\n +/g, " ")]);
    const descriptions = Object.entries<{ description: string }>(tasks)
      .map(([name, { description }]) => [name, description]);
    assertEquals(rows, descriptions);
    const columns = new Set(
      [...listed!.matchAll(/^( {2}\S* +)\S/gm)].map(([, start]) => start!.length),
    );
    assertEquals(columns.size, 1, "the descriptions stand below each other");
    assertEquals(stdout.split("\n").filter((line) => line.length > 80), []);
  }
  assertEquals(project.fetched(), []);
});

Deno.test("it tells the versions of the project and its tools, and fetches nothing", async () => {
  using project = new Project();
  const { version } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  const { code, stdout } = await project.run(["--version"]);
  const { deno, zig } = Object.fromEntries(project.versions);
  assertEquals([code, stdout], [0, `tdsm ${version}\ndeno ${deno}\nzig ${zig}\n`]);
  assertEquals(project.fetched(), []);
});

Deno.test("through symbolic links on PATH it is the launcher of its own project", async () => {
  using project = new Project();
  Deno.mkdirSync(`${project.root}/links`);
  Deno.symlinkSync("../tdsm", `${project.root}/links/first`);
  Deno.symlinkSync("first", `${project.root}/links/tdsm`);
  project.launcher = "tdsm";
  const PATH = `${project.root}/links:${project.bin}`;
  const { code, stdout, stderr } = await project.run(["build"], { PATH });
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, `--config ${project.root}/deno.json build\n`);
});

Deno.test("Deno is to trust the machine's own store, where there is one and nothing else is set", async () => {
  using project = new Project();
  const store = { SSL_CERT_FILE: `${project.root}/deno.json` };
  const asked = async (env: Record<string, string>): Promise<string> => {
    const { stdout } = await project.run(["build"], env);
    return /^store=(.*)$/m.exec(stdout)![1]!;
  };
  assertEquals(await asked(store), "system,mozilla");
  assertEquals(await asked({ ...store, DENO_TLS_CA_STORE: "mozilla" }), "mozilla");
  assertEquals(await asked({ ...store, DENO_CERT: "/own.pem" }), "");
});

Deno.test("Deno itself takes the place of the launcher: a task between would get signals as well", async () => {
  using project = new Project();
  const { code, stdout } = await project.run(["deno", "check", "two words", "--flag"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^deno check two words --flag\nTDSM_ZIG=/);
  const launch = await project.run(["launch", "-n", "2", "two words.ts"]);
  assertEquals(launch.code, 0);
  const launcher = `${project.root}/runtime/cli/launch.ts`;
  assertStringIncludes(launch.stdout, `deno run -A ${launcher} -n 2 two words.ts\nTDSM_ZIG=`);
});

Deno.test("a program is run on what is built of the sources that are there", async () => {
  using project = new Project();
  const started = async (): Promise<readonly string[] | null> => {
    const { code, stdout, stderr } = await project.run(["deno", "run", "program.ts"]);
    assertEquals(code, 0, stderr);
    return stdout.match(/^deno .*$/gm);
  };
  const build = `deno task --quiet --config ${project.root}/deno.json build`;
  assertEquals(await started(), [build, "deno run program.ts"]);
  const source = `${project.root}/runtime/engine/host.ts`;
  const bundle = `${project.root}/runtime/engine/worker.bundle.js`;
  Deno.mkdirSync(`${project.root}/runtime/engine`, { recursive: true });
  for (const path of [source, bundle]) Deno.writeTextFileSync(path, "");
  Deno.utimeSync(source, 1000, 1000);
  Deno.utimeSync(bundle, 2000, 2000);
  assertEquals(await started(), ["deno run program.ts"]);
  Deno.utimeSync(source, 3000, 3000);
  assertEquals(await started(), [build, "deno run program.ts"]);
});

Deno.test("an unknown task is refused before anything is fetched", async () => {
  using project = new Project();
  const { code, stderr } = await project.run(["nothing"]);
  assertEquals(code, 2);
  assertEquals(stderr, "tdsm: no task nothing: ./tdsm lists the tasks\n");
  for (
    const [wrong, right] of [
      ["mmtest", "memtest"],
      ["memtset", "memtest"],
      ["tests", "test"],
      ["simulte:millon", "simulate:million"],
      ["lineariz", "linearizability"],
    ]
  ) {
    const { stderr } = await project.run([wrong!]);
    assertEquals(
      stderr,
      `tdsm: no task ${wrong}: did you mean ${right}? ./tdsm lists the tasks\n`,
    );
  }
  assertEquals(project.fetched(), []);
});

Deno.test("a task without flags of its own tells its help, does nothing, and refuses any", async () => {
  using project = new Project();
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  for (const task of ["build", "build:engine", "check", "test"]) {
    for (const flag of ["-h", "--help"]) {
      const { code, stdout } = await project.run([task, flag]);
      assertEquals(code, 0);
      const [usage, told] = stdout.split("\n\n");
      assertMatch(usage!, new RegExp(`^Usage: \\./tdsm ${task}( |$)`));
      assertEquals(told!.trim().replaceAll(/\s+/g, " "), `${task} ${tasks[task].description}`);
    }
    if (task === "test") continue;
    const { code, stderr } = await project.run([task, "--fix"]);
    assertEquals([code, stderr], [2, `tdsm: ${task} takes no arguments\n`]);
  }
  assertEquals(project.fetched(), []);
});

Deno.test("what is missing is fetched once, and the task gets its arguments", async () => {
  using project = new Project();
  const args = ["memtest", "two words", "--flag"];
  for (const progress of [/fetching Deno.*\n.*fetching Zig/, /^$/]) {
    const { code, stdout, stderr } = await project.run(args);
    assertMatch(stderr, progress);
    assertEquals(code, 0);
    const task = `deno task --quiet --config ${project.root}/deno.json memtest two words --flag\n`;
    const zig = `TDSM_ZIG=${project.root}/.tools/zig-${project.versions.get("zig")}/ziglang/zig\n`;
    assertStringIncludes(stdout, task + zig);
  }
  assertEquals(project.fetched(), project.both);
});

Deno.test("tools on PATH are used as they are, only of the pinned version", async () => {
  using project = new Project();
  project.put("bin/zig", FAKE_ZIG, project.versions.get("zig")!);
  project.put("bin/deno", FAKE_DENO, "2.9.80");
  const { code, stdout } = await project.run(["build"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, `TDSM_ZIG=${project.bin}/zig\n`);
  assertEquals(project.fetched(), [project.both[0]]);
});

Deno.test("two that start at once fetch once", async () => {
  using project = new Project();
  const runs = [1, 2, 3].map(() => project.run(["build"], { PIP_SECONDS: "0.3" }));
  for (const { code, stderr } of await Promise.all(runs)) assertEquals(code, 0, stderr);
  if (locate("flock") !== undefined) assertEquals(project.fetched(), project.both);
});

Deno.test("what a killed run left counts for nothing and is removed", async () => {
  using project = new Project();
  const left = `${project.root}/.tools/tmp-deno-1`;
  Deno.mkdirSync(`${left}/bin`, { recursive: true });
  Deno.writeTextFileSync(`${left}/bin/deno`, "half a Deno");
  assertEquals((await project.run(["build"])).code, 0);
  const names = [...Deno.readDirSync(`${project.root}/.tools`)].map(({ name }) => name);
  assertEquals(names.filter((name) => name.startsWith("tmp-")), []);
  assertEquals(project.fetched(), project.both);
});

Deno.test("a Python without pip fetches through a virtual environment", async () => {
  using project = new Project();
  const { code, stderr } = await project.run(["build"], { NO_PIP: "1" });
  assertEquals(code, 0, stderr);
  assertEquals(project.fetched(), project.both);
});

Deno.test("a Python without pip and ensurepip is told what to install", async () => {
  using project = new Project();
  const { code, stderr } = await project.run(["build"], { NO_PIP: "1", NO_VENV: "1" });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "ensurepip is not available");
  assertStringIncludes(stderr, "apt-get install python3-venv");
});

Deno.test("a tool that does not run here is not kept", async () => {
  using project = new Project();
  project.put("fakes/zig", "#!/bin/sh\nexit 127\n", "");
  for (let round = 0; round < 2; round++) {
    const { code, stderr } = await project.run(["build"]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "does not run on it");
  }
  project.put("fakes/zig", FAKE_ZIG, project.versions.get("zig")!);
  assertEquals((await project.run(["build"])).code, 0);
});

Deno.test("without Python it says what to install", async () => {
  using project = new Project();
  Deno.removeSync(`${project.bin}/python3`);
  const { code, stderr } = await project.run(["build"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "install Python 3");
  assert(!stderr.includes("fetching"));
});

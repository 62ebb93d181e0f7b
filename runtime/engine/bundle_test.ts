import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";

const OUTPUT = "runtime/engine/worker.bundle.js";

/** A project with an engine of two files, in a folder of its own. */
class Project implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "tdsm bundle " });

  constructor() {
    for (const folder of ["runtime/engine", "ffi"]) {
      Deno.mkdirSync(`${this.root}/${folder}`, { recursive: true });
    }
    Deno.copyFileSync(`${import.meta.dirname}/bundle.ts`, `${this.root}/runtime/engine/bundle.ts`);
    this.write("deno.json", "{}");
    this.write("deno.lock", '{ "version": "5" }');
    this.write("ffi/answer.ts", "export const answer = (): number => 41;");
    this.write(
      "runtime/engine/worker.ts",
      'import { answer } from "../../ffi/answer.ts";\nconsole.log(answer() + 1);',
    );
  }

  write(path: string, text: string): void {
    Deno.writeTextFileSync(`${this.root}/${path}`, text);
  }

  read(path: string): string {
    return Deno.readTextFileSync(`${this.root}/${path}`);
  }

  /** What is in the bundle: the text that it exports. */
  engine(): string {
    const [, text] = /^export default (".*");$/m.exec(this.read(OUTPUT))!;
    return JSON.parse(text!);
  }

  /** Which file the bundle is; another one after each rename. */
  inode(): number | null {
    return Deno.statSync(`${this.root}/${OUTPUT}`).ino;
  }

  /** Runs a file of the project; returns its exit code and what it wrote to stdout. */
  async run(path: string, ...args: string[]): Promise<{ code: number; text: string }> {
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", `${this.root}/${path}`, ...args],
      cwd: this.root,
      stdin: "null",
      stderr: "null",
    }).output();
    return { code, text: new TextDecoder().decode(stdout) };
  }

  async bundle(...args: string[]): Promise<number> {
    return (await this.run("runtime/engine/bundle.ts", ...args)).code;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

Deno.test("bundle.ts: what it makes is one file that runs as its sources do", async () => {
  using project = new Project();
  assertEquals(await project.bundle(), 0);
  assert(!project.engine().includes("import "));
  project.write("engine.js", project.engine());
  assertEquals(await project.run("engine.js"), { code: 0, text: "42\n" });
});

Deno.test("bundle.ts: the bundle is made again when a source changed, and only then", async () => {
  using project = new Project();
  await project.bundle();
  const first = project.inode();
  project.write("ffi/answer_test.ts", "tests are no part of it");
  assertEquals(await project.bundle(), 0);
  assertEquals(project.inode(), first);

  project.write("ffi/answer.ts", "export const answer = (): number => 50;");
  assertEquals(await project.bundle(), 0);
  assertNotEquals(project.inode(), first);
  assertStringIncludes(project.engine(), "50");
});

Deno.test("bundle.ts: the stack of an error that the engine throws names the engine", async () => {
  using project = new Project();
  project.write("ffi/answer.ts", 'export const answer = (): number => { throw new Error("41"); };');
  await project.bundle();
  const { stack } = assertThrows(() => (0, eval)(project.engine()), Error, "41");
  assertMatch(stack!, /^ +at \S* ?\(?tdsm:engine/m);
});

Deno.test("bundle.ts: a bundle that is to be readable keeps its names, until the next one", async () => {
  using project = new Project();
  await project.bundle();
  assert(!project.engine().includes("answer"));
  await project.bundle("--readable");
  assertStringIncludes(project.engine(), "answer");
  await project.bundle();
  assert(!project.engine().includes("answer"));
});

Deno.test("bundle.ts: a source that cannot be bundled leaves the old bundle and fails", async () => {
  using project = new Project();
  await project.bundle();
  const before = project.read(OUTPUT);
  project.write("ffi/answer.ts", "export const answer = ;");
  assertNotEquals(await project.bundle(), 0);
  assertEquals(project.read(OUTPUT), before);
});

Deno.test("bundle.ts: two that bundle at once leave one whole bundle and nothing else", async () => {
  using project = new Project();
  assertEquals(await Promise.all([project.bundle(), project.bundle()]), [0, 0]);
  const names = [...Deno.readDirSync(`${project.root}/runtime/engine`)].map(({ name }) => name);
  assertEquals(names.sort(), ["bundle.ts", "worker.bundle.js", "worker.ts"]);
  assertStringIncludes(project.engine(), "41");
});

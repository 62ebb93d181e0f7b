/** Folders outside of the checkout, with programs in them that depend on the package. */

import { resolve } from "node:path";
import { assertEquals } from "@std/assert";

/** The checkout. */
export const ROOT: string = resolve(import.meta.dirname!, "../..");

/** The permissions that a node needs: programs in a scratch folder get no others. */
export const PERMISSIONS: readonly string[] = ["--no-prompt", "--allow-ffi", "--allow-net"];

/** How long a command may take, in milliseconds: far more than any needs, far less than a hang. */
const WAIT_MAX_MS = 120_000;

/** The address of no registry: a command that fetches a package fails. */
const NO_REGISTRY = "http://127.0.0.1:9";

/** How a command ended. */
export interface Ended {
  /** The exit code. */
  readonly code: number;
  /** The text that it wrote to stdout. */
  readonly stdout: string;
  /** The text that it wrote to stderr. */
  readonly stderr: string;
}

/** How a command is started. */
export interface RunOptions {
  /** The current folder, if not the scratch folder. */
  readonly cwd?: string;
  /** Environment variables, beside PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A program that uses two nodes, the package's types, and a module that only its own import map
 * names. It prints {@linkcode PROGRAM_PRINTS}.
 */
const PROGRAM = `import { join, type Node, rpc, TdsmError } from "@tdsm/runtime";
import { double } from "own/double.ts";

const twice = rpc("twice", (value: number): number => double(value));
await using one: Node = await join({ directory: true, port: 0, compression: true });
await using two = await join({ directoryAddress: "127.0.0.1:" + one.port, port: 0 });
one.memory.set(new TextEncoder().encode("shared ".repeat(1000)), 4096);
console.log(new TextDecoder().decode(two.memory.slice(4096, 4102)), typeof twice.on);
console.log(new TdsmError("Aborted", "as a class").code);
`;

/** The output of the program. */
export const PROGRAM_PRINTS = "shared function\nAborted\n";

/** A folder outside of the checkout. */
export class Scratch implements Disposable {
  /** The path of the folder. */
  readonly path: string = Deno.makeTempDirSync({ prefix: "tdsm package " });
  /** The path of the Deno that runs programs. */
  executable: string = Deno.execPath();
  readonly #cache: Readonly<Record<string, string>>;

  /**
   * @param registry The npm registry that Deno asks; by default none, and Deno's cache is empty.
   * With "own", registry and cache are those of the user who runs the test.
   */
  constructor(registry: string = NO_REGISTRY) {
    const cache = { DENO_DIR: `${this.path}/.deno`, NPM_CONFIG_REGISTRY: registry };
    this.#cache = registry === "own" ? ownCache() : cache;
    this.write("program.ts", PROGRAM);
    this.write("own/double.ts", "export const double = (value: number): number => 2 * value;\n");
  }

  /**
   * Writes a file.
   *
   * @param path Its path from the folder.
   * @param content Its text, or a value to write as JSON.
   */
  write(path: string, content: string | object): void {
    const file = `${this.path}/${path}`;
    Deno.mkdirSync(resolve(file, ".."), { recursive: true });
    Deno.writeTextFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  }

  /**
   * Reads a file of JSON.
   *
   * @param path Its path from the folder.
   * @returns The value in it.
   */
  read(path: string): Record<string, unknown> {
    return JSON.parse(Deno.readTextFileSync(`${this.path}/${path}`));
  }

  /**
   * Runs a command to its end.
   *
   * @param command The program and its arguments.
   * @param options Where and how.
   * @returns How it ended.
   */
  async run([program, ...args]: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const { PATH = "", HOME = "" } = Deno.env.toObject();
    const { code, stdout, stderr } = await new Deno.Command(program!, {
      args,
      cwd: options.cwd ?? this.path,
      clearEnv: true,
      env: { PATH, HOME, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...this.#cache, ...options.env },
      stdin: "null",
      signal: AbortSignal.timeout(WAIT_MAX_MS),
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /**
   * Runs Deno, which must succeed.
   *
   * @param args Its arguments.
   * @param options Where and how.
   * @returns What it wrote to stdout.
   */
  async deno(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run([this.executable, ...args], options);
    assertEquals(code, 0, `deno ${args.join(" ")}\n${stdout}${stderr}`);
    return stdout;
  }

  /**
   * Runs the program of the folder with the permissions of a node.
   */
  async runProgram(): Promise<void> {
    assertEquals(await this.deno(["run", ...PERMISSIONS, "program.ts"]), PROGRAM_PRINTS);
  }

  /** Checks the types of the program, with those of the package. */
  async checkProgram(): Promise<void> {
    await this.deno(["check", "program.ts"]);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/**
 * The variables that say where the user's Deno keeps its cache, and from where it fetches packages.
 */
function ownCache(): Record<string, string> {
  const variables = ["DENO_DIR", "XDG_CACHE_HOME", "NPM_CONFIG_REGISTRY", "DENO_TLS_CA_STORE"];
  const set = variables.map((name) => [name, Deno.env.get(name)] as const);
  return Object.fromEntries(set.filter((entry): entry is [typeof entry[0], string] => !!entry[1]));
}

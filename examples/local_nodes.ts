/** Nodes on one machine: each is a process that this one starts, watches and ends. */

/** The environment variable that tells a node which process started it. */
const PARENT = "TDSM_LOCAL_PARENT";
/** How long all may take, in milliseconds; more than a node waits for another, so that it can say so. */
const LOCAL_MAX_MS = 120_000;
/** How long nodes may take to end once one of them has failed, in milliseconds. */
const END_MAX_MS = 3_000;
/** The permissions that nodes have if this process has them. */
const PERMISSIONS = ["ffi", "net", "env", "read", "write", "run", "sys"] as const;
/** `prctl(PR_SET_PDEATHSIG, signal)`. */
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/**
 * Has the kernel end this process with the one that started it for a local test, however that ends.
 * Does nothing in a process that somebody else started.
 */
export function endWithParent(): void {
  const parent = Deno.env.get(PARENT);
  if (parent === undefined) return;
  const { symbols } = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  });
  symbols.prctl(PR_SET_PDEATHSIG, BigInt(SIGKILL), 0n, 0n, 0n);
  // It may have ended before the kernel was told.
  if (Deno.ppid !== Number(parent)) Deno.exit(1);
}

/** One node's process and what it has printed. */
class LocalNode {
  readonly name: string;
  readonly process: Deno.ChildProcess;
  /** Resolves with the exit code, when all that was printed is read. */
  readonly ended: Promise<number>;
  /** Called with each line of stdout. */
  seen: (line: string) => void = () => {};
  text = "";

  /** A node's progress bar needs the terminal itself, so what it writes there is not read. */
  constructor(name: string, program: string, args: string[], onTerminal: boolean) {
    this.name = name;
    this.process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...permissionFlags(), program, ...args],
      env: { [PARENT]: String(Deno.pid) },
      stdin: "null",
      stdout: "piped",
      stderr: onTerminal ? "inherit" : "piped",
    }).spawn();
    const { stdout } = this.process;
    const reading = [this.#collect(stdout, true)];
    if (!onTerminal) reading.push(this.#collect(this.process.stderr, false));
    this.ended = Promise.all(reading).then(async () => (await this.process.status).code);
  }

  async #collect(stream: ReadableStream<Uint8Array>, show: boolean): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      if (!show) continue;
      // Whole lines, so that those of several nodes do not mix.
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        console.log(line);
        this.seen(line);
      }
    }
  }

  kill(): void {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** This process's permissions, as flags. */
function permissionFlags(): string[] {
  return PERMISSIONS
    .filter((name) => Deno.permissions.querySync({ name }).state === "granted")
    .map((name) => `--allow-${name}`);
}

/** What local nodes are to run. */
export interface LocalProgram {
  /** The path of the program that each node runs. */
  readonly program: string;
  /** How many nodes. */
  readonly nodes: number;
  /** The arguments of the node with the directory, beside its role. */
  readonly leading: readonly string[];
  /** The arguments of every other node, beside its directory's address. */
  readonly following: readonly string[];
}

/**
 * Runs a program on nodes of this machine, and passes on what they print. The node with the directory
 * must print a line that begins with `Node 1 at HOST:PORT:`.
 *
 * @param local What to run.
 * @returns Why it failed, with all that the nodes printed; `undefined` when every node ended well.
 */
export async function runLocally(
  { program, nodes, leading, following }: LocalProgram,
): Promise<string | undefined> {
  const late = Promise.withResolvers<string>();
  const deadline = setTimeout(
    () => late.resolve(`not done within ${LOCAL_MAX_MS} ms`),
    LOCAL_MAX_MS,
  );
  const address = Promise.withResolvers<string>();
  const onTerminal = Deno.stderr.isTerminal();
  const roles = ["--directory", ...leading, "--port=0"];
  const directory = new LocalNode("node 1", program, roles, onTerminal);
  directory.seen = (line) => {
    const found = /^Node 1 at (\S+):/.exec(line);
    if (found !== null) address.resolve(found[1]!);
  };
  const started = [directory];
  const unled = Promise.race([directory.ended, late.promise]).then(() => undefined);
  const at = await Promise.race([address.promise, unled]);
  for (let node = 2; at !== undefined && node <= nodes; node++) {
    const roles = [...following, `--directory-address=${at}`, "--port=0"];
    started.push(new LocalNode(`process ${node}`, program, roles, false));
  }
  const failure = await Promise.race([firstFailure(started), late.promise]);
  clearTimeout(deadline);
  if (failure === undefined) return undefined;
  // The others may have more to say on why, if they can.
  const grace = setTimeout(() => started.forEach((node) => node.kill()), END_MAX_MS);
  await Promise.all(started.map(({ ended }) => ended));
  clearTimeout(grace);
  const printed = started.map(({ name, text }) => `--- ${name} ---\n${text.trimEnd()}`);
  return [failure, ...printed].join("\n");
}

/** Why a node failed; `undefined` when all have ended well. */
async function firstFailure(nodes: readonly LocalNode[]): Promise<string | undefined> {
  const first = Promise.withResolvers<string>();
  const all = nodes.map(async ({ name, ended }) => {
    const code = await ended;
    if (code !== 0) first.resolve(`${name} ended with exit code ${code}`);
    return code;
  });
  const well = Promise.all(all).then(async (codes) =>
    codes.every((code) => code === 0) ? undefined : await first.promise
  );
  return await Promise.race([first.promise, well]);
}

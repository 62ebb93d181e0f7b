/** The memory test on one machine: every node is a process that this one starts, watches and ends. */

/** The environment variable that tells a node which process started it. */
const PARENT = "TDSM_MEMTEST_PARENT";
/** How long all may take, in milliseconds; more than a node waits for another, so that it can say so. */
const LOCAL_MAX_MS = 120_000;
/** How long nodes may take to end once one of them has failed, in milliseconds. */
const END_MAX_MS = 3_000;
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
  text = "";

  constructor(name: string, program: string, args: string[], seen?: (text: string) => void) {
    this.name = name;
    const permissions = ["ffi", "net", "env", "read", "run"].map((word) => `--allow-${word}`);
    this.process = new Deno.Command(Deno.execPath(), {
      args: ["run", ...permissions, program, ...args],
      env: { [PARENT]: String(Deno.pid) },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { stdout, stderr } = this.process;
    const reading = [this.#collect(stdout, seen), this.#collect(stderr)];
    this.ended = Promise.all(reading).then(async () => (await this.process.status).code);
  }

  async #collect(stream: ReadableStream<Uint8Array>, seen?: (text: string) => void): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      seen?.(text);
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

/**
 * Runs the memory test with processes of this machine, and passes on what node 1 prints.
 *
 * @param program The path of the program that each node runs.
 * @param nodes How many.
 * @param args The arguments of the directory's node.
 * @returns The exit code: 0 when every node ended well.
 */
export async function runLocally(program: string, nodes: number, args: string[]): Promise<number> {
  const late = Promise.withResolvers<string>();
  const deadline = setTimeout(
    () => late.resolve(`not done within ${LOCAL_MAX_MS} ms`),
    LOCAL_MAX_MS,
  );
  const address = Promise.withResolvers<string>();
  const leading = ["--directory", ...args, "--port=0"];
  const directory = new LocalNode("node 1", program, leading, (text) => {
    Deno.stdout.writeSync(new TextEncoder().encode(text));
    const found = /^Node 1 at (\S+):/m.exec(directory.text);
    if (found !== null) address.resolve(found[1]!);
  });
  const started = [directory];
  const unled = Promise.race([directory.ended, late.promise]).then(() => undefined);
  const at = await Promise.race([address.promise, unled]);
  for (let node = 2; at !== undefined && node <= nodes; node++) {
    const serving = ["--rpc-server", `--directory-address=${at}`, "--port=0"];
    started.push(new LocalNode(`process ${node}`, program, serving));
  }
  const failure = await Promise.race([firstFailure(started), late.promise]);
  clearTimeout(deadline);
  if (failure === undefined) return 0;
  // The others may have more to say on why, if they can.
  const grace = setTimeout(() => started.forEach((node) => node.kill()), END_MAX_MS);
  await Promise.all(started.map(({ ended }) => ended));
  clearTimeout(grace);
  console.error(`memtest: error: ${failure}`);
  for (const { name, text } of started) console.error(`--- ${name} ---\n${text.trimEnd()}`);
  return 1;
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

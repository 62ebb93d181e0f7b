/**
 * Runs every test of the project, TypeScript and Zig, and ends with one line that sums them up.
 * Given arguments, it hands them to `deno test` and runs no Zig.
 */

interface Counts {
  passed: number;
  failed: number;
}

/**
 * Runs `command` with its output passed on, and returns that output, uncoloured, with the exit
 * code.
 */
async function runShown(args: string[]): Promise<{ code: number; text: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: `${import.meta.dirname}/../..`,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const pass = async (from: ReadableStream<Uint8Array>, to: typeof Deno.stdout): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const bytes of from) {
      text += decoder.decode(bytes, { stream: true });
      for (let written = 0; written < bytes.length;) {
        written += await to.write(bytes.subarray(written));
      }
    }
  };
  await Promise.all([pass(child.stdout, Deno.stdout), pass(child.stderr, Deno.stderr)]);
  return { code: (await child.status).code, text };
}

/** The last match of `pattern`'s first group in `text`, as a number; 0 where there is none. */
function lastNumber(text: string, pattern: RegExp): number {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

/** Runs one suite; one that fails or ends without having run a test counts as a failure. */
async function runSuite(args: string[]): Promise<Counts> {
  const { code, text } = await runShown(args);
  const passed = lastNumber(text, /(\d+) passed\b/g);
  const failed = lastNumber(text, /(\d+) failed\b/g);
  if (failed === 0 && (code !== 0 || passed === 0)) {
    console.error(`deno ${args.join(" ")}: exit code ${code} after ${passed} passed tests`);
    return { passed, failed: 1 };
  }
  return { passed, failed };
}

const suites = Deno.args.length > 0
  ? [["test", "-A", ...Deno.args]]
  : [["test", "-A", "--doc"], ["run", "-A", "zig/build.ts", "test"]];

const total: Counts = { passed: 0, failed: 0 };
for (const args of suites) {
  const { passed, failed } = await runSuite(args);
  total.passed += passed;
  total.failed += failed;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
Deno.exitCode = total.failed === 0 ? 0 : 1;

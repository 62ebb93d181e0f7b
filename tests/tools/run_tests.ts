/**
 * Runs every test of the project, TypeScript and Zig, and ends with one line that sums them up.
 * Given arguments, it hands them to `deno test` and runs no Zig.
 */

interface Counts {
  passed: number;
  failed: number;
}

/** Cuts text into whole lines, so that what runs at the same time does not break others' lines. */
class Lines extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(text, controller) {
        const end = text.lastIndexOf("\n") + 1;
        if (end > 0) controller.enqueue(rest + text.slice(0, end));
        rest = end > 0 ? text.slice(end) : rest + text;
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(`${rest}\n`);
      },
    });
  }
}

/**
 * Runs Deno with its output passed on by whole lines, and returns that output, uncoloured, with the
 * exit code.
 */
async function runShown(args: readonly string[]): Promise<{ code: number; text: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: `${import.meta.dirname}/../..`,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const pass = async (from: ReadableStream<Uint8Array>, to: typeof Deno.stdout): Promise<void> => {
    const encoder = new TextEncoder();
    for await (const line of from.pipeThrough(new TextDecoderStream()).pipeThrough(new Lines())) {
      text += line;
      const bytes = encoder.encode(line);
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

/**
 * Runs one suite; one that fails, or ends without having found a test, counts as a failure. Tests
 * that this machine lets nobody run are ignored.
 */
async function runSuite(args: readonly string[]): Promise<Counts> {
  const { code, text } = await runShown(args);
  const passed = lastNumber(text, /(\d+) passed\b/g);
  const failed = lastNumber(text, /(\d+) failed\b/g);
  const ignored = lastNumber(text, /(\d+) ignored\b/g);
  if (failed === 0 && (code !== 0 || passed + ignored === 0)) {
    console.error(`deno ${args.join(" ")}: exit code ${code} after ${passed} passed tests`);
    return { passed, failed: 1 };
  }
  return { passed, failed };
}

/**
 * Runs suites one after the other, and ends with the line that sums them up; a failure sets the
 * exit code.
 *
 * @param suites The arguments of Deno for each; the suites of one list run side by side.
 */
export async function runSuites(suites: readonly (readonly string[][])[]): Promise<void> {
  const total: Counts = { passed: 0, failed: 0 };
  for (const beside of suites) {
    for (const { passed, failed } of await Promise.all(beside.map(runSuite))) {
      total.passed += passed;
      total.failed += failed;
    }
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  Deno.exitCode = total.failed === 0 ? 0 : 1;
}

/** Tests of real nodes, which mostly wait. */
const WAITING = ["tests/failures", "tests/nodes"];
/** Tests of single parts. */
const PARTS = ["ffi", "runtime"];

if (import.meta.main) {
  const rest = ["test", "-A", "--doc", `--ignore=${[...WAITING, ...PARTS]}`];
  await runSuites(
    Deno.args.length > 0 ? [[["test", "-A", ...Deno.args]]] : [
      [rest, ["test", "-A", "--doc", ...PARTS], ["test", "-A", ...WAITING]],
      [["run", "-A", "zig/build.ts", "test"]],
    ],
  );
}

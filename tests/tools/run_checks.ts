/**
 * Runs every check that is not a test, each of them even if one before it failed,
 * and ends with one line that sums them up.
 */

interface Check {
  name: string;
  program: string;
  args: string[];
}

const deno = Deno.execPath();
const zig = Deno.env.get("TDSM_ZIG") ?? "zig";

const CHECKS: readonly Check[] = [
  { name: "format", program: deno, args: ["fmt", "--check"] },
  { name: "format of Zig", program: zig, args: ["fmt", "--check", "zig", "bench"] },
  { name: "lint", program: deno, args: ["lint"] },
  { name: "types and lock file", program: deno, args: ["check", "--doc", "--frozen"] },
  ...pageChecks(),
  { name: "documentation", program: deno, args: ["doc", "--lint", "mod.ts"] },
  { name: "package", program: deno, args: ["publish", "--dry-run", "--allow-dirty"] },
  { name: "launcher", program: "sh", args: ["-n", "tdsm"] },
];

/** The page of the dashboard is checked by itself: it runs in a browser, and not in Deno. */
function pageChecks(): Check[] {
  const config = ["--config", "runtime/dashboard/page/deno.json"];
  const folder = "runtime/dashboard/page";
  return [
    { name: "format of the page", program: deno, args: ["fmt", "--check", ...config, folder] },
    { name: "lint of the page", program: deno, args: ["lint", ...config, folder] },
    { name: "types of the page", program: deno, args: ["check", ...config, `${folder}/main.ts`] },
  ];
}

/** Runs one check and shows its output if it fails. */
function passes({ name, program, args }: Check): boolean {
  const start = performance.now();
  let output: Deno.CommandOutput;
  try {
    output = new Deno.Command(program, { args, cwd: `${import.meta.dirname}/../..`, stdin: "null" })
      .outputSync();
  } catch (error) {
    console.log(`FAILED  ${name}: cannot run ${program}: ${(error as Error).message}`);
    return false;
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${output.success ? "ok    " : "FAILED"}  ${name} (${seconds} s)`);
  if (!output.success) {
    for (const bytes of [output.stdout, output.stderr]) Deno.stdout.writeSync(bytes);
  }
  return output.success;
}

const passed = CHECKS.filter(passes).length;
const failed = CHECKS.length - passed;
console.log(`${passed} passed, ${failed} failed`);
Deno.exitCode = failed === 0 ? 0 : 1;

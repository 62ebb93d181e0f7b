/**
 * Nodes on the oldest and the newest Deno that the runtime supports, and on one that is too old.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DENO_MIN_VERSION } from "../../runtime/version.ts";
import { PERMISSIONS, ROOT, Scratch } from "./scratch.ts";

/** The last version of Deno before {@linkcode DENO_MIN_VERSION}. */
const TOO_OLD = "2.7.14";

/**
 * The newest Deno that PyPI has.
 *
 * @returns Its version; `undefined` where PyPI cannot be reached, or pip is missing.
 */
async function findNewest(scratch: Scratch): Promise<string | undefined> {
  const pip = ["python3", "-m", "pip", "index", "versions", "deno"];
  const { stdout } = await scratch.run(pip, { env: pipSettings() });
  return /^deno \((\d[\w.]*)\)/m.exec(stdout)?.[1];
}

/**
 * The environment variables that configure pip: the address of PyPI, and the certificates to trust.
 */
function pipSettings(): Record<string, string> {
  const all = Object.entries(Deno.env.toObject());
  const settings = all.filter(([name]) => /^(?:PIP_|SSL_|REQUESTS_|https?_proxy$)/i.test(name));
  return { ...Object.fromEntries(settings), PIP_DISABLE_PIP_VERSION_CHECK: "1" };
}

/**
 * Fetches a Deno into the folder of the launcher's tools, if it is not there; returns its program.
 */
async function fetchDeno(scratch: Scratch, version: string): Promise<string> {
  const folder = `${ROOT}/.tools/deno-${version}`;
  const program = `${folder}/bin/deno`;
  if (await Deno.stat(program).then(() => true, () => false)) return program;
  const fresh = `${ROOT}/.tools/tmp-deno-${version}-${Deno.pid}`;
  await Deno.mkdir(`${ROOT}/.tools`, { recursive: true });
  const flags = ["--no-deps", "--no-compile", "--only-binary", ":all:", "--quiet"];
  const install = ["python3", "-m", "pip", "install", ...flags, "--target", fresh];
  const { code, stderr } = await scratch.run([...install, `deno==${version}`], {
    env: pipSettings(),
  });
  assertEquals(code, 0, stderr);
  // Some of these packages leave it to their installer to make the file executable.
  await Deno.chmod(`${fresh}/bin/deno`, 0o755);
  await Deno.rename(fresh, folder);
  return program;
}

Deno.test("versions: nodes run on the oldest Deno and on the newest, and an older one is refused", async (test) => {
  using scratch = new Scratch();
  const newest = await findNewest(scratch);
  if (newest === undefined) {
    return console.log(`${test.name}: skipped, PyPI or pip is not to be had`);
  }
  scratch.write("deno.json", { imports: { "@tdsm/runtime": `${ROOT}/mod.ts`, "own/": "./own/" } });
  for (const version of new Set([DENO_MIN_VERSION, newest])) {
    scratch.executable = await fetchDeno(scratch, version);
    assertStringIncludes(await scratch.deno(["--version"]), `deno ${version} `);
    await scratch.runProgram();
  }
  const old = await fetchDeno(scratch, TOO_OLD);
  const node = ["run", ...PERMISSIONS, `${ROOT}/mod.ts`, "--port=0"];
  const { code, stderr } = await scratch.run([old, ...node]);
  assert(code !== 0);
  assertEquals(stderr.trim().split("\n").length, 1, stderr);
  assertStringIncludes(stderr, `Deno ${TOO_OLD}: it needs Deno ${DENO_MIN_VERSION} or newer`);
});

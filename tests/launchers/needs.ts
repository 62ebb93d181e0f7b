/**
 * What tests of launchers need of this machine, and the packages in which Debian has it. A test
 * whose launcher is missing is ignored, and its name says why.
 */

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

/** A machine that has no systemd has no use for it. */
const INSTALLABLE = Object.entries(PACKAGES).filter(([, name]) => name !== "systemd");

// Daemons are where the PATH of a login may not lead.
const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`;
Deno.env.set("PATH", path);

/** Whether a command is somewhere on the PATH. */
export function isInstalled(command: string): boolean {
  return path.split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${command}`).isFile;
    } catch {
      return false;
    }
  });
}

/** The packages of Debian with what is not installed. */
export function missingPackages(): string[] {
  return INSTALLABLE.filter(([command]) => !isInstalled(command)).map(([, name]) => name);
}

function succeeds(program: string, ...args: string[]): boolean {
  const options = { args, stdout: "null", stderr: "null" } as const;
  return isInstalled(program) && new Deno.Command(program, options).outputSync().success;
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

/**
 * Why a test cannot run here.
 *
 * @param commands What it needs.
 * @returns The reason; empty where it can.
 */
function obstacle(commands: readonly Command[]): string {
  const missing = commands.find((command) => !isInstalled(command));
  if (missing !== undefined) {
    return `${missing} is not installed: Debian has it in ${PACKAGES[missing]}`;
  }
  return commands.includes("ip") ? machinesObstacle() : "";
}

/**
 * Makes a function that declares tests.
 *
 * @param commands What all of them need.
 * @param options What is said of all of them to `Deno.test`.
 * @returns The function: it takes the name of a test, and the test.
 */
export function testsWith(
  commands: readonly Command[],
  options: Partial<Deno.TestDefinition> = {},
): (name: string, fn: Deno.TestDefinition["fn"]) => void {
  const reason = obstacle(commands);
  const skipped = reason === "" ? "" : ` (skipped: ${reason})`;
  return (name, fn) =>
    Deno.test({ ...options, name: `${name}${skipped}`, ignore: reason !== "", fn });
}

/**
 * `--doctor`: what this machine and this process lack for a node to run, and how to mend that. No
 * check prompts for a permission; a check without its permission is reported as unknown.
 */

import { ABI_VERSION, nameFeatures } from "../../ffi/abi.ts";
import { findLibrary } from "../../ffi/embedded.ts";
import type { TdsmLibrary } from "../../ffi/library.ts";
import { inspectMachine, type Machine } from "../../ffi/machine.ts";
import { NativeRegion, rdmaSection } from "../../ffi/native.ts";
import { type Address, formatAddress } from "../address.ts";
import { NEW_KEY_COMMAND, START_COMMAND } from "../start_command.ts";
import { loadEngineSource } from "../engine/source.ts";
import { readKey, requireKey } from "../settings/key.ts";
import { mayUseNet } from "../settings/permissions.ts";
import { WIDTH_MAX, wrap } from "../settings/help.ts";
import type { LauncherKind, RendezvousChoice } from "../settings/rendezvous_choice.ts";
import type { Settings } from "../settings/types.ts";
import { TdsmError } from "../errors.ts";
import { formatSize } from "../size.ts";
import { type Paint, plain, type Style } from "./paint.ts";
import { formatTable } from "./table.ts";
import { DENO_MIN_VERSION, isDenoSupported } from "../version.ts";
import { KERNEL_MIN_MAJOR, KERNEL_MIN_MINOR, PAGE_SIZE_MIN_BYTES } from "../limits.ts";

/** How a check ended. */
export type Verdict =
  /** Nothing is missing. */
  | "ok"
  /** A node runs, but not as well as it could. */
  | "warning"
  /** No node can run. */
  | "failed"
  /** The check lacks a permission. */
  | "unknown";

/** The result of one check. */
export interface Check {
  /** The check's name, in a word or two. */
  readonly name: string;
  /** How it ended. */
  readonly verdict: Verdict;
  /** The finding, for people. */
  readonly found: string;
  /** The remedy: a command, or another thing to do. */
  readonly remedy?: string;
}

/**
 * Checks everything that a node needs.
 *
 * @param settings The settings of the node that would run.
 * @returns The results, in the order in which a node needs the things checked.
 */
export async function examine(settings: Settings): Promise<Check[]> {
  const machine = inspectMachine();
  const permitted = checkFfi();
  const checks = [checkSystem(), checkKernel(machine), permitted, checkNet(settings), checkEnv()];
  if (permitted.verdict === "ok") checks.push(...await checkLibrary(settings, machine));
  else checks.push(unknown("library"), unknown("userfaultfd"));
  checks.push(
    await checkEngine(),
    checkRendezvous(settings),
    checkPort(settings),
    await checkKey(settings),
    checkCores(),
  );
  return checks;
}

/**
 * Whether a node can run.
 *
 * @param checks What was found.
 * @returns `false` when any check failed.
 */
export function canRun(checks: readonly Check[]): boolean {
  return checks.every(({ verdict }) => verdict !== "failed");
}

/**
 * Formats the results for people.
 *
 * @param checks What was found.
 * @param paint Colours pieces of text.
 * @returns Lines, each with a line end.
 */
export function formatChecks(checks: readonly Check[], paint: Paint = plain): string {
  const rows = checks.map(({ verdict, name }) => [verdict, name, ""]);
  const [titles, ...lines] = formatTable([TITLES, ...rows], { left: [0, 1] }).split("\n");
  const indent = titles!.indexOf(TITLES[2]);
  const body = checks.map(({ verdict, found, remedy = "" }, row) => {
    const begin = `${paint(verdict, STYLES[verdict])}${lines[row]!.slice(verdict.length)}`;
    const gap = " ".repeat(indent - lines[row]!.length);
    const remedies = remedy === "" ? [] : wrap(`→ ${remedy}`, WIDTH_MAX - indent);
    const texts = [
      ...wrap(found, WIDTH_MAX - indent),
      ...remedies.map((line) => paint(line, "bold")),
    ];
    return `${begin}${gap}${texts.join(`\n${" ".repeat(indent)}`)}\n`;
  });
  const sum = canRun(checks)
    ? paint("A node can run here", "green")
    : paint("No node can run here", "red");
  return `${paint(titles!, "bold")}\n${body.join("")}\n${sum}\n`;
}

const TITLES = ["VERDICT", "CHECK", "FOUND"] as const;
const STYLES: Readonly<Record<Verdict, Style>> = {
  ok: "green",
  warning: "yellow",
  failed: "red",
  unknown: "dim",
};

/** What mends a checkout that is not built. */
const BUILD = "./tdsm build";

function unknown(name: string): Check {
  return { name, verdict: "unknown", found: "cannot be looked at without --allow-ffi" };
}

function checkSystem(): Check {
  const { os, arch } = Deno.build;
  const found = `${os} on ${arch}, Deno ${Deno.version.deno}`;
  const name = "system";
  if (os !== "linux") {
    const remedy = "run it on Linux: userfaultfd is of its kernel";
    return { name, verdict: "failed", found, remedy };
  }
  if (!isDenoSupported(Deno.version.deno)) {
    const remedy = `deno upgrade: the oldest that nodes run on is Deno ${DENO_MIN_VERSION}`;
    return { name, verdict: "failed", found, remedy };
  }
  if (arch === "x86_64") return { name, verdict: "ok", found };
  const remedy = "run `./tdsm test`: nodes have only been run on x86_64";
  return { name, verdict: "warning", found, remedy };
}

function checkKernel(machine: Machine | undefined): Check {
  const name = "kernel";
  if (machine === undefined) return unknown(name);
  const { kernelRelease, pageSize } = machine;
  const [major = 0, minor = 0] = kernelRelease.split(".").map((part) => parseInt(part));
  const found = `Linux ${kernelRelease}, pages of ${formatSize(pageSize)}`;
  const least = `${KERNEL_MIN_MAJOR}.${KERNEL_MIN_MINOR}`;
  if (major < KERNEL_MIN_MAJOR || (major === KERNEL_MIN_MAJOR && minor < KERNEL_MIN_MINOR)) {
    // Only a warning, because a distribution may have backported the features; the check of
    // userfaultfd below tries them.
    const remedy = `install Linux ${least} or newer, unless userfaultfd below is ok`;
    return { name, verdict: "warning", found, remedy };
  }
  return { name, verdict: "ok", found };
}

function checkFfi(): Check {
  const name = "--allow-ffi";
  // To use pointers needs the permission without a path.
  const granted = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
  if (granted) return { name, verdict: "ok", found: "granted" };
  const remedy = `${START_COMMAND} --doctor`;
  return { name, verdict: "failed", found: "not granted, or only for a path", remedy };
}

function checkNet({ address, port }: Settings): Check {
  const name = "--allow-net";
  const host = formatAddress({ hostname: address, port });
  if (Deno.permissions.querySync({ name: "net" }).state === "granted") {
    return { name, verdict: "ok", found: "granted" };
  }
  if (mayUseNet({ hostname: address, port })) {
    const remedy = "--allow-net, where other nodes are on other machines";
    return { name, verdict: "warning", found: `granted for ${host}, not for all`, remedy };
  }
  const remedy = `${START_COMMAND} --doctor`;
  return { name, verdict: "failed", found: `not granted for ${host}`, remedy };
}

function checkEnv(): Check {
  const name = "--allow-env";
  const granted = Deno.permissions.querySync({ name: "env", variable: "DIRECTORY_ADDRESS" })
    .state === "granted";
  const found = granted
    ? "granted"
    : "not granted, and not needed: settings come from flags and options";
  return { name, verdict: "ok", found };
}

async function checkLibrary(settings: Settings, machine: Machine | undefined): Promise<Check[]> {
  const name = "library";
  let library: TdsmLibrary;
  try {
    library = await findLibrary({ path: settings.library });
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    const found = error.message;
    const untried = {
      name: "userfaultfd",
      verdict: "unknown",
      found: "needs the library",
    } as const;
    return [{ name, verdict: "failed", found, remedy: BUILD }, untried];
  }
  try {
    const found = `${library.path}, ABI ${ABI_VERSION}`;
    return [
      { name, verdict: "ok", found },
      checkUserfaultfd(library, machine),
      checkModules(library, machine),
    ];
  } finally {
    library[Symbol.dispose]();
  }
}

async function checkEngine(): Promise<Check> {
  const name = "engine";
  try {
    await loadEngineSource();
    return { name, verdict: "ok", found: "built" };
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    return { name, verdict: "failed", found: error.message, remedy: BUILD };
  }
}

/** Opens a region of one page, as a node would. */
function checkUserfaultfd(library: TdsmLibrary, machine: Machine | undefined): Check {
  const name = "userfaultfd";
  const size = PAGE_SIZE_MIN_BYTES;
  try {
    using region = NativeRegion.open(library, { size, pageSize: size });
    const { userModeOnly, features } = region;
    const served = nameFeatures(features).map((feature) => feature.replace("UFFD_FEATURE_", ""));
    const list = served.join(", ").toLowerCase();
    if (!userModeOnly) {
      return { name, verdict: "ok", found: `by ${wayOf(machine)}; features: ${list}` };
    }
    const found = "of user mode only: system calls fail with EFAULT on memory that is not here";
    return { name, verdict: "warning", found, remedy: rightsRemedy(machine) };
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    const remedy = error.code === "PrivilegeMissing"
      ? rightsRemedy(machine)
      : error.code === "KernelUnsupported"
      ? `install Linux ${KERNEL_MIN_MAJOR}.${KERNEL_MIN_MINOR} or newer, with CONFIG_USERFAULTFD`
      : "see what it says";
    return { name, verdict: "failed", found: error.message, remedy };
  }
}

/**
 * Checks where `rdma.ld` has put the shared section of the library itself. A module's section can
 * be mapped onto the region only if it begins and ends at a page boundary of this kernel.
 */
function checkModules(library: TdsmLibrary, machine: Machine | undefined): Check {
  const name = "native modules";
  if (machine === undefined) return unknown(name);
  const { pageSize } = machine;
  const { start, size } = rdmaSection(library);
  if (start % BigInt(pageSize) === 0n && size % pageSize === 0) {
    return {
      name,
      verdict: "ok",
      found: `rdma.ld gives globals pages of their own, of ${formatSize(pageSize)}`,
    };
  }
  const found = `rdma.ld has not put globals on pages of ${formatSize(pageSize)}`;
  const remedy = `link modules with -Wl,-z,max-page-size=${pageSize}`;
  return { name, verdict: "warning", found, remedy };
}

/** Why this process may use userfaultfd. */
function wayOf(machine: Machine | undefined): string {
  if (machine === undefined) return "one of its ways";
  if (machine.mayUseDevice) return "/dev/userfaultfd";
  if (machine.isRoot) return "the system call, as root";
  return machine.unprivileged ? "the system call, as vm.unprivileged_userfaultfd=1" : "privilege";
}

function rightsRemedy(machine: Machine | undefined): string {
  const sysctl = "sudo sysctl vm.unprivileged_userfaultfd=1";
  const device = "sudo chmod 0666 /dev/userfaultfd";
  if (machine?.isRoot) {
    return "in a container, allow the userfaultfd system call, or pass --device /dev/userfaultfd";
  }
  return machine?.hasDevice ? `${device}, or ${sysctl}` : sysctl;
}

/** How the node finds its directory. */
function checkRendezvous({ rendezvous, directoryAddress }: Settings): Check {
  return { name: "rendezvous", verdict: "ok", found: rendezvousText(rendezvous, directoryAddress) };
}

function rendezvousText(rendezvous: RendezvousChoice, directory: Address | undefined): string {
  const { kind } = rendezvous;
  switch (kind) {
    case "auto":
    case "flags": {
      const role = directory === undefined
        ? "this node hosts the directory"
        : `this node joins ${formatAddress(directory)}`;
      return `no launcher is seen, or flags say more: ${role}`;
    }
    case "file":
      return `the nodes find each other by the file ${rendezvous.path}`;
    case "dns":
      return `the node on the machine ${rendezvous.directory.hostname} hosts, at port ` +
        `${rendezvous.directory.port}, and others join it`;
    case "etcd":
      return `the nodes find each other by ${rendezvous.prefix} in etcd at ${rendezvous.url}`;
    default:
      return `the nodes find each other as ${LAUNCHER_NAMES[kind]} tells`;
  }
}

const LAUNCHER_NAMES: Readonly<Record<LauncherKind, string>> = {
  slurm: "Slurm",
  pmi: "an MPI launcher with PMI 1",
  openmpi: "Open MPI",
};

function checkPort({ address, port }: Settings): Check {
  const name = "port";
  const host = formatAddress({ hostname: address, port });
  if (!mayUseNet({ hostname: address, port })) {
    return { name, verdict: "unknown", found: "cannot be looked at without --allow-net" };
  }
  try {
    Deno.listen({ hostname: address, port }).close();
    return { name, verdict: "ok", found: `${port === 0 ? "any" : host} is free` };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!(error instanceof Deno.errors.AddrInUse)) {
      const remedy = "name an address of this machine with --address";
      return { name, verdict: "failed", found: `${host}: ${error.message}`, remedy };
    }
    const remedy = "stop what uses it, name another with --port, " +
      `or join the directory there: --directory-address ${host}`;
    return { name, verdict: "warning", found: `${host} is in use`, remedy };
  }
}

/** Whether the node has a key, and what that means; the key itself is shown to nobody. */
async function checkKey(settings: Settings): Promise<Check> {
  const name = "key";
  try {
    requireKey(settings);
    const read = await readKey(settings.key);
    if (read?.warning !== undefined) {
      const [found = "", remedy = ""] = read.warning.split(": ");
      return { name, verdict: "warning", found, remedy };
    }
    if (read !== undefined) {
      const found = settings.plain
        ? "nodes must have it; frames travel in the clear, as --plain says"
        : "nodes must have it, and frames are sealed";
      return { name, verdict: "ok", found };
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    const verdict = error.code === "PermissionMissing" ? "unknown" : "failed";
    const [found = "", ...remedies] = error.message.split(": ");
    return { name, verdict, found, remedy: remedies.join(": ") };
  }
  if (!settings.insecure) {
    return { name, verdict: "ok", found: "none: any program of this machine may join" };
  }
  const remedy = `make one with ${NEW_KEY_COMMAND}, and name it with --key-file`;
  const found = "none: any program that reaches this node may join";
  return { name, verdict: "warning", found, remedy };
}

function checkCores(): Check {
  const { hardwareConcurrency: cores } = navigator;
  const found = cores === 1 ? "1 core" : `${cores} cores`;
  if (cores > 1) return { name: "cores", verdict: "ok", found };
  const remedy = "give it a second core: the engine runs beside the program. Or set --poll-time 0";
  return { name: "cores", verdict: "warning", found, remedy };
}

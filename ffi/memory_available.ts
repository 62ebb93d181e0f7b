/**
 * How much memory this process may use: what the machine has, or less where a control group, or one
 * of those around it, allows less. Both versions of control groups count.
 */

import { withFiles } from "./machine.ts";

/** How much memory there is, and what bounds it. */
export interface AvailableMemory {
  /** The bound, in bytes. What is in use already is not taken off. */
  readonly bytes: number;
  /** What bounds it, to be put into a sentence: `this machine`, `the cgroup /jobs/7`. */
  readonly boundBy: string;
}

/** Returns the text of a file; `undefined` where it cannot be read. */
export type ReadFile = (path: string) => string | undefined;

/** Where a hierarchy of control groups is mounted, and which part of it. */
interface Mount {
  /** The group that is seen at `point`. */
  readonly root: string;
  readonly point: string;
}

/** How the two versions of control groups name their bounds. */
const VERSIONS = [
  {
    isMount: (type: string, options: readonly string[]) =>
      type === "cgroup" && options.includes("memory"),
    isGroup: (controllers: readonly string[]) => controllers.includes("memory"),
    files: ["memory.limit_in_bytes"],
  },
  {
    isMount: (type: string) => type === "cgroup2",
    isGroup: (controllers: readonly string[], hierarchy: string) =>
      hierarchy === "0" && controllers.join() === "",
    // Above `high` the kernel slows the process down, more and more.
    files: ["memory.max", "memory.high"],
  },
] as const;

/**
 * Finds out how much memory this process may use.
 *
 * @returns The bound; `undefined` where the machine does not tell, as without `--allow-ffi`.
 */
export function availableMemory(): AvailableMemory | undefined {
  return withFiles(readAvailable);
}

/**
 * The same, from files.
 *
 * @param read Reads files of `/proc` and of the file systems of control groups.
 * @returns The bound; `undefined` where there is no `/proc/meminfo`.
 */
export function readAvailable(read: ReadFile): AvailableMemory | undefined {
  const total = /^MemTotal:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  if (total === undefined) return undefined;
  let least: AvailableMemory = { bytes: 1024 * Number(total), boundBy: "this machine" };
  const groups = linesOf(read("/proc/self/cgroup")).map((line) => line.split(":"));
  const mounts = linesOf(read("/proc/self/mountinfo"));
  for (const { isMount, isGroup, files } of VERSIONS) {
    const group = groups.find(([hierarchy = "", controllers = ""]) =>
      isGroup(controllers.split(","), hierarchy)
    )?.slice(2).join(":");
    const mount = mounts.map((line) => mountOf(line, isMount)).find((found) => found !== undefined);
    if (group === undefined || mount === undefined) continue;
    for (const path of groupsAround(group, mount)) {
      for (const file of files) {
        // A group without a bound has "max" there, or more than any machine has.
        const bytes = Number.parseInt(read(`${mount.point}${path}/${file}`) ?? "", 10);
        if (!(bytes < least.bytes)) continue;
        least = { bytes, boundBy: `the cgroup ${path === "" ? "/" : path}` };
      }
    }
  }
  return least;
}

function linesOf(text = ""): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** Reads a line of `/proc/self/mountinfo`, if it is about a hierarchy that is looked for. */
function mountOf(
  line: string,
  isMount: (type: string, options: readonly string[]) => boolean,
): Mount | undefined {
  const [left = "", right = ""] = line.split(" - ", 2);
  const [, , , root = "", point = ""] = left.split(" ").map(unescape);
  const [type = "", , options = ""] = right.split(" ");
  return isMount(type, options.split(",")) ? { root, point } : undefined;
}

/** The kernel writes spaces and the like in octal. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}

/** A group and all those around it that can be seen, as paths from the point of the mount. */
function groupsAround(group: string, { root }: Mount): string[] {
  // In a container the path may begin outside of what is mounted; then that is the process's own
  // group.
  const prefix = root === "/" ? "" : root;
  const inside = group === prefix || group.startsWith(`${prefix}/`);
  const paths = [inside ? group.slice(prefix.length).replace(/\/$/, "") : ""];
  while (paths.at(-1) !== "") paths.push(paths.at(-1)!.replace(/\/[^/]*$/, ""));
  return paths;
}

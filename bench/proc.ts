/** What the kernel says of a process. */

/**
 * The time that a process has had a core, of all its threads that there are.
 *
 * @param pid The process.
 * @returns Microseconds.
 */
export function cpuTimeUs(pid: number): number {
  let ns = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ")[0]);
    } catch (error) {
      // A thread may end between the two.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return ns / 1000;
}

/**
 * The memory of a process that is its own: heaps and stacks, and the page tables of all that it maps. The
 * region's pages are not in it: they are memory of a file.
 *
 * @param pid The process.
 * @returns Bytes.
 */
export function privateBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const field = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]);
  return field("RssAnon") + field("VmPTE");
}

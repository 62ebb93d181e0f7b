/** Waiting for processes that a test has not started itself. */

/**
 * Waits until all of these processes have ended; a zombie, whose status nobody has asked for, has
 * ended.
 *
 * @param pids The processes.
 */
export async function untilEnded(pids: readonly number[]): Promise<void> {
  for (;;) {
    const cat = new Deno.Command("cat", { args: pids.map((pid) => `/proc/${pid}/stat`) });
    const states = new TextDecoder().decode((await cat.output()).stdout).matchAll(/\) (\w) /g);
    if ([...states].every(([, state]) => state === "Z")) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Waits until there are as many processes as wanted that have inherited something from one that a
 * test has started.
 *
 * @param variable A variable of their environment with its value, as `NAME=value`.
 * @param enough Whether so many are as many as wanted.
 */
export async function untilProcesses(
  variable: string,
  enough: (count: number) => boolean,
): Promise<void> {
  while (!enough(processesWith(variable))) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** How many processes have a variable with its value in their environment. */
function processesWith(variable: string): number {
  const pids = [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name));
  return pids.filter(({ name }) => {
    try {
      return Deno.readTextFileSync(`/proc/${name}/environ`).split("\0").includes(variable);
    } catch {
      // It has ended meanwhile, or is another user's.
      return false;
    }
  }).length;
}

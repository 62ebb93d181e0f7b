/** Processes that a test has not started itself: whether they are still there. */

/**
 * Waits until none of these processes is there any more, but as a status that no process has asked for.
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

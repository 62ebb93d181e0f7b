/** Waiting for processes that a test has not started itself. */

/**
 * Waits until all of these processes have ended; a zombie, whose status nobody has asked for, has ended.
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

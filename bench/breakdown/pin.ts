/** Which core processes run on. */

import type { Parties } from "./chain.ts";

/**
 * Gives the asker the last core and the owner the first, with all threads that they have and will have.
 *
 * @param parties The processes.
 * @throws {Error} When `taskset` is missing, or says why it cannot.
 */
export async function pinParties({ asker, owner }: Parties): Promise<void> {
  await pin(owner, 0);
  await pin(asker, navigator.hardwareConcurrency - 1);
}

async function pin(pid: number, core: number): Promise<void> {
  const args = ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)];
  const { success, stderr } = await new Deno.Command("taskset", { args, stdout: "null" }).output();
  if (!success) throw new Error(`Cannot pin ${pid}: ${new TextDecoder().decode(stderr).trim()}`);
}

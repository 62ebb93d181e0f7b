/** Building of the tests' own program, which needs no library, by Zig. */

import { fileURLToPath } from "node:url";
import { findZig } from "../../zig/build.ts";

const SOURCE = fileURLToPath(new URL("./programs/threads.zig", import.meta.url));
const FLAGS = [
  ...["-target", "wasm32-wasi", "-mcpu=generic+atomics+bulk_memory", "-OReleaseSmall"],
  ...["-fno-single-threaded", "-fno-strip", "-fno-entry", "--stack", "65536"],
  ...["--export=_start", "--export=wasi_thread_start", "--import-memory", "--shared-memory"],
  ...["--initial-memory=8388608", "--max-memory=16777216"],
];

/**
 * Builds `programs/threads.zig`.
 *
 * @param path Where the module is written.
 */
export async function buildThreads(path: string): Promise<void> {
  const command = new Deno.Command(await findZig(), {
    args: ["build-exe", SOURCE, ...FLAGS, `-femit-bin=${path}`],
    // Beside the module Zig writes files of its own.
    cwd: path.replace(/\/[^/]*$/, ""),
  });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

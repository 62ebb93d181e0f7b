/** Builds programs of this folder with Zig's clang alone, and rewrites them. */

import { fileURLToPath } from "node:url";
import { rewriteWasm } from "../../../mod.ts";
import { findZig } from "../../../zig/build.ts";

const FLAGS = [
  ...["-target", "wasm32-freestanding", "-mcpu=generic+atomics+bulk_memory+mutable_globals"],
  ...["-O2", "-nostdlib", "-Wl,--no-entry", "-Wl,--shared-memory", "-Wl,--import-memory"],
  ...["-Wl,-z,stack-size=65536"],
];

/** How large the memory of a program is, in pages of 64 KiB. */
export interface ProgramSize {
  readonly pages: number;
  readonly maximum: number;
}

/**
 * Builds a program.
 *
 * @param source Its file in this folder.
 * @param target Where the rewritten module is written.
 * @param size The size of its memory.
 */
export async function buildProgram(
  source: string,
  target: string,
  { pages, maximum }: ProgramSize,
): Promise<void> {
  const path = fileURLToPath(new URL(source, import.meta.url));
  const limits = [
    `-Wl,--initial-memory=${pages * 65_536}`,
    `-Wl,--max-memory=${maximum * 65_536}`,
  ];
  const compiler = new Deno.Command(await findZig(), {
    args: ["cc", ...FLAGS, ...limits, "-o", target, path],
    stdin: "null",
  });
  const { success, stderr } = await compiler.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  await Deno.writeFile(target, rewriteWasm(await Deno.readFile(target)));
}

/** The program that launchers start, and what it has to print. */

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Exit } from "../support/process_cluster.ts";

const PROGRAM = fileURLToPath(new URL("programs/places.ts", import.meta.url));

/**
 * The words after `deno` that run it.
 *
 * @param flags Flags of `deno run`, beside those that every node needs.
 * @param args Its arguments.
 */
export function placesProgram(
  flags: readonly string[] = [],
  args: readonly string[] = [],
): string[] {
  const permissions = ["--allow-ffi", "--allow-net", "--allow-env"];
  return ["run", "--no-prompt", ...permissions, ...flags, PROGRAM, ...args];
}

/** Checks what so many ranks of it have printed: their places, and a sum that is theirs alone. */
export function assertPlaces(nodes: number, text: string): void {
  const sum = nodes * (nodes + 1) / 2;
  const expected = Array.from(
    { length: nodes },
    (_, rank) => `rank ${rank} of ${nodes} is node ${rank + 1}, the sum is ${sum}`,
  );
  assertEquals(text.trimEnd().split("\n").sort(), expected.sort());
}

/** The same for a process that has to end well. */
export function assertEnded(nodes: number, { code, stdout, stderr }: Exit): void {
  assertEquals([code, stderr], [0, ""], stdout);
  assertPlaces(nodes, stdout);
}

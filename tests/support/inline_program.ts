/** Programs of a few lines, for tests of how programs begin and end. */

import type { ProcessCluster, RemoteNode, TestProcess } from "./process_cluster.ts";

/** Exactly the permissions that a node is documented to need. */
export const PERMISSIONS: readonly string[] = ["--allow-ffi", "--allow-net", "--no-prompt"];

/** The import map, which a program without a file of its own does not find. */
const CONFIG = ["--config", "deno.json", "--frozen"];
const MOD = import.meta.resolve("../../mod.ts");

/** How a program is started. */
export interface InlineOptions {
  /** Its own flags. */
  readonly flags: readonly string[];
  /** Its permissions, where they are not those that a node needs. */
  readonly permissions?: readonly string[];
  /** Words before `deno`: another user, another limit. */
  readonly prefix?: readonly string[];
}

/**
 * Starts a program.
 *
 * @param cluster What it is a process of.
 * @param name What to call it in messages.
 * @param code The program; it has `attach`, `join`, `rpc`, `run` and `TdsmError` of the runtime.
 * @param options Its flags, and what else it is started with.
 * @returns Its process.
 */
export function inlineProgram(
  cluster: ProcessCluster,
  name: string,
  code: string,
  { flags, permissions = PERMISSIONS, prefix = [] }: InlineOptions,
): TestProcess {
  const text = `import { attach, join, rpc, run, TdsmError } from ${JSON.stringify(MOD)};\n${code}`;
  const url = `data:application/typescript;charset=utf-8,${encodeURIComponent(text)}`;
  const args = ["run", ...CONFIG, ...permissions, url, ...flags];
  return cluster.spawn(name, { args, prefix });
}

/**
 * Starts a program that joins a directory.
 *
 * @param cluster What it is a process of.
 * @param directory The node to join.
 * @param name What to call it in messages.
 * @param code The program, as for {@linkcode inlineProgram}.
 * @param flags More of its own flags.
 * @returns Its process.
 */
export function joiningProgram(
  cluster: ProcessCluster,
  { at }: RemoteNode,
  name: string,
  code: string,
  ...flags: string[]
): TestProcess {
  return inlineProgram(cluster, name, code, { flags: [`--directory-address=${at}`, ...flags] });
}

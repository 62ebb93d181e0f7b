/**
 * Native code of the program that uses the node by `tdsm.h`: what the library is told so that it
 * can, and how a thread of such code is woken.
 */

import { PROGRAM_NODE_FIELDS, statusError } from "./abi.ts";
import type { TdsmLibrary } from "./library.ts";

/** What `tdsm_program_node` has, by its fields: whole numbers of 32 bits without a sign. */
export type ProgramNode = Readonly<
  Record<typeof PROGRAM_NODE_FIELDS[number], number>
>;

/**
 * Lets native code of this process use a node, until its region is closed.
 *
 * @param library The library.
 * @param handle The region.
 * @param calls The memory that the node's threads and its engine share. It stays until then.
 * @param node What the threads need to know.
 * @throws {TdsmError} `NodeClosed`; `LimitExceeded` when the process has too many nodes.
 */
export function publishProgram(
  library: TdsmLibrary,
  handle: number,
  calls: SharedArrayBuffer,
  node: ProgramNode,
): void {
  const words = Uint32Array.from(PROGRAM_NODE_FIELDS, (field) => node[field]);
  const shared = new Uint8Array(calls) as unknown as BufferSource;
  const result = library.symbols.tdsm_program_publish(handle, shared, words);
  if (result < 0) {
    throw statusError("let native code use the node", result, library.symbols.tdsm_last_errno());
  }
}

/**
 * Makes what wakes threads of native code.
 *
 * @param library The library.
 * @returns A function that wakes the thread that sleeps at the word with which an array begins.
 */
export function programWaker(
  { symbols }: TdsmLibrary,
): (word: Int32Array<SharedArrayBuffer>) => void {
  return (word) => symbols.tdsm_program_wake(word as unknown as BufferSource);
}

/** What a trap of a thread tells the user. */

import { reasonOf } from "../errors.ts";
import { IMPORT_MODULE } from "../wasm/code.ts";
import { MAIN_THREAD } from "./placement.ts";

/** Where something has trapped. */
export interface TrapPlace {
  /** The thread. */
  readonly thread: number;
  /** The node on which it ran. */
  readonly node: number;
  /** Whether its instance was there, so that the program's own code ran. */
  readonly started: boolean;
}

/**
 * Describes a trap.
 *
 * @param error What was thrown.
 * @param place Where.
 * @param module The program: its functions count without those that rewriting adds.
 * @returns A line, and behind it the program's functions, the innermost first.
 */
export function trapText(error: unknown, place: TrapPlace, module: WebAssembly.Module): string {
  const { thread, node, started } = place;
  const name = thread === MAIN_THREAD ? "The main thread" : `Thread ${thread}`;
  const reason = reasonOf(error);
  if (!started) {
    return `${name}, on node ${node}, cannot start: the start function of the module traps: ${reason}`;
  }
  const stack = error instanceof Error ? error.stack ?? "" : "";
  const frames = framesOf(stack, countFunctions(module));
  return [`${name}, on node ${node}, has trapped: ${reason}`, ...frames].join("\n");
}

/** How many functions a module imports, and how many of these rewriting has added. */
export interface ImportCounts {
  readonly imported: number;
  readonly added: number;
}

function countFunctions(module: WebAssembly.Module): ImportCounts {
  const functions = WebAssembly.Module.imports(module).filter(({ kind }) => kind === "function");
  const added = functions.filter(({ module }) => module === IMPORT_MODULE);
  return { imported: functions.length, added: added.length };
}

/**
 * The frames of the program in a stack of the engine. Bytes of the code are left out: rewriting has
 * moved them.
 *
 * @param stack The stack.
 * @param counts What the module imports.
 * @returns A line for each frame.
 */
export function framesOf(stack: string, { imported, added }: ImportCounts): string[] {
  const frame = /^ +at (?:(.*?) \()?wasm:\/\/wasm\/(?:(.*)-)?[0-9a-f]+:wasm-function\[(\d+)\]/gm;
  return [...stack.matchAll(frame)].map(([, name, module, index]) => {
    const original = Number(index) - (Number(index) < imported ? 0 : added);
    if (name === undefined) return `    at function ${original}`;
    const prefix = `${module}.`;
    const own = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    return `    at ${own} (function ${original})`;
  });
}

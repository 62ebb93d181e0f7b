/**
 * Hints for the user of a node that waits: for a directory to answer, or for other nodes to join.
 */

import { formatAddress, isWildcard } from "../address.ts";
import { WAIT_UNTOLD_LOG_MS, WAIT_UNTOLD_MS } from "../limits.ts";
import { Level, type LogFields, writeLog } from "../log.ts";
import { DIRECTORY_NODE } from "../protocol/coherence/messages.ts";
import type { Settings } from "../settings/types.ts";
import type { Node } from "./node.ts";
import { isWaiting } from "./thread.ts";

/**
 * Prints once that no directory answers, if a node has tried to join for a moment: the node would
 * otherwise go on trying silently. Where no person may be looking, it is printed later, as a
 * warning.
 *
 * @param settings The node's settings.
 * @returns Cancels the hint.
 */
export function tellWhileJoining(
  { directoryAddress, joinTimeoutMs, logLevel }: Settings,
): Disposable {
  if (directoryAddress === undefined || joinTimeoutMs <= untold(logLevel).ms) return NOTHING;
  const at = formatAddress(directoryAddress);
  return tellLater(
    logLevel,
    () => `No directory answers at ${at} yet; trying for ${joinTimeoutMs} ms`,
  );
}

/**
 * Prints once how other nodes join, if a directory node is alone after a moment: its program may
 * silently wait for them. The hint is for people, so it is printed on a terminal, or where the
 * log level includes information. Elsewhere it is printed later, as a warning, and only if a call
 * of the program waits: the output of a program that needs no other node stays as it is.
 *
 * @param node The node.
 * @param settings The node's settings.
 * @returns Cancels the hint.
 */
export function tellWhileAlone(node: Node, { logLevel }: Settings): Disposable {
  if (node.id !== DIRECTORY_NODE) return NOTHING;
  const { level } = untold(logLevel);
  return tellLater(logLevel, () => {
    if (level === Level.Warning && !isWaiting(node)) return;
    // Unlike `peers()`, this makes no call: the node may be closing.
    if (node.toJSON().peers.length > 0) return;
    const { address, port } = node;
    const at = formatAddress({ hostname: isWildcard(address) ? "HOST" : address, port });
    return `No other node is here. Others join with --directory-address ${at}`;
  }, { node: node.id });
}

const NOTHING: Disposable = { [Symbol.dispose]() {} };

/** When a hint is printed, and at which level. */
function untold(logLevel: number): { level: Level; ms: number } {
  return Deno.stderr.isTerminal() || logLevel >= Level.Info
    ? { level: Level.Info, ms: WAIT_UNTOLD_MS }
    : { level: Level.Warning, ms: WAIT_UNTOLD_LOG_MS };
}

/** Prints a text once, after a moment or a multiple of it: as soon as there is one to print. */
function tellLater(
  logLevel: number,
  text: () => string | undefined,
  fields?: LogFields,
): Disposable {
  if (logLevel < Level.Warning) return NOTHING;
  const { level, ms } = untold(logLevel);
  const timer = setInterval(() => {
    const told = text();
    if (told === undefined) return;
    clearInterval(timer);
    writeLog(level, told, "runtime", fields);
  }, ms);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

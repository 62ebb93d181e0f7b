/** Hints for the user of a node that waits: for a directory to answer, or for other nodes to join. */

import { formatAddress, isWildcard } from "../address.ts";
import { WAIT_UNTOLD_MS } from "../limits.ts";
import { Level, writeLog } from "../log.ts";
import type { Settings } from "../settings/types.ts";
import type { Node } from "./node.ts";

/**
 * Prints once that no directory answers, if a node has tried to join for a moment: the node would
 * otherwise go on trying silently. This hint is for people, as that of {@linkcode tellWhileAlone} is.
 *
 * @param settings The node's settings.
 * @returns Cancels the hint.
 */
export function tellWhileJoining(
  { directoryAddress, joinTimeoutMs, logLevel }: Settings,
): Disposable {
  if (directoryAddress === undefined || joinTimeoutMs <= WAIT_UNTOLD_MS) return NOTHING;
  const at = formatAddress(directoryAddress);
  return tellLater(
    logLevel,
    () => `No directory answers at ${at} yet; trying for ${joinTimeoutMs} ms`,
  );
}

/**
 * Prints once how other nodes join, if a directory node is still alone after a moment: its program may
 * silently wait for them. The hint is for people, so it is printed on a terminal, or where the log level
 * includes information; the output of a program that needs no other node stays as it is elsewhere.
 *
 * @param node The node.
 * @param settings The node's settings.
 * @returns Cancels the hint.
 */
export function tellWhileAlone(node: Node, { directory, logLevel }: Settings): Disposable {
  if (!directory) return NOTHING;
  return tellLater(logLevel, () => {
    if (node.peers().length > 0) return;
    const { address, port } = node;
    const at = formatAddress({ hostname: isWildcard(address) ? "HOST" : address, port });
    return `No other node is here yet. Others join with --directory-address ${at}`;
  });
}

const NOTHING: Disposable = { [Symbol.dispose]() {} };

/** Prints a text after a moment, if there still is one to print. */
function tellLater(logLevel: number, text: () => string | undefined): Disposable {
  const level = Deno.stderr.isTerminal() ? Level.Warning : Level.Info;
  if (logLevel < level) return NOTHING;
  const timer = setTimeout(() => {
    const told = text();
    if (told !== undefined) writeLog(Level.Info, told);
  }, WAIT_UNTOLD_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

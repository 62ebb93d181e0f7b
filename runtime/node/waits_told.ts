/** What the user of a node is told while it waits for others: a lone directory, or a node that joins. */

import { formatAddress, isWildcard } from "../address.ts";
import { WAIT_UNTOLD_MS } from "../limits.ts";
import { Level, writeLog } from "../log.ts";
import type { Settings } from "../settings/types.ts";
import type { Node } from "./node.ts";

/**
 * Tells of a directory that does not answer, once, when a node has tried for a moment to join it: it
 * goes on to try, and would do so without a word. As what {@linkcode tellWhileAlone} tells, it is for
 * people.
 *
 * @param settings What the node goes by.
 * @returns Ends the wait for that moment.
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
 * Tells how others join, once, when a directory node is still alone after a moment: its program may
 * wait for them, and would do so without a word. That is for people, so it is told on a terminal, or
 * where information is logged; a program that needs no other node is not disturbed elsewhere.
 *
 * @param node The node.
 * @param settings What it goes by.
 * @returns Ends the wait for that moment.
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

/** Says after a moment what there is to say then, if anything. */
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

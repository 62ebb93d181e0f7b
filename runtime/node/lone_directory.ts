/** A directory node that waits for others, and what its user is told meanwhile. */

import { formatAddress, isWildcard } from "../address.ts";
import { LONE_DIRECTORY_MS } from "../limits.ts";
import { Level, writeLog } from "../log.ts";
import type { Settings } from "../settings/types.ts";
import type { Node } from "./node.ts";

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
  const level = Deno.stderr.isTerminal() ? Level.Warning : Level.Info;
  if (!directory || logLevel < level) return { [Symbol.dispose]() {} };
  const timer = setTimeout(() => {
    if (node.peers().length > 0) return;
    const { address, port } = node;
    const at = formatAddress({ hostname: isWildcard(address) ? "HOST" : address, port });
    writeLog(Level.Info, `No other node is here yet. Others join with --directory-address ${at}`);
  }, LONE_DIRECTORY_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

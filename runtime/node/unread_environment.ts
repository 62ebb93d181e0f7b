/**
 * Warns of settings in the environment that the program has no permission to read: otherwise a node
 * would silently start with other settings than its user has asked for.
 */

import { setVariables } from "../../ffi/machine.ts";
import { Level, writeLog } from "../log.ts";
import { takeUnread } from "../settings/settings.ts";

/**
 * Warns of variables that are set and were not read, once for each variable of a process.
 *
 * @param logLevel The log level, 0 to 5.
 */
export function warnOfUnread(logLevel: number): void {
  if (logLevel < Level.Warning) return;
  const names = setVariables(takeUnread());
  if (names.length === 0) return;
  const [are, them] = names.length === 1 ? ["is", "it"] : ["are", "them"];
  const list = names.join(",");
  writeLog(
    Level.Warning,
    `${names.join(" and ")} ${are} set and not read: run Deno with --allow-env=${list}, ` +
      `or with --deny-env=${list} to leave ${them} aside`,
  );
}

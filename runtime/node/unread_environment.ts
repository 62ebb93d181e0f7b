/**
 * Settings that stand in the environment and do not count, since the program may not read it: without
 * a word a node would start other than its user has asked for.
 */

import { setVariables } from "../../ffi/machine.ts";
import { Level, writeLog } from "../log.ts";
import { takeUnread } from "../settings/settings.ts";

/**
 * Warns of the variables that are set and were not read, each once in a process.
 *
 * @param logLevel How much is logged.
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

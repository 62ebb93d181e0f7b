/** Where the runtime's log goes: to stderr, from the program's thread. */

const LEVELS = ["", "error", "warning", "info", "debug", "trace"] as const;

/**
 * Writes a line to the log.
 *
 * @param level 1 error, 2 warning, 3 information, 4 detail, 5 everything.
 * @param text The line, without its end.
 */
export function writeLog(level: number, text: string): void {
  console.error(`tdsm: ${LEVELS[level] ?? level}: ${text}`);
}

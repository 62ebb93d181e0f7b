/**
 * The runtime's log, by LogTape: categories `tdsm` and, of synchronisation, `tdsm`, `sync`.
 *
 * A program that has configured LogTape gets the records where it wants them. Otherwise they go to
 * stderr, and LogTape stays unconfigured: that is left to the program, which may still do it.
 * LogTape is loaded with the first line, since most programs never see one, and by a name that only
 * the running program resolves: one that has LogTape gets the copy that it configures, and one that
 * has none needs none to be run, checked or bundled.
 */

import { LOG_WAITING_MAX } from "./limits.ts";

/** What a line is about: the runtime, or semaphores, barriers and mutexes. */
export type LogTopic = "runtime" | "sync";

const LEVELS: readonly LogLevel[] = ["error", "warning", "info", "debug", "trace"];
const CATEGORIES: Readonly<Record<LogTopic, readonly [string, ...string[]]>> = {
  runtime: ["tdsm"],
  sync: ["tdsm", "sync"],
};

type LogLevel = "error" | "warning" | "info" | "debug" | "trace";

/** A line as LogTape takes it. */
interface LogRecord {
  readonly category: readonly string[];
  readonly level: LogLevel;
  readonly message: readonly unknown[];
  readonly rawMessage: string;
  readonly timestamp: number;
  readonly properties: Record<string, unknown>;
}

/** How LogTape makes text of a line. */
interface TextFormat {
  readonly timestamp: "none";
  readonly level: "full";
  readonly category: string;
  readonly sanitize: object;
  format(values: { category: string; record: LogRecord; message: string }): string;
}

/** What is used of LogTape. */
interface LogTape {
  getConfig(): unknown;
  getLogger(category: readonly string[]): { emit(record: LogRecord): void };
  getTextFormatter(options: TextFormat): (record: LogRecord) => string;
}

/** No literal where it is imported, so that nothing looks for it before it is needed. */
const LOGTAPE: string = "@logtape/logtape";

type Write = (record: LogRecord) => void;

let write: Write | undefined;
/** What came before LogTape was loaded; `undefined` while nothing has come. */
let waiting: LogRecord[] | undefined;

/**
 * Writes a line to the log, from the program's thread.
 *
 * @param level 1 error, 2 warning, 3 information, 4 detail, 5 everything.
 * @param text The line, without its end.
 * @param topic What it is about.
 */
export function writeLog(level: number, text: string, topic: LogTopic = "runtime"): void {
  const record: LogRecord = {
    category: CATEGORIES[topic],
    level: LEVELS[Math.min(Math.max(level, 1), LEVELS.length) - 1]!,
    message: [text],
    rawMessage: text,
    timestamp: Date.now(),
    properties: {},
  };
  if (write !== undefined) return write(record);
  if (waiting === undefined) {
    waiting = [record];
    void begin();
  } else if (waiting.length < LOG_WAITING_MAX) waiting.push(record);
}

async function begin(): Promise<void> {
  write = await load().catch(() => writePlain);
  const records = waiting!;
  waiting = undefined;
  for (const record of records) write(record);
}

async function load(): Promise<Write> {
  const { getConfig, getLogger, getTextFormatter } = (await import(LOGTAPE)) as LogTape;
  const format = getTextFormatter({
    timestamp: "none",
    level: "full",
    category: ".",
    // Some of the text comes from other nodes.
    sanitize: {},
    format: ({ category, record, message }) => `${category}: ${record.level}: ${message}`,
  });
  return (record) => {
    if (getConfig() === null) console.error(format(record).trimEnd());
    else getLogger(record.category).emit(record);
  };
}

/** Where LogTape cannot be loaded: most programs have none, and a process may be out of files. */
function writePlain({ category, level, rawMessage }: LogRecord): void {
  // Some of the text comes from other nodes.
  const text = rawMessage.replace(/\p{Cc}/gu, (character) => encodeURIComponent(character));
  console.error(`${category.join(".")}: ${level}: ${text}`);
}

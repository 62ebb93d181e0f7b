/**
 * The runtime's log, by LogTape: categories `tdsm` and, of synchronisation, `tdsm`, `sync`.
 *
 * A program that has configured LogTape gets the records where it wants them. Otherwise they go to
 * stderr, each with its time, and LogTape stays unconfigured: that is left to the program, which
 * may still do it.
 * LogTape is loaded with the first line, since most programs never see one, and by a name that only
 * the running program resolves: one that has LogTape gets the copy that it configures, and one that
 * has none needs none to be run, checked or bundled.
 */

import { LOG_WAITING_MAX } from "./limits.ts";
import { UNPRINTABLE } from "./printable.ts";

/** What a line is about: the runtime, or semaphores, barriers and mutexes. */
export type LogTopic = "runtime" | "sync";

/** How lines are written where the program has not configured LogTape. */
export type LogFormat = "text" | "json";

/**
 * What a line is about, for programs that read the log: `node`, the node that says it; `event`, by
 * name, of what has happened to a member of the cluster; and what there is to say of that.
 */
export type LogFields = Readonly<Record<string, string | number>>;

/** How much a line matters: the numbers of the settings `logLevel` and `semLogLevel`. */
export const Level = { Error: 1, Warning: 2, Info: 3, Debug: 4, Trace: 5 } as const;
/** One of {@linkcode Level}. */
export type Level = typeof Level[keyof typeof Level];

const NAMES: Readonly<Record<Level, LogLevel>> = {
  [Level.Error]: "error",
  [Level.Warning]: "warning",
  [Level.Info]: "info",
  [Level.Debug]: "debug",
  [Level.Trace]: "trace",
};
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

/** What is used of LogTape. */
interface LogTape {
  getConfig(): unknown;
  getLogger(category: readonly string[]): { emit(record: LogRecord): void };
}

/** No literal where it is imported, so that nothing looks for it before it is needed. */
const LOGTAPE: string = "@logtape/logtape";

type Write = (record: LogRecord) => void;

let format: LogFormat = "text";
let write: Write | undefined;
/** What came before LogTape was loaded; `undefined` while nothing has come. */
let waiting: LogRecord[] | undefined;
let begun: Promise<void> | undefined;

/**
 * Says how lines are written from here on, by this thread.
 *
 * @param wanted As text, or as JSON.
 */
export function setLogFormat(wanted: LogFormat): void {
  format = wanted;
}

/**
 * How lines are written now, by this thread.
 *
 * @returns As text, or as JSON.
 */
export function logFormat(): LogFormat {
  return format;
}

/**
 * Writes a line to the log, from the program's thread.
 *
 * @param level How much it matters.
 * @param text The line, without its end.
 * @param topic What it is about.
 * @param fields The same for programs.
 */
export function writeLog(
  level: Level,
  text: string,
  topic: LogTopic = "runtime",
  fields: LogFields = {},
): void {
  const record: LogRecord = {
    category: CATEGORIES[topic],
    level: NAMES[level],
    message: [text],
    rawMessage: text,
    timestamp: Date.now(),
    properties: { ...fields },
  };
  if (write !== undefined) return write(record);
  if (waiting === undefined) {
    waiting = [record];
    begun = begin();
  } else if (waiting.length < LOG_WAITING_MAX) waiting.push(record);
}

/**
 * Waits for what writes the log, so that a process that ends now has written every line.
 *
 * @returns Resolves when every line so far is written; at once where there is none.
 */
export async function logWritten(): Promise<void> {
  await begun;
}

async function begin(): Promise<void> {
  write = await load().catch(() => writePlain);
  const records = waiting!;
  waiting = undefined;
  for (const record of records) write(record);
}

async function load(): Promise<Write> {
  const { getConfig, getLogger } = (await import(LOGTAPE)) as LogTape;
  return (record) => {
    if (getConfig() === null) writePlain(record);
    else getLogger(record.category).emit(record);
  };
}

/**
 * How each level looks on a terminal; `console` leaves it out elsewhere, and where NO_COLOR is set.
 */
const STYLES: Readonly<Record<LogLevel, string>> = {
  error: "color: red; font-weight: bold",
  warning: "color: yellow; font-weight: bold",
  info: "color: green",
  debug: "color: blue",
  trace: "",
};

/** Writes a line to stderr: where the program has no LogTape, or has not configured it. */
function writePlain(record: LogRecord): void {
  const { category, level, rawMessage, timestamp } = record;
  if (format === "json") {
    const topic = category.at(-1) === "sync" ? "sync" : "runtime";
    const fields = record.properties as LogFields;
    return console.error("%s", formatJson({ level, text: rawMessage, topic, fields, timestamp }));
  }
  // Some of the text comes from other nodes.
  const text = rawMessage.replace(UNPRINTABLE, encodeURIComponent);
  // Nodes may be in different time zones, and their lines in one file: UTC, with the date.
  const time = new Date(timestamp).toISOString();
  console.error(
    `%c${time}%c ${category.join(".")}: %c${level}%c: %s`,
    "color: gray",
    "",
    STYLES[level],
    "",
    text,
  );
}

/** What {@linkcode formatJson} writes. */
export interface JsonLine {
  readonly level: "error" | "warning" | "info" | "debug" | "trace";
  readonly text: string;
  readonly topic: LogTopic;
  readonly fields?: LogFields;
  /** When it was said, in milliseconds since 1970; now, where this is left out. */
  readonly timestamp?: number;
}

/**
 * Writes a line of the log as JSON.
 *
 * @param line The line.
 * @returns An object of one line: `time`, `level`, `topic`, `node`, `message`, and the fields.
 */
export function formatJson(line: JsonLine): string {
  const { level, text, topic, fields = {}, timestamp = Date.now() } = line;
  const { node, ...others } = fields;
  const time = new Date(timestamp).toISOString();
  const object = { time, level, topic, ...(node !== undefined && { node }), message: text };
  // Some of the text comes from other nodes, and a person may look at the line on a terminal.
  return JSON.stringify({ ...object, ...others }).replace(
    UNPRINTABLE,
    (run) =>
      [...run].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  );
}

/**
 * What a process prints that the library ends over an error: nothing else can print any more.
 *
 * @param text The error.
 * @param format How the log is written.
 * @param node The node, where it is known.
 * @returns One line, with its end.
 */
export function deathMessage(text: string, format: LogFormat, node?: number): string {
  if (format === "text") return `tdsm: error: ${text}\n`;
  const fields: LogFields = node === undefined ? {} : { node };
  return `${formatJson({ level: "error", text, topic: "runtime", fields })}\n`;
}

/** The table of settings as text: for `--help`, and for the documentation. */

import { type Setting, SETTINGS } from "./table.ts";

const ROWS: readonly (readonly [string, Setting<unknown>])[] = Object.entries(SETTINGS);

/** The most columns of a line of `--help`, and of other texts for a terminal. */
export const WIDTH_MAX = 80;
const INDENT = "  ";
/** The flags that ask for help, `--help` and `-h`, without their dashes. */
export const HELP_FLAGS = ["help", "h"] as const;

/** A row of `--help`: the flag, and what it does, a line or more for each text. */
type HelpRow = readonly [flag: string, texts: readonly string[]];

/** The flag with what stands for its value. */
function flagText({ flag, kind }: Setting<unknown>): string {
  return kind.placeholder === undefined ? `--${flag}` : `--${flag} ${kind.placeholder}`;
}

/** The default in words. */
function defaultText(setting: Setting<unknown>): string {
  if (setting.defaultText !== undefined) return setting.defaultText;
  if (typeof setting.default === "boolean") return setting.default ? "on" : "off";
  return String(setting.default);
}

/**
 * The environment variable, the default, how to switch off what is on at times, and whether all
 * have it.
 */
function sourceText(setting: Setting<unknown>): string {
  const { environment, flag, kind, default: byDefault, ofCluster } = setting;
  const off = byDefault === false || kind.placeholder !== undefined ? "" : `; off by --no-${flag}`;
  const decided = ofCluster ? "; for all nodes" : "";
  return `[${environment[0]}; default: ${defaultText(setting)}${off}${decided}]`;
}

/**
 * The part of `--help` that tells of flags.
 *
 * @param more Rows behind those of the settings: each a flag, and what it does.
 * @returns Lines of at most 80 columns, each with its end: for each setting the flag with what it
 * does, its environment variable and its default.
 */
export function settingsHelp(
  more: readonly (readonly [flag: string, help: string])[] = [],
): string {
  const rows: HelpRow[] = [
    ...ROWS.map(([, setting]): HelpRow => [
      flagText(setting),
      [setting.help, sourceText(setting)],
    ]),
    ...more.map(([flag, help]): HelpRow => [flag, [help]]),
  ];
  const flagWidth = Math.max(...rows.map(([flag]) => flag.length));
  const textWidth = WIDTH_MAX - flagWidth - 2 * INDENT.length;
  return rows.flatMap(([flag, texts]) =>
    texts.flatMap((text) => wrap(text, textWidth)).map((line, index) =>
      `${INDENT}${(index === 0 ? flag : "").padEnd(flagWidth)}${INDENT}${line}\n`
    )
  ).join("");
}

/**
 * Breaks a text between its words.
 *
 * @param text The text.
 * @param width The most columns of a line; a longer word has a line of its own.
 * @returns The lines.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/**
 * The table of settings in Markdown, its columns aligned as `deno fmt` does.
 *
 * @returns The heading and a row for each setting.
 */
export function settingsTable(): string {
  const rows = ROWS.map(([name, setting]) => [
    `\`${name}\``,
    `\`${flagText(setting)}\``,
    setting.environment.map((variable) => `\`${variable}\``).join(", "),
    defaultText(setting),
    setting.help + (setting.ofCluster ? " (for all nodes)" : ""),
  ]);
  const heading = ["option", "flag", "environment", "default", "what it does"];
  const widths = heading.map((_, column) =>
    Math.max(...[heading, ...rows].map((row) => row[column]!.length))
  );
  const rule = widths.map((width) => "-".repeat(width));
  const lines = [heading, rule, ...rows].map((row) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`
  );
  return `${lines.join("\n")}\n`;
}

/**
 * Whether a program is asked to show how it is used.
 *
 * @param args Its arguments.
 * @param programFlags The flags that mean something else to it, without their dashes.
 * @returns Whether they have `--help` or `-h`, before a `--`.
 */
export function asksForHelp(
  args: readonly string[],
  programFlags: readonly string[] = [],
): boolean {
  const end = args.indexOf("--");
  const flags = end === -1 ? args : args.slice(0, end);
  return HELP_FLAGS.some((name) =>
    !programFlags.includes(name) && flags.includes(name === "h" ? "-h" : `--${name}`)
  );
}

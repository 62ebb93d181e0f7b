/** The table of settings as text: for `--help`, and for the documentation. */

import { type Setting, SETTINGS } from "./table.ts";

const ROWS: readonly (readonly [string, Setting<unknown>])[] = Object.entries(SETTINGS);

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
 * The part of `--help` that tells of the runtime's flags.
 *
 * @returns Two lines a setting: the flag with what it does, and its environment variable and default.
 */
export function settingsHelp(): string {
  const width = Math.max(...ROWS.map(([, setting]) => flagText(setting).length)) + 2;
  const lines = ROWS.map(([, setting]) => {
    const indent = " ".repeat(width + 2);
    const first = `  ${flagText(setting).padEnd(width)}${setting.help}`;
    return `${first}\n${indent}[${setting.environment[0]}; default: ${defaultText(setting)}]`;
  });
  return `${lines.join("\n")}\n`;
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
    setting.help,
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

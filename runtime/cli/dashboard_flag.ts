/** The flag `--dashboard [[HOST:]PORT]`, whose value may be left out. */

import { parseAddress, parseHostname, PORT_MAX } from "../address.ts";
import { DASHBOARD_PORT_DEFAULT } from "../limits.ts";
import { refused } from "../settings/flags.ts";

const FLAG = "--dashboard";

/** Where to serve the dashboard. */
export interface DashboardAddress {
  readonly hostname: string;
  /** The TCP port; 0 for any that is free. */
  readonly port: number;
}

/**
 * Takes `--dashboard [[HOST:]PORT]` out of the arguments of a program.
 *
 * @param args The arguments.
 * @returns Where to serve it, `undefined` where the flag is not among them; and the others.
 * @throws {TdsmError} `InvalidOption` when its value is no port, nor an address.
 */
export function takeDashboardFlag(
  args: readonly string[],
): { readonly at: DashboardAddress | undefined; readonly rest: readonly string[] } {
  const index = args.findIndex((arg) => arg === FLAG || arg.startsWith(`${FLAG}=`));
  if (index < 0) return { at: undefined, rest: args };
  const arg = args[index]!;
  const next = args[index + 1];
  const isOwn = arg === FLAG && next !== undefined && !next.startsWith("-");
  const text = isOwn ? next : arg === FLAG ? "" : arg.slice(FLAG.length + 1);
  return { at: readAddress(text), rest: args.toSpliced(index, isOwn ? 2 : 1) };
}

function readAddress(text: string): DashboardAddress {
  if (text === "") return { hostname: "127.0.0.1", port: DASHBOARD_PORT_DEFAULT };
  try {
    if (/^\d+$/.test(text)) {
      if (Number(text) <= PORT_MAX) return { hostname: "127.0.0.1", port: Number(text) };
      throw new RangeError("no such port");
    }
    const free = /^(.*):0$/.exec(text)?.[1];
    if (free !== undefined) return { hostname: parseHostname(free), port: 0 };
    return parseAddress(text, DASHBOARD_PORT_DEFAULT);
  } catch (cause) {
    throw refused(
      `Cannot use flag ${FLAG} with ${JSON.stringify(text)}: write ${FLAG} PORT or ` +
        `${FLAG} HOST:PORT, with a port from 0 to ${PORT_MAX}`,
      cause,
    );
  }
}

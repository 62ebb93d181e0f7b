/** Where a node serves its metrics, if it was started with others. */

import { formatAddress, PORT_MAX } from "../address.ts";
import { refused } from "./flags.ts";
import type { Settings } from "./types.ts";

/**
 * Finds where a node serves its metrics. Nodes that a launcher has started share their settings,
 * and may share a machine: so each takes another port.
 *
 * @param given What the settings say; `undefined` for nowhere.
 * @param rank The node's place among those that were started together, from 0 on.
 * @returns Where; port 0 is any free one. OpenTelemetry tells nodes apart by itself.
 * @throws {TdsmError} `InvalidOption` where there is no such port.
 */
export function metricsAt(given: Settings["metrics"], rank = 0): Settings["metrics"] {
  if (given === undefined || given === "otel" || given.port === 0) return given;
  const { hostname } = given;
  const port = given.port + rank;
  if (port <= PORT_MAX) return { hostname, port };
  throw refused(
    `Cannot serve metrics of rank ${rank}, ${rank} ports behind ${formatAddress(given)}: ` +
      `the last port is ${PORT_MAX}. Choose a lower one with --metrics`,
  );
}

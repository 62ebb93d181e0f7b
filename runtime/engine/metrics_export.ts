/** The ways out of a node for its metrics. */

import type { Address } from "../address.ts";
import type { NewHistogram } from "../observe/engine_metrics.ts";
import type { Metric } from "../observe/exposition.ts";
import type { Settings } from "../settings/types.ts";
import { MetricsServer } from "./metrics_server.ts";
import { OtelMetrics } from "./otel_metrics.ts";

/** Where metrics go. */
export interface MetricsExport extends AsyncDisposable {
  /** Where they are served; `undefined` where they are not. */
  readonly address?: Address;
  /** Makes the histograms in which durations are counted. */
  readonly newHistogram: NewHistogram;
  /**
   * From here on there are metrics.
   *
   * @param read Reads them; which metrics there are does not change.
   * @param interrupted Is told why not every connection for them is served.
   */
  serve(read: () => Iterable<Metric>, interrupted: (reason: string) => void): void;
}

/**
 * Opens the way that the settings name.
 *
 * @param where Where metrics are served, or that OpenTelemetry exports them.
 * @returns The way out.
 * @throws {TdsmError} Why it cannot be used.
 */
export function openMetrics(where: NonNullable<Settings["metrics"]>): MetricsExport {
  return where === "otel" ? OtelMetrics.open() : MetricsServer.open(where);
}

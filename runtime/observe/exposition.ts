/**
 * Writes metrics as Prometheus reads them: its text format, version 0.0.4. A writer of our own,
 * since all that counts is in typed arrays of the engine already, and the format is a line for each
 * number: see `docs/decisions/2026-11-30-metrics-are-read-where-they-are-counted.md`.
 */

import { BUCKET_BOUNDS_US, type Histogram } from "./histogram.ts";

/** The media type of {@linkcode exposition}. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What tells samples of one metric from each other. */
export type Labels = Readonly<Record<string, string | number>>;

/** One metric, with all its samples. */
export type Metric =
  & {
    /** Its name: the units in it are seconds and bytes. */
    readonly name: string;
    /** What it counts, in one line. */
    readonly help: string;
  }
  & (
    | {
      readonly type: "counter" | "gauge";
      readonly samples: readonly (readonly [labels: Labels, value: number])[];
    }
    | {
      readonly type: "histogram";
      readonly samples: readonly (readonly [labels: Labels, durations: Histogram])[];
    }
  );

const US_PER_S = 1e6;

/**
 * Writes metrics.
 *
 * @param metrics The metrics; one without samples is left out.
 * @returns Lines, each with its end.
 */
export function exposition(metrics: Iterable<Metric>): string {
  let text = "";
  for (const metric of metrics) {
    const { name, help, type, samples } = metric;
    if (samples.length === 0) continue;
    text += `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
    if (metric.type === "histogram") {
      for (const [labels, durations] of metric.samples) text += bucketsOf(name, labels, durations);
    } else {
      for (const [labels, value] of metric.samples) text += sample(name, labels, value);
    }
  }
  return text;
}

function bucketsOf(name: string, labels: Labels, { counts, sumUs }: Histogram): string {
  let [text, count] = ["", 0];
  for (const [index, own] of counts.entries()) {
    const boundUs = BUCKET_BOUNDS_US[index];
    const le = boundUs === undefined ? "+Inf" : String(boundUs / US_PER_S);
    text += sample(`${name}_bucket`, { ...labels, le }, count += own);
  }
  return text + sample(`${name}_sum`, labels, sumUs / US_PER_S) +
    sample(`${name}_count`, labels, count);
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) =>
    `${label}="${escaped(String(text)).replaceAll('"', '\\"')}"`
  );
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

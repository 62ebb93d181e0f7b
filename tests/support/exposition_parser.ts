/**
 * Reads Prometheus' text format, version 0.0.4, and takes nothing that the format does not allow:
 * https://prometheus.io/docs/instrumenting/exposition_formats/.
 */

/** One metric, with its samples. */
export interface ParsedMetric {
  readonly help: string;
  readonly type: string;
  /** By the sample's name and labels, as they are written. */
  readonly samples: ReadonlyMap<string, number>;
}

const NAME = String.raw`[a-zA-Z_:][a-zA-Z0-9_:]*`;
const PAIR = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"`;
const SAMPLE = new RegExp(
  String
    .raw`^(${NAME})(\{(?:${PAIR}(?:,${PAIR})*)?\})? (-?\d+(?:\.\d+)?(?:e[+-]\d+)?|[+-]Inf|NaN)$`,
);
const HELP = new RegExp(String.raw`^# HELP (${NAME}) ((?:[^\\]|\\[\\n])+)$`);
const TYPE = new RegExp(String.raw`^# TYPE (${NAME}) (counter|gauge|histogram)$`);

/**
 * Reads a text.
 *
 * @param text The text.
 * @returns Its metrics, by name.
 * @throws {Error} With the first line that is wrong, and why.
 */
export function parseExposition(text: string): Map<string, ParsedMetric> {
  const metrics = new Map<string, ParsedMetric>();
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const lines = text.slice(0, -1).split("\n");
  let current: { name: string; type: string; samples: Map<string, number> } | undefined;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!;
    const wrong = (why: string): Error => new Error(`line ${index + 1}, ${line}: ${why}`);
    if (line.startsWith("#")) {
      const [, name, help] = HELP.exec(line) ?? [];
      const [, typed, type] = TYPE.exec(lines[++index] ?? "") ?? [];
      if (name === undefined || name !== typed) throw wrong("no HELP with a TYPE behind it");
      if (metrics.has(name)) throw wrong("a second time");
      current = { name, type: type!, samples: new Map() };
      metrics.set(name, { help: help!, type: type!, samples: current.samples });
      continue;
    }
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || current === undefined) throw wrong("no sample");
    const isPart = current.type === "histogram"
      ? ["_bucket", "_sum", "_count"].some((end) => name === current!.name + end)
      : name === current.name;
    if (!isPart) throw wrong(`not of ${current.name}`);
    if (current.samples.has(name + labels)) throw wrong("a second time");
    current.samples.set(name + labels, Number(value!.replace("Inf", "Infinity")));
  }
  for (const [name, metric] of metrics) check(name, metric);
  return metrics;
}

/** Checks what a metric of its type has to be. */
function check(name: string, { type, samples }: ParsedMetric): void {
  const fail = (why: string): never => {
    throw new Error(`${name}: ${why}`);
  };
  if (samples.size === 0) fail("no sample");
  if (type === "counter" !== name.endsWith("_total")) fail("counters, and they alone, are totals");
  if (type !== "histogram") return;
  const buckets = Map.groupBy(
    [...samples].filter(([sample]) => sample.startsWith(`${name}_bucket`)),
    ([sample]) =>
      sample.replace(/,?le="[^"]*"/, "").replace(`${name}_bucket`, "").replace("{}", ""),
  );
  for (const [labels, own] of buckets) {
    const bounds = own.map(([sample]) =>
      /le="([^"]*)"/.exec(sample)![1]!.replace("Inf", "Infinity")
    );
    const isRising = (numbers: readonly number[]) =>
      numbers.every((number, at) => at === 0 || number >= numbers[at - 1]!);
    if (!isRising(bounds.map(Number)) || bounds.at(-1) !== "+Infinity") fail("bounds of buckets");
    if (!isRising(own.map(([, count]) => count))) fail("buckets are not cumulative");
    if (samples.get(`${name}_count${labels}`) !== own.at(-1)![1]) {
      fail("the last bucket is not all");
    }
    if (!samples.has(`${name}_sum${labels}`)) fail("no sum");
  }
  if (buckets.size === 0) fail("no buckets");
}

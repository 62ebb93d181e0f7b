/**
 * Hands a node's metrics to Deno's own OpenTelemetry, which exports them as its environment
 * variables say. The names are those that Prometheus has, as OpenTelemetry spells them.
 */

import { reasonOf, TdsmError } from "../errors.ts";
import type { NewHistogram } from "../observe/engine_metrics.ts";
import type { Labels, Metric } from "../observe/exposition.ts";
import { BUCKET_BOUNDS_US, Histogram } from "../observe/histogram.ts";
import { VERSION } from "../version.ts";

const US_PER_S = 1e6;
/** The scope of the instruments. */
const SCOPE = "tdsm";

/** What a metric of Prometheus is called in OpenTelemetry. */
interface OtelName {
  readonly name: string;
  readonly unit: string;
}

/**
 * The name of a metric as OpenTelemetry has it: words are parted by points, and the unit and what
 * kind it is stand beside it.
 *
 * @param name The name that Prometheus has, such as `tdsm_network_sent_bytes_total`.
 * @returns The name, such as `tdsm.network.sent`, and the unit, by UCUM.
 */
export function otelName(name: string): OtelName {
  const words = name.replace(/_total$/, "").split("_");
  const last = words.at(-1);
  const unit = last === "bytes" ? "By" : last === "seconds" ? "s" : "1";
  return { name: (unit === "1" ? words : words.slice(0, -1)).join("."), unit };
}

/** What is used of OpenTelemetry's API, as `Deno.telemetry` has it. */
interface Meter {
  createHistogram(name: string, options: object): {
    record(value: number, attributes: Labels): void;
  };
  createObservableCounter(name: string, options: object): object;
  createObservableGauge(name: string, options: object): object;
  addBatchObservableCallback(
    read: (result: {
      observe(instrument: object, value: number, attributes: Labels): void;
    }) => void,
    instruments: object[],
  ): void;
}

/** The metrics of a node in OpenTelemetry. */
export class OtelMetrics implements AsyncDisposable {
  readonly #meter: Meter;
  readonly #histograms = new Map<string, ReturnType<Meter["createHistogram"]>>();

  #read: (() => Iterable<Metric>) | undefined;

  private constructor(meter: Meter) {
    this.#meter = meter;
  }

  /**
   * Finds Deno's OpenTelemetry.
   *
   * @returns What makes instruments there.
   * @throws {TdsmError} `InvalidOption` where it is off.
   */
  static open(): OtelMetrics {
    try {
      const provider = Deno.telemetry.meterProvider as {
        getMeter(name: string, version: string): Meter;
      };
      return new OtelMetrics(provider.getMeter(SCOPE, VERSION));
    } catch (cause) {
      const message = `Cannot use metrics otel: Deno's OpenTelemetry is off (${
        reasonOf(cause)
      }). Set OTEL_DENO=true in the environment, and where to export by OTEL_EXPORTER_OTLP_ENDPOINT`;
      throw new TdsmError("InvalidOption", message, { operation: "export metrics", cause });
    }
  }

  /**
   * Makes a histogram whose durations are exported.
   *
   * @param name The name that Prometheus has.
   * @param labels What tells it from others of that name.
   * @returns The histogram.
   */
  readonly newHistogram: NewHistogram = (name, labels) => {
    const otel = otelName(name);
    let instrument = this.#histograms.get(otel.name);
    if (instrument === undefined) {
      const explicitBucketBoundaries = BUCKET_BOUNDS_US.map((us) => us / US_PER_S);
      const options = { unit: otel.unit, advice: { explicitBucketBoundaries } };
      instrument = this.#meter.createHistogram(otel.name, options);
      this.#histograms.set(otel.name, instrument);
    }
    return new ExportedHistogram((us) => instrument.record(us / US_PER_S, labels));
  };

  /**
   * Exports all other metrics from here on, whenever they are asked for.
   *
   * @param read Reads them; which there are does not change.
   */
  serve(read: () => Iterable<Metric>): void {
    this.#read = read;
    const instruments = new Map<string, object>();
    for (const { name, type, help: description } of read()) {
      if (type === "histogram") continue;
      const otel = otelName(name);
      const options = { unit: otel.unit, description };
      instruments.set(
        name,
        type === "counter"
          ? this.#meter.createObservableCounter(otel.name, options)
          : this.#meter.createObservableGauge(otel.name, options),
      );
    }
    this.#meter.addBatchObservableCallback((result) => {
      for (const metric of this.#read?.() ?? []) {
        if (metric.type === "histogram") continue;
        const instrument = instruments.get(metric.name)!;
        for (const [labels, value] of metric.samples) result.observe(instrument, value, labels);
      }
    }, [...instruments.values()]);
  }

  /** From here on there are no metrics; instruments cannot be taken back. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#read = undefined;
    return Promise.resolve();
  }
}

/** A histogram that tells OpenTelemetry of each duration as well. */
class ExportedHistogram extends Histogram {
  readonly #record: (us: number) => void;

  constructor(record: (us: number) => void) {
    super();
    this.#record = record;
  }

  override add(us: number): void {
    super.add(us);
    this.#record(us);
  }
}

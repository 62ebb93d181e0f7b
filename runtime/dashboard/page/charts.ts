/** The charts of the page: what has happened since it was opened, ten minutes at most. */

import uPlot from "uplot";
import { formatBytes, formatCount, formatDuration } from "../format.ts";
import type { ClusterView } from "../model.ts";
import { byId } from "./dom.ts";

/** How many seconds are shown. */
const SPAN_SECONDS = 600;
/** How many seconds are shown at first. */
const FIRST_SECONDS = 60;
const HEIGHT = 150;
const TIME_SPACE = 70;
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** A line of a chart. */
interface Line {
  readonly label: string;
  /** The CSS variable with its colour. */
  readonly colour: string;
  /** Its value in a view; `undefined` where that is not known. */
  readonly value: (view: ClusterView) => number | undefined;
}

/** What a chart shows. */
export interface ChartOptions {
  /** Where it is put. */
  readonly id: string;
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Whether a step up is ten times as much. */
  readonly isLogarithmic?: boolean;
  /** Whether its numbers are round in powers of two. */
  readonly isBinary?: boolean;
}

/** A chart that goes on with time. */
export class Chart {
  readonly #options: ChartOptions;
  readonly #times: number[] = [];
  readonly #values: (number | null)[][];
  #plot: uPlot | undefined;

  /** @param options What it shows. */
  constructor(options: ChartOptions) {
    this.#options = options;
    this.#values = options.lines.map(() => []);
    this.draw();
    new ResizeObserver(() => this.#resize()).observe(byId(options.id));
  }

  /** Goes on by a view. */
  push(view: ClusterView): void {
    const now = Date.now() / 1000;
    this.#times.push(now);
    for (const [index, { value }] of this.#options.lines.entries()) {
      this.#values[index]!.push(value(view) ?? null);
    }
    while (this.#times[0]! < now - SPAN_SECONDS) {
      this.#times.shift();
      for (const values of this.#values) values.shift();
    }
    this.#plot!.setData(this.#data, false);
    const min = Math.min(this.#times[0]!, now - FIRST_SECONDS);
    this.#plot!.setScale("x", { min, max: now });
  }

  /** Draws the chart anew, as in other colours. */
  draw(): void {
    const { id, lines, format, isLogarithmic = false, isBinary = false } = this.#options;
    const parent = byId(id);
    // A canvas knows no variables, nor what is light or dark here.
    const colour = (name: string): string => {
      parent.style.color = `var(${name})`;
      const { color } = getComputedStyle(parent);
      parent.style.color = "";
      return color;
    };
    const axis = {
      stroke: colour("--muted"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1 },
    };
    this.#plot?.destroy();
    this.#plot = new uPlot(
      {
        width: parent.clientWidth || 300,
        height: HEIGHT,
        cursor: { y: false },
        legend: { live: true },
        scales: {
          x: { time: true },
          y: isLogarithmic
            ? {
              distr: 3,
              range: (_, min, max) => [powerOfTen(min, Math.floor), powerOfTen(max, Math.ceil)],
            }
            : { range: (_, __, max) => [0, Math.max(1, max * 1.1)] },
        },
        axes: [
          { ...axis, space: TIME_SPACE, values: (_, times) => times.map(timeOf) },
          {
            ...axis,
            size: 64,
            ...(isBinary ? { incrs: POWERS_OF_TWO } : {}),
            values: (_, ticks) => ticks.map((tick) => tick === null ? "" : format(tick)),
          },
        ],
        series: [
          { label: "Time", value: (_: uPlot, time: number) => time === null ? "–" : timeOf(time) },
          ...lines.map(({ label, colour: name }) => ({
            label,
            stroke: colour(name),
            width: 2,
            points: { show: false },
            value: (_: uPlot, value: number | null) => value === null ? "–" : format(value),
          })),
        ],
      },
      this.#data,
      parent,
    );
  }

  get #data(): uPlot.AlignedData {
    return [this.#times, ...this.#values];
  }

  #resize(): void {
    const { clientWidth } = byId(this.#options.id);
    if (clientWidth > 0 && clientWidth !== this.#plot!.width) {
      this.#plot!.setSize({ width: clientWidth, height: HEIGHT });
    }
  }
}

/** The power of ten beside a number, of 1 at least; one is enough where there is no number. */
function powerOfTen(value: number | null, round: (value: number) => number): number {
  return 10 ** Math.max(0, round(Math.log10(value || 10)));
}

/** A time of the day, as the browser's user writes it. */
function timeOf(seconds: number): string {
  return new Date(1000 * seconds).toLocaleTimeString(undefined, { hour12: false });
}

/**
 * Makes the charts of the page.
 *
 * @returns The charts.
 */
export function makeCharts(): Chart[] {
  const sum = (name: string) => ({ sums }: ClusterView): number | undefined => sums[name];
  return [
    new Chart({
      id: "chart-faults",
      format: (value) => `${formatCount(value)}/s`,
      lines: [
        { label: "Faults", colour: "--series-1", value: sum("faults") },
        { label: "Page moves", colour: "--series-2", value: sum("pagesMoved") },
      ],
    }),
    new Chart({
      id: "chart-latency",
      format: formatDuration,
      isLogarithmic: true,
      lines: [
        { label: "Median", colour: "--series-1", value: ({ latency }) => latency?.medianUs },
        { label: "99 of 100", colour: "--series-2", value: ({ latency }) => latency?.worstUs },
      ],
    }),
    new Chart({
      id: "chart-bytes",
      format: (value) => `${formatBytes(value)}/s`,
      isBinary: true,
      lines: [{ label: "Sent", colour: "--series-1", value: sum("bytesSent") }],
    }),
  ];
}

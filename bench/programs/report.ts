/** What is counted of a run, what is reported of a program, and how that is printed. */

import { PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import { describeNetwork, type MissCosts, type Network } from "./network.ts";

/** Sums over all nodes. */
export interface Counts {
  /** Messages between nodes about pages and synchronisation, where they are sent. */
  readonly messages: number;
  /** The same, where they come in. */
  readonly received: number;
  /** Their bytes, with those of pages. */
  readonly bytes: number;
  /** Requests for pages: to read, to write, and to write what is here to read. */
  readonly misses: number;
  /** Pages whose bytes moved. */
  readonly pages: number;
}

/** What a node counts of its connections, as far as it matters here. */
interface TrafficCounters {
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly bytesSent: number;
}

/** What a node counts of pages, as far as it matters here. */
interface PageCounters {
  readonly readMisses: number;
  readonly writeMisses: number;
  readonly upgrades: number;
  readonly pagesReceived: number;
}

/**
 * What one node has counted so far.
 *
 * @param counters What it counts of pages.
 * @param traffic What it counts of its connections.
 * @returns The counts.
 */
export function countsOf(counters: PageCounters, traffic: TrafficCounters): Counts {
  const { readMisses, writeMisses, upgrades, pagesReceived } = counters;
  return {
    messages: traffic.messagesSent,
    received: traffic.messagesReceived,
    bytes: traffic.bytesSent,
    misses: readMisses + writeMisses + upgrades,
    pages: pagesReceived,
  };
}

/** @returns What was counted from `before` to `after`. */
export function difference(before: Counts, after: Counts): Counts {
  return {
    messages: after.messages - before.messages,
    received: after.received - before.received,
    bytes: after.bytes - before.bytes,
    misses: after.misses - before.misses,
    pages: after.pages - before.pages,
  };
}

/** @returns The counts of all nodes together. */
export function total(all: readonly Counts[]): Counts {
  const sum = (field: keyof Counts) => all.reduce((sum, counts) => sum + counts[field], 0);
  return {
    messages: sum("messages"),
    received: sum("received"),
    bytes: sum("bytes"),
    misses: sum("misses"),
    pages: sum("pages"),
  };
}

/**
 * How much more than others the busiest node has to do.
 *
 * @param all What each node has counted.
 * @returns The messages that it has sent and received, as a ratio to the mean of all nodes; 1 where
 * there were none.
 */
export function busiestOf(all: readonly Counts[]): number {
  const handled = all.map(({ messages, received }) => messages + received);
  const sum = handled.reduce((sum, count) => sum + count, 0);
  return sum === 0 ? 1 : Math.max(...handled) * all.length / sum;
}

/** A run, real or simulated, in which all nodes together have counted. */
export interface Run {
  /** How long it took at the slowest node, in milliseconds. */
  readonly ms: number;
  readonly counts: Counts;
  /** The messages that the busiest node has sent and received, as a ratio to the mean. */
  readonly busiest: number;
}

/** The same run on real nodes and in the simulator. */
export interface Comparison {
  readonly nodes: number;
  readonly real: Run;
  /** With what was measured over loopback. */
  readonly simulated: Run;
  /**
   * The largest ratio between the two, of messages, bytes and misses; at least 1. A difference of
   * `RATIO_SLACK` messages, pages or misses counts as none.
   */
  readonly ratio: number;
}

/** What the simulator predicts for a number of nodes. */
export interface Prediction extends Run {
  readonly nodes: number;
  /** How many times faster than on one core without shared memory. */
  readonly speedUp: number;
  /** The share of the time in which the engine of the directory node worked. */
  readonly homeEngineShare: number;
  /** The share of the time in which the port of the directory node sent. */
  readonly homePortShare: number;
}

/** What the simulator predicts for a network. */
export interface NetworkPrediction {
  readonly network: Network;
  readonly runs: readonly Prediction[];
}

/** What the simulator predicts for a form of a program. */
export interface FormPrediction {
  readonly size: string;
  readonly networks: readonly NetworkPrediction[];
}

/** A program of one size on one core, without shared memory. */
export interface SerialReport {
  readonly size: string;
  readonly ms: number;
  /** Its work, in the program's units. */
  readonly units: number;
}

/** What is reported of a program. */
export interface ProgramReport {
  readonly name: string;
  /** What a unit of its work is. */
  readonly unit: string;
  /** The misses over loopback that the simulator was told of. */
  readonly missCosts: MissCosts;
  /** What was compared, on one core. */
  readonly serial: SerialReport;
  readonly comparisons: readonly Comparison[];
  /** The largest ratio that is allowed. */
  readonly ratioMax: number;
  /** Whether no ratio is larger. */
  readonly agrees: boolean;
  /** The first form of what was predicted, on one core. */
  readonly predictedSerial: SerialReport;
  /** What was predicted for each of the program's forms. */
  readonly predictions: readonly FormPrediction[];
}

const ASSUMED = `Assumed for every prediction: one core a node, on which the engine's work comes
before the program's; messages leave a node one after the other, and none waits
between the ports of two nodes; a program that faults waits, and computes nothing
in the meantime. The protocol is the runtime's own code, and the accesses and the
synchronisation are those of the programs' code. Speed-up is over the same work on
one core without shared memory.`;

/**
 * How far apart two runs are.
 *
 * @param a What the one has counted.
 * @param b What the other has.
 * @param slack How many messages, misses or pages more or less make no difference.
 * @returns The largest ratio of messages, bytes and misses; at least 1.
 */
export function ratioOf(a: Counts, b: Counts, slack = 0): number {
  const ratio = (x: number, y: number, slack: number): number =>
    Math.abs(x - y) <= slack ? 1 : Math.max(x, y) / Math.min(x, y);
  return Math.max(
    ratio(a.messages, b.messages, slack),
    ratio(a.bytes, b.bytes, slack * PAGE_SIZE_DEFAULT_BYTES),
    ratio(a.misses, b.misses, slack),
  );
}

/**
 * Writes reports as text.
 *
 * @param reports The reports.
 * @returns Lines for people.
 */
export function describe(reports: readonly ProgramReport[]): string {
  const lines: string[] = [];
  for (const report of reports) lines.push(...describeComparisons(report), "");
  const [first] = reports;
  const [form] = first?.predictions ?? [];
  if (form === undefined) return lines.join("\n");
  lines.push(ASSUMED);
  const { missUs, scanPageUs } = first!.missCosts;
  lines.push(
    `Measured over loopback: ${missUs.toFixed(0)} us for a read miss of two hops (median), ` +
      `${scanPageUs.toFixed(1)} us for a page of a scan. So:`,
  );
  for (const { network } of form.networks) lines.push(`  ${describeNetwork(network)}`);
  for (const report of reports) lines.push("", ...describePredictions(report));
  return lines.join("\n");
}

function describeSerial({ name, unit }: ProgramReport, serial: SerialReport): string {
  const { size, ms, units } = serial;
  return `${name}, ${size}: ${(units / 1e6).toFixed(1)} million ${unit}, ` +
    `${ms.toFixed(0)} ms on one core`;
}

function describeComparisons(report: ProgramReport): string[] {
  const { serial, comparisons, ratioMax, agrees } = report;
  const lines = [
    describeSerial(report, serial),
    "          messages            bytes, KiB            misses          busiest node, x mean" +
    "     ms (more nodes than",
    "nodes     real simulated     real simulated     real simulated     real simulated" +
    "     real  cores say nothing)",
  ];
  for (const { nodes, real, simulated } of comparisons) {
    const pairs = [
      pair(real.counts.messages, simulated.counts.messages),
      pair(real.counts.bytes / 1024, simulated.counts.bytes / 1024),
      pair(real.counts.misses, simulated.counts.misses),
      pair(real.busiest, simulated.busiest, 2),
      pair(real.ms, simulated.ms),
    ];
    lines.push(`${String(nodes).padStart(5)}${pairs.join("")}`);
  }
  const largest = Math.max(...comparisons.map(({ ratio }) => ratio));
  const verdict = agrees ? "agreed" : "NOT agreed";
  lines.push(
    `${verdict}: counts differ by ${largest.toFixed(2)} x at most; ${ratioMax} x is allowed`,
  );
  return lines;
}

function pair(real: number, simulated: number, digits = 0): string {
  return real.toFixed(digits).padStart(9) + simulated.toFixed(digits).padStart(10);
}

function describePredictions(report: ProgramReport): string[] {
  const { predictions, predictedSerial } = report;
  const nodes = predictions[0]!.networks[0]!.runs.map(({ nodes }) => String(nodes).padStart(7));
  const lines = [
    describeSerial(report, predictedSerial),
    `${"speed-up predicted at nodes:".padEnd(30)}${nodes.join("")}`,
  ];
  for (const [index, { size, networks }] of predictions.entries()) {
    if (index > 0) lines.push(`the same, ${size}:`);
    lines.push(...describeNetworks(networks));
  }
  return lines;
}

function describeNetworks(predictions: readonly NetworkPrediction[]): string[] {
  const lines: string[] = [];
  for (const { network, runs } of predictions) {
    const speedUps = runs.map(({ speedUp }) => speedUp.toFixed(2).padStart(7));
    lines.push(`${network.name.padEnd(30)}${speedUps.join("")}`);
    const engine = runs.map(({ homeEngineShare }) => percent(homeEngineShare));
    lines.push(`${"  node 1's engine works".padEnd(30)}${engine.join("")}`);
    if (network.bytesPerUs === Infinity) continue;
    const port = runs.map(({ homePortShare }) => percent(homePortShare));
    lines.push(`${"  node 1's port sends".padEnd(30)}${port.join("")}`);
  }
  return lines;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`.padStart(7);
}

/** The metrics of a node: their names, what each says, and where its numbers come from. */

import type { Address } from "../address.ts";
import { VERSION } from "../version.ts";
import { DURATIONS, type EngineMetrics, type PeerCounts } from "./engine_metrics.ts";
import type { EngineTimes } from "./engine_times.ts";
import type { Labels, Metric } from "./exposition.ts";
import type { Histogram } from "./histogram.ts";

/** What {@linkcode nodeMetrics} reads. */
export interface NodeReading {
  /** This node. */
  readonly node: number;
  /** Where it listens. */
  readonly address: Address;
  /** What the node has counted, as `stats()` has it. */
  readonly counters: Readonly<Record<string, unknown>>;
  /** What was counted only for metrics. */
  readonly engine: EngineMetrics;
  /** How many other nodes there are. */
  readonly peers: number;
  /** The size of a page, in bytes. */
  readonly pageSize: number;
  /** The region's size, in bytes. */
  readonly size: number;
  /**
   * What the engine's thread has spent its time on, in microseconds; `undefined` where it does not
   * tell.
   */
  readonly times: EngineTimes | undefined;
  /** Whether this is the directory node, which answers requests about semaphores and the like. */
  readonly isDesk: boolean;
}

/** A counter of `stats()`: its metric's name, its own name there, and what it says. */
type Row = readonly [name: string, counter: string, help: string];

const COUNTERS: readonly Row[] = [
  ["tdsm_faults_total", "faults", "Page faults that the engine took from the kernel."],
  ["tdsm_pages_read_ahead_total", "pagesAhead", "Pages requested ahead of sequential accesses."],
  ["tdsm_pages_received_total", "pagesReceived", "Pages whose bytes came from other nodes."],
  ["tdsm_pages_zero_total", "pagesZero", "Pages that came without bytes, never written before."],
  ["tdsm_pages_sent_total", "pagesSent", "Pages whose bytes went to other nodes."],
  [
    "tdsm_pages_invalidated_total",
    "pagesInvalidated",
    "Copies that were dropped because another node wrote.",
  ],
  ["tdsm_pages_dropped_total", "pagesDropped", "Copies given back for want of room."],
  ["tdsm_pages_offloaded_total", "pagesOffloaded", "Only copies that another node took for room."],
  ["tdsm_pages_discarded_total", "pagesDiscarded", "Pages whose memory went back to the system."],
  ["tdsm_messages_sent_total", "messagesSent", "Messages sent to other nodes about pages."],
  ["tdsm_messages_received_total", "messagesReceived", "Messages of other nodes about pages."],
  ["tdsm_network_sent_bytes_total", "bytesSent", "Bytes sent to other nodes."],
  ["tdsm_network_received_bytes_total", "bytesReceived", "Bytes received from other nodes."],
  ["tdsm_engine_turns_total", "turns", "Turns of the engine's loop."],
  ["tdsm_engine_sleeps_total", "sleeps", "Times that the engine's thread went to sleep."],
];

const GAUGES: readonly Row[] = [
  ["tdsm_home_chunks", "homeChunks", "Chunks of 128 pages that this node is the home of."],
  ["tdsm_memory_bytes", "memoryBytes", "Memory that the pages take here."],
  ["tdsm_memory_limit_bytes", "memoryLimitBytes", "The most memory that pages may take here."],
];

/** Metrics of several counters: the value of the label, and the counter, of each sample. */
const REQUESTS: Samples = [["read", "readMisses"], ["write", "writeMisses"], [
  "upgrade",
  "upgrades",
]];
const PAGES: Samples = [["shared", "pagesShared"], ["exclusive", "pagesExclusive"], [
  "dead",
  "pagesDead",
]];
type Samples = readonly (readonly [value: string, counter: string])[];

const PEERS: readonly (readonly [name: string, counter: keyof PeerCounts, help: string])[] = [
  ["tdsm_peer_messages_sent_total", "messagesSent", "Messages sent to a node about pages."],
  ["tdsm_peer_messages_received_total", "messagesReceived", "Messages of a node about pages."],
  ["tdsm_peer_pages_sent_total", "pagesSent", "Pages whose bytes went to a node."],
  ["tdsm_peer_pages_received_total", "pagesReceived", "Pages whose bytes came from a node."],
];

const US_PER_S = 1e6;
const MS_PER_S = 1e3;

/**
 * Collects the metrics of a node.
 *
 * @param reading What to read.
 * @returns Every metric, with its samples now.
 */
export function nodeMetrics(reading: NodeReading): Metric[] {
  const { node, address: { hostname, port }, counters, engine, peers, pageSize, size } = reading;
  const count = (name: string): number => Number(counters[name] ?? 0);
  const metrics: Metric[] = [];
  const add = (
    type: "counter" | "gauge",
    name: string,
    help: string,
    ...samples: (readonly [Labels, number])[]
  ): void => void metrics.push({ name, help, type, samples });
  const histogram = (
    name: string,
    help: string,
    ...samples: (readonly [Labels, Histogram])[]
  ): void => void metrics.push({ name, help, type: "histogram", samples });

  const info = { node, address: hostname, port, version: VERSION };
  add("gauge", "tdsm_node_info", "The node, and the release that it runs.", [info, 1]);
  const startedAt = (performance.timeOrigin + engine.sinceMs) / MS_PER_S;
  const started = "When the node began, since 1970.";
  add("gauge", "tdsm_node_start_time_seconds", started, [{}, startedAt]);
  add("gauge", "tdsm_region_bytes", "The region's size.", [{}, size]);
  add("gauge", "tdsm_page_size_bytes", "The size of a page.", [{}, pageSize]);
  add("gauge", "tdsm_peers", "How many other nodes there are.", [{}, peers]);
  const { rss } = Deno.memoryUsage();
  const resident = "Resident memory of the node's process.";
  add("gauge", "process_resident_memory_bytes", resident, [{}, rss]);
  for (const [name, counter, help] of GAUGES) add("gauge", name, help, [{}, count(counter)]);
  const states = PAGES.map(([state, counter]) => [{ state }, count(counter)] as const);
  add("gauge", "tdsm_pages", "Pages by what the node may do with them.", ...states);

  for (const [name, counter, help] of COUNTERS) add("counter", name, help, [{}, count(counter)]);
  const requests = REQUESTS.map(([access, counter]) => [{ access }, count(counter)] as const);
  add("counter", "tdsm_requests_total", "Requests for pages that a thread needed.", ...requests);
  if (reading.times !== undefined) {
    const spent = "What the engine's thread spent its time on; waiting is for a core.";
    const seconds = Object.entries(reading.times).map(([state, us]) =>
      [{ state }, us / US_PER_S] as const
    );
    add("counter", "tdsm_engine_time_seconds_total", spent, ...seconds);
  }
  histogram(
    DURATIONS.faults,
    "How long threads waited for pages, from when the engine took the fault.",
    ...[...engine.faults].map(([kind, durations]) => [{ kind }, durations] as const),
  );
  histogram(
    DURATIONS.calls,
    "How long calls of this node's threads to other nodes took.",
    [{}, engine.calls],
  );
  histogram(
    DURATIONS.services,
    "How long this node's program took to serve calls of other nodes.",
    [{}, engine.services],
  );
  if (reading.isDesk) {
    histogram(
      DURATIONS.waits,
      "How long threads of all nodes waited for semaphores, barriers, mutexes and words.",
      ...[...engine.waits].map(([operation, durations]) => [{ operation }, durations] as const),
    );
    const waiting = "Requests of threads of all nodes that wait for semaphores and the like.";
    add("gauge", "tdsm_sync_waiting", waiting, [{}, engine.waiting]);
  }
  for (const [name, counter, help] of PEERS) {
    const samples = [...engine.peers].map(([peer, own]) => [{ peer }, own[counter]] as const);
    add("counter", name, help, ...samples);
  }
  return metrics;
}

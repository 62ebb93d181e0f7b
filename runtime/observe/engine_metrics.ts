/** What metrics need beyond `stats()`: durations, and what was exchanged with each other node. */

import { WATCHED_WAITS_MAX } from "../limits.ts";
import type { Input } from "../protocol/coherence/coherence.ts";
import { Content, type Message, type NodeId } from "../protocol/coherence/messages.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import type { PageState } from "../protocol/coherence/page.ts";
import { SyncOperation, type SyncReply, type SyncRequest } from "../protocol/sync/messages.ts";
import type { EngineWatch } from "./engine_watch.ts";
import { FAULT_KINDS, FaultClock, type FaultKind } from "./fault_clock.ts";
import { Histogram } from "./histogram.ts";
import { SyncWaits } from "./sync_waits.ts";

/** What was exchanged with another node about pages. */
export interface PeerCounts {
  messagesSent: number;
  messagesReceived: number;
  pagesSent: number;
  pagesReceived: number;
}

/** The operations that threads can wait in, by the names that their metric has. */
const WAITS = {
  [SyncOperation.Acquire]: "acquire",
  [SyncOperation.Arrive]: "barrier",
  [SyncOperation.Lock]: "lock",
  [SyncOperation.FutexWait]: "futex",
} as const;
/** A name of {@linkcode WAITS}. */
export type WaitName = typeof WAITS[keyof typeof WAITS];

/** The names of the histograms' metrics. */
export const DURATIONS = {
  faults: "tdsm_fault_duration_seconds",
  waits: "tdsm_sync_wait_duration_seconds",
  calls: "tdsm_call_duration_seconds",
  services: "tdsm_service_duration_seconds",
} as const;

/** Makes the histogram of a metric and its labels. */
export type NewHistogram = (metric: string, labels: Readonly<Record<string, string>>) => Histogram;

/** Counts what happens in one engine. */
export class EngineMetrics implements EngineWatch {
  readonly timesSteps = false;
  /** How long threads have waited for pages. */
  readonly faults: ReadonlyMap<FaultKind, Histogram>;
  /** At the directory node: how long threads of all nodes have waited for each other. */
  readonly waits: ReadonlyMap<WaitName, Histogram>;
  /** How long calls of threads of this node have taken. */
  readonly calls: Histogram;
  /** How long the program has taken to serve calls of other nodes. */
  readonly services: Histogram;
  /** What was exchanged with each node that is there. */
  readonly peers = new Map<NodeId, PeerCounts>();
  /** How long the engine has looked for news, in microseconds. */
  pollingUs = 0;
  /** How long the engine has slept, in microseconds. */
  asleepUs = 0;
  /** When the counting began, by `performance.now`, in milliseconds. */
  readonly sinceMs = performance.now();
  readonly #clock = new FaultClock(({ kind, us }) => this.faults.get(kind)!.add(us));
  readonly #desk = new SyncWaits((request, us) => {
    const name = WAITS[request.operation as keyof typeof WAITS];
    if (name !== undefined) this.waits.get(name)!.add(us);
  });
  /** When each call that has no answer was made, and each that is served was begun. */
  readonly #callsMade = new Map<number, number>();
  readonly #callsServed = new Map<number, number>();

  /** @param newHistogram Makes each histogram, of a metric and its labels. */
  constructor(newHistogram: NewHistogram = () => new Histogram()) {
    const byLabel = <Name extends string>(
      metric: string,
      label: string,
      values: readonly Name[],
    ): Map<Name, Histogram> =>
      new Map(values.map((value) => [value, newHistogram(metric, { [label]: value })]));
    this.faults = byLabel(DURATIONS.faults, "kind", FAULT_KINDS);
    this.waits = byLabel(DURATIONS.waits, "operation", Object.values(WAITS));
    this.calls = newHistogram(DURATIONS.calls, {});
    this.services = newHistogram(DURATIONS.services, {});
  }

  /** At the directory node: how many requests of threads of all nodes wait for their answer. */
  get waiting(): number {
    return this.#desk.size;
  }

  stepBegins(input: Input, state: PageState | undefined, nowUs: number): void {
    if (input.kind === "fault") this.#clock.fault(input.page, input.access, state!, nowUs);
    else if (input.kind === "message") {
      const peer = this.#peer(input.from);
      peer.messagesReceived++;
      peer.pagesReceived += pagesIn(input.message);
    }
  }

  operated(operation: PageOperation): void {
    this.#clock.operated(operation);
  }

  stepEnds(): void {}

  sent(to: NodeId, message: Message): void {
    const peer = this.#peer(to);
    peer.messagesSent++;
    peer.pagesSent += pagesIn(message);
  }

  waited(pollingUs: number, asleepUs: number): void {
    this.pollingUs += pollingUs;
    this.asleepUs += asleepUs;
  }

  asked(): void {}

  answered(): void {}

  deskAsked(from: NodeId, request: SyncRequest): void {
    this.#desk.asked(from, request, nowUs());
  }

  deskAnswered(to: NodeId, reply: SyncReply): void {
    this.#desk.answered(to, reply, nowUs());
  }

  callMade(ticket: number): void {
    begin(this.#callsMade, ticket);
  }

  callEnded(ticket: number): void {
    end(this.#callsMade, ticket, this.calls);
  }

  serviceBegun(id: number): void {
    begin(this.#callsServed, id);
  }

  serviceEnded(id: number): void {
    end(this.#callsServed, id, this.services);
  }

  peerGone(node: NodeId): void {
    this.peers.delete(node);
    this.#desk.peerGone(node);
  }

  #peer(node: NodeId): PeerCounts {
    let peer = this.peers.get(node);
    if (peer === undefined) {
      peer = { messagesSent: 0, messagesReceived: 0, pagesSent: 0, pagesReceived: 0 };
      this.peers.set(node, peer);
    }
    return peer;
  }
}

/** A message that the bytes of pages follow counts them. */
function pagesIn(message: Message): number {
  return message.kind === "grant" && message.content === Content.Data ? message.count : 0;
}

function begin(begun: Map<number, number>, number: number): void {
  if (begun.size < WATCHED_WAITS_MAX) begun.set(number, nowUs());
}

function end(begun: Map<number, number>, number: number, durations: Histogram): void {
  const sinceUs = begun.get(number);
  if (sinceUs === undefined) return;
  begun.delete(number);
  durations.add(nowUs() - sinceUs);
}

function nowUs(): number {
  return performance.now() * 1000;
}

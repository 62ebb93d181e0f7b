/**
 * What metrics need beyond `stats()`: durations, and what was exchanged with each other node.
 *
 * What happens to pages is only written down as it happens, in words of one array, and counted
 * later, many at a time. To count it at once took 4 % of a miss: the code and the tables for that
 * are cold whenever the engine has slept.
 */

import { METRICS_LOG_EVENTS, WATCHED_WAITS_MAX } from "../limits.ts";
import type { Input } from "../protocol/coherence/coherence.ts";
import { Content, type Message, type NodeId } from "../protocol/coherence/messages.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import type { Access, PageState } from "../protocol/coherence/page.ts";
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

/** What was written down: the first of four words of an event. */
const Event = { Fault: 0, Operation: 1, Received: 2, Sent: 3 } as const;
const EVENT_WORDS = 4;
/** The page operations by which threads may go on, as they are written down. */
const OPERATIONS = ["install", "installWritable", "installZero", "unprotect"] as const;
/** What a fault's state is multiplied by, to have its access beside it. */
const STATE_STEP = 4;

/** Makes the histogram of a metric and its labels. */
export type NewHistogram = (metric: string, labels: Readonly<Record<string, string>>) => Histogram;

/** Counts what happens in one engine. */
export class EngineMetrics implements EngineWatch {
  readonly timesSteps = false;
  /** At the directory node: how long threads of all nodes have waited for each other. */
  readonly waits: ReadonlyMap<WaitName, Histogram>;
  /** How long calls of threads of this node have taken. */
  readonly calls: Histogram;
  /** How long the program has taken to serve calls of other nodes. */
  readonly services: Histogram;
  /** When the counting began, by `performance.now`, in milliseconds. */
  readonly sinceMs = performance.now();
  readonly #faults: ReadonlyMap<FaultKind, Histogram>;
  readonly #peers = new Map<NodeId, PeerCounts>();
  /** What was written down and is not counted, up to `#end`. */
  readonly #log = new Float64Array(EVENT_WORDS * METRICS_LOG_EVENTS);
  #end = 0;
  readonly #clock = new FaultClock(({ kind, us }) => this.#faults.get(kind)!.add(us));
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
    this.#faults = byLabel(DURATIONS.faults, "kind", FAULT_KINDS);
    this.waits = byLabel(DURATIONS.waits, "operation", Object.values(WAITS));
    this.calls = newHistogram(DURATIONS.calls, {});
    this.services = newHistogram(DURATIONS.services, {});
  }

  /** At the directory node: how many requests of threads of all nodes wait for their answer. */
  get waiting(): number {
    return this.#desk.size;
  }

  /** How long threads have waited for pages. */
  get faults(): ReadonlyMap<FaultKind, Histogram> {
    this.count();
    return this.#faults;
  }

  /** What was exchanged with each node that is there. */
  get peers(): ReadonlyMap<NodeId, Readonly<PeerCounts>> {
    this.count();
    return this.#peers;
  }

  stepBegins(input: Input, state: PageState | undefined, nowUs: number): void {
    if (input.kind === "fault") {
      this.#note(Event.Fault, input.page, state! * STATE_STEP + input.access, nowUs);
    } else if (input.kind === "message") {
      this.#note(Event.Received, input.from, pagesIn(input.message), 0);
    }
  }

  operated(operation: PageOperation): void {
    const { kind, first, count } = operation;
    if (kind === "protect" || kind === "evict" || kind === "discard") return;
    const name = kind === "install" && operation.writable ? "installWritable" : kind;
    const words = count * OPERATIONS.length + OPERATIONS.indexOf(name);
    this.#note(Event.Operation, first, words, nowUs());
  }

  stepEnds(): void {}

  sent(to: NodeId, message: Message): void {
    this.#note(Event.Sent, to, pagesIn(message), 0);
  }

  #note(event: number, first: number, second: number, us: number): void {
    const log = this.#log;
    const at = this.#end;
    log[at] = event;
    log[at + 1] = first;
    log[at + 2] = second;
    log[at + 3] = us;
    this.#end = at + EVENT_WORDS;
    if (this.#end === log.length) this.count();
  }

  /** Counts what was written down. Whatever is read of it has this done; so does the log, full. */
  count(): void {
    const log = this.#log;
    for (let at = 0; at < this.#end; at += EVENT_WORDS) {
      this.#count(log[at]!, log[at + 1]!, log[at + 2]!, log[at + 3]!);
    }
    this.#end = 0;
  }

  #count(event: number, first: number, second: number, us: number): void {
    switch (event) {
      case Event.Fault: {
        const access = second % STATE_STEP as Access;
        const state = (second - access) / STATE_STEP as PageState;
        return this.#clock.fault(first, access, state, us);
      }
      case Event.Operation: {
        const name = OPERATIONS[second % OPERATIONS.length]!;
        const run = { first, count: Math.floor(second / OPERATIONS.length) };
        const operation: PageOperation = name === "install" || name === "installWritable"
          ? { kind: "install", ...run, writable: name === "installWritable" }
          : { kind: name, ...run };
        return this.#clock.operated(operation, us);
      }
      case Event.Received: {
        const peer = this.#peer(first);
        peer.messagesReceived++;
        peer.pagesReceived += second;
        return;
      }
      default: {
        const peer = this.#peer(first);
        peer.messagesSent++;
        peer.pagesSent += second;
      }
    }
  }

  waited(): void {}

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
    this.count();
    this.#peers.delete(node);
    this.#desk.peerGone(node);
  }

  #peer(node: NodeId): PeerCounts {
    let peer = this.#peers.get(node);
    if (peer === undefined) {
      peer = { messagesSent: 0, messagesReceived: 0, pagesSent: 0, pagesReceived: 0 };
      this.#peers.set(node, peer);
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

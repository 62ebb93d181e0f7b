/**
 * Records what happens in one engine as events of a trace, in memory: `take` hands them over to be
 * written. Where that does not keep up, events are dropped and counted.
 */

import { TRACE_BUFFER_EVENTS, WATCHED_WAITS_MAX } from "../limits.ts";
import type { Input } from "../protocol/coherence/coherence.ts";
import { Content, isFinal, type Message, type NodeId } from "../protocol/coherence/messages.ts";
import type { PageOperation } from "../protocol/coherence/output.ts";
import { Access, type PageRun, type PageState } from "../protocol/coherence/page.ts";
import { SyncOperation, type SyncReply, type SyncRequest } from "../protocol/sync/messages.ts";
import type { EngineWatch } from "./engine_watch.ts";
import { FaultClock, type ServedFault } from "./fault_clock.ts";
import { Lanes } from "./lanes.ts";
import { SyncWaits } from "./sync_waits.ts";
import {
  arrow,
  counter,
  instant,
  laneName,
  nodeName,
  span,
  TRACE_EPOCH_US,
  Track,
} from "./trace_events.ts";

/** A transaction at its home, as far as messages to and from other nodes tell of it. */
interface Transaction extends PageRun {
  readonly access: Access;
  readonly requester: NodeId;
  readonly sinceUs: number;
  /** When the home has begun with it; before that, others on the same pages were under way. */
  begunUs: number | undefined;
}

/** A call that is made or served. */
interface CallSpan {
  readonly name: string;
  readonly sinceUs: number;
}

const ENGINE = Track.Engine.first;

/** Records one engine. */
export class TraceRecorder implements EngineWatch {
  readonly timesSteps = true;
  readonly #node: NodeId;
  readonly #due: () => void;
  readonly #dueAt: number;
  /** What has to be added to a time of `performance.now`, for a time of the trace. */
  readonly #epochUs: number;
  #lines: string[] = [];
  #dropped = 0;
  #ended = false;
  #toldDropped = 0;
  readonly #lanes = new Map<Track, { lanes: Lanes; named: number }>();
  readonly #faults = new FaultClock((fault) => this.#served(fault));
  readonly #waits = new SyncWaits((request, us, sinceUs) =>
    this.#place(Track.Waits, sinceUs, us, waitName(request))
  );
  readonly #calls = new Map<number, CallSpan>();
  readonly #services = new Map<number, CallSpan>();
  readonly #transactions = new Map<string, Transaction>();
  /** The step under way: its place among the lines, its input, and when it began. */
  #stepAt = 0;
  #input: Input | undefined;
  #stepSinceUs = 0;

  /**
   * @param node The node.
   * @param name Its name in the trace.
   * @param due Called when so many events wait to be taken.
   * @param dueAt How many that are.
   */
  constructor(node: NodeId, name: string, due: () => void, dueAt: number) {
    this.#node = node;
    this.#due = due;
    this.#dueAt = dueAt;
    this.#epochUs = performance.timeOrigin * 1000 - TRACE_EPOCH_US;
    this.#lines.push(nodeName(node, name), laneName(node, Track.Engine, 0));
  }

  /** How many events were dropped, since too many waited. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many events wait to be taken. */
  get waiting(): number {
    return this.#lines.length;
  }

  /** From here on nothing is recorded. */
  end(): void {
    this.#ended = true;
    this.#lines = [];
  }

  /**
   * Takes the events that wait.
   *
   * @returns One line each, without their ends.
   */
  take(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    if (this.#dropped > this.#toldDropped) {
      const nowUs = performance.now() * 1000 + this.#epochUs;
      lines.push(counter(this.#node, nowUs, "events dropped", this.#dropped));
      this.#toldDropped = this.#dropped;
    }
    return lines;
  }

  stepBegins(input: Input, state: PageState | undefined, nowUs: number): void {
    this.#input = input;
    this.#stepSinceUs = nowUs;
    this.#stepAt = this.#lines.length;
    if (input.kind === "fault") this.#faults.fault(input.page, input.access, state!, nowUs);
    else if (input.kind === "message") {
      const { from, message } = input;
      // Spans that begin at one time are nested in the order of their lines.
      this.#add("");
      this.#addArrow("end", from, this.#node, message, nowUs);
      this.#receivedAtHome(from, message, nowUs);
      return;
    }
    this.#add("");
  }

  operated(operation: PageOperation, nowUs: number): void {
    this.#faults.operated(operation, nowUs);
  }

  stepEnds(nowUs: number): void {
    const input = this.#input!;
    this.#input = undefined;
    const isQuiet = this.#lines.length === this.#stepAt + 1 && QUIET.has(input.kind);
    if (isQuiet) return void this.#lines.pop();
    const line = span(
      this.#node,
      ENGINE,
      this.#stepSinceUs + this.#epochUs,
      nowUs - this.#stepSinceUs,
      inputName(input),
      input.kind === "message" ? `"from":${input.from}${argsOf(input.message)}` : "",
    );
    if (this.#lines[this.#stepAt] === "") this.#lines[this.#stepAt] = line;
  }

  sent(to: NodeId, message: Message, nowUs: number): void {
    const us = nowUs + this.#epochUs;
    const name = `send ${messageName(message)}`;
    this.#add(instant(this.#node, ENGINE, us, name, `"to":${to}${argsOf(message)}`));
    this.#addArrow("begin", this.#node, to, message, nowUs);
    this.#sentAtHome(to, message, nowUs);
  }

  waited(pollingUs: number, asleepUs: number, nowUs: number): void {
    const sinceUs = nowUs + this.#epochUs - pollingUs - asleepUs;
    if (pollingUs >= LEAST_WAIT_US) {
      this.#add(span(this.#node, ENGINE, sinceUs, pollingUs, "looking"));
    }
    if (asleepUs >= LEAST_WAIT_US) {
      this.#add(span(this.#node, ENGINE, sinceUs + pollingUs, asleepUs, "asleep"));
    }
  }

  asked(request: SyncRequest): void {
    this.#waits.asked(this.#node, request, performance.now() * 1000);
  }

  answered(reply: SyncReply): void {
    this.#waits.answered(this.#node, reply, performance.now() * 1000);
  }

  deskAsked(): void {}

  deskAnswered(): void {}

  callMade(ticket: number, to: NodeId, procedure: string): void {
    begin(this.#calls, ticket, `call ${quoted(procedure)} on ${to}`);
  }

  callEnded(ticket: number): void {
    this.#end(this.#calls, ticket, Track.Calls);
  }

  serviceBegun(id: number, from: NodeId, procedure: string): void {
    begin(this.#services, id, `serve ${quoted(procedure)} for ${from}`);
  }

  serviceEnded(id: number): void {
    this.#end(this.#services, id, Track.Services);
  }

  peerGone(node: NodeId): void {
    this.#add(
      instant(this.#node, ENGINE, performance.now() * 1000 + this.#epochUs, `node ${node} is gone`),
    );
    for (const [key, { requester }] of this.#transactions) {
      if (requester === node) this.#transactions.delete(key);
    }
  }

  #served({ page, kind, sinceUs, us }: ServedFault): void {
    this.#place(Track.Faults, sinceUs, us, `${kind} page ${page}`, `"page":${page}`);
  }

  #receivedAtHome(from: NodeId, message: Message, nowUs: number): void {
    if (message.kind === "request") {
      if (this.#transactions.size === WATCHED_WAITS_MAX) return void this.#dropped++;
      const { first, count, access } = message;
      this.#transactions.set(keyOf(from, message.request), {
        first,
        count,
        access,
        requester: from,
        sinceUs: nowUs,
        begunUs: undefined,
      });
    } else if (message.kind === "done") this.#settled(from, message.request, nowUs);
  }

  #sentAtHome(to: NodeId, message: Message, nowUs: number): void {
    if (this.#transactions.size === 0) return;
    if (message.kind === "forward" || message.kind === "invalidate") {
      this.#begun(message.requester, message.request, nowUs);
    } else if (message.kind === "grant") {
      this.#begun(to, message.request, nowUs);
      if (isFinal(message)) this.#settled(to, message.request, nowUs);
    } else if (message.kind === "located") {
      // This node is not the home: the requester asks elsewhere, by another number.
      for (const [key, { requester, first }] of this.#transactions) {
        if (requester === to && first === message.first) this.#transactions.delete(key);
      }
    }
  }

  #begun(requester: NodeId, request: number, nowUs: number): void {
    const transaction = this.#transactions.get(keyOf(requester, request));
    if (transaction !== undefined) transaction.begunUs ??= nowUs;
  }

  #settled(requester: NodeId, request: number, nowUs: number): void {
    const key = keyOf(requester, request);
    const transaction = this.#transactions.get(key);
    if (transaction === undefined) return;
    this.#transactions.delete(key);
    const { sinceUs, begunUs = nowUs, access } = transaction;
    const name = `${access === Access.Write ? "write" : "read"} ${pagesOf(transaction)}`;
    const queuedUs = Math.round(begunUs - sinceUs);
    const args = `"requester":${requester},"queued_us":${queuedUs}`;
    this.#place(Track.Transactions, sinceUs, nowUs - sinceUs, `${name} for ${requester}`, args);
  }

  #end(spans: Map<number, CallSpan>, number: number, track: Track): void {
    const begun = spans.get(number);
    if (begun === undefined) return;
    spans.delete(number);
    const { name, sinceUs } = begun;
    this.#place(track, sinceUs, performance.now() * 1000 - sinceUs, name);
  }

  /** Adds a span that may overlap with others of its track. */
  #place(track: Track, sinceUs: number, us: number, name: string, args?: string): void {
    let state = this.#lanes.get(track);
    if (state === undefined) {
      this.#lanes.set(track, state = { lanes: new Lanes(track.lanes), named: 0 });
    }
    const lane = state.lanes.place(sinceUs, sinceUs + us);
    if (lane === undefined) return void this.#dropped++;
    if (lane === state.named) {
      this.#add(laneName(this.#node, track, lane));
      state.named++;
    }
    this.#add(span(this.#node, track.first + lane, sinceUs + this.#epochUs, us, name, args));
  }

  #addArrow(
    phase: "begin" | "end",
    from: NodeId,
    to: NodeId,
    message: Message,
    nowUs: number,
  ): void {
    const id = arrowId(from, to, message);
    if (id === undefined) return;
    this.#add(arrow(phase, this.#node, ENGINE, nowUs + this.#epochUs, message.kind, id));
  }

  #add(line: string): void {
    if (this.#ended) return;
    if (this.#lines.length === TRACE_BUFFER_EVENTS) return void this.#dropped++;
    if (this.#lines.push(line) === this.#dueAt) this.#due();
  }
}

/** Steps that are worth no event unless they have sent something. */
const QUIET: ReadonlySet<Input["kind"]> = new Set(["tick", "work", "idle", "room", "resumed"]);
/** Shorter waits of the engine are not worth an event, in microseconds. */
const LEAST_WAIT_US = 2;

function keyOf(requester: NodeId, request: number): string {
  return `${requester}/${request}`;
}

function begin(spans: Map<number, CallSpan>, number: number, name: string): void {
  if (spans.size < WATCHED_WAITS_MAX) {
    spans.set(number, { name, sinceUs: performance.now() * 1000 });
  }
}

function pagesOf({ first, count }: PageRun): string {
  return count === 1 ? `page ${first}` : `pages ${first}-${first + count - 1}`;
}

function messageName(message: Message): string {
  return "first" in message ? `${message.kind} ${pagesOf(message)}` : message.kind;
}

function inputName(input: Input): string {
  switch (input.kind) {
    case "fault":
      return `fault: ${input.access === Access.Write ? "write" : "read"} page ${input.page}`;
    case "message":
      return messageName(input.message);
    case "fetch":
      return `fetch ${pagesOf(input)}`;
    case "resumed":
      return `page ${input.page} was used`;
    case "peerJoined":
    case "peerLost":
      return `${input.kind} ${input.node}`;
    default:
      return input.kind;
  }
}

/** What else a message says that tells who shares a page. */
function argsOf(message: Message): string {
  let args = "";
  if ("requester" in message) args += `,"requester":${message.requester}`;
  if ("request" in message) args += `,"request":${message.request}`;
  if (message.kind === "grant") {
    const bytes = message.content === Content.Data;
    args += `,"bytes":${bytes},"write":${message.access === Access.Write}`;
  }
  if ("invalidated" in message && message.invalidated.length > 0) {
    args += `,"invalidated":"${message.invalidated.join(" ")}"`;
  }
  return args;
}

/**
 * A number that a message has at both its ends, and hardly any other of its kind; `undefined` for
 * one that names no request.
 */
function arrowId(from: NodeId, to: NodeId, message: Message): number | undefined {
  if (!("request" in message)) return undefined;
  const requester = "requester" in message ? message.requester : 0;
  let [low, high] = [0x811c9dc5, 0x1000193];
  for (const part of [from, to, message.first, message.request, requester]) {
    low = Math.imul(low ^ part, 0x01000193);
    high = Math.imul(high ^ part, 0x5bd1e995) ^ (high >>> 13);
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

function quoted(text: string): string {
  // As JSON has it, without the quotes around it, and short.
  return JSON.stringify(text.slice(0, NAME_MAX)).slice(1, -1);
}

const NAME_MAX = 64;

function waitName(request: SyncRequest): string {
  switch (request.operation) {
    case SyncOperation.Acquire:
    case SyncOperation.TryAcquire:
      return `acquire semaphore ${request.key}`;
    case SyncOperation.Release:
      return `release semaphore ${request.key}`;
    case SyncOperation.MakeSemaphore:
      return "make a semaphore";
    case SyncOperation.Arrive:
      return `barrier ${quoted(request.name)} of ${request.count}`;
    case SyncOperation.Lock:
    case SyncOperation.TryLock:
      return `lock mutex ${quoted(request.name)}`;
    case SyncOperation.Unlock:
    case SyncOperation.Abandon:
      return "unlock a mutex";
    case SyncOperation.FutexWait:
    case SyncOperation.FutexMoved:
      return `wait for word ${request.key}`;
    case SyncOperation.FutexNotify:
      return `notify word ${request.key}`;
    default:
      return "synchronise";
  }
}

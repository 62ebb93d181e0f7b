/**
 * What a synchronizer must do, told without queues or hand-offs: it watches requests go in and
 * answers come out, and checks each step against the promises. It shares no code with what it
 * checks.
 */

import { SEMAPHORE_COUNT_MAX } from "../../../runtime/limits.ts";
import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import {
  type ArriveRequest,
  type FutexRequest,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
  threadOf,
  type UnlockRequest,
} from "../../../runtime/protocol/sync/messages.ts";
import type { Synchronizer, SyncUsage } from "../../../runtime/protocol/sync/synchronizer.ts";
import type { StuckWaits, SyncLimits } from "../../../runtime/protocol/sync/desk.ts";
import type { SyncCoverage } from "./coverage.ts";

/** An answer, and the node and request that it is for. */
export interface Answer {
  readonly to: NodeId;
  readonly reply: SyncReply;
}

/** A request that has arrived and has no answer, in the order of arrival. */
interface Open {
  readonly from: NodeId;
  readonly request: Exclude<
    SyncRequest,
    FutexRequest | { operation: typeof SyncOperation.Cancel }
  >;
}

/** What is known of a barrier's last round. */
interface Round {
  readonly parties: number;
  readonly nodes: ReadonlySet<NodeId>;
  readonly lost?: NodeId;
}

/** A node, as far as it may be waited for. */
interface Member {
  readonly works: boolean;
  threads: number;
}

/** Stands for the maker of what has none any more. */
const NOBODY = 0;

interface Lock {
  readonly holder: NodeId;
  readonly ticket: number;
}

/** Fails a schedule. */
export function fail(message: string): never {
  throw new Error(message);
}

/** Checks every step of a synchronizer. */
export class SyncOracle {
  readonly #synchronizer: Synchronizer;
  readonly #limits: SyncLimits;
  readonly #coverage: SyncCoverage;
  readonly #gone = new Set<NodeId>();
  /** Permits by key: released and made, less those acquired. */
  readonly #permits = new Map<bigint, number>();
  readonly #locks = new Map<string, Lock>();
  readonly #abandoned = new Set<string>();
  readonly #made = new Set<bigint>();
  readonly #members = new Map<NodeId, Member>();
  readonly #rounds = new Map<string, Round>();
  readonly #doubted = new Set<string>();
  /**
   * The maker of each object that is remembered, by {@linkcode objectOf}; the one that has been
   * without a maker longest comes first.
   */
  readonly #makers = new Map<string, NodeId>();
  #died: NodeId | undefined;
  /** The beats since which every thread has waited, and nothing was asked. */
  #stillBeats = 0;
  #open: Open[] = [];
  #before: SyncUsage;

  /**
   * @param synchronizer What is watched. @param limits Its limits. @param coverage What to count
   * in.
   */
  constructor(synchronizer: Synchronizer, limits: SyncLimits, coverage: SyncCoverage) {
    this.#synchronizer = synchronizer;
    this.#limits = limits;
    this.#coverage = coverage;
    this.#before = synchronizer.usage;
  }

  /** The synchronizer was told of a node. */
  joined(node: NodeId, works: boolean): void {
    this.#members.set(node, { works, threads: 1 });
    this.#stillBeats = 0;
  }

  /** The synchronizer was told how many threads of a node can ask. */
  hasThreads(node: NodeId, threads: number): void {
    const member = this.#members.get(node);
    if (member !== undefined) member.threads = threads;
  }

  /** Time has passed; these answers came out, and this was told of waits that no node can end. */
  beaten(answers: readonly Answer[], told: readonly StuckWaits[]): void {
    const expected: string[] = [];
    for (const name of this.#barriers()) {
      const stuck = this.#died !== undefined && this.#isEverybodyAt(name);
      if (stuck && this.#doubted.has(name)) {
        this.#coverage.reach("doubted");
        expected.push(...this.#break(name, this.#arrivals(name)[0]!.request.count, this.#died!));
      }
      if (stuck) this.#doubted.add(name);
      else this.#doubted.delete(name);
    }
    const actual = answers.map(({ to, reply }) =>
      expectation(to, reply.ticket, reply.status, reply.count)
    );
    // Which of two barriers is looked at first is nobody's business.
    if (actual.sort().join() !== expected.sort().join()) {
      fail(`as time passes it answers [${actual}], not [${expected}]`);
    }
    for (const answer of answers) this.#answered(answer);
    this.#checkState(NOBODY);
    this.#checkStuck(told);
  }

  /** What waits for nobody is told, once, and nothing else is. */
  #checkStuck(told: readonly StuckWaits[]): void {
    const working = [...this.#members].filter(([, { works }]) => works);
    const waitsOf = (node: NodeId): number => this.#open.filter(({ from }) => from === node).length;
    const allWait = working.length > 0 && this.#barriers().length > 0 &&
      working.every(([node, { threads }]) => waitsOf(node) >= threads);
    this.#stillBeats = allWait ? this.#stillBeats + 1 : 0;
    const expected: StuckWaits[] = [];
    if (this.#stillBeats === this.#limits.stuckBeats) {
      this.#coverage.reach("stuck");
      const barriers = this.#barriers().map((name) => {
        const arrivals = this.#arrivals(name);
        const arrived = arrivals.map(({ from }) => from);
        return { name, parties: arrivals[0]!.request.count, arrived };
      });
      const arrived = barriers.reduce((sum, barrier) => sum + barrier.arrived.length, 0);
      expected.push({ barriers, others: this.#open.length - arrived });
    }
    const [actual, wanted] = [told, expected].map((waits) =>
      JSON.stringify(waits.map(({ barriers, others }) => ({
        // Which of two barriers comes first is nobody's business.
        barriers: barriers.toSorted((a, b) => a.name < b.name ? -1 : 1),
        others,
      })))
    );
    if (actual !== wanted) fail(`of waits without an end it tells ${actual}, not ${wanted}`);
  }

  /** A request went in, and these answers came out. */
  requested(
    from: NodeId,
    request: Exclude<SyncRequest, FutexRequest>,
    answers: readonly Answer[],
  ): void {
    if (this.#gone.has(from)) {
      this.#coverage.reach("lateRequest");
      if (answers.length > 0) fail(`node ${from} is gone, and is answered`);
      return this.#checkState(from);
    }
    this.#stillBeats = 0;
    if (request.operation === SyncOperation.Cancel) {
      this.#cancelled(from, request.ticket, answers);
    } else {
      const open: Open = { from, request };
      const expected = request.operation === SyncOperation.Arrive
        ? this.#expectArrival(from, request)
        : undefined;
      this.#open.push(open);
      if ("lock" in request) this.#unlocked(from, request, answers);
      for (const answer of answers) this.#answered(answer);
      // Whether there was no room has been checked with the answer.
      const isRefused = answers.length === 1 && answers[0]!.to === from &&
        answers[0]!.reply.status === SyncStatus.LimitExceeded;
      if (expected !== undefined && !isRefused) checkSame(expected, answers);
    }
    this.#checkState(from, request);
  }

  /** The synchronizer was told how a node ends, and these answers came out. */
  ended(node: NodeId, how: "died" | "leaves" | "left", answers: readonly Answer[]): void {
    this.#stillBeats = 0;
    if (how === "died" && this.#members.get(node)?.works === true) this.#died = node;
    this.#gone.add(node);
    this.#members.delete(node);
    this.#open = this.#open.filter(({ from }) => from !== node);
    const expected: string[] = [];
    // Nodes may end over a party that is gone, and a node that leaves may need them until then.
    for (const [name, { parties, nodes }] of how === "leaves" ? [] : [...this.#rounds]) {
      if (nodes.has(node)) expected.push(...this.#break(name, parties, node));
    }
    const told = answers.filter(({ reply }) => reply.status === SyncStatus.PeerLost);
    if (told.length > 0) this.#coverage.reach(how === "left" ? "peerHasLeft" : "peerLost");
    checkSame(expected, told);
    for (const [name, { holder }] of [...this.#locks]) {
      if (holder !== node) continue;
      this.#locks.delete(name);
      this.#abandoned.add(name);
    }
    for (const answer of answers) this.#answered(answer);
    this.#inherit(node);
    this.#checkState(NOBODY);
  }

  /** The synchronizer was told that the link of a thread has ended, and these answers came out. */
  threadLost(node: NodeId, thread: number, answers: readonly Answer[]): void {
    if (this.#gone.has(node)) {
      if (answers.length > 0) fail(`node ${node} is gone, and its thread's end leads to answers`);
      return this.#checkState(NOBODY);
    }
    this.#stillBeats = 0;
    this.#open = this.#open.filter(({ from, request }) =>
      from !== node || threadOf(request.ticket) !== thread
    );
    for (const [name, { holder, ticket }] of [...this.#locks]) {
      if (holder !== node || threadOf(ticket) !== thread) continue;
      this.#locks.delete(name);
      this.#abandoned.add(name);
    }
    for (const answer of answers) this.#answered(answer);
    this.#checkState(NOBODY);
  }

  /** Whether a thread waits for something, or holds a mutex, by a link of its own. */
  isThreadBusy(node: NodeId, thread: number): boolean {
    const isOf = (ticket: number): boolean => threadOf(ticket) === thread;
    return this.#open.some(({ from, request }) => from === node && isOf(request.ticket)) ||
      [...this.#locks.values()].some(({ holder, ticket }) => holder === node && isOf(ticket));
  }

  /** What a node has made goes to a node that uses it, or is without a maker. */
  #inherit(gone: NodeId): void {
    const exists = this.#objects();
    for (const [object, maker] of [...this.#makers]) {
      if (maker !== gone) continue;
      this.#makers.delete(object);
      if (!exists.has(object)) continue;
      const holder = [...this.#locks].find(([name]) => object === `mutex ${name}`)?.[1].holder;
      const heir = holder ?? this.#open.find(({ request }) => objectOf(request) === object)?.from;
      this.#coverage.reach(heir === undefined ? "orphaned" : "inherited");
      this.#makers.set(object, heir ?? NOBODY);
      const orphans = [...this.#makers].filter(([, of]) => of === NOBODY);
      if (orphans.length <= this.#limits.orphans) continue;
      this.#coverage.reach("orphanDropped");
      this.#drop(orphans[0]![0]);
    }
  }

  /** What was given up for want of room is as good as new. */
  #drop(object: string): void {
    this.#makers.delete(object);
    for (const key of this.#permits.keys()) {
      if (object === `semaphore ${key}`) this.#permits.set(key, 0);
    }
    for (const name of this.#abandoned) {
      if (object === `mutex ${name}`) this.#abandoned.delete(name);
    }
  }

  /** The barriers at which a thread waits. */
  #barriers(): string[] {
    const { Arrive } = SyncOperation;
    const names = this.#open.map(({ request }) => request.operation === Arrive ? request.name : "");
    return [...new Set(names)].filter((name) => name !== "");
  }

  /** The arrivals that wait at a barrier. */
  #arrivals(name: string): (Open & { readonly request: ArriveRequest })[] {
    return this.#open.filter((open): open is Open & { request: ArriveRequest } =>
      open.request.operation === SyncOperation.Arrive && open.request.name === name
    );
  }

  #isEverybodyAt(name: string): boolean {
    const working = [...this.#members].filter(([, { works }]) => works);
    const arrivals = this.#arrivals(name);
    return working.length > 0 &&
      working.every(([node, { threads }]) =>
        arrivals.filter(({ from }) => from === node).length >= threads
      );
  }

  /** A barrier cannot be completed without a node. Returns what those are told that wait. */
  #break(name: string, parties: number, lost: NodeId): string[] {
    const waiting = this.#arrivals(name);
    if (waiting.some(({ request }) => request.count !== parties)) {
      this.#rounds.delete(name);
      return [];
    }
    this.#keep(name, { parties, nodes: new Set(), lost });
    const { PeerLost } = SyncStatus;
    return waiting.map(({ from, request }) => expectation(from, request.ticket, PeerLost, lost));
  }

  #keep(name: string, round: Round): void {
    this.#rounds.delete(name);
    this.#rounds.set(name, round);
  }

  /** Whether a node waits for something, or holds a mutex. */
  isBusy(node: NodeId): boolean {
    return this.#open.some(({ from }) => from === node) ||
      [...this.#locks.values()].some(({ holder }) => holder === node);
  }

  #cancelled(from: NodeId, ticket: number, answers: readonly Answer[]): void {
    const index = this.#open.findIndex((open) =>
      open.from === from && open.request.ticket === ticket
    );
    if (index < 0) {
      this.#coverage.reach("cancelledTooLate");
      return checkSame([], answers);
    }
    this.#coverage.reach("cancelled");
    this.#coverage.answered(this.#open[index]!.request.operation, SyncStatus.Cancelled);
    this.#open.splice(index, 1);
    checkSame([expectation(from, ticket, SyncStatus.Cancelled)], answers);
  }

  /** All answers that an arrival must lead to, where there is room for it. */
  #expectArrival(from: NodeId, request: ArriveRequest): string[] {
    const round = this.#rounds.get(request.name);
    if (round?.lost !== undefined) {
      if (round.parties === request.count) {
        this.#coverage.reach("peerLostBefore");
        return [expectation(from, request.ticket, SyncStatus.PeerLost, round.lost)];
      }
      this.#rounds.delete(request.name);
    }
    const others = this.#arrivals(request.name);
    const parties = others[0]?.request.count ?? request.count;
    if (parties !== request.count) {
      this.#coverage.reach("partiesMismatch");
      const { PartiesMismatch } = SyncStatus;
      return [
        ...others.map((open) =>
          expectation(open.from, open.request.ticket, PartiesMismatch, request.count)
        ),
        expectation(from, request.ticket, PartiesMismatch, parties),
      ];
    }
    if (others.length + 1 === parties) {
      if (parties > 1) this.#coverage.reach("barrierPassed");
      const nodes = new Set([from, ...others.map((open) => open.from)]);
      if (nodes.size > 1) this.#keep(request.name, { parties, nodes });
      else this.#rounds.delete(request.name);
      return [
        ...others.map((open) => expectation(open.from, open.request.ticket, SyncStatus.Done)),
        expectation(from, request.ticket, SyncStatus.Last),
      ];
    }
    return [];
  }

  #unlocked(
    from: NodeId,
    { operation, lock: ticket }: UnlockRequest,
    answers: readonly Answer[],
  ): void {
    const held = [...this.#locks].find(([, lock]) =>
      lock.holder === from && lock.ticket === ticket
    );
    const status = answers.at(-1)?.reply.status;
    const expected = held === undefined ? SyncStatus.NotHolder : SyncStatus.Done;
    if (status !== expected) fail(`unlock of ${from}.${ticket} is answered ${status}`);
    if (held === undefined) return this.#coverage.reach("notHolder");
    this.#locks.delete(held[0]);
    if (operation === SyncOperation.Unlock) return;
    this.#coverage.reach("threadEnded");
    this.#abandoned.add(held[0]);
  }

  #answered({ to, reply }: Answer): void {
    if (this.#gone.has(to)) fail(`node ${to} is gone, and is answered`);
    const index = this.#open.findIndex(({ from, request }) =>
      from === to && request.ticket === reply.ticket
    );
    const open = this.#open[index] ?? fail(`${to}.${reply.ticket} is answered, and is not open`);
    if (index < this.#open.length - 1) this.#coverage.reach("handOff");
    this.#open.splice(index, 1);
    this.#coverage.answered(open.request.operation, reply.status);
    if (reply.status === SyncStatus.LimitExceeded) return this.#refused(open);
    const { request } = open;
    switch (request.operation) {
      case SyncOperation.Acquire:
      case SyncOperation.TryAcquire:
        return this.#acquired(request.operation, request.key, reply.status, index);
      case SyncOperation.Release:
        return this.#released(request.key, request.count, reply.status);
      case SyncOperation.MakeSemaphore:
        return this.#wasMade(reply, request.count);
      case SyncOperation.Lock:
      case SyncOperation.TryLock:
        return this.#lockedOrNot(open, request.name, reply.status, index);
      case SyncOperation.Arrive:
      case SyncOperation.Unlock:
      case SyncOperation.Abandon:
        // What these lead to was worked out before.
        return;
      default:
        request satisfies never;
    }
  }

  #refused({ from, request: { operation } }: Open): void {
    this.#coverage.reach("limitExceeded");
    const waits = this.#open.filter((open) => open.from === from).length;
    const crowded = this.#before.waiting >= this.#limits.waiting &&
      waits >= this.#limits.waitingAssured;
    if (!crowded && this.#mayMake(from)) fail(`operation ${operation} is refused, with room`);
  }

  /** Whether a node could make something before this step. */
  #mayMake(node: NodeId): boolean {
    const { objects, objectsOfNode, objectsAssured } = this.#limits;
    const made = [...this.#makers.values()].filter((maker) => maker === node).length;
    return made < objectsAssured || (made < objectsOfNode && this.#makers.size < objects);
  }

  /** Everything that has to be remembered. */
  #objects(): Set<string> {
    const objects = new Set(this.#open.map(({ request }) => objectOf(request)!));
    for (const [key, permits] of this.#permits) if (permits > 0) objects.add(`semaphore ${key}`);
    for (const name of [...this.#locks.keys(), ...this.#abandoned]) objects.add(`mutex ${name}`);
    return objects;
  }

  /** Works out which node has made each object that is remembered, after a step of a node. */
  #account(from: NodeId, request: SyncRequest | undefined): void {
    const objects = this.#objects();
    for (const object of objects) {
      const maker = this.#makers.get(object);
      const isUsed = request !== undefined && objectOf(request) === object;
      if (maker === undefined && !this.#mayMake(from)) fail(`${from} makes more than it may`);
      if (maker === NOBODY && isUsed) {
        this.#coverage.reach("adopted");
        this.#makers.delete(object);
      }
      if (!this.#makers.has(object)) this.#makers.set(object, from);
    }
    for (const object of this.#makers.keys()) if (!objects.has(object)) this.#makers.delete(object);
    for (const node of this.#members.keys()) {
      const made = [...this.#makers.values()].filter((maker) => maker === node).length;
      const counted = this.#synchronizer.madeBy(node);
      if (made !== counted) fail(`${counted} are counted as made by ${node}, not ${made}`);
    }
  }

  #acquired(operation: SyncOperation, key: bigint, status: SyncStatus, index: number): void {
    const permits = this.#permits.get(key) ?? 0;
    if (status === SyncStatus.Unavailable && operation === SyncOperation.TryAcquire) {
      this.#coverage.reach("unavailable");
      if (permits > 0) fail(`semaphore ${key} has ${permits} permits, and a try finds none`);
      return;
    }
    if (status !== SyncStatus.Done) fail(`acquire of ${key} is answered ${status}`);
    this.#checkOrder(SyncOperation.Acquire, key, index);
    // The request that waited is answered before the one that released: then the permit is
    // accounted for after it.
    this.#permits.set(key, permits - 1);
  }

  #released(key: bigint, count: number, status: SyncStatus): void {
    const permits = this.#permits.get(key) ?? 0;
    const isTooMany = permits + count > SEMAPHORE_COUNT_MAX;
    if (status !== (isTooMany ? SyncStatus.Overflow : SyncStatus.Done)) {
      fail(`release of ${count} at ${permits} permits of ${key} is answered ${status}`);
    }
    if (isTooMany) this.#coverage.reach("overflow");
    else this.#permits.set(key, permits + count);
  }

  #wasMade({ key, status }: SyncReply, count: number): void {
    if (status !== SyncStatus.Made) fail(`the making of a semaphore is answered ${status}`);
    if (this.#made.has(key) || (this.#permits.get(key) ?? 0) > 0) fail(`key ${key} is not new`);
    this.#coverage.reach("made");
    this.#made.add(key);
    this.#permits.set(key, count);
  }

  #lockedOrNot(open: Open, name: string, status: SyncStatus, index: number): void {
    const lock = this.#locks.get(name);
    const { from, request: { operation, ticket } } = open;
    if (status === SyncStatus.Unavailable && operation === SyncOperation.TryLock) {
      this.#coverage.reach("unavailable");
      if (lock === undefined) fail(`mutex ${name} is free, and a try finds it is not`);
      return;
    }
    if (lock !== undefined) {
      fail(
        `mutex ${name} is locked by ${from}.${ticket}, and ${lock.holder}.${lock.ticket} has it`,
      );
    }
    const wasAbandoned = this.#abandoned.delete(name);
    if (wasAbandoned) this.#coverage.reach("abandoned");
    if (status !== (wasAbandoned ? SyncStatus.Abandoned : SyncStatus.Done)) {
      fail(`lock of ${name} is answered ${status}, abandoned: ${wasAbandoned}`);
    }
    this.#checkOrder(SyncOperation.Lock, name, index);
    this.#locks.set(name, { holder: from, ticket });
  }

  /** No request that came before may wait on. */
  #checkOrder(operation: SyncOperation, place: bigint | string, index: number): void {
    const earlier = this.#open.slice(0, index).find(({ request }) =>
      request.operation === operation && placeOf(request) === place
    );
    if (earlier === undefined) return;
    fail(`${earlier.from}.${earlier.request.ticket} came first, and still waits for ${place}`);
  }

  /** What must hold between any two steps. */
  #checkState(from: NodeId, request?: SyncRequest): void {
    this.#account(from, request);
    const waitedAt = this.#barriers();
    for (const name of this.#doubted) if (!waitedAt.includes(name)) this.#doubted.delete(name);
    for (const [key, permits] of this.#permits) {
      const counted = this.#synchronizer.permits(key);
      if (counted !== permits) fail(`semaphore ${key} counts ${counted} permits of ${permits}`);
      if (permits === 0) this.#permits.delete(key);
    }
    for (const { from, request } of this.#open) {
      const { operation, ticket } = request;
      const place = placeOf(request);
      const inVain = operation === SyncOperation.Acquire
        ? this.#permits.has(place as bigint)
        : operation === SyncOperation.Lock
        ? !this.#locks.has(place as string)
        : operation !== SyncOperation.Arrive;
      if (inVain) fail(`${from}.${ticket} waits for ${place}, and need not`);
    }
    this.#before = this.#synchronizer.usage;
    const { waiting, held, orphans } = this.#before;
    const unmade = [...this.#makers.values()].filter((maker) => maker === NOBODY).length;
    if (orphans !== unmade) fail(`${orphans} have no maker any more, not ${unmade}`);
    if (waiting !== this.#open.length) fail(`${waiting} wait, not ${this.#open.length}`);
    if (held !== this.#locks.size) fail(`${held} mutexes are held, not ${this.#locks.size}`);
  }
}

/** The semaphore, barrier or mutex that a request is about. */
function placeOf(request: SyncRequest): bigint | string | undefined {
  return "key" in request ? request.key : "name" in request ? request.name : undefined;
}

/**
 * The semaphore, barrier or mutex that a request is about, and that is remembered while it waits.
 */
function objectOf(request: SyncRequest): string | undefined {
  if ("key" in request) return `semaphore ${request.key}`;
  if (!("name" in request)) return undefined;
  return `${request.operation === SyncOperation.Arrive ? "barrier" : "mutex"} ${request.name}`;
}

function expectation(to: NodeId, ticket: number, status: SyncStatus, count = 0): string {
  return `${to}.${ticket} status ${status} count ${count}`;
}

function checkSame(expected: readonly string[], answers: readonly Answer[]): void {
  const actual = answers.map(({ to, reply }) =>
    expectation(to, reply.ticket, reply.status, reply.count)
  );
  if (actual.join() !== expected.join()) fail(`answered [${actual}], not [${expected}]`);
}

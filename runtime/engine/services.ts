/**
 * Semaphores, barriers, mutexes, waits for words and allocations: this node's requests to the
 * directory node, and, where this is that node, what answers them.
 */

import { TdsmError } from "../errors.ts";
import { ALLOCATIONS_TOLD_MAX } from "../limits.ts";
import type { EngineWatch } from "../observe/engine_watch.ts";
import { Allocator, type NamedAllocation } from "../protocol/allocation/allocator.ts";
import {
  type AllocationRequest,
  type AllocatorInput,
  type AllocatorOutput,
  ELEMENT_BYTES,
} from "../protocol/allocation/messages.ts";
import { AllocatorServer } from "../protocol/allocation/server.ts";
import type { Coherence } from "../protocol/coherence/coherence.ts";
import type { Directory } from "../protocol/coherence/directory.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import { BarrierGatherer } from "../protocol/sync/barrier_gatherer.ts";
import { LentWords, WordMark } from "../protocol/sync/lent_words.ts";
import {
  type BarrierTreeMessage,
  type GatherMessage,
  NODE_TICKET_MAX,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
  threadOf,
  type UnlockRequest,
} from "../protocol/sync/messages.ts";
import type { PlaceView, StuckWaits } from "../protocol/sync/desk.ts";
import { Synchronizer } from "../protocol/sync/synchronizer.ts";
import { Answer, type ThreadCall, valueFields, valueOf } from "../ring/calls.ts";
import type { WordMarks } from "../ring/word_marks.ts";
import type { RecordBody } from "../ring/ring.ts";
import { type AnsweredRequest, syncAnswerFields, syncRequest } from "../ring/sync_records.ts";
import { KnownNames } from "./known_names.ts";
import { describeRefusal, type SyncLog } from "./log.ts";
import type { NamedRun } from "./page_moves.ts";

/** A message about what nodes synchronise by, or allocate. */
export type ServiceMessage = SyncMessage | BarrierTreeMessage | AllocatorInput | AllocatorOutput;

/** What the services need of their node. */
export interface ServicesOptions {
  readonly self: NodeId;
  /** Whether this node has work of its own, and does not only serve. */
  readonly works: boolean;
  /** The region's size, in bytes. */
  readonly size: number;
  /** The page size, in bytes. */
  readonly pageSize: number;
  /** Sends to another node. */
  send(to: NodeId, message: ServiceMessage): void;
  /** Answers a thread of another node by the link that the thread has for itself. */
  sendToThread?(to: NodeId, thread: number, reply: SyncReply): void;
  /** Called when a node breaks the protocol. */
  violation(node: NodeId, reason: string): void;
  /** At the directory node: waits that nobody may be left to end. */
  stuck?(waits: StuckWaits): void;
  /** Something that a thread gave back was refused, and the thread has ended or detached. */
  refused?(reason: string): void;
  /** Called before a thread is told that a party of its barrier is gone. */
  partyLost?(): void;
  /** At the directory node: what becomes of pages that are freed. */
  readonly pages?: Pick<Directory, "free" | "reuse" | "isClearing"> | undefined;
  /** At the directory node: which nodes are homes of pages; left out where it is that of all. */
  readonly homes?: ServiceHomes | undefined;
  /** Where threads of this node see which words are quiet or lent; left out where none looks. */
  readonly wordMarks?: WordMarks;
  /** The largest ticket, behind which tickets begin anew; 2^31 - 1 by default. */
  readonly ticketMax?: number;
  /** Logs each request, and how it ended. */
  readonly log?: SyncLog;
  /** What is told now of each request, and of its answer. */
  watch?(): Pick<EngineWatch, "asked" | "answered" | "deskAsked" | "deskAnswered"> | undefined;
}

/** The homes of pages, as far as the services have to do with them. */
export interface ServiceHomes
  extends Pick<Coherence, "hindrance" | "assignHomes" | "stays" | "homes"> {
  /** The pages of a chunk, which have one home. */
  readonly chunkPages: number;
}

/** An allocation that waits for its answer. */
interface Asked {
  resolve(answer: AllocatorOutput): void;
  reject(error: TdsmError): void;
}

/** A request that waits for its answer. */
interface AskedSync {
  /** The thread's call; `undefined` where the thread is gone, or the engine itself has asked. */
  call: ThreadCall | undefined;
  readonly request: AnsweredRequest;
  /** Whether its thread is gone. */
  isThreadGone?: boolean;
  /** Whether it was given up. */
  isGivenUp?: boolean;
}

/** Cells that a thread was given, and has not taken yet. */
interface Untaken {
  readonly slot: number;
  readonly bytes: number;
  /** Whether other threads wait until they are zero, for they have a name. */
  readonly isNamed: boolean;
}

/** One node's part in the services of the directory node. */
export class Services {
  readonly #options: ServicesOptions;
  /** Only at the directory node. */
  readonly #synchronizer: Synchronizer | undefined;
  readonly #allocator: AllocatorServer | undefined;
  /** Not at the directory node, whose arrivals wait at the roots of the trees. */
  readonly #gatherer: BarrierGatherer | undefined;
  /** The words that this node serves; none at the directory node. */
  readonly #lentWords: LentWords;
  /** What has a name: at the directory node all that does, elsewhere what is known here. */
  readonly #names: () => Generator<NamedAllocation>;
  readonly #known = new KnownNames();
  /** At the directory node: those that may allocate. A leaving node could not zero the cells. */
  readonly #members = new Set<NodeId>();
  /** The threads' requests that wait, by ticket. */
  readonly #calls = new Map<number, AskedSync>();
  /** How many of them are arrivals at barriers. */
  #arrivals = 0;
  /**
   * The slots of the threads that hold locks, by the locks' tickets: they name a lock until it is
   * unlocked.
   */
  readonly #locks = new Map<number, number>();
  /** The cells that threads of this node have not taken yet, by offset. */
  readonly #untaken = new Map<number, Untaken>();
  readonly #asked = new Map<number, Asked>();
  #lastTicket = 0;

  /** @param options The node. */
  constructor(options: ServicesOptions) {
    this.#options = options;
    this.#names = () => this.#known[Symbol.iterator]();
    const violation = (node: NodeId, reason: string): void => options.violation(node, reason);
    this.#lentWords = new LentWords(options.self, {
      reply: (reply) => this.#replied(reply),
      tell: (request) => {
        options.log?.asked(request);
        this.#tellDesk(request);
      },
      show: (key, marks) => options.wordMarks?.show(key, marks),
    });
    if (options.self !== DIRECTORY_NODE) {
      this.#gatherer = new BarrierGatherer({
        ask: (request) => options.send(DIRECTORY_NODE, request),
        send: (to, message) => options.send(to, message),
        answer: (reply) => this.#replied(reply),
        violation,
      }, () => this.#arrivals);
      return;
    }
    const { size, pageSize } = options;
    this.#synchronizer = new Synchronizer({
      reply: (to, reply) => this.#reply(to, reply),
      tell: (to, message) => options.send(to, message),
      violation,
      stuck: (waits) => options.stuck?.(waits),
    });
    this.peerJoined(options.self, options.works);
    const { pages, homes } = options;
    const runOf = (offset: number, bytes: number): PageRun => this.#runOf(offset, bytes);
    const clear = (offset: number, bytes: number): void => pages?.free(runOf(offset, bytes));
    const allocator = new Allocator({
      size,
      pageSize,
      reservedBytes: 0,
      ...(homes && {
        homes: {
          chunkBytes: homes.chunkPages * pageSize,
          hindrance: (offset, bytes, home) => {
            const page = homes.hindrance(runOf(offset, bytes), home);
            return page === undefined ? undefined : page * pageSize;
          },
          assign: (offset, bytes, home) => homes.assignHomes(runOf(offset, bytes), home),
        },
      }),
      ...(pages === undefined ? {} : { clear }),
    });
    this.#names = () => allocator.named();
    const send = (to: NodeId, message: AllocatorOutput): void => this.#answer(to, message);
    const memory = pages === undefined ? undefined : {
      isClearing: (offset: number, bytes: number) => pages.isClearing(runOf(offset, bytes)),
      reuse: (offset: number, bytes: number, node: NodeId) =>
        pages.reuse(runOf(offset, bytes), node),
    };
    this.#allocator = new AllocatorServer(allocator, { send, violation }, memory, {
      stays: (node) => homes === undefined ? this.#members.has(node) : homes.stays(node),
      of: (page) => homes === undefined ? DIRECTORY_NODE : homes.homes.given(page),
    });
  }

  /** At the directory node: a node has joined; `works` says whether it has work of its own. */
  peerJoined(node: NodeId, works: boolean): void {
    this.#members.add(node);
    this.#synchronizer?.peerJoined(node, works);
  }

  /** At the directory node: a node has died. */
  peerLost(node: NodeId): void {
    this.#synchronizer?.peerLost(node);
    this.#forget(node);
  }

  /** At the directory node: a node leaves, and asks for nothing from here on. */
  peerLeft(node: NodeId): void {
    this.#synchronizer?.peerLeft(node);
    this.#forget(node);
  }

  /** A node has left, or is known to be dead. */
  peerGone(node: NodeId): void {
    this.#synchronizer?.peerGone(node);
    this.#gatherer?.peerGone(node);
  }

  /** At the directory node: some pages were cleared. */
  cleared(): void {
    this.#allocator?.cleared();
  }

  #forget(node: NodeId): void {
    this.#members.delete(node);
    this.#allocator?.peerLost(node);
  }

  /** The pages of the allocations that have a name, as far as this node knows, the oldest first. */
  get named(): NamedRun[] {
    return this.#names().take(ALLOCATIONS_TOLD_MAX)
      .map(({ name, offset, bytes }) => ({ name, ...this.#runOf(offset, bytes) })).toArray();
  }

  /** The pages of some bytes of the region. */
  #runOf(offset: number, bytes: number): PageRun {
    const { pageSize } = this.#options;
    const first = Math.floor(offset / pageSize);
    return { first, count: Math.ceil((offset + bytes) / pageSize) - first };
  }

  /** At the directory node: where requests wait, and which locks are held. */
  get places(): PlaceView[] {
    return this.#synchronizer?.places ?? [];
  }

  /** At the directory node: takes note of how many threads of a node can ask. */
  setThreads(node: NodeId, threads: number): void {
    this.#synchronizer?.setThreads(node, threads);
  }

  /** A second has passed. */
  beat(): void {
    this.#synchronizer?.beat();
    this.#gatherer?.beat();
  }

  /**
   * A message about a semaphore, a barrier, a mutex or a word.
   *
   * @param from The node.
   * @param message The message.
   * @param thread The thread whose own link has brought it; 0 where that is the node's.
   */
  sync(from: NodeId, message: SyncRequest | SyncReply, thread = 0): void {
    if (message.kind === "sync") {
      if (threadOf(message.ticket) !== thread) {
        const reason = `ticket ${message.ticket} on a link that it does not belong to`;
        return this.#options.violation(from, reason);
      }
      if (this.#synchronizer !== undefined) return this.#atDesk(from, message);
    } else if (from === DIRECTORY_NODE) return this.#deskReplied(message);
    this.#options.violation(from, `${message.kind} from a node that may not send it`);
  }

  /** A message about a tree that gathers a barrier. */
  gather(from: NodeId, message: BarrierTreeMessage | GatherMessage): void {
    if (message.kind === "gather") {
      if (this.#synchronizer !== undefined) return this.#synchronizer.gather(from, message);
      return this.#gatherer!.receive(from, message);
    }
    if (this.#gatherer !== undefined) return this.#gatherer.plan(from, message);
    this.#options.violation(from, `${message.kind} from a node that may not send it`);
  }

  /** At the directory node: the link that a thread of a node has for itself has ended. */
  threadEnded(node: NodeId, thread: number): void {
    this.#synchronizer?.threadGone(node, thread);
  }

  /** A thread has been answered by its own link with what others are to know. */
  told(what: string, reply: Pick<SyncReply, "status" | "count">): void {
    this.#options.log?.told(what, reply);
    if (reply.status === SyncStatus.PeerLost) this.#options.partyLost?.();
  }

  /** A message about allocations. */
  allocation(from: NodeId, message: AllocatorInput | AllocatorOutput): void {
    switch (message.kind) {
      case "allocate":
      case "zeroed":
      case "free":
      case "findHome":
        if (this.#allocator === undefined) break;
        // A request of a node that leaves is dropped, as the synchronizer does.
        return this.#members.has(from) ? this.#allocator.receive(from, message) : undefined;
      default:
        if (from === DIRECTORY_NODE) return this.#answered(message);
    }
    this.#options.violation(from, `${message.kind} from a node that may not send it`);
  }

  /** A thread's request about a semaphore, a barrier, a mutex or a word. */
  request(call: ThreadCall): void {
    this.#request(syncRequest(call.record, this.#newTicket()), call);
  }

  #request(request: AnsweredRequest, call?: ThreadCall): void {
    this.#calls.set(request.ticket, { call, request });
    if (request.operation === SyncOperation.Arrive) this.#arrivals++;
    if ("lock" in request) this.#locks.delete(request.lock);
    this.#ask(request);
  }

  /**
   * A thread is gone: gives up what it waits for, and gives back what it holds and what it was
   * granted too late.
   *
   * @param slot Its slot.
   * @param unread What was granted to it, or refused, and it has not read.
   */
  threadGone(slot: number, unread: readonly RecordBody[]): void {
    for (const asked of [...this.#calls.values()]) {
      if (asked.call?.slot !== slot) continue;
      asked.call = undefined;
      asked.isThreadGone = true;
      const { operation } = asked.request;
      // Any other is answered at once.
      const waits = operation === SyncOperation.Acquire || operation === SyncOperation.Arrive ||
        operation === SyncOperation.Lock || operation === SyncOperation.FutexWait;
      if (waits) this.#giveUp(asked);
    }
    for (const body of unread) {
      const { kind, code, id, key } = body;
      if (kind === Answer.Refused) this.#options.refused?.(valueOf(body) as string);
      else if (!this.#locks.has(id)) this.giveBackPermit(key);
      else if (code === SyncStatus.Done) this.#giveBackLock(id, SyncOperation.Unlock);
    }
    for (const [lock, holder] of [...this.#locks]) {
      if (holder === slot) this.#giveBackLock(lock, SyncOperation.Abandon);
    }
    for (const [offset, { slot: taker, bytes }] of [...this.#untaken]) {
      if (taker === slot) this.#giveBackCells(offset, bytes);
    }
  }

  #giveBackCells(offset: number, bytes: number): void {
    this.free(offset, bytes).catch(() => {
      // Freed already, or the node can ask for nothing any more.
    });
  }

  /** Gives back a permit that was granted to a thread which has not seen that. */
  giveBackPermit(key: bigint): void {
    const { Release: operation } = SyncOperation;
    this.#request({ kind: "sync", operation, ticket: this.#newTicket(), key, count: 1 });
  }

  #giveBackLock(lock: number, operation: UnlockRequest["operation"]): void {
    this.#request({ kind: "sync", operation, ticket: this.#newTicket(), lock });
  }

  /** A thread has looked at the word for which it waits, and goes on to wait. */
  stay(slot: number, ticket: number): void {
    const asked = this.#calls.get(ticket);
    if (asked?.call?.slot !== slot || asked.request.operation !== SyncOperation.FutexWait) return;
    this.#ask({ kind: "sync", operation: SyncOperation.FutexStay, ticket });
  }

  /** Gives up a thread's request; the request is answered all the same. */
  cancel(slot: number, id: number): void {
    for (const asked of this.#calls.values()) {
      const { call } = asked;
      if (call?.slot === slot && call.record.call === id) return this.#giveUp(asked);
    }
  }

  #giveUp(asked: AskedSync): void {
    asked.isGivenUp = true;
    const { ticket } = asked.request;
    this.#ask({ kind: "sync", operation: SyncOperation.Cancel, ticket });
  }

  /** Allocates. */
  async allocate(request: AllocationRequest & { packed: boolean }): Promise<{
    offset: number;
    dirtyBytes: number;
    reused?: { first: number; count: number }[];
    created: boolean;
  }> {
    const answer = await this.#allocation((ticket) => ({ ...request, kind: "allocate", ticket }));
    if (answer.kind !== "allocated") throw unexpected(answer, "allocate");
    const { offset, dirtyBytes, reused, created } = answer;
    const { name, type, length } = request;
    if (name !== undefined) {
      this.#known.learn({ name, offset, bytes: length * ELEMENT_BYTES[type] });
    }
    return {
      offset,
      dirtyBytes,
      ...(reused && { reused: reused.map((run) => ({ ...run })) }),
      created,
    };
  }

  /** The same for a thread's call. Cells that the thread does not live to take are freed. */
  async allocateFor(call: ThreadCall): Promise<void> {
    try {
      const request = valueOf(call.record) as unknown as Parameters<Services["allocate"]>[0];
      const cells = await this.allocate(request);
      const { offset, dirtyBytes } = cells;
      const bytes = request.length * ELEMENT_BYTES[request.type];
      const isNamed = request.name !== undefined;
      // Cells that have a name, and nothing left to zero, are for every thread of every node.
      if (!isNamed || dirtyBytes > 0) {
        if (call.isGone) return this.#giveBackCells(offset, bytes);
        this.#untaken.set(offset, { slot: call.slot, bytes, isNamed });
      }
      call.respond(valueFields(cells));
    } catch (error) {
      call.reject(error);
    }
  }

  /** A thread has taken cells, zeroed where needed: if they have a name, others may have them. */
  taken(offset: number): void {
    const { isNamed = false } = this.#untaken.get(offset) ?? {};
    this.#untaken.delete(offset);
    if (isNamed) this.zeroed(offset);
  }

  /** Tells the directory node that a named allocation is zeroed now. */
  zeroed(offset: number): void {
    this.#tellAllocator({ kind: "zeroed", offset });
  }

  /** Frees. */
  async free(offset: number, bytes: number): Promise<void> {
    this.#untaken.delete(offset);
    const answer = await this.#allocation((ticket) => ({ kind: "free", ticket, offset, bytes }));
    if (answer.kind !== "freed") throw unexpected(answer, "free");
    this.#known.forget(offset);
  }

  /** Finds the home of a page; 0 where it has none yet. */
  async homeOf(page: number): Promise<NodeId | 0> {
    const answer = await this.#allocation((ticket) => ({ kind: "findHome", ticket, page }));
    if (answer.kind !== "homeFound") throw unexpected(answer, "find a home");
    return answer.node;
  }

  /** Ends every request: none will be answered. */
  fail(error: TdsmError): void {
    for (const { call } of this.#calls.values()) call?.reject(error);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#calls.clear();
    this.#arrivals = 0;
    this.#asked.clear();
    this.#untaken.clear();
    this.#options.log?.end();
  }

  #newTicket(): number {
    const { ticketMax = NODE_TICKET_MAX } = this.#options;
    let ticket = this.#lastTicket;
    do ticket = ticket === ticketMax ? 1 : ticket + 1; while (
      this.#calls.has(ticket) || this.#locks.has(ticket) || this.#asked.has(ticket)
    );
    return this.#lastTicket = ticket;
  }

  #ask(message: SyncRequest): void {
    this.#options.log?.asked(message);
    this.#options.watch?.()?.asked(message);
    if (!this.#lentWords.request(message)) this.#tellDesk(message);
  }

  #tellDesk(message: SyncRequest): void {
    if (this.#synchronizer !== undefined) return this.#atDesk(DIRECTORY_NODE, message);
    const { Arrive, Cancel } = SyncOperation;
    if (message.operation === Arrive && this.#gatherer!.arrive(message)) return;
    if (message.operation === Cancel && this.#gatherer!.cancel(message.ticket)) return;
    this.#options.send(DIRECTORY_NODE, message);
  }

  /** At the directory node: a thread of any node asks. */
  #atDesk(from: NodeId, request: SyncRequest): void {
    this.#options.watch?.()?.deskAsked(from, request);
    this.#synchronizer!.request(from, request);
  }

  #reply(to: NodeId, reply: SyncReply): void {
    const thread = threadOf(reply.ticket);
    this.#options.watch?.()?.deskAnswered(to, reply);
    if (to === this.#options.self) this.#deskReplied(reply);
    else if (thread === 0) this.#options.send(to, reply);
    else this.#options.sendToThread?.(to, thread, reply);
  }

  /** The directory node answers. */
  #deskReplied(reply: SyncReply): void {
    const { status, key } = reply;
    switch (status) {
      case SyncStatus.Stirred:
        return this.#lentWords.stirred(key);
      case SyncStatus.Lent:
      case SyncStatus.Moved:
        return this.#served(reply);
      case SyncStatus.Quiet:
        this.#options.wordMarks?.show(key, WordMark.Quiet);
    }
    this.#replied(reply);
  }

  /** A request about a word is to be served here. */
  #served({ ticket, status, key }: SyncReply): void {
    if (ticket === 0 && status === SyncStatus.Lent) return void this.#lentWords.lend(key);
    const { isGivenUp = false, request } = this.#calls.get(ticket) ?? {};
    const isWait = request?.operation === SyncOperation.FutexWait;
    const isLent = status === SyncStatus.Lent;
    const isNotify = request?.operation === SyncOperation.FutexNotify;
    if (!(isWait || isNotify && isLent) || request.key !== key) {
      const reason = `word ${key} with request ${ticket}, which is not about it`;
      return this.#options.violation(DIRECTORY_NODE, reason);
    }
    if (isLent) this.#lentWords.lend(key, request);
    else if (isWait) this.#lentWords.adopt(request);
    if (!isGivenUp) return;
    // The directory node has dropped the cancel, or will; where it is asked anew, it is told anew.
    const cancel = { kind: "sync", operation: SyncOperation.Cancel, ticket } as const;
    if (!this.#lentWords.request(cancel)) this.#tellDesk(cancel);
  }

  #replied(reply: SyncReply): void {
    const asked = this.#calls.get(reply.ticket);
    if (asked === undefined) {
      const reason = `an answer to request ${reply.ticket}, which was not made`;
      return this.#options.violation(DIRECTORY_NODE, reason);
    }
    this.#options.log?.answered(reply);
    this.#options.watch?.()?.answered(reply);
    if (reply.status === SyncStatus.Registered) {
      return asked.call?.progress(syncAnswerFields(reply));
    }
    this.#calls.delete(reply.ticket);
    if (asked.request.operation === SyncOperation.Arrive) this.#arrivals--;
    if (reply.status === SyncStatus.PeerLost) this.#options.partyLost?.();
    const { call, request } = asked;
    const { status, ticket } = reply;
    const { Done, Abandoned, Cancelled } = SyncStatus;
    const granted = status === Done || status === Abandoned;
    switch (request.operation) {
      case SyncOperation.Lock:
      case SyncOperation.TryLock:
        if (!granted) break;
        if (call === undefined) {
          // No thread has seen what the mutex protects since; what was half done still is.
          const { Unlock, Abandon } = SyncOperation;
          return this.#giveBackLock(ticket, status === Done ? Unlock : Abandon);
        }
        this.#locks.set(ticket, call.slot);
        return call.grant(syncAnswerFields(reply));
      case SyncOperation.Acquire:
      case SyncOperation.TryAcquire:
        if (!granted) break;
        if (call === undefined) return this.giveBackPermit(request.key);
        return call.grant({ ...syncAnswerFields(reply), key: request.key });
      case SyncOperation.Release:
      case SyncOperation.Unlock:
      case SyncOperation.Abandon:
        // A thread that releases or unlocks does not wait for the answer, and need not be woken for
        // success.
        if (status === Done) return call?.respond(syncAnswerFields(reply), true);
        return this.#refused(asked, reply);
    }
    if (status === Cancelled) call?.cancelled();
    else call?.respond(syncAnswerFields(reply));
  }

  /** Something was not given back: its thread is told or, where the thread is gone, the user. */
  #refused({ call, request, isThreadGone = false }: AskedSync, reply: SyncReply): void {
    const reason = describeRefusal(request, reply);
    if (call === undefined ? isThreadGone : call.isGone) return this.#options.refused?.(reason);
    call?.grant({ ...syncAnswerFields(reply), ...valueFields(reason) }, Answer.Refused);
  }

  #allocation(make: (ticket: number) => AllocatorInput): Promise<AllocatorOutput> {
    const ticket = this.#newTicket();
    const { promise, resolve, reject } = Promise.withResolvers<AllocatorOutput>();
    const message = make(ticket);
    this.#asked.set(ticket, { resolve, reject });
    try {
      this.#tellAllocator(message);
    } catch (error) {
      this.#asked.delete(ticket);
      throw error;
    }
    return promise;
  }

  #tellAllocator(message: AllocatorInput): void {
    if (this.#allocator !== undefined) this.#allocator.receive(DIRECTORY_NODE, message);
    else this.#options.send(DIRECTORY_NODE, message);
  }

  #answer(to: NodeId, message: AllocatorOutput): void {
    if (to === this.#options.self) this.#answered(message);
    else this.#options.send(to, message);
  }

  #answered(message: AllocatorOutput): void {
    const asked = this.#asked.get(message.ticket);
    this.#asked.delete(message.ticket);
    asked?.resolve(message);
  }
}

/** The error for an answer of the allocator that is no success. */
function unexpected(answer: AllocatorOutput, operation: string): TdsmError {
  if (answer.kind !== "allocationFailed") {
    const message = `Cannot ${operation}: unexpected ${answer.kind} of the allocator`;
    return new TdsmError("EngineFailed", message, { operation });
  }
  const codes = ["OutOfMemory", "NameConflict", "NotAllocated", "LimitExceeded"] as const;
  const code = codes.find((known) => known === answer.code) ?? "InvalidOption";
  return new TdsmError(code, answer.reason, { operation });
}

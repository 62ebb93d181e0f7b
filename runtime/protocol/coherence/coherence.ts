/**
 * The coherence protocol of one node, as a pure state machine: each step takes an input and returns
 * the actions to carry out. No I/O, no clock, no randomness. The simulator, the exhaustive checker
 * and the real driver run this same class.
 */

import { type CacheCounters, PageCache } from "./cache.ts";
import { ChunkHomes, type Placement } from "./chunk_homes.ts";
import { Directory } from "./directory.ts";
import {
  CLEAR_REQUEST,
  DIRECTORY_NODE,
  type GrantMessage,
  type Message,
  type NodeId,
} from "./messages.ts";
import { Outbox, type Output } from "./output.ts";
import type { Access, PageRun, PageState } from "./page.ts";

/** An input of {@linkcode Coherence.step}. */
export type Input =
  /** A thread of this node faulted. */
  | { readonly kind: "fault"; readonly page: number; readonly access: Access }
  /** Pages are wanted before a thread faults on them. */
  | {
    readonly kind: "fetch";
    readonly first: number;
    readonly count: number;
    readonly access: Access;
  }
  /** A message arrived; the bytes of a grant are in the alias. Each sender's come in order. */
  | { readonly kind: "message"; readonly from: NodeId; readonly message: Message }
  /** At the directory node: a node has joined. */
  | { readonly kind: "peerJoined"; readonly node: NodeId }
  /** At the directory node: the connection to a node has ended. */
  | { readonly kind: "peerLost"; readonly node: NodeId }
  /** At the directory node: a node has told how many pages of others it has room for. */
  | { readonly kind: "room"; readonly node: NodeId; readonly pages: number }
  /** There is nothing else to do: bytes that nobody needs are given back, some at a time. */
  | { readonly kind: "idle" }
  /** This node wants to leave: its threads touch no page any more. The directory node goes last. */
  | { readonly kind: "leave" }
  /** Every thread of this node that waited for this page has run since it was installed. */
  | { readonly kind: "resumed"; readonly page: number }
  /** The deadline has passed. */
  | { readonly kind: "tick" }
  /** There is work that was put off; see {@linkcode Coherence.hasWork}. */
  | { readonly kind: "work" };

/** What {@linkcode Coherence} must know about its node and region. */
export interface CoherenceOptions {
  /** This node; {@linkcode DIRECTORY_NODE} is the directory node. */
  readonly self: NodeId;
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one request asks for, and one grant carries. */
  readonly runPages: number;
  /** How pages get their homes; the directory node is the home of all by default. */
  readonly placement?: Placement;
  /** The pages that have one home, a power of two; 128 by default. */
  readonly chunkPages?: number;
  /**
   * The longest that a page which a thread waited for is kept before the thread has run, in
   * microseconds.
   */
  readonly holdTimeUs: number;
  /**
   * Whether a page that nodes read and write in turn is granted for writing to the node that reads
   * it; only the home looks at this. Off by default.
   */
  readonly migration?: boolean;
  /**
   * The most pages of which this node keeps bytes, at least 1: copies, pages that are to come, and
   * dead ones whose bytes were not given back yet. No limit by default.
   */
  readonly memoryPages?: number;
  /** How many pages one `work` looks at; `WORK_PAGES` of the limits by default. */
  readonly workPages?: number;
  /** Whether the next run of a walk is requested before the walk reaches it; off by default. */
  readonly readAhead?: boolean;
  /** The shortest run behind which the next run is requested ahead, in pages; 8 by default. */
  readonly readAheadMinPages?: number;
}

/** The classes that {@linkcode Coherence} is made of. Tests put faulty ones in. */
export interface CoherenceParts {
  readonly PageCache: typeof PageCache;
  readonly Directory: typeof Directory;
}

/** The protocol of one node. */
export class Coherence {
  readonly cache: PageCache;
  /** Which node is the home of which pages, as far as this node knows. */
  readonly homes: ChunkHomes;
  /** The directory of the pages that this node is the home of; only where it can be that of any. */
  readonly directory: Directory | undefined;
  readonly #self: NodeId;
  readonly #placement: Placement;
  readonly #outbox = new Outbox();

  /**
   * @param options The node and its region.
   * @param parts The classes to use.
   */
  constructor(options: CoherenceOptions, parts: CoherenceParts = { PageCache, Directory }) {
    this.#self = options.self;
    const { self, placement = "directory", chunkPages } = options;
    const homes = this.homes = new ChunkHomes(placement, chunkPages);
    this.#placement = placement;
    this.cache = new parts.PageCache({ ...options, homes }, this.#outbox, (grant, requester) => {
      this.directory?.granted(grant, requester);
    });
    if (self !== DIRECTORY_NODE && placement === "directory") return;
    this.directory = new parts.Directory(options, this.#outbox, this.cache);
    this.directory.peerJoined(self);
  }

  /** When to step with a `tick`, in microseconds of the clock of `now`; `Infinity` for never. */
  get deadline(): number {
    return this.cache.deadline;
  }

  /**
   * Whether work was put off, so that one step does not take long. The driver steps with `work`
   * then, again and again, and takes in between what comes.
   */
  get hasWork(): boolean {
    return this.directory?.hasWork ?? false;
  }

  /**
   * The pages for which a demand waits until threads of this node have run. The driver steps with
   * `resumed` once they have; otherwise the deadline ends the wait.
   */
  get awaitedPages(): readonly number[] {
    return this.cache.awaitedPages;
  }

  /** How many pages of others this node has room for; `Infinity` if unlimited. For heartbeats. */
  get room(): number {
    return this.cache.room;
  }

  /** What this node may do with a page. */
  state(page: number): PageState {
    return this.cache.state(page);
  }

  /** What was counted so far. */
  get counters(): Readonly<CacheCounters> {
    return this.cache.counters;
  }

  /** Whether the bytes that follow a grant may be put into the alias. */
  acceptsData(from: NodeId, grant: GrantMessage): boolean {
    return this.cache.acceptsData(from, grant);
  }

  /**
   * Takes one input.
   *
   * @param input The input.
   * @param now The time, in microseconds of any clock that does not go back.
   * @returns The actions to carry out, in the order that {@linkcode Output} says.
   */
  step(input: Input, now: number): Output {
    const outbox = this.#outbox;
    outbox.operations = [];
    outbox.messages = [];
    outbox.events = [];
    this.cache.begin(now);
    this.#take(input, now);
    this.#deliverLocally(now);
    do {
      this.cache.useRoom(now);
      this.directory?.lookForRoom();
    } while (this.#deliverLocally(now));
    return outbox;
  }

  #take(input: Input, now: number): void {
    switch (input.kind) {
      case "fault":
        return this.cache.fault(input.page, input.access, now);
      case "fetch":
        return this.cache.fetch(input.first, input.count, input.access);
      case "message":
        return this.#receive(input.from, input.message, now);
      case "peerJoined":
        return this.directory?.peerJoined(input.node);
      case "peerLost":
        return this.directory?.peerLost(input.node);
      case "room":
        return this.directory?.room(input.node, input.pages);
      case "idle":
        return this.cache.giveBack();
      case "leave":
        return this.#self === DIRECTORY_NODE ? this.directory!.close() : this.cache.leave();
      case "resumed":
        return this.cache.resumed(input.page, now);
      case "tick":
        return this.cache.tick(now);
      case "work":
        return this.directory?.work();
      default:
        input satisfies never;
    }
  }

  /** Delivers this node's messages to itself, which are never sent; returns if there were any. */
  #deliverLocally(now: number): boolean {
    const outbox = this.#outbox;
    let delivered = false;
    for (let index = 0; index < outbox.messages.length;) {
      const { to, message } = outbox.messages[index]!;
      if (to !== this.#self) index++;
      else {
        if (index === outbox.messages.length - 1) outbox.messages.pop();
        else outbox.messages.splice(index, 1);
        this.#receive(to, message, now);
        delivered = true;
      }
    }
    return delivered;
  }

  #receive(from: NodeId, message: Message, now: number): void {
    switch (message.kind) {
      case "request":
      case "done":
      case "refused":
      case "drop":
      case "offload":
        if (!this.#isHome(message.first)) return this.#violation(from, message);
        return this.#receiveAsHome(this.directory!, from, message);
      case "peerLostSeen":
      case "leave":
        if (this.directory === undefined) return this.#violation(from, message);
        return this.#receiveAsHome(this.directory, from, message);
      case "locate":
        if (this.#self !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.#locate(from, message);
      case "located":
        if (from !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.cache.located(message);
      case "grant":
        this.cache.grant(from, message, now);
        // A final grant has no `done`, so the home must look for the next request here.
        if (from === this.#self) this.directory?.advanceLeaving();
        return;
      case "acknowledge":
        if (message.request === CLEAR_REQUEST && this.directory !== undefined) {
          return this.directory.acknowledge(from, message);
        }
        return this.cache.acknowledge(from, message, now);
      case "forward":
      case "invalidate":
        if (from !== this.homes.of(message.first)) return this.#violation(from, message);
        return this.cache.demand(message, now);
      case "dropped":
      case "keep":
      case "adopt":
        if (from !== this.homes.of(message.first)) return this.#violation(from, message);
        return this.#receiveFromHome(message, now);
      case "peerLost":
        if (from !== DIRECTORY_NODE) return this.#violation(from, message);
        this.cache.peerLost(message.node, now);
        this.#outbox.tell({ kind: "peerGone", node: message.node });
        return this.#outbox.send(from, { kind: "peerLostSeen", node: message.node });
      case "left":
        if (from !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.#outbox.tell({ kind: "left" });
      default:
        message satisfies never;
    }
  }

  #receiveFromHome(
    message: Message & { kind: "dropped" | "keep" | "adopt" },
    now: number,
  ): void {
    switch (message.kind) {
      case "dropped":
        return this.cache.dropped(message);
      case "keep":
        return this.cache.kept(message, now);
      case "adopt":
        return this.cache.adopt(message);
      default:
        message satisfies never;
    }
  }

  #receiveAsHome(
    directory: Directory,
    from: NodeId,
    message:
      & Message
      & {
        kind: "request" | "done" | "refused" | "drop" | "offload" | "peerLostSeen" | "leave";
      },
  ): void {
    switch (message.kind) {
      case "request":
        return directory.request(from, message);
      case "done":
        return directory.done(from, message);
      case "refused":
        return directory.refused(from, message);
      case "drop":
        return directory.drop(from, message);
      case "offload":
        return directory.offload(from, message);
      case "peerLostSeen":
        return directory.peerLostSeen(from, message.node);
      case "leave":
        return directory.leave(from);
      default:
        message satisfies never;
    }
  }

  /**
   * Whether this node is the home of a page. Other nodes have that from the directory node, and may
   * have heard before this one does.
   */
  #isHome(page: number): boolean {
    const home = this.homes.of(page);
    if (home !== 0 || this.#self === DIRECTORY_NODE) return home === this.#self;
    this.homes.set(page, this.#self);
    return true;
  }

  /**
   * At the directory node: tells a node which one is the home of pages. The first to ask may become
   * it.
   */
  #locate(from: NodeId, { first, count }: PageRun): void {
    let node = this.homes.of(first);
    if (node === 0) {
      node = this.#placement === "spread" ? this.directory!.turn(this.homes.chunk(first)) : from;
      this.homes.set(first, node);
    }
    this.#outbox.send(from, { kind: "located", first, count, node });
  }

  #violation(from: NodeId, message: Message): void {
    const reason = `${message.kind} from a node that may not send it`;
    this.#outbox.tell({ kind: "violation", node: from, reason });
  }
}

/**
 * The allocator as the nodes talk to it: answers their messages, and lets the nodes that ask for a
 * name wait while the first of them still zeroes its cells. An answer about memory that is being
 * cleared waits until it is: before that a node may have an old copy, and what is written to one
 * goes with it.
 */

import { REQUESTS_WAITING_MAX } from "../../limits.ts";
import type { Allocation, Allocator } from "./allocator.ts";
import type { AllocateRequest, AllocatorInput, AllocatorOutput } from "./messages.ts";
import { allocationError, describe, ELEMENT_BYTES } from "./messages.ts";
import type { AllocationError } from "./messages.ts";
import { DIRECTORY_NODE, type NodeId } from "../coherence/messages.ts";
import type { PageRun } from "../coherence/page.ts";

/** Where the answers go. */
export interface AllocatorOutbox {
  /** Sends a message to a node, which may be this one. */
  send(to: NodeId, message: AllocatorOutput): void;
  /** A node broke the protocol. */
  violation(node: NodeId, reason: string): void;
}

/** The pages of the region, as far as the allocator's server needs to know them. */
export interface FreedMemory {
  /** Whether any page of a range of bytes is yet to be cleared. */
  isClearing(offset: number, bytes: number): boolean;
  /**
   * A range of bytes is given to a program: what was freed of its pages is to be cleared, but for
   * the pages that are returned.
   *
   * @param offset Where the range begins, in bytes.
   * @param bytes How long the range is.
   * @param node The node that can zero pages itself; 0 for none.
   * @returns The pages that the node must zero.
   */
  reuse(offset: number, bytes: number, node: NodeId): readonly PageRun[];
}

/** Which nodes are homes, and of which pages. */
export interface HomeTable {
  /** Whether a node is there, and stays. */
  stays(node: NodeId): boolean;
  /** The home of a page; 0 where it has none yet. */
  of(page: number): NodeId | 0;
}

/** Where every page has the same home. */
const ONE_HOME: HomeTable = { stays: () => true, of: () => DIRECTORY_NODE };

/** A region of which no page is ever cleared. */
const UNCLEARED: FreedMemory = { isClearing: () => false, reuse: () => [] };

interface Waiting {
  readonly from: NodeId;
  readonly message: AllocateRequest & { readonly name: string };
}

/** An answer that waits until its memory is cleared. */
interface Held {
  readonly to: NodeId;
  readonly message: AllocatorOutput;
  readonly offset: number;
  readonly bytes: number;
}

/** Answers every request once, in order for each name. */
export class AllocatorServer {
  readonly #allocator: Allocator;
  readonly #outbox: AllocatorOutbox;
  /** The requests that wait for a name, the first to ask first. */
  readonly #waiting = new Map<string, Waiting[]>();
  #waitingCount = 0;
  #held: Held[] = [];
  readonly #memory: FreedMemory;
  readonly #homes: HomeTable;

  /**
   * @param allocator What gives out the region.
   * @param outbox Where the answers go.
   * @param memory The pages of the region.
   * @param homes Their homes.
   */
  constructor(
    allocator: Allocator,
    outbox: AllocatorOutbox,
    memory: FreedMemory = UNCLEARED,
    homes: HomeTable = ONE_HOME,
  ) {
    this.#homes = homes;
    this.#allocator = allocator;
    this.#outbox = outbox;
    this.#memory = memory;
  }

  /** The requests that wait; for checks and statistics. */
  get waiting(): number {
    return this.#waitingCount + this.#held.length;
  }

  /** Some pages were cleared: gives the answers that waited only for that. */
  cleared(): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = [];
    for (const answer of held) {
      const { to, message, offset, bytes } = answer;
      if (this.#memory.isClearing(offset, bytes)) this.#held.push(answer);
      else this.#outbox.send(to, message);
    }
  }

  /**
   * Takes a message.
   *
   * @param from The node that sent it, a member of the cluster.
   * @param message The message.
   */
  receive(from: NodeId, message: AllocatorInput): void {
    switch (message.kind) {
      case "allocate":
        return this.#allocate(from, message);
      case "free": {
        const { ticket, offset, bytes } = message;
        const result = this.#allocator.free(from, offset, bytes);
        if (result.kind === "error") return this.#fail(from, ticket, result);
        this.#outbox.send(from, { kind: "freed", ticket });
        // Its node gave it up before it was ready: the next to ask creates it.
        return this.#retry(result.name);
      }
      case "findHome": {
        const { ticket, page } = message;
        return this.#outbox.send(from, { kind: "homeFound", ticket, node: this.#homes.of(page) });
      }
      case "zeroed": {
        const name = this.#allocator.zeroed(from, message.offset);
        if (name !== undefined) return this.#retry(name);
        const reason = `zeroed byte ${message.offset}, which it was not to zero`;
        return this.#outbox.violation(from, reason);
      }
      default:
        message satisfies never;
    }
  }

  /**
   * A node is gone, with a word or without. What it allocated stays.
   *
   * @param node The node.
   */
  peerLost(node: NodeId): void {
    for (const [name, waiting] of this.#waiting) {
      const others = waiting.filter(({ from }) => from !== node);
      this.#waitingCount -= waiting.length - others.length;
      if (others.length > 0) this.#waiting.set(name, others);
      else this.#waiting.delete(name);
    }
    this.#held = this.#held.filter(({ to }) => to !== node);
    for (const name of this.#allocator.nodeLost(node)) this.#retry(name);
  }

  #allocate(from: NodeId, message: AllocateRequest): void {
    const { ticket, name, home } = message;
    // What is there already has its home, whatever has become of that since.
    const isNew = name === undefined || !this.#allocator.hasName(name);
    if (isNew && typeof home === "number" && !this.#homes.stays(home)) {
      const reason = `Cannot allocate ${describe(message)}: node ${home} is not there, or leaves`;
      return this.#fail(from, ticket, allocationError("InvalidRequest", reason));
    }
    const result = this.#allocator.allocate(from, message);
    if (result.kind === "error") return this.#fail(from, ticket, result);
    if (result.kind === "allocated") return this.#allocated(from, message, result);
    // Only what has a name is ever pending.
    this.#wait({ from, message: { ...message, name: name! } });
  }

  #allocated(to: NodeId, request: AllocateRequest, allocation: Allocation): void {
    const { ticket, name, packed } = request;
    const { offset, created } = allocation;
    const bytes = request.length * ELEMENT_BYTES[request.type];
    // Another node may be given a name too, and what shares its pages with others cannot be zeroed
    // by whole pages.
    const zeroer = name === undefined && !packed ? to : 0;
    const reused = this.#memory.reuse(offset, bytes, zeroer);
    const message = { ...allocation, ticket, ...(reused.length > 0 ? { reused } : {}) };
    if (!this.#memory.isClearing(offset, bytes)) return this.#outbox.send(to, message);
    if (this.waiting < REQUESTS_WAITING_MAX) {
      return void this.#held.push({ to, message, offset, bytes });
    }
    if (created) this.#allocator.free(to, offset, bytes);
    this.#failWaiting(to, request, "for memory");
  }

  #failWaiting(to: NodeId, request: AllocateRequest, what: string): void {
    const reason = `Cannot allocate ${describe(request)}: ${REQUESTS_WAITING_MAX} requests wait ` +
      `${what}, which is the limit; try again later`;
    this.#fail(to, request.ticket, allocationError("LimitExceeded", reason));
  }

  #wait(waiting: Waiting): void {
    const { from, message } = waiting;
    if (this.waiting >= REQUESTS_WAITING_MAX) return this.#failWaiting(from, message, "for names");
    const queue = this.#waiting.get(message.name);
    if (queue === undefined) this.#waiting.set(message.name, [waiting]);
    else queue.push(waiting);
    this.#waitingCount++;
  }

  /** Asks again for all requests that wait for a name; where it is too early, they wait on. */
  #retry(name: string | undefined): void {
    const queue = name === undefined ? undefined : this.#waiting.get(name);
    if (queue === undefined) return;
    this.#waiting.delete(name!);
    this.#waitingCount -= queue.length;
    for (const { from, message } of queue) this.#allocate(from, message);
  }

  #fail(to: NodeId, ticket: number, { code, message }: AllocationError): void {
    this.#outbox.send(to, { kind: "allocationFailed", ticket, code, reason: message });
  }
}

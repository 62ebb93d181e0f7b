/**
 * The requests, and wishes to drop copies, that wait at a home until their first page is free. Each
 * page has a queue of its own, so that neither a request nor the end of a transaction depends on
 * how many wait for other pages.
 */

import type { DropMessage, NodeId, RequestMessage } from "./messages.ts";
import type { PageRun } from "./page.ts";
import type { RunTable } from "./run_table.ts";

/** A request that waits, or a wish to drop copies. */
export interface WaitingRequest {
  readonly from: NodeId;
  readonly message: RequestMessage | DropMessage;
}

/** A request in the queue of its first page. */
interface Link extends WaitingRequest {
  /** How many requests had come before it, over all pages. */
  readonly arrival: number;
  next: Link | undefined;
}

interface Queue {
  first: Link;
  last: Link;
}

/** Requests, first come first served by page. */
export class RequestQueue {
  readonly #queues = new Map<number, Queue>();
  #arrivals = 0;
  #size = 0;

  /** How many requests wait. */
  get size(): number {
    return this.#size;
  }

  /** Puts a request behind those for the same first page. */
  add({ from, message }: WaitingRequest): void {
    const link: Link = { from, message, arrival: this.#arrivals++, next: undefined };
    const queue = this.#queues.get(message.first);
    if (queue === undefined) this.#queues.set(message.first, { first: link, last: link });
    else {
      queue.last.next = link;
      queue.last = link;
    }
    this.#size++;
  }

  /**
   * Removes and returns the request that has waited longest for a page of a run that is free by
   * now.
   */
  take({ first, count }: PageRun, busy: RunTable<PageRun>): WaitingRequest | undefined {
    if (this.#size === 0) return undefined;
    let longest: Queue | undefined;
    for (let page = first; page < first + count; page++) {
      const queue = this.#queues.get(page);
      if (queue === undefined || busy.at(page) !== undefined) continue;
      if (longest === undefined || queue.first.arrival < longest.first.arrival) longest = queue;
    }
    if (longest === undefined) return undefined;
    const request = longest.first;
    if (request.next === undefined) this.#queues.delete(request.message.first);
    else longest.first = request.next;
    this.#size--;
    return request;
  }

  /** Whether a node waits to drop copies from this page on. */
  asksToDrop(node: NodeId, page: number): boolean {
    for (let link = this.#queues.get(page)?.first; link !== undefined; link = link.next) {
      if (link.from === node && link.message.kind === "drop") return true;
    }
    return false;
  }

  /** Removes the requests of a node. */
  removeOf(node: NodeId): void {
    const kept = this.list().filter(({ from }) => from !== node);
    if (kept.length === this.#size) return;
    this.clear();
    for (const request of kept) this.add(request);
  }

  /** Removes all. */
  clear(): void {
    this.#queues.clear();
    this.#size = 0;
  }

  /** Every request, in the order in which they came. */
  list(): WaitingRequest[] {
    const links: Link[] = [];
    for (const { first } of this.#queues.values()) {
      for (let link: Link | undefined = first; link !== undefined; link = link.next) {
        links.push(link);
      }
    }
    return links.sort((a, b) => a.arrival - b.arrival);
  }
}

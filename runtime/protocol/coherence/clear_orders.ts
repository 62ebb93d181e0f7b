/**
 * The freed pages that the directory node has other homes clear. It counts them as not yet cleared
 * until their home says that they are, or has moved.
 */

import { CLEAR_ORDERS_MAX } from "../../limits.ts";
import type { NodeId } from "./messages.ts";
import type { PageRun } from "./page.ts";
import { RunTable } from "./run_table.ts";

/** Pages of one chunk, and the home that is to clear them. */
interface Order extends PageRun {
  readonly home: NodeId;
}

/** What other homes have been told to clear, and have not said to have. */
export class ClearOrders {
  readonly #orders = new RunTable<Order>();
  /** How many orders each home has; none where it has none. */
  readonly #counts = new Map<NodeId, number>();

  /** How many orders there are. */
  get size(): number {
    return this.#orders.size;
  }

  /** Whether a home has as many as it may have. */
  isFull(home: NodeId): boolean {
    return this.#counts.get(home) === CLEAR_ORDERS_MAX;
  }

  /** Whether a home has no more than half as many. */
  isHalfFull(home: NodeId): boolean {
    return (this.#counts.get(home) ?? 0) <= CLEAR_ORDERS_MAX / 2;
  }

  /** The first page from `start` on that is to be cleared elsewhere; `end` where none is. */
  next(start: number, end: number): number {
    return this.#orders.next(start, end);
  }

  /** A home is told to clear pages of which none is in another order. */
  add(home: NodeId, { first, count }: PageRun): void {
    this.#orders.add({ home, first, count });
    this.#counts.set(home, (this.#counts.get(home) ?? 0) + 1);
  }

  /** A home says that it has cleared pages; returns whether it was told to. */
  end(home: NodeId, { first, count }: PageRun): boolean {
    const order = this.#orders.at(first);
    if (order?.home !== home || order.first !== first || order.count !== count) return false;
    this.#orders.delete(order);
    const left = this.#counts.get(home)! - 1;
    if (left === 0) this.#counts.delete(home);
    else this.#counts.set(home, left);
    return true;
  }

  /** A home has moved: it clears nothing any more. Returns what it has not said to have cleared. */
  takeBack(home: NodeId): PageRun[] {
    const orders = this.#orders.values().filter((order) => order.home === home).toArray();
    for (const order of orders) this.#orders.delete(order);
    this.#counts.delete(home);
    return orders;
  }
}

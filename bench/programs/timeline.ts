/** Simulated time: what is to happen when, in order. */

interface Event {
  readonly atUs: number;
  /** Decides between events of the same moment: what was planned first comes first. */
  readonly order: number;
  readonly action: () => void;
}

/** A clock, and what is to happen. */
export class Timeline {
  /** The time, in microseconds. */
  nowUs = 0;
  /** A heap: no event is before the one at half its index. */
  readonly #heap: Event[] = [];
  #planned = 0;

  /**
   * Plans something.
   *
   * @param atUs When, in microseconds; not before now.
   * @param action What.
   */
  at(atUs: number, action: () => void): void {
    const heap = this.#heap;
    const event = { atUs, order: this.#planned++, action };
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  /**
   * Moves the clock if nothing is to happen until then.
   *
   * @param toUs The time to move to, in microseconds.
   * @returns Whether it has moved.
   */
  skip(toUs: number): boolean {
    const first = this.#heap[0];
    if (first !== undefined && first.atUs <= toUs) return false;
    this.nowUs = toUs;
    return true;
  }

  /** Lets everything happen, until nothing more is planned. */
  run(): void {
    for (let event = this.#take(); event !== undefined; event = this.#take()) {
      this.nowUs = event.atUs;
      event.action();
    }
  }

  #take(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || heap.length === 0) return first;
    let index = 0;
    for (let child = 1; child < heap.length; child = 2 * index + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last!;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

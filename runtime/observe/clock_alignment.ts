/**
 * Finds how the clocks of nodes differ, from the messages that they exchanged: a message arrives
 * after it was sent, and the fastest one each way took about as long as the fastest one back.
 */

/** How a clock differs from that of the first node. */
export interface ClockOffset {
  /** How much it is ahead, in microseconds. */
  readonly us: number;
  /**
   * By how much that may be wrong at most, in microseconds; `undefined` where no messages both ways
   * tell.
   */
  readonly uncertainUs: number | undefined;
}

/** The fastest messages between nodes, each by the clocks of its two ends. */
export class Exchanges {
  /** By sender and receiver: the least of arrival less sending, in microseconds. */
  readonly #fastest = new Map<number, Map<number, number>>();

  /**
   * A message was exchanged.
   *
   * @param from The sender.
   * @param to The receiver.
   * @param sentUs When it was sent, by the sender's clock.
   * @param arrivedUs When it arrived, by the receiver's clock.
   */
  add(from: number, to: number, sentUs: number, arrivedUs: number): void {
    const ofSender = this.#fastest.get(from) ?? new Map<number, number>();
    const us = arrivedUs - sentUs;
    ofSender.set(to, Math.min(ofSender.get(to) ?? Infinity, us));
    this.#fastest.set(from, ofSender);
  }

  /** The least of arrival less sending from one node to another. */
  #between(from: number, to: number): number | undefined {
    return this.#fastest.get(from)?.get(to);
  }

  /**
   * Finds the offset of each clock, by way of those pairs of nodes that tell it best.
   *
   * @param nodes The nodes.
   * @returns The offset of each; that of the first is 0. A node that has exchanged nothing with the
   * others is taken for right.
   */
  offsets(nodes: readonly number[]): Map<number, ClockOffset> {
    const [first, ...others] = nodes;
    const known = new Map<number, ClockOffset>();
    if (first === undefined) return known;
    known.set(first, { us: 0, uncertainUs: 0 });
    const left = new Set(others);
    while (left.size > 0) {
      let best: { node: number; offset: ClockOffset } | undefined;
      for (const node of left) {
        for (const [other, { us, uncertainUs }] of known) {
          const there = this.#between(other, node);
          const back = this.#between(node, other);
          if (there === undefined || back === undefined || uncertainUs === undefined) continue;
          const offset = {
            us: us + (there - back) / 2,
            uncertainUs: uncertainUs + Math.max(0, there + back) / 2,
          };
          if (best === undefined || offset.uncertainUs < best.offset.uncertainUs!) {
            best = { node, offset };
          }
        }
      }
      const [node] = left;
      const { node: found, offset } = best ??
        { node: node!, offset: { us: 0, uncertainUs: undefined } };
      known.set(found, offset);
      left.delete(found);
    }
    return known;
  }
}

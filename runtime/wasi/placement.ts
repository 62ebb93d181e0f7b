/** Which node gets a thread: each in turn, as far as there is room. */

/** Places the threads of a program. */
export class Placement {
  readonly #nodes: readonly number[];
  readonly #threadsPerNode: number;
  /** How many threads each node has. */
  readonly #threads: Map<number, number>;
  /** The node that was given the last thread, as an index. */
  #last = 0;

  /**
   * @param nodes The ids of the nodes. The first one has the main thread.
   * @param threadsPerNode How many threads a node may have at one time.
   */
  constructor(nodes: readonly number[], threadsPerNode: number) {
    this.#nodes = nodes;
    this.#threadsPerNode = threadsPerNode;
    this.#threads = new Map(nodes.map((node, index) => [node, index === 0 ? 1 : 0]));
  }

  /**
   * Places a thread.
   *
   * @param wanted The node that it is to be on; by default the next one that has room.
   * @returns The node's id; `undefined` where there is no room.
   */
  place(wanted?: number): number | undefined {
    if (wanted !== undefined) return this.#hasRoom(wanted) ? this.#take(wanted) : undefined;
    const { length } = this.#nodes;
    for (let step = 1; step <= length; step++) {
      const index = (this.#last + step) % length;
      if (!this.#hasRoom(this.#nodes[index]!)) continue;
      this.#last = index;
      return this.#take(this.#nodes[index]!);
    }
    return undefined;
  }

  /** A thread on a node has ended. */
  free(node: number): void {
    this.#threads.set(node, this.#threads.get(node)! - 1);
  }

  #hasRoom(node: number): boolean {
    return (this.#threads.get(node) ?? Infinity) < this.#threadsPerNode;
  }

  #take(node: number): number {
    this.#threads.set(node, this.#threads.get(node)! + 1);
    return node;
  }
}

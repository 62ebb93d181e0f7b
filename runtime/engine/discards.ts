/**
 * Pages whose memory is to be given back. The bytes of a page may still wait to be sent, straight from
 * the alias: then the page waits here, and is forgotten if it gets new bytes before that.
 */

import type { PageRun } from "../protocol/coherence/page.ts";

/** The pages of one node that wait to be discarded. */
export class Discards {
  readonly #alias: ArrayBufferLike;
  readonly #pageSize: number;
  #waiting: PageRun[] = [];

  /**
   * @param alias The whole region, as the engine sees it.
   * @param pageSize The size of a page, in bytes.
   */
  constructor(alias: Uint8Array, pageSize: number) {
    this.#alias = alias.buffer;
    this.#pageSize = pageSize;
  }

  /** Whether no page waits. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Pages are to be discarded. */
  add(run: PageRun): void {
    this.#waiting.push(run);
  }

  /** Pages are in use again, or about to be, and stay. */
  cancel(run: PageRun): void {
    if (this.isEmpty) return;
    this.#waiting = this.#waiting.flatMap((waiting) => without(waiting, run));
  }

  /**
   * Discards the pages whose bytes do not wait to be sent; the others wait on. So no more pages wait
   * than the queues of the links have bytes of.
   *
   * @param unsent All bytes that do, of the alias and others.
   * @param discard Discards a run.
   */
  carryOut(unsent: Iterable<Uint8Array>, discard: (run: PageRun) => void): void {
    if (this.isEmpty) return;
    const sending = [...unsent].filter(({ buffer }) => buffer === this.#alias)
      .map((bytes) => this.#pagesOf(bytes));
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) {
      let free = [run];
      for (const sent of sending) free = free.flatMap((part) => without(part, sent));
      for (const part of free) discard(part);
      let rest = [run];
      for (const part of free) rest = rest.flatMap((held) => without(held, part));
      this.#waiting.push(...rest);
    }
  }

  /** The pages that some bytes of the alias are of. */
  #pagesOf({ byteOffset, byteLength }: Uint8Array): PageRun {
    const first = Math.floor(byteOffset / this.#pageSize);
    return { first, count: Math.ceil((byteOffset + byteLength) / this.#pageSize) - first };
  }
}

/** What is left of a run without another: none, one or two runs. */
function without(run: PageRun, taken: PageRun): PageRun[] {
  const [end, takenEnd] = [run.first + run.count, taken.first + taken.count];
  if (takenEnd <= run.first || end <= taken.first) return [run];
  const parts = [
    { first: run.first, count: taken.first - run.first },
    { first: takenEnd, count: end - takenEnd },
  ];
  return parts.filter(({ count }) => count > 0);
}

/**
 * Pages whose memory is to be given back. The bytes of a page may still wait to be sent, straight
 * from the alias: then the page waits here, and is forgotten if it gets new bytes before that.
 */

import type { PageRun } from "../protocol/coherence/page.ts";

/** The pages of one node that wait to be discarded. */
export class Discards {
  readonly #alias: ArrayBufferLike;
  readonly #pageSize: number;
  #waiting: PageRun[] = [];
  /** Of which version the unsent bytes were that were last looked at, if no run was added since. */
  #seen: number | undefined;

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

  /**
   * Whether some pages may have become free to be discarded.
   *
   * @param version Another number whenever some bytes wait to be sent no longer.
   */
  isDue(version: number): boolean {
    return !this.isEmpty && version !== this.#seen;
  }

  /** Pages are to be discarded. */
  add(run: PageRun): void {
    this.#waiting.push(run);
    this.#seen = undefined;
  }

  /** Pages are in use again, or about to be, and stay. */
  cancel(run: PageRun): void {
    if (this.isEmpty) return;
    this.#waiting = this.#waiting.flatMap((waiting) => without(waiting, run));
  }

  /**
   * Discards the pages whose bytes do not wait to be sent; the others wait on. So no more pages
   * wait than the queues of the links have bytes of.
   *
   * @param unsent All bytes that do, of the alias and others.
   * @param version Their version, as `isDue` takes it.
   * @param discard Discards a run.
   */
  carryOut(unsent: Iterable<Uint8Array>, version: number, discard: (run: PageRun) => void): void {
    this.#seen = version;
    const sending = merged(
      [...unsent].filter(({ buffer }) => buffer === this.#alias)
        .map((bytes) => this.#pagesOf(bytes)),
    );
    const waiting = this.#waiting.sort(byFirst);
    this.#waiting = [];
    // Both lists are in order, so that what was sent before one run is before all later ones.
    let next = 0;
    for (const { first, count } of waiting) {
      const end = first + count;
      while (next < sending.length && endOf(sending[next]!) <= first) next++;
      let at = first;
      for (let index = next; at < end; index++) {
        const sent = sending[index] ?? { first: end, count: 0 };
        const [from, to] = [Math.min(Math.max(at, sent.first), end), Math.min(endOf(sent), end)];
        if (from > at) discard({ first: at, count: from - at });
        if (to > from) this.#waiting.push({ first: from, count: to - from });
        at = Math.max(from, to);
      }
    }
  }

  /** The pages that some bytes of the alias are of. */
  #pagesOf({ byteOffset, byteLength }: Uint8Array): PageRun {
    const first = Math.floor(byteOffset / this.#pageSize);
    return { first, count: Math.ceil((byteOffset + byteLength) / this.#pageSize) - first };
  }
}

/** The first page behind a run. */
function endOf({ first, count }: PageRun): number {
  return first + count;
}

function byFirst(a: PageRun, b: PageRun): number {
  return a.first - b.first;
}

/** The pages of some runs, as runs in order of which no two touch. */
function merged(runs: PageRun[]): PageRun[] {
  const out: PageRun[] = [];
  for (const run of runs.sort(byFirst)) {
    const last = out.at(-1);
    if (last === undefined || endOf(last) < run.first) out.push(run);
    else {
      const { first } = last;
      out[out.length - 1] = { first, count: Math.max(endOf(last), endOf(run)) - first };
    }
  }
  return out;
}

/** What is left of a run without another: none, one or two runs. */
function without(run: PageRun, taken: PageRun): PageRun[] {
  const [end, takenEnd] = [endOf(run), endOf(taken)];
  if (takenEnd <= run.first || end <= taken.first) return [run];
  const parts = [
    { first: run.first, count: taken.first - run.first },
    { first: takenEnd, count: end - takenEnd },
  ];
  return parts.filter(({ count }) => count > 0);
}

/** A thread of the program in tests of the rings, to write and read at the other end. */

/** Runs module code on a thread of its own; what it posts is awaited with `next`. */
export class TestThread implements Disposable {
  readonly #worker: Worker;
  readonly #news: unknown[] = [];
  #wake: () => void = () => {};

  /**
   * @param code The code, which has `CallSlots`, and `start` as `data`.
   * @param start What the thread is given.
   */
  constructor(code: string, start: unknown) {
    const slots = new URL("../../runtime/ring/call_slots.ts", import.meta.url).href;
    const source = `import { CallSlots } from ${JSON.stringify(slots)};
      self.onmessage = async ({ data }) => { ${code} };`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(url, { type: "module" });
    URL.revokeObjectURL(url);
    this.#worker.onmessage = ({ data }) => {
      this.#news.push(data);
      this.#wake();
    };
    this.#worker.postMessage(start);
  }

  /** The next that it posts. */
  async next(): Promise<unknown> {
    while (this.#news.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.#news.shift();
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

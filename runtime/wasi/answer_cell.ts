/**
 * The words by which a thread of a program, a Worker, gets the answer of a call. It blocks for it:
 * to be woken so takes far less time than to be sent a message.
 *
 * One side writes that there is an answer, then wakes the other. Where the other has not begun to
 * wait it takes the answer at once, and the waking may find it in its next wait: so to be woken
 * alone says nothing.
 */

/** Where the words are. */
const Word = {
  /** Whether there is an answer that the thread has not taken. */
  Answered: 0,
  /** The result of the call. */
  Result: 1,
} as const;
const WORDS = 2;

/** The answers to one thread, which makes one call at a time. */
export class AnswerCell {
  /** What the two sides share. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;

  /** @param buffer What the other side's cell is made of; left out, the cell is new. */
  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT),
  ) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Gives the thread the result of its call. */
  answer(result: number): void {
    Atomics.store(this.#words, Word.Result, result);
    Atomics.store(this.#words, Word.Answered, 1);
    Atomics.notify(this.#words, Word.Answered);
  }

  /** Blocks this thread until its call is answered; returns the result. */
  take(): number {
    while (Atomics.exchange(this.#words, Word.Answered, 0) === 0) {
      Atomics.wait(this.#words, Word.Answered, 0);
    }
    return Atomics.load(this.#words, Word.Result);
  }

  /** Blocks this thread, which has made no call, for so many milliseconds. */
  sleep(ms: number): void {
    const end = performance.now() + ms;
    for (let left = ms; left > 0; left = end - performance.now()) {
      Atomics.wait(this.#words, Word.Answered, 0, left);
    }
  }

  /** Blocks this thread for ever. */
  stay(): never {
    for (;;) Atomics.wait(this.#words, Word.Answered, 0);
  }
}

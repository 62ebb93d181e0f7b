// A bounded queue of numbers, of nothing but a SharedArrayBuffer and the standard Atomics. It knows
// of no nodes: it is what programs with Workers write.

const Word = { Lock: 0, NotEmpty: 1, NotFull: 2, Head: 3, Tail: 4, Slots: 16 } as const;
const SLOTS = 8;

/** How many bytes the queue takes. */
export const QUEUE_BYTES: number = 4 * (Word.Slots + SLOTS);

/** The queue; any number of threads put and take. */
export class Queue {
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(buffer: SharedArrayBuffer, byteOffset: number) {
    this.#words = new Int32Array(buffer, byteOffset, Word.Slots + SLOTS);
  }

  put(value: number): void {
    const words = this.#words;
    this.#lock();
    while (words[Word.Tail]! - words[Word.Head]! === SLOTS) this.#waitFor(Word.NotFull);
    words[Word.Slots + words[Word.Tail]! % SLOTS] = value;
    words[Word.Tail]!++;
    this.#unlock();
    this.#signal(Word.NotEmpty);
  }

  take(): number {
    const words = this.#words;
    this.#lock();
    while (words[Word.Tail] === words[Word.Head]) this.#waitFor(Word.NotEmpty);
    const value = words[Word.Slots + words[Word.Head]! % SLOTS]!;
    words[Word.Head]!++;
    this.#unlock();
    this.#signal(Word.NotFull);
    return value;
  }

  // 0 is free, 1 is locked, 2 is locked and somebody may wait.
  #lock(): void {
    let state = Atomics.compareExchange(this.#words, Word.Lock, 0, 1);
    if (state === 0) return;
    if (state !== 2) state = Atomics.exchange(this.#words, Word.Lock, 2);
    while (state !== 0) {
      Atomics.wait(this.#words, Word.Lock, 2);
      state = Atomics.exchange(this.#words, Word.Lock, 2);
    }
  }

  #unlock(): void {
    if (Atomics.sub(this.#words, Word.Lock, 1) === 1) return;
    Atomics.store(this.#words, Word.Lock, 0);
    Atomics.notify(this.#words, Word.Lock, 1);
  }

  // A condition variable is a number that each signal changes.
  #waitFor(condition: number): void {
    const seen = Atomics.load(this.#words, condition);
    this.#unlock();
    Atomics.wait(this.#words, condition, seen);
    this.#lock();
  }

  #signal(condition: number): void {
    Atomics.add(this.#words, condition, 1);
    Atomics.notify(this.#words, condition, 1);
  }
}

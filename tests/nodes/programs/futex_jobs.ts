/**
 * What threads do together with nothing but loads, stores, waits and notifies: a mutex, a condition
 * variable, a bounded queue, a barrier. Each returns a count by which a lost wake-up, or one that
 * nobody gave, would show; a thread that misses one waits for ever.
 */

/** The two operations under test. */
export interface Primitives {
  wait(view: Int32Array, index: number, value: number, timeoutMs?: number): string;
  notify(view: Int32Array, index: number, count?: number): number;
}

/** The words, each group on a page of its own. */
const Word = {
  Turn: 0,
  Mutex: 1024,
  Plain: 1025,
  /** Of the queue: a mutex, sequences for "not empty" and for "not full", its two ends. */
  QueueMutex: 2048,
  NotEmpty: 2049,
  NotFull: 2050,
  Head: 2051,
  Tail: 2052,
  Slots: 2064,
  /** Of the barrier: how many have arrived, the round, and whether a thread ran ahead. */
  Arrived: 3072,
  Round: 3073,
  Ahead: 3074,
  Steps: 3088,
  SlowTurn: 4096,
} as const;
const QUEUE_SLOTS = 4;
/** Longer than any thread looks before it sleeps, in milliseconds. */
const SLOW_MS = 2;

/** A thread's hands on the words. */
class Thread {
  waits = 0;
  notifies = 0;
  wokenBy = 0;
  woke = 0;

  constructor(readonly cells: Int32Array, readonly primitives: Primitives) {}

  wait(index: number, value: number): void {
    this.waits++;
    if (this.primitives.wait(this.cells, index, value) === "ok") this.wokenBy++;
  }

  notify(index: number, count?: number): void {
    this.notifies++;
    this.woke += this.primitives.notify(this.cells, index, count);
  }

  /** The second mutex of Drepper's "Futexes are tricky". */
  lock(at: number): void {
    let state = Atomics.compareExchange(this.cells, at, 0, 1);
    if (state === 0) return;
    if (state !== 2) state = Atomics.exchange(this.cells, at, 2);
    while (state !== 0) {
      this.wait(at, 2);
      state = Atomics.exchange(this.cells, at, 2);
    }
  }

  unlock(at: number): void {
    if (Atomics.sub(this.cells, at, 1) === 1) return;
    Atomics.store(this.cells, at, 0);
    this.notify(at, 1);
  }

  /** Waits at a condition variable, which is a sequence number. */
  waitAt(condition: number, mutex: number): void {
    const sequence = Atomics.load(this.cells, condition);
    this.unlock(mutex);
    this.wait(condition, sequence);
    this.lock(mutex);
  }

  signal(condition: number): void {
    Atomics.add(this.cells, condition, 1);
    this.notify(condition, 1);
  }
}

/** What a job returns. */
export interface JobCounts {
  readonly waits: number;
  readonly notifies: number;
  /** How many waits ended because a notify said so. */
  readonly wokenBy: number;
  /** How many threads the notifies said that they woke. */
  readonly woke: number;
  /** What the job counts: see each job. */
  readonly value: number;
}

type Job = (thread: Thread, self: number, threads: number, rounds: number) => number;

const JOBS: Readonly<Record<string, Job>> = {
  /** Threads take turns; the value is how often this one had its turn. */
  turns(thread, self, threads, rounds) {
    const { cells } = thread;
    for (let round = 0; round < rounds; round++) {
      const mine = round * threads + self;
      for (let turn = Atomics.load(cells, Word.Turn); turn !== mine;) {
        thread.wait(Word.Turn, turn);
        turn = Atomics.load(cells, Word.Turn);
      }
      Atomics.store(cells, Word.Turn, mine + 1);
      thread.notify(Word.Turn);
    }
    return rounds;
  },
  /** The same, but that each turn takes so long that the next thread sleeps. */
  slowTurns(thread, self, threads, rounds) {
    for (let round = 0; round < rounds; round++) {
      const mine = round * threads + self;
      for (let turn = Atomics.load(thread.cells, Word.SlowTurn); turn !== mine;) {
        thread.wait(Word.SlowTurn, turn);
        turn = Atomics.load(thread.cells, Word.SlowTurn);
      }
      const begun = performance.now();
      while (performance.now() - begun < SLOW_MS);
      Atomics.store(thread.cells, Word.SlowTurn, mine + 1);
      thread.notify(Word.SlowTurn);
    }
    return rounds;
  },
  /** A plain counter under a mutex. */
  mutex(thread, _self, _threads, rounds) {
    for (let round = 0; round < rounds; round++) {
      thread.lock(Word.Mutex);
      thread.cells[Word.Plain] = thread.cells[Word.Plain]! + 1;
      thread.unlock(Word.Mutex);
    }
    return rounds;
  },
  /** Even threads put numbers into a bounded queue; odd ones take as many, and sum them up. */
  queue(thread, self, _threads, rounds) {
    const { cells } = thread;
    let sum = 0;
    for (let round = 1; round <= rounds; round++) {
      thread.lock(Word.QueueMutex);
      if (self % 2 === 0) {
        while (cells[Word.Tail]! - cells[Word.Head]! === QUEUE_SLOTS) {
          thread.waitAt(Word.NotFull, Word.QueueMutex);
        }
        cells[Word.Slots + cells[Word.Tail]! % QUEUE_SLOTS] = round;
        cells[Word.Tail] = cells[Word.Tail]! + 1;
        thread.unlock(Word.QueueMutex);
        thread.signal(Word.NotEmpty);
      } else {
        while (cells[Word.Tail] === cells[Word.Head]) {
          thread.waitAt(Word.NotEmpty, Word.QueueMutex);
        }
        sum += cells[Word.Slots + cells[Word.Head]! % QUEUE_SLOTS]!;
        cells[Word.Head] = cells[Word.Head]! + 1;
        thread.unlock(Word.QueueMutex);
        thread.signal(Word.NotFull);
      }
    }
    return sum;
  },
  /** All meet, again and again; the value counts threads that were not where they should be. */
  barrier(thread, self, threads, rounds) {
    const { cells } = thread;
    let astray = 0;
    for (let round = 1; round <= rounds; round++) {
      Atomics.store(cells, Word.Steps + self, round);
      const current = Atomics.load(cells, Word.Round);
      if (Atomics.add(cells, Word.Arrived, 1) === threads - 1) {
        Atomics.store(cells, Word.Arrived, 0);
        Atomics.add(cells, Word.Round, 1);
        thread.notify(Word.Round);
      } else {
        while (Atomics.load(cells, Word.Round) === current) thread.wait(Word.Round, current);
      }
      for (let other = 0; other < threads; other++) {
        const step = Atomics.load(cells, Word.Steps + other);
        if (step < round || step > round + 1) astray++;
      }
    }
    return astray;
  },
};

/**
 * Does a job.
 *
 * @param job Its name.
 * @param cells The region.
 * @param primitives How to wait and to notify.
 * @param self This thread's number, from 0.
 * @param threads How many there are.
 * @param rounds How often.
 * @returns What it has counted.
 */
export function runFutexJob(
  job: string,
  cells: Int32Array,
  primitives: Primitives,
  self: number,
  threads: number,
  rounds: number,
): JobCounts {
  const thread = new Thread(cells, primitives);
  const value = JOBS[job]!(thread, self, threads, rounds);
  const { waits, notifies, wokenBy, woke } = thread;
  return { waits, notifies, wokenBy, woke, value };
}

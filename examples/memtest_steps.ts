/**
 * The steps of the memory test, and how its nodes keep in step: through words of the region itself,
 * because the test relies on shared memory alone.
 */

import type { Node } from "@tdsm/runtime";
import type { WorkerJob } from "./memtest_worker.ts";

/** How long a node waits for another that does not go on with its step, in milliseconds. */
export const STEP_MAX_MS = 30_000;
/** How often each node adds to the one word that all add to. */
export const ADDITIONS = 65_535;
/** How often each node writes all of its words of the page that all write. */
const STRIPE_ROUNDS = 64;
/** How often each Worker adds to the one word of all Workers. */
export const WORKER_ADDITIONS = 10_000;
/** How long a node looks at the starting gun without a pause, in milliseconds. */
const GUN_SPIN_MS = 5;
/**
 * The first pause between two looks at a word of another node, in milliseconds; then twice as long.
 */
const PAUSE_MIN_MS = 1;
const PAUSE_MAX_MS = 8;
/** After how many words of data a node says how far it is: so rarely that it costs nothing. */
const ADVANCE_WORDS = 1 << 22;
/** The most bytes that the system calls are given. */
const SYSTEM_CALL_MAX_BYTES = 1 << 20;

/** The most nodes that take part: each has a word of the control page for its step. */
export const NODES_MAX = 64;

/** The most Workers that a node starts. */
export const WORKERS_MAX = 16;

/** The words of the control page, the region's first. */
const Control = {
  /** How many nodes take part; 0 until node 1 says so. */
  Nodes: 0,
  /** What came of the system calls; one of {@linkcode SystemCalls}. */
  SystemCalls: 2,
  /** Set by node 1 to start all others at once. */
  Gun: 3,
  /** How many Workers each node starts. */
  Workers: 4,
  /** The first of the words in which each node counts the steps that it has done. */
  Steps: 64,
  /** The first of the words in which each node counts how often it has said that it is further. */
  Advances: 128,
} as const;

/** What came of the step with the system calls. */
export const SystemCalls = { Done: 1, Skipped: 2 } as const;

/** A node read a wrong word, or another node did not finish its step. */
export class MemtestError extends Error {
  override readonly name = "MemtestError";
}

/** The 32-bit word that belongs at an index of the data in one round of writing. */
function pattern(index: number, round: number): number {
  return Math.imul(index, 0x9e37_79b1) ^ Math.imul(round, 0x85eb_ca6b);
}

function fillWords(words: Int32Array, first: number, end: number, round: number): void {
  for (let i = first; i < end; i++) words[i] = pattern(i, round);
}

/** The first index whose word is not that of the round; -1 where all are. */
function findMismatch(words: Int32Array, first: number, end: number, round: number): number {
  for (let i = first; i < end; i++) {
    if (words[i] !== pattern(i, round)) return i;
  }
  return -1;
}

/** The half-open range of words that a node rewrites; node 1 rewrites none. */
function shareOf(node: number, nodes: number, words: number): [first: number, end: number] {
  const each = Math.ceil(words / (nodes - 1));
  const first = Math.min((node - 2) * each, words);
  return [first, Math.min(first + each, words)];
}

/** One node's part of the memory test. */
export class Memtest {
  readonly #node: Node;
  readonly #control: Int32Array;
  readonly #counter: Int32Array;
  readonly #stripes: Int32Array;
  readonly #data: Int32Array;
  readonly #advanced: () => void;
  #nodes = 0;
  #step = 0;

  /**
   * @param node The node; its region must have at least 8 pages.
   * @param advanced Called when this node is further with all data.
   * @throws {MemtestError} When the region is smaller.
   */
  constructor(node: Node, advanced: () => void = () => {}) {
    const { pageSize, size } = node;
    if (size < 8 * pageSize) {
      throw new MemtestError(`The region has ${size / pageSize} pages; the test needs 8`);
    }
    const words = pageSize / Int32Array.BYTES_PER_ELEMENT;
    this.#node = node;
    this.#advanced = advanced;
    this.#control = node.view(Int32Array, 0, words);
    this.#counter = node.view(Int32Array, pageSize, words);
    this.#stripes = node.view(Int32Array, 2 * pageSize, words);
    const rest = (size - 3 * pageSize) / Int32Array.BYTES_PER_ELEMENT;
    this.#data = node.view(Int32Array, 3 * pageSize, rest);
  }

  /** The bytes that are filled, rewritten and verified. */
  get dataBytes(): number {
    return this.#data.byteLength;
  }

  /** How many bytes all nodes together have filled, verified and rewritten so far, by and large. */
  get doneBytes(): number {
    let advances = 0;
    for (let node = 1; node <= NODES_MAX; node++) {
      advances += Atomics.load(this.#control, Control.Advances + node);
    }
    return advances * ADVANCE_WORDS * Int32Array.BYTES_PER_ELEMENT;
  }

  /** What came of the system calls, for node 1 to tell. */
  get systemCalls(): number {
    return Atomics.load(this.#control, Control.SystemCalls);
  }

  /** At node 1: says how many take part, with how many Workers each. All others wait for that. */
  announce(nodes: number, workers = 0): void {
    this.#nodes = nodes;
    Atomics.store(this.#control, Control.Workers, workers);
    Atomics.store(this.#control, Control.Nodes, nodes);
  }

  /**
   * At every other node: waits for node 1 to say how many take part. It may still wait for others,
   * so there is no bound.
   *
   * @returns Whether this node is one of them.
   */
  async attend(): Promise<boolean> {
    while ((this.#nodes = Atomics.load(this.#control, Control.Nodes)) === 0) {
      await pause(PAUSE_MAX_MS);
    }
    return this.#node.id <= this.#nodes;
  }

  /**
   * Waits until every node has done as many steps as this one.
   *
   * @param name What the step did, for the message.
   * @throws {MemtestError} When a node did nothing for it for {@linkcode STEP_MAX_MS}.
   */
  async sync(name: string): Promise<void> {
    const step = this.#arrive();
    let doneBytes = this.doneBytes;
    let giveUpAt = performance.now() + STEP_MAX_MS;
    let pauseMs = PAUSE_MIN_MS;
    for (let node = 1; node <= this.#nodes;) {
      if (Atomics.load(this.#control, Control.Steps + node) >= step) {
        node += 1;
        continue;
      }
      if (performance.now() > giveUpAt && doneBytes !== this.doneBytes) {
        doneBytes = this.doneBytes;
        giveUpAt = performance.now() + STEP_MAX_MS;
      }
      if (performance.now() > giveUpAt) {
        throw new MemtestError(`Node ${node} did not finish ${name} within ${STEP_MAX_MS} ms`);
      }
      await pause(pauseMs);
      pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS);
    }
  }

  /** Tells all nodes that this one has done a step; returns which. */
  #arrive(): number {
    const step = ++this.#step;
    Atomics.store(this.#control, Control.Steps + this.#node.id, step);
    return step;
  }

  /**
   * Lets all nodes begin at almost the same time: each polls one word without a pause, which causes
   * no traffic until node 1 writes the word.
   *
   * @param name What begins, for the message.
   */
  async startTogether(name: string): Promise<void> {
    await this.sync(`${name}: getting ready`);
    if (this.#node.id === 1) return void Atomics.store(this.#control, Control.Gun, this.#step);
    const spinUntil = performance.now() + GUN_SPIN_MS;
    while (Atomics.load(this.#control, Control.Gun) !== this.#step) {
      if (performance.now() > spinUntil) await pause(PAUSE_MIN_MS);
    }
  }

  /** Every node adds to one word, and none of the additions may be lost. */
  async count(): Promise<void> {
    await this.startTogether("counting");
    for (let i = 0; i < ADDITIONS; i++) Atomics.add(this.#counter, 0, 1);
    await this.sync("counting");
    const expected = ADDITIONS * this.#nodes;
    const found = Atomics.load(this.#counter, 0);
    if (found !== expected) throw this.#mismatch(this.#counter, 0, expected, found);
  }

  /** Workers of every node add to one word together; does nothing where there are none. */
  async countWithWorkers(): Promise<void> {
    const workers = Atomics.load(this.#control, Control.Workers);
    if (workers === 0) return;
    const offset = this.#counter.byteOffset + Int32Array.BYTES_PER_ELEMENT;
    const job: WorkerJob = { handle: this.#node.handle, offset, additions: WORKER_ADDITIONS };
    await Promise.all(Array.from({ length: workers }, () => runWorker(job)));
    await this.sync("counting with Workers");
    const expected = WORKER_ADDITIONS * workers * this.#nodes;
    const found = Atomics.load(this.#counter, 1);
    if (found !== expected) throw this.#mismatch(this.#counter, 1, expected, found);
  }

  /** Every node writes words of one page that have those of others beside them. */
  async writeStripes(): Promise<void> {
    const words = this.#stripes;
    const { id } = this.#node;
    await this.startTogether("writing stripes");
    for (let round = 1; round <= STRIPE_ROUNDS; round++) {
      for (let i = id - 1; i < words.length; i += this.#nodes) {
        if (round > 1) this.#expect(words, i, pattern(i, round - 1));
        words[i] = pattern(i, round);
      }
    }
    await this.sync("writing stripes");
    this.#verify(words, 0, words.length, STRIPE_ROUNDS);
    await this.sync("verifying stripes");
  }

  /** At node 1: writes all data. */
  fill(): void {
    this.#fill(0, this.#data.length, 1);
  }

  /** All nodes but node 1 verify what it wrote. */
  async verifyFilled(): Promise<void> {
    const { id } = this.#node;
    if (id !== 1) {
      // Each begins at another place, so that they do not wait for each other's pages.
      const [first] = shareOf(id, this.#nodes, this.#data.length);
      this.#verifyData(first, this.#data.length, 1);
      this.#verifyData(0, first, 1);
    }
    await this.sync("verifying");
  }

  /** All nodes but node 1 write new data, each a share of it. */
  async rewrite(): Promise<void> {
    const { id } = this.#node;
    if (id !== 1) this.#fill(...shareOf(id, this.#nodes, this.#data.length), 2);
    await this.sync("rewriting");
  }

  /** Node 1 verifies what the others wrote. */
  async verifyRewritten(): Promise<void> {
    if (this.#node.id === 1) this.#verifyData(0, this.#data.length, 2);
    await this.sync("verifying what was rewritten");
  }

  /**
   * The last node hands the region to `write` and `read` of a socket: bytes that only node 1 has,
   * into pages that only node 1 has. Node 1 verifies them. This is the last step.
   */
  async useSystemCalls(): Promise<void> {
    const bytes = Math.min(SYSTEM_CALL_MAX_BYTES, Math.floor(this.#data.byteLength / 16) * 8);
    const length = bytes / Int32Array.BYTES_PER_ELEMENT;
    const data = this.#data;
    if (this.#node.id === 1) fillWords(data, 0, 2 * length, 3);
    await this.sync("preparing for system calls");
    if (this.#node.id === this.#nodes) await this.#copyThroughSocket(bytes);
    // Node 1 may end the cluster from here on, so no other node touches the region again.
    if (this.#node.id !== 1) return void this.#arrive();
    await this.sync("system calls");
    if (this.systemCalls === SystemCalls.Skipped) return;
    for (let i = 0; i < length; i++) this.#expect(data, length + i, pattern(i, 3));
  }

  async #copyThroughSocket(bytes: number): Promise<void> {
    if (this.#node.userModeOnly) {
      return void Atomics.store(this.#control, Control.SystemCalls, SystemCalls.Skipped);
    }
    const source = this.#node.view(Uint8Array, this.#data.byteOffset, bytes);
    const target = this.#node.view(Uint8Array, this.#data.byteOffset + bytes, bytes);
    await copyThroughSocket(source, target);
    Atomics.store(this.#control, Control.SystemCalls, SystemCalls.Done);
  }

  /** Writes data, and says now and then how far it is. */
  #fill(first: number, end: number, round: number): void {
    this.#inParts(first, end, (from, to) => fillWords(this.#data, from, to, round));
  }

  /** Verifies data, and says now and then how far it is. */
  #verifyData(first: number, end: number, round: number): void {
    this.#inParts(first, end, (from, to) => this.#verify(this.#data, from, to, round));
  }

  #inParts(first: number, end: number, act: (from: number, to: number) => void): void {
    for (let from = first; from < end; from += ADVANCE_WORDS) {
      act(from, Math.min(from + ADVANCE_WORDS, end));
      if (end - from < ADVANCE_WORDS) return;
      Atomics.add(this.#control, Control.Advances + this.#node.id, 1);
      this.#advanced();
    }
  }

  #verify(words: Int32Array, first: number, end: number, round: number): void {
    const index = findMismatch(words, first, end, round);
    if (index !== -1) throw this.#mismatch(words, index, pattern(index, round), words[index]!);
  }

  #expect(words: Int32Array, index: number, expected: number): void {
    const found = words[index]!;
    if (found !== expected) throw this.#mismatch(words, index, expected, found);
  }

  #mismatch(words: Int32Array, index: number, expected: number, found: number): MemtestError {
    const offset = words.byteOffset + index * Int32Array.BYTES_PER_ELEMENT;
    return new MemtestError(
      `Mismatch at node ${this.#node.id}, offset ${offset}: ` +
        `expected ${hexadecimal(expected)}, found ${hexadecimal(found)}`,
    );
  }
}

function hexadecimal(word: number): string {
  return `0x${(word >>> 0).toString(16).padStart(8, "0")}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Starts a Worker on a job, and waits until it is done. */
async function runWorker(job: WorkerJob): Promise<void> {
  const worker = new Worker(import.meta.resolve("./memtest_worker.ts"), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = () => resolve();
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new MemtestError(`A Worker failed: ${event.message}`));
  };
  worker.postMessage(job);
  try {
    await promise;
  } finally {
    worker.terminate();
  }
}

/** Writes `source` into a socket and reads `target` from its other end. */
async function copyThroughSocket(source: Uint8Array, target: Uint8Array): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  using near = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using far = await accepted;
  const write = async (): Promise<void> => {
    for (let done = 0; done < source.length;) done += await near.write(source.subarray(done));
  };
  const read = async (): Promise<void> => {
    for (let done = 0; done < target.length;) {
      const count = await far.read(target.subarray(done));
      if (count === null) throw new MemtestError("The socket ended early");
      done += count;
    }
  };
  await Promise.all([write(), read()]);
}

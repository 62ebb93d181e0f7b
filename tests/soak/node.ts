/**
 * One of the three nodes of a soak. Prints where it listens, then a line for each round, and a last
 * line when it ends; throws where the region is not what the operations make of it.
 */

import { type Node, rpc, run } from "../../mod.ts";
import { Random } from "../simulator/coherence/random.ts";
import {
  addToCells,
  addToRecord,
  applyAlone,
  drawOperations,
  type Memory,
  NODES,
  Offset,
  type Operation,
  RECORD_WORDS,
} from "./operations.ts";

/** A node's report of a round. */
export interface RoundReport {
  readonly round: number;
  /** The operations that the node has performed since it began. */
  readonly operations: number;
  /** The pages that the node has received from other nodes since it began. */
  readonly pagesReceived: number;
}

const OPERATIONS = 300;
const PERMITS = 3;
const CELLS_MAX = 3000;

const addCells = rpc("add to cells", addToCells);

const seed = Number(Deno.env.get("SOAK_SEED"));
const durationMs = Number(Deno.env.get("SOAK_MS"));
/** The round in which node 2 changes a byte that no operation changes: a test plants that error. */
const plantedRound = Number(Deno.env.get("SOAK_PLANTED_ROUND") ?? NaN);

/** A node, and a model of what the region should contain. */
class Soak {
  readonly #node: Node;
  readonly #region: Memory;
  readonly #model: Memory;
  readonly #stop: Int32Array;
  readonly #until = performance.now() + durationMs;

  constructor(node: Node) {
    this.#node = node;
    this.#region = {
      bytes: node.view(Uint8Array, 0, Offset.End),
      words: node.view(Int32Array, 0, Offset.End / 4),
    };
    const bytes = new Uint8Array(Offset.End);
    this.#model = { bytes, words: new Int32Array(bytes.buffer) };
    this.#stop = node.view(Int32Array, Offset.Stop, 1);
  }

  async run(): Promise<void> {
    await Promise.all([1, 2, 3].map((id) => this.#node.waitForPeer(id)));
    let round = 0;
    do await this.#round(round); while (await this.#goesOn(round++));
    for (let key = 0; key < NODES; key++) {
      if (this.#node.semaphore(key).tryAcquire()) throw new Error(`Semaphore ${key} has a permit`);
    }
    await this.#meet();
  }

  async #round(round: number): Promise<void> {
    await this.#meet();
    const { id } = this.#node;
    // The permits that a node releases at the beginning of a round, another node acquires at its
    // end.
    this.#node.semaphore((id + round) % NODES).release(PERMITS);
    for (const operation of drawOperations(seed, round, id, OPERATIONS)) await this.#do(operation);
    if (round === plantedRound && id === 2) this.#region.bytes[Offset.End - 1]! ^= 1;
    await this.#allocate(round);
    const from = this.#node.semaphore((id + 1 + round) % NODES);
    for (let permit = 0; permit < PERMITS; permit++) await from.acquire();
    await this.#meet();
    for (let node = 1; node <= NODES; node++) {
      for (const operation of drawOperations(seed, round, node, OPERATIONS)) {
        applyAlone(operation, this.#model);
      }
    }
    this.#compare(round);
  }

  /** Prints the report of a round; returns whether another round follows. */
  async #goesOn(round: number): Promise<boolean> {
    const { pagesReceived } = this.#node.stats();
    const operations = OPERATIONS * (round + 1);
    console.log(JSON.stringify({ round, operations, pagesReceived } satisfies RoundReport));
    if (this.#node.id === 1 && performance.now() > this.#until) Atomics.store(this.#stop, 0, 1);
    await this.#meet();
    return Atomics.load(this.#stop, 0) === 0;
  }

  async #meet(): Promise<void> {
    await this.#node.barrier("soak", NODES).wait();
  }

  async #do(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case "record": {
        const { record, value } = operation;
        const mutex = this.#node.mutex(`record ${record}`);
        using lock = value % 4 === 0 ? mutex.lockSync() : await mutex.lock();
        if (lock.abandoned) throw new Error(`The lock of record ${record} is abandoned`);
        return addToRecord(record, value, this.#region);
      }
      case "call": {
        const { on, offset, value } = operation;
        return await addCells.on(on)(this.#node.view(Int32Array, offset, RECORD_WORDS), value);
      }
      default:
        applyAlone(operation, this.#region);
    }
  }

  /** Allocates cells of this node alone, and cells that all nodes find by a name; checks both. */
  async #allocate(round: number): Promise<void> {
    const node = this.#node;
    const random = new Random(seed ^ round);
    const length = random.between(1, CELLS_MAX);
    const own = await node.alloc(Float64Array, length + node.id, { packed: random.chance(50) });
    if (own.some((cell) => cell !== 0)) throw new Error(`Round ${round}: new memory is not zero`);
    own.fill(round + 0.5);
    const all = await node.alloc(Int32Array, length, { name: `round ${round}` });
    for (let at = 0; at < length; at += 5) Atomics.add(all, at, at + node.id);
    await this.#meet();
    const sum = NODES * (NODES + 1) / 2;
    const wrong = all.findIndex((cell, at) => cell !== (at % 5 === 0 ? NODES * at + sum : 0));
    if (wrong !== -1) throw new Error(`Round ${round}: named cell ${wrong} is ${all[wrong]}`);
    if (own.some((cell) => cell !== round + 0.5)) throw new Error(`Round ${round}: own memory`);
    await node.free(own);
    await this.#meet();
    if (round % NODES === node.id - 1) await node.free(all);
  }

  #compare(round: number): void {
    const [found, expected] = [this.#region.words, this.#model.words];
    for (let at = Offset.Words / 4; at < expected.length; at++) {
      if (found[at] === expected[at]) continue;
      const where = `round ${round}: byte ${4 * at}`;
      throw new Error(`Wrong value in ${where}: ${found[at]} instead of ${expected[at]}`);
    }
  }
}

await run(async (node) => {
  console.log(JSON.stringify({ at: `${node.address}:${node.port}` }));
  await new Soak(node).run();
  console.log(JSON.stringify({ equal: true }));
});

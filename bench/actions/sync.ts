/** What nodes do together beside sharing pages. */

import { type Node, rpc } from "../../mod.ts";

const nothing = rpc("bench: nothing", (): void => {});

/**
 * Waits at a barrier again and again.
 *
 * @param node The node.
 * @param loop The barrier, how many arrive at it, how often to wait; whether this node blocks its
 * thread.
 * @returns How long each wait took, in microseconds, but the first: the others may begin later.
 */
export async function barrierLoop(
  node: Node,
  { name, parties, count, blocks }: {
    readonly name: string;
    readonly parties: number;
    readonly count: number;
    readonly blocks: boolean;
  },
): Promise<number[]> {
  const barrier = node.barrier(name, parties);
  const us: number[] = [];
  for (let wait = 0; wait < count; wait++) {
    const begin = performance.now();
    if (blocks) barrier.waitSync();
    else await barrier.wait();
    if (wait > 0) us.push((performance.now() - begin) * 1000);
  }
  return us;
}

/**
 * Hands a permit to another node and waits to get one back, again and again.
 *
 * @param node The node.
 * @param loop The keys of the semaphore that this node acquires and of that which it releases; how
 * often; whether this node begins; whether it blocks its thread; where there is a cell, in bytes,
 * that is read and then written in each turn (negative for none).
 * @returns How long each hand-off took, in microseconds: half of the way there and back. The first
 * is left out: the other node may begin later.
 */
export async function handOff(
  node: Node,
  { mine, other, count, begins, blocks, offset }: {
    readonly mine: number;
    readonly other: number;
    readonly count: number;
    readonly begins: boolean;
    readonly blocks: boolean;
    readonly offset: number;
  },
): Promise<number[]> {
  const take = node.semaphore(mine);
  const give = node.semaphore(other);
  const cell = node.view(Int32Array, Math.max(offset, 0), 1);
  const us: number[] = [];
  let since = performance.now();
  for (let turn = 0; turn < count; turn++) {
    if (begins) {
      since = performance.now();
      give.release();
    }
    if (blocks) take.acquireSync();
    else await take.acquire();
    if (offset >= 0) cell[0]! += 1;
    if (begins && turn > 0) us.push((performance.now() - since) * 500);
    if (!begins) give.release();
  }
  return us;
}

/**
 * Locks a mutex, adds to a cell and unlocks, in turns with another node that does the same.
 *
 * @param node The node.
 * @param loop The mutex; how often; where the cell is, in bytes; whether this node blocks its
 * thread.
 * @returns How long each turn took, in microseconds: half of the time from one lock of this node to
 * its next one, between which the other node has had the mutex. What is before both nodes take
 * part, or after that, is left out.
 */
export async function mutexLoop(
  node: Node,
  { name, count, offset, blocks }: {
    readonly name: string;
    readonly count: number;
    readonly offset: number;
    readonly blocks: boolean;
  },
): Promise<number[]> {
  const mutex = node.mutex(name);
  const cell = node.view(Int32Array, offset, 1);
  const us: number[] = [];
  let [since, left] = [0, 0];
  for (let turn = 0; turn < count; turn++) {
    using _lock = blocks ? mutex.lockSync() : await mutex.lock();
    const now = performance.now();
    // The cell is as this node left it where the other node has had no turn meanwhile.
    if (turn > 0 && cell[0] !== left) us.push((now - since) * 500);
    since = now;
    left = ++cell[0]!;
  }
  return us;
}

/**
 * Calls a procedure without arguments on another node again and again.
 *
 * @param node The node.
 * @param loop The other node, and how often.
 * @returns How long each call took, in microseconds.
 */
export async function callLoop(
  _node: Node,
  { to, count }: { readonly to: number; readonly count: number },
): Promise<number[]> {
  const us: number[] = [];
  for (let call = 0; call < count; call++) {
    const begin = performance.now();
    await nothing.on(to)();
    us.push((performance.now() - begin) * 1000);
  }
  return us;
}

/**
 * The `Atomics.wait`, `waitAsync` and `notify` of this realm, made to work for words of the region,
 * so that code which knows nothing of nodes waits for other nodes.
 *
 * For a word of the region the originals would be worse than useless: V8 looks at the word under a
 * lock of the whole process, and that look may have to fetch a page.
 */

import type { Futex, FutexView } from "./futex.ts";
import type { RegionMemory } from "./memory.ts";

/** A node that this realm uses. */
interface RealmNode {
  readonly futex: Futex;
  readonly memory: RegionMemory;
}

type Wait = (view: FutexView, index: number, value: never, timeoutMs?: number) => unknown;
type Notify = (view: FutexView, index: number, count?: number) => number;
interface Functions {
  readonly wait: Wait;
  readonly waitAsync: Wait;
  readonly notify: Notify;
}

const NAMES = ["wait", "waitAsync", "notify"] as const;
const nodes = new Set<RealmNode>();
/** What this realm had before the first node; `undefined` while there is none. */
let originals: Functions | undefined;
/** What took the place of the originals; `undefined` while there is no node. */
let replacements: Functions | undefined;

/**
 * From here on `Atomics` of this realm waits for words of a node's region across nodes.
 *
 * @param futex Where this thread waits.
 * @param memory The region as this thread has it.
 * @returns Ends that. With the last node the realm has its own functions again.
 */
export function extendAtomics(futex: Futex, memory: RegionMemory): () => void {
  const node: RealmNode = { futex, memory };
  nodes.add(node);
  if (originals === undefined) replace();
  return () => {
    nodes.delete(node);
    if (nodes.size === 0) restore();
  };
}

/** The node whose region a view shows. */
function nodeOf(view: FutexView): RealmNode | undefined {
  // What else `Atomics` would refuse, it refuses in its own words.
  if (!(view instanceof Int32Array || view instanceof BigInt64Array)) return undefined;
  for (const node of nodes) if (node.memory.offsetOf(view) !== undefined) return node;
  return undefined;
}

/** An index as `Atomics` reads it. */
function indexOf(index: unknown): number {
  return Math.trunc(Number(index)) || 0;
}

function replace(): void {
  const { wait, waitAsync, notify } = Atomics as unknown as Functions;
  originals = { wait, waitAsync, notify };
  const functions: Functions = {
    wait(view, index, value, timeoutMs) {
      const node = nodeOf(view);
      if (node === undefined) return wait.call(Atomics, view, index, value, timeoutMs);
      return node.futex.wait(view as never, indexOf(index), value, timeoutMs);
    },
    waitAsync(view, index, value, timeoutMs) {
      const node = nodeOf(view);
      if (node === undefined) return waitAsync.call(Atomics, view, index, value, timeoutMs);
      return node.futex.waitAsync(view as never, indexOf(index), value, timeoutMs);
    },
    notify(view, index, count) {
      const node = nodeOf(view);
      if (node === undefined) return notify.call(Atomics, view, index, count);
      return node.futex.notify(view, indexOf(index), count);
    },
  };
  for (const name of NAMES) define(name, functions[name]);
  replacements = functions;
}

function restore(): void {
  for (const name of NAMES) {
    // What another library has put there meanwhile stays: it goes on to ours, and that to the
    // originals.
    if ((Atomics as unknown as Functions)[name] === replacements![name]) {
      define(name, originals![name]);
    }
  }
  originals = replacements = undefined;
}

function define(name: typeof NAMES[number], value: unknown): void {
  Object.defineProperty(Atomics, name, {
    value,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

/** What an instance of a program imports: each thread has an instance of its own. */

import type { AttachedNode } from "../node/attach.ts";
import { clockNs } from "./clock.ts";
import { Errno } from "./errno.ts";
import { HOME_FUNCTIONS, PLACE_MODULE, WASI_MODULE } from "./functions.ts";
import { makeLiftedImports } from "./lifted_imports.ts";
import type { HomeCall, ThreadParts } from "./messages.ts";

/** What the imports need of their thread. */
export interface ThreadContext {
  readonly node: AttachedNode;
  readonly parts: ThreadParts;
  /** Has the home node execute a call; blocks until it has. */
  readonly call: (call: HomeCall) => number;
  /**
   * Starts a thread on a node, 0 for the next in turn, with what the program gives for it; returns
   * its id, or a negative error number.
   */
  readonly spawn: (argument: number, wanted: number) => number;
  /** Lets another thread have the core. */
  readonly yield: () => void;
  /** Blocks for so many milliseconds. */
  readonly sleep: (ms: number) => void;
  /** Ends the program, and never returns: what is thrown a program might catch. */
  readonly exit: (code: number) => never;
}

const Clock = { Realtime: 0, Monotonic: 1, ProcessCpu: 2, ThreadCpu: 3 } as const;
const CLOCK_RESOLUTION_NS = 1_000n;
/** The layout of a subscription and of an event of `poll_oneoff`. */
const Subscription = { Bytes: 48, Kind: 8, Clock: 16, TimeoutNs: 24, Flags: 40 } as const;
const Event = { Bytes: 32, Errno: 8, Kind: 10 } as const;
const EventKind = { Clock: 0, Write: 2 } as const;
/** The flag by which the time-out of a subscription is a point in time. */
const ABSOLUTE = 1;
/** The most bytes that are made at random in one go. */
const RANDOM_MAX_BYTES = 65_536;

/**
 * Makes the imports of the instances of a thread.
 *
 * @param context The thread.
 * @returns The imports.
 */
export function makeThreadImports(context: ThreadContext): WebAssembly.Imports {
  const { node, parts: { memory, memoryImport, nodes, clockOffsetNs }, call, spawn } = context;
  const nowNs = (): bigint => clockNs() + clockOffsetNs;
  const { memory: _, ...replacements } = node.wasmImports(memory);
  /** The node for the next thread that this one starts; 0 for the next in turn. */
  let wanted = 0;
  const imports: Record<string, WebAssembly.ModuleImports> = {
    tdsm: { ...replacements, ...makeLiftedImports(node, memory.memory.buffer, nowNs) },
    wasi: {
      "thread-spawn": (argument: number) => {
        const node = wanted;
        wanted = 0;
        return spawn(argument, node);
      },
    },
    [WASI_MODULE]: {
      ...Object.fromEntries(
        HOME_FUNCTIONS.map((name) => [
          name,
          (...args: (number | bigint)[]) => call({ name, args }),
        ]),
      ),
      ...ownFunctions(context, nowNs),
    },
    [PLACE_MODULE]: {
      node: () => node.id,
      nodes: () => nodes.length,
      spawn_on: (id: number) => {
        if (id !== 0 && !nodes.includes(id)) return Errno.Invalid;
        wanted = id;
        return Errno.Success;
      },
    },
  };
  // The memory may have its import among these, or alone.
  imports[memoryImport.module] = {
    ...imports[memoryImport.module],
    [memoryImport.name]: memory.memory,
  };
  return imports;
}

/** The functions that the thread executes itself. */
function ownFunctions(
  context: ThreadContext,
  nowNs: () => bigint,
): WebAssembly.ModuleImports {
  const { parts: { memory: { memory } }, sleep } = context;
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);
  return {
    clock_res_get: (clock: number, target: number) =>
      withMemory(() => {
        if (!isClock(clock)) return Errno.Invalid;
        view.setBigUint64(target >>> 0, CLOCK_RESOLUTION_NS, true);
        return Errno.Success;
      }),
    clock_time_get: (clock: number, _precision: bigint, target: number) =>
      withMemory(() => {
        if (!isClock(clock)) return Errno.Invalid;
        view.setBigUint64(target >>> 0, nowNs(), true);
        return Errno.Success;
      }),
    random_get: (target: number, length: number) =>
      withMemory(() => {
        const [first, end] = [target >>> 0, (target >>> 0) + (length >>> 0)];
        if (end > bytes.length) return Errno.Fault;
        for (let at = first; at < end; at += RANDOM_MAX_BYTES) {
          const random = new Uint8Array(Math.min(RANDOM_MAX_BYTES, end - at));
          bytes.set(crypto.getRandomValues(random), at);
        }
        return Errno.Success;
      }),
    sched_yield: () => {
      context.yield();
      return Errno.Success;
    },
    proc_exit: (code: number) => context.exit(code),
    poll_oneoff: (source: number, target: number, count: number, counted: number) =>
      withMemory(() => {
        const first = source >>> 0;
        const length = count >>> 0;
        if (first + length * Subscription.Bytes > bytes.length) return Errno.Fault;
        const places = Array.from({ length }, (_, index) => first + index * Subscription.Bytes);
        const events = dueEvents(view, places, nowNs, sleep);
        if (events === undefined) return Errno.Invalid;
        for (const [index, at] of events.entries()) {
          const event = (target >>> 0) + index * Event.Bytes;
          bytes.fill(0, event, event + Event.Bytes);
          view.setBigUint64(event, view.getBigUint64(at, true), true);
          view.setUint8(event + Event.Kind, view.getUint8(at + Subscription.Kind));
        }
        view.setUint32(counted >>> 0, events.length, true);
        return Errno.Success;
      }),
  };
}

/**
 * Waits until a subscription is due, and finds those that are. A descriptor can always be used: the
 * home node waits where it has to.
 *
 * @returns Where they are; `undefined` where one is of no known kind, or there is none.
 */
function dueEvents(
  view: DataView,
  places: readonly number[],
  nowNs: () => bigint,
  sleep: (ms: number) => void,
): number[] | undefined {
  const kindOf = (at: number): number => view.getUint8(at + Subscription.Kind);
  if (places.length === 0 || places.some((at) => kindOf(at) > EventKind.Write)) return undefined;
  const ready = places.filter((at) => kindOf(at) !== EventKind.Clock);
  if (ready.length > 0) return ready;
  const begun = nowNs();
  const ends = places.map((at) => {
    const timeoutNs = view.getBigUint64(at + Subscription.TimeoutNs, true);
    const isAbsolute = (view.getUint16(at + Subscription.Flags, true) & ABSOLUTE) !== 0;
    return isAbsolute ? timeoutNs : begun + timeoutNs;
  });
  const first = ends.reduce((least, end) => end < least ? end : least);
  if (first > begun) sleep(Number(first - begun) / 1e6);
  return places.filter((_, index) => ends[index]! <= first);
}

/** Executes what an address of the program may lead out of its memory. */
function withMemory(execute: () => number): number {
  try {
    return execute();
  } catch (error) {
    if (error instanceof RangeError) return Errno.Fault;
    throw error;
  }
}

function isClock(clock: number): boolean {
  return clock >= Clock.Realtime && clock <= Clock.ThreadCpu;
}

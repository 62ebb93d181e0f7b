/** A WebAssembly module whose functions look like those of the C library that are lifted. */

import { Section } from "../../runtime/wasm/binary.ts";
import {
  body,
  counted,
  custom,
  functionType,
  I32,
  number,
  section,
  sharedMemory,
  sized,
  text,
  wasmModule,
} from "./wasm_module.ts";

/** A function of a module: its name, which of {@linkcode TYPES} it has, and what it does. */
export interface TestFunction {
  readonly name: string;
  readonly type: number;
  readonly code: readonly number[];
}

/** Types of functions of so many 32-bit numbers, which return one. */
export const [OF_ONE, OF_TWO, OF_THREE] = [0, 1, 2];
const TYPES = [1, 2, 3].map((count) => functionType(new Array(count).fill(I32), [I32]));

const GET_FIRST = [0x20, 0];
const DROP = 0x1a;
/** Code that has a number as its result. */
export const result = (value: number): number[] => [0x41, value];
/** Reads words of the first parameter. */
export const loads = (...offsets: number[]): number[] =>
  offsets.flatMap((offset) => [...GET_FIRST, 0x28, 2, offset, DROP]);
/** Calls functions of one parameter. */
export const calls = (...indices: number[]): number[] =>
  indices.flatMap((index) => [...GET_FIRST, 0x10, index, DROP]);

/** What functions of the library call, by their indices. */
export const [PRIVATE_WAKE, SLEEP, UNLOCK, LOCK, WAIT] = [4, 5, 6, 7, 8];
/** What the functions return by themselves. */
export const Own = { Wait: 31, Signal: 32, Broadcast: 33, Barrier: 34 } as const;

/** Functions like those of the C library, in the order of their indices. */
export const LIBRARY: readonly TestFunction[] = [
  {
    name: "__pthread_cond_timedwait",
    type: OF_THREE,
    code: [...loads(16, 0, 8, 12), ...calls(UNLOCK, SLEEP, LOCK), ...result(Own.Wait)],
  },
  {
    name: "pthread_cond_signal",
    type: OF_ONE,
    code: [...loads(0, 12), ...calls(PRIVATE_WAKE), ...result(Own.Signal)],
  },
  {
    name: "pthread_cond_broadcast",
    type: OF_ONE,
    code: [...loads(0, 12), ...calls(PRIVATE_WAKE), ...result(Own.Broadcast)],
  },
  {
    name: "pthread_barrier_wait",
    type: OF_ONE,
    code: [...loads(8, 0, 12), ...calls(WAIT), ...result(Own.Barrier)],
  },
  { name: "__private_cond_signal", type: OF_ONE, code: result(0) },
  { name: "__timedwait_cp", type: OF_ONE, code: result(0) },
  // These return words of the mutex, so that tests choose what.
  { name: "__pthread_mutex_unlock", type: OF_ONE, code: [...GET_FIRST, 0x28, 2, 4] },
  { name: "pthread_mutex_lock", type: OF_ONE, code: [...GET_FIRST, 0x28, 2, 8] },
  { name: "__wait", type: OF_ONE, code: result(0) },
  { name: "sem_timedwait", type: OF_ONE, code: [...calls(SLEEP), ...result(0)] },
];

/** A module of functions, all of which it exports by their numbers. */
export function moduleOf(
  functions: readonly TestFunction[],
  ...others: readonly (readonly number[])[]
): Uint8Array<ArrayBuffer> {
  const named = functions.map(({ name }, index) => [...number(index), ...text(name)]);
  return wasmModule(
    section(Section.Type, ...TYPES),
    section(Section.Function, ...functions.map(({ type }) => [type])),
    section(Section.Table, [0x70, 0, 1]),
    sharedMemory(1, 1),
    section(Section.Export, ...functions.map((_, index) => [...text(`${index}`), 0, index])),
    ...others,
    section(Section.Code, ...functions.map(({ code }) => body(...code))),
    custom("name", [1, ...sized(counted(...named))]),
  );
}

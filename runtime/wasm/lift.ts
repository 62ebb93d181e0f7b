/**
 * Lifting: the condition variables and barriers of musl, the C library, keep lists on the stacks of
 * the threads that wait, so that each step of theirs moves pages from node to node. Where a module
 * has these functions as the library has them, they get a beginning that has the directory node do
 * the same instead: threads wait there, and no page moves. Objects that are process-shared are left
 * to what the functions did before.
 *
 * All functions of a kind have to agree on where threads wait, so they are lifted together or not
 * at all. They are known by their names, their types, what they read of the object and what they
 * call; and what only they call may be called by no other function, which might be a copy of one.
 */

import { BARRIER_PARTIES_MAX } from "../limits.ts";
import type { WasmWriter } from "./binary.ts";
import type { AddedFunction, CodeRewriter } from "./code.ts";
import type { FunctionFacts, ModuleFunctions } from "./functions.ts";
import { Opcode } from "./opcodes.ts";

/** What can be lifted. */
export type Lifted = "condition variables" | "barriers";

/** Writes what a function begins with. */
type Beginning = (target: WasmWriter, code: CodeRewriter) => void;

/** What of a module is lifted. */
export class Lifting {
  readonly #kinds: readonly Kind[];

  /** @param kinds What is lifted of each kind. */
  constructor(...kinds: readonly Kind[]) {
    this.#kinds = kinds;
  }

  /** What is lifted. */
  get lifted(): Lifted[] {
    return this.#kinds.map(({ lifted }) => lifted);
  }

  /** The functions that the module gets for it. */
  get added(): AddedFunction[] {
    return this.#kinds.flatMap(({ added }) => added);
  }

  /**
   * Writes what a function begins with, if it is lifted.
   *
   * @param index The function.
   * @param target Where it is written, behind its locals.
   * @param code Knows the new indices.
   */
  begin(index: number, target: WasmWriter, code: CodeRewriter): void {
    for (const { beginnings } of this.#kinds) beginnings.get(index)?.(target, code);
  }
}

/** What is lifted together. */
interface Kind {
  readonly lifted: Lifted;
  readonly added: readonly AddedFunction[];
  /** By the index of each function. */
  readonly beginnings: ReadonlyMap<number, Beginning>;
}

/** Types of functions of 32-bit parameters with a 32-bit result, as a module has them. */
const Type = { OfOne: "60 01 7f 01 7f", OfThree: "60 03 7f 7f 7f 01 7f" } as const;

/** Where musl has what in a `pthread_cond_t`, in bytes. */
const Condition = { Shared: 0, Sequence: 8, Waiters: 12, Clock: 16 } as const;
/** The same of a `pthread_barrier_t`: the limit is the parties but one, negative if shared. */
const Barrier = { Lock: 0, Limit: 8, Instance: 12 } as const;

/** The function that waits at a condition variable, by one of its two names. */
const WAIT = ["__pthread_cond_timedwait", "pthread_cond_timedwait"];
/** Those that wake. */
const [SIGNAL, BROADCAST] = ["pthread_cond_signal", "pthread_cond_broadcast"] as const;
/** What only those call that wake: what wakes by the lists. */
const PRIVATE_WAKE = "__private_cond_signal";
/** What sleeps, and may be cancelled. */
const SLEEP = "__timedwait_cp";
/** What else of the library sleeps by that, whichever of its functions a compiler has merged. */
const SLEEPERS = [
  ...["sem_timedwait", "__timedwait"],
  ...["__pthread_timedjoin_np", "pthread_timedjoin_np", "__pthread_join", "pthread_join"],
  ...["__pthread_tryjoin_np", "pthread_tryjoin_np"],
];
const UNLOCK = ["__pthread_mutex_unlock", "pthread_mutex_unlock"];
const LOCK = ["__pthread_mutex_lock", "pthread_mutex_lock"];
/** Where this is, a wait may have to end by it. */
const CANCEL = "pthread_cancel";

/**
 * Finds what can be lifted.
 *
 * @param functions The functions of a module with addresses of 32 bits.
 * @param mentions How often code and tables name each of them, by index.
 * @returns What is lifted.
 */
export function findLifts(functions: ModuleFunctions, mentions: ArrayLike<number>): Lifting {
  const kinds = [findConditions(functions, mentions), findBarriers(functions)];
  return new Lifting(...kinds.filter((kind) => kind !== undefined));
}

function findConditions(
  functions: ModuleFunctions,
  mentions: ArrayLike<number>,
): Kind | undefined {
  const found = (names: readonly string[]): number[] =>
    names.map((name) => functions.find(name)).filter((index) => index !== undefined);
  /** The index of a function that has one of two names; `undefined` where there are two. */
  const one = (names: readonly string[]): number | undefined => {
    const [first, ...others] = found(names);
    return others.length === 0 ? first : undefined;
  };
  const [wait, lock, unlock] = [one(WAIT), one(LOCK), one(UNLOCK)];
  const [wake, sleep] = [functions.find(PRIVATE_WAKE), functions.find(SLEEP)];
  if (wait === undefined || lock === undefined || unlock === undefined) return undefined;
  if (wake === undefined || sleep === undefined || functions.has(CANCEL)) return undefined;
  const wakes = found([SIGNAL, BROADCAST]);
  const { Shared, Sequence, Waiters, Clock } = Condition;
  const isWait = isLike(
    functions,
    wait,
    Type.OfThree,
    [Shared, Sequence, Waiters, Clock],
    [sleep, unlock, lock],
  );
  const areWakes = wakes.every((index) =>
    isLike(functions, index, Type.OfOne, [Shared, Waiters], [wake])
  );
  const isNamedBy = (index: number, by: readonly number[]): boolean =>
    by.reduce((sum, other) => sum + timesNamed(functions.factsOf(other), index), 0) ===
      mentions[index];
  const areAll = isNamedBy(wake, wakes) && isNamedBy(sleep, [wait, ...found(SLEEPERS)]);
  const areLocks = [lock, unlock].every((index) => functions.typeOf(index) === Type.OfOne);
  if (!isWait || !areWakes || !areAll || !areLocks) return undefined;
  const beginnings = new Map([[wait, waitBeginning(lock, unlock)]]);
  for (const [name, all] of [[SIGNAL, false], [BROADCAST, true]] as const) {
    const index = functions.find(name);
    if (index !== undefined) beginnings.set(index, wakeBeginning(all));
  }
  const added = ["beginCondWait", "endCondWait", "wakeCond"] as const;
  return { lifted: "condition variables", added, beginnings };
}

function findBarriers(functions: ModuleFunctions): Kind | undefined {
  const index = functions.find("pthread_barrier_wait");
  const wait = functions.find("__wait");
  if (index === undefined || wait === undefined) return undefined;
  const { Lock, Limit, Instance } = Barrier;
  if (!isLike(functions, index, Type.OfOne, [Lock, Limit, Instance], [wait])) return undefined;
  const beginnings = new Map([[index, beginBarrier]]);
  return { lifted: "barriers", added: ["waitAtBarrier"], beginnings };
}

/** Whether a function has a type, reads these words of its first parameter, and calls others. */
function isLike(
  functions: ModuleFunctions,
  index: number,
  type: string,
  loads: readonly number[],
  callees: readonly number[],
): boolean {
  if (functions.typeOf(index) !== type) return false;
  const facts = functions.factsOf(index);
  return loads.every((offset) => facts.loads.has(offset)) &&
    callees.every((callee) => timesNamed(facts, callee) > 0);
}

function timesNamed({ mentions }: FunctionFacts, index: number): number {
  return mentions.get(index) ?? 0;
}

const ALIGN_WORD = 2;
const NO_RESULT = 0x40;
const [ONE, MINUS_ONE] = [0x01, 0x7f];

/** Writes instructions; a function stands as `{ call }`, by its new index. */
function write(target: WasmWriter, ...code: readonly (number | { readonly call: number })[]): void {
  for (const item of code) {
    if (typeof item === "number") target.byte(item);
    else {
      target.byte(Opcode.Call);
      target.u32(item.call);
    }
  }
}

/** Goes on where the condition variable is not process-shared. */
const IF_PRIVATE = [
  ...[Opcode.LocalGet, 0, Opcode.I32Load, ALIGN_WORD, Condition.Shared],
  ...[Opcode.I32Eqz, Opcode.If, NO_RESULT],
];

/**
 * The wait has begun at the directory node before the mutex is unlocked, so no wake-up is missed.
 * The parameters are the condition variable, the mutex and the deadline, and serve as locals.
 */
function waitBeginning(lock: number, unlock: number): Beginning {
  const { LocalGet, LocalSet, LocalTee, I32Eqz, If, Return, Select, End } = Opcode;
  const [FIRST, MUTEX, THIRD] = [0, 1, 2];
  return (target, code) => {
    const call = (index: number): { call: number } => ({ call: index });
    write(target, ...IF_PRIVATE);
    write(target, LocalGet, FIRST, LocalGet, THIRD, call(code.indexOf("beginCondWait")));
    // With a deadline that is none, the library says what is wrong, and does nothing.
    write(target, I32Eqz, If, NO_RESULT);
    write(target, LocalGet, MUTEX, call(code.shifted(unlock)), LocalTee, THIRD);
    write(target, call(code.indexOf("endCondWait")), LocalSet, FIRST);
    // The mutex is not this thread's.
    write(target, LocalGet, THIRD, If, NO_RESULT, LocalGet, THIRD, Return, End);
    write(target, LocalGet, MUTEX, call(code.shifted(lock)));
    // An error of the mutex tells more than a time-out does.
    write(target, LocalTee, MUTEX, LocalGet, FIRST, LocalGet, MUTEX, Select, Return, End, End);
  };
}

function wakeBeginning(all: boolean): Beginning {
  const { LocalGet, I32Const, Return, End } = Opcode;
  return (target, code) => {
    write(target, ...IF_PRIVATE, LocalGet, 0, I32Const, all ? MINUS_ONE : ONE);
    write(target, { call: code.indexOf("wakeCond") }, Return, End);
  };
}

/** A barrier of one party never waits, and one of more than can wait never ends. */
function beginBarrier(target: WasmWriter, code: CodeRewriter): void {
  const { LocalGet, I32Load, I32Const, I32Sub, I32Add, I32LtU, If, Return, End } = Opcode;
  const limit = [LocalGet, 0, I32Load, ALIGN_WORD, Barrier.Limit];
  // From 1 on and not negative is one comparison without a sign.
  write(target, ...limit, I32Const, ONE, I32Sub, I32Const);
  target.signed(BigInt(BARRIER_PARTIES_MAX - 1));
  write(target, I32LtU, If, NO_RESULT, LocalGet, 0, ...limit, I32Const, ONE, I32Add);
  write(target, { call: code.indexOf("waitAtBarrier") }, Return, End);
}

/**
 * Checks of the arguments of semaphores, barriers and mutexes, before the engine is asked. A wrong
 * type is a `TypeError`, a value out of its bounds a `RangeError`; both messages name the value and
 * say which values are allowed.
 */

import { SYNC_NAME_MAX_BYTES, U64_MAX } from "../limits.ts";
import { show } from "../arguments/show.ts";

/**
 * Checks a whole number.
 *
 * @param value What was given.
 * @param least The least that it may be.
 * @param most The most that it may be.
 * @param what What it is to be: "the count of permits".
 * @throws {TypeError} When it is no number.
 * @throws {RangeError} When it is another number.
 */
export function checkCount(value: unknown, least: number, most: number, what: string): void {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return;
  }
  const Wrong = typeof value === "number" ? RangeError : TypeError;
  throw new Wrong(
    `Cannot use ${show(value)} as ${what}: give a whole number from ${least} to ${most}`,
  );
}

/**
 * Checks the name of a barrier, a mutex or a native module.
 *
 * @param name What was given.
 * @param what What it is to name: "barrier".
 * @param mostBytes The longest that it may be, in UTF-8.
 * @returns The name.
 * @throws {TypeError} When it is no string.
 * @throws {RangeError} When it is too short or too long, or no text.
 */
export function checkName(
  name: unknown,
  what: string,
  mostBytes: number = SYNC_NAME_MAX_BYTES,
): string {
  const wanted = `a string of 1 to ${mostBytes} bytes of UTF-8`;
  const message = `Cannot use ${show(name)} as the name of a ${what}: give ${wanted}`;
  if (typeof name !== "string") throw new TypeError(message);
  const bytes = new TextEncoder().encode(name).length;
  if (bytes >= 1 && bytes <= mostBytes && name.isWellFormed()) return name;
  throw new RangeError(message);
}

/**
 * Reads a semaphore's key.
 *
 * @param key A bigint of 64 bits, or a safe integer; negative ones count from 2^64 down.
 * @returns The key, from 0 to 2^64 - 1.
 * @throws {TypeError} When it is neither.
 * @throws {RangeError} When it has more bits, or is a number that is not exact.
 */
export function semaphoreKey(key: unknown): bigint {
  const message = `Cannot use ${show(key)} as the key of a semaphore: ` +
    `give a bigint of at most 64 bits, or a whole number within ±(2^53 - 1)`;
  if (typeof key !== "bigint" && typeof key !== "number") throw new TypeError(message);
  if (typeof key === "number" && !Number.isSafeInteger(key)) throw new RangeError(message);
  const wide = BigInt(key);
  if (wide > U64_MAX || wide < -(2n ** 63n)) throw new RangeError(message);
  return BigInt.asUintN(64, wide);
}

/**
 * Checks of the arguments of semaphores, barriers, mutexes and waits, before the engine is asked. A
 * wrong type is a `TypeError`, a value out of its bounds a `RangeError`; both messages name the value
 * and say which values are allowed.
 */

import { SYNC_NAME_MAX_BYTES, TIMEOUT_MAX_MS, U64_MAX } from "../limits.ts";

/** The longest text that a message repeats, in UTF-16 code units. */
const SHOWN_MAX = 64;

/**
 * Writes a value for a message.
 *
 * @param value The value, of any type.
 * @returns The value as a program would write it, or its kind where it has no short form.
 */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      if (value.length <= SHOWN_MAX) return JSON.stringify(value);
      return `${JSON.stringify(value.slice(0, SHOWN_MAX))}… of ${value.length} characters`;
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? "an array" : "an object";
    default:
      return String(value);
  }
}

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
 * Checks the name of a barrier or a mutex.
 *
 * @param name What was given.
 * @param what What it is to name: "barrier".
 * @returns The name.
 * @throws {TypeError} When it is no string.
 * @throws {RangeError} When it is too short or too long, or no text.
 */
export function checkName(name: unknown, what: string): string {
  const wanted = `a string of 1 to ${SYNC_NAME_MAX_BYTES} bytes of UTF-8`;
  const message = `Cannot use ${show(name)} as the name of a ${what}: give ${wanted}`;
  if (typeof name !== "string") throw new TypeError(message);
  const bytes = new TextEncoder().encode(name).length;
  if (bytes >= 1 && bytes <= SYNC_NAME_MAX_BYTES && name.isWellFormed()) return name;
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

/**
 * Checks the options of a wait.
 *
 * @param options What was given.
 * @param names The options that there are.
 * @param what What is waited for: "acquire semaphore 7".
 * @throws {TypeError} When it is no such object, or one with another option, or an option is of another
 * type.
 * @throws {RangeError} When the time cannot be counted.
 */
export function checkWait(options: unknown, names: readonly string[], what: string): void {
  if (options instanceof AbortSignal && names.includes("signal")) {
    throw new TypeError(`Cannot ${what} with an AbortSignal alone: give it as { signal }`);
  }
  if (typeof options !== "object" || options === null) {
    const wanted = "give options as an object, such as { timeoutMs: 1000 }";
    throw new TypeError(`Cannot ${what} with ${show(options)}: ${wanted}`);
  }
  const given = options as Record<string, unknown>;
  for (const name of Object.keys(given)) {
    if (names.includes(name) || given[name] === undefined) continue;
    const known = names.length === 1 ? `the only one is ${names[0]}` : `use ${names.join(" or ")}`;
    throw new TypeError(`Cannot ${what} with the option ${name}: ${known}`);
  }
  const { timeoutMs, signal } = given;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot ${what} with ${show(signal)} as signal: give an AbortSignal`);
  }
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= TIMEOUT_MAX_MS) return;
  // A timer treats a longer time as 1 ms.
  const bounds = `timeoutMs is a number from 0 to ${TIMEOUT_MAX_MS}; leave it out to wait for ever`;
  const Wrong = typeof timeoutMs === "number" ? RangeError : TypeError;
  throw new Wrong(`Cannot ${what} within ${show(timeoutMs)} ms: ${bounds}`);
}

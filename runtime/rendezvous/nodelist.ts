/** Lists of machines as Slurm writes them: `a,n[01-03,07]`. */

import { NODELIST_MAX } from "../limits.ts";

/**
 * Reads a list of machines.
 *
 * @param text Names with commas between them. A name may have numbers and ranges of numbers in
 * brackets, more than once; a range is as wide as its first number is written.
 * @returns The names, in the order of the list.
 * @throws {RangeError} If `text` is no such list, or one of more than `NODELIST_MAX` names.
 */
export function parseNodelist(text: string): string[] {
  const names = splitOutside(text).flatMap((item) => expand(item, text));
  if (names.length > NODELIST_MAX) throw tooLong(text);
  return names;
}

/** Splits a list at the commas that are in no brackets. */
function splitOutside(text: string): string[] {
  const items = text.match(/(?:\[[^\[\]]*\]|[^,\[\]])+/g) ?? [];
  // What the pattern does not cover is a bracket that stands alone, or nothing between two commas.
  if (text === "" || items.join(",") !== text) throw unreadable(text);
  return items;
}

/** The names that one item of the list stands for. */
function expand(item: string, list: string): string[] {
  const [, before, numbers, after] = /^([^\[]*)\[([^\]]*)\](.*)$/.exec(item) ?? [];
  if (before === undefined) return [item];
  const rest = expand(after!, list);
  const here = numbersOf(numbers!, list);
  if (here.length * rest.length > NODELIST_MAX) throw tooLong(list);
  return here.flatMap((number) => rest.map((end) => before + number + end));
}

/** The numbers that stand in brackets, as they are written in names. */
function numbersOf(text: string, list: string): string[] {
  return text.split(",").flatMap((part) => {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const count = Number(last) - Number(first) + 1;
    if (first === undefined || !(count >= 1)) throw unreadable(list);
    if (count > NODELIST_MAX) throw tooLong(list);
    return Array.from(
      { length: count },
      (_, index) => String(Number(first) + index).padStart(first.length, "0"),
    );
  });
}

function unreadable(text: string): RangeError {
  return new RangeError(`${JSON.stringify(text)} is no list of machines such as a,n[01-03,07]`);
}

function tooLong(text: string): RangeError {
  return new RangeError(`${JSON.stringify(text)} has more than ${NODELIST_MAX} machines`);
}

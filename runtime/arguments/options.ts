/**
 * Checks of options that a program gives as an object: a slip in a name would otherwise count for
 * nothing.
 */

import { show } from "./show.ts";

/**
 * Checks that options are an object that has none but known ones.
 *
 * @param options What was given.
 * @param names The options that there are.
 * @param what What they are for: "acquire semaphore 7".
 * @param example Options that could be given, as a program writes them.
 * @returns The options, by name.
 * @throws {TypeError} When it is no such object, or one with another option.
 */
export function checkOptions(
  options: unknown,
  names: readonly string[],
  what: string,
  example: string,
): Readonly<Record<string, unknown>> {
  if (typeof options !== "object" || options === null) {
    const wanted = `give options as an object, such as ${example}`;
    throw new TypeError(`Cannot ${what} with ${show(options)}: ${wanted}`);
  }
  const given = options as Record<string, unknown>;
  for (const name of Object.keys(given)) {
    if (names.includes(name) || given[name] === undefined) continue;
    const known = names.length === 1 ? `the only one is ${names[0]}` : `use ${names.join(" or ")}`;
    throw new TypeError(`Cannot ${what} with the option ${name}: ${known}`);
  }
  return given;
}

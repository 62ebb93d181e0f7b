/** How a node finds the directory: the setting `rendezvous` as text, and as it is used. */

/** How a node finds the directory. */
export type RendezvousChoice =
  /** By `directory` and `directoryAddress` alone. */
  | { readonly kind: "flags" }
  /** By a file that all nodes see. */
  | { readonly kind: "file"; readonly path: string };

/** What there is, for the message that something else was asked for. */
const RULE = "must be flags or file:PATH";

/**
 * Reads the setting.
 *
 * @param text What a flag, a variable or an option has.
 * @returns How the node finds the directory.
 * @throws {RangeError} If there is no such way; the message says which there are.
 */
export function parseRendezvous(text: string): RendezvousChoice {
  if (text === "flags") return { kind: "flags" };
  const [, scheme, rest] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  if (scheme === "file") {
    if (rest === "" || rest!.includes("\0")) throw new RangeError("must have a path behind file:");
    return { kind: "file", path: rest! };
  }
  throw new RangeError(RULE);
}

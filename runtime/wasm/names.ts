/**
 * What becomes of custom sections. Names of functions are kept under the new indices. Sections that
 * point to places in the code would be wrong, so they are left out; others are kept as they are.
 */

import type { CodeRewriter } from "./code.ts";
import { type WasmReader, WasmWriter } from "./binary.ts";
import { TdsmError } from "../errors.ts";

/** Sections that say something of places in the code: of debuggers, hints, profilers. */
const OF_PLACES = /^(?:\.debug_|metadata\.code\.|sourceMappingURL$|external_debug_info$)/;
/** Sections of an object file, which a linker takes. */
const OF_OBJECT = /^(?:linking$|reloc\.)/;

/** The part of the section `name` that has the names of functions. */
export const FUNCTION_NAMES = 1;
/** The other parts whose entries begin with the index of a function. */
const OfFunctions = { Locals: 2, Labels: 3 } as const;

/** What to do with a custom section. */
export type CustomSection = "keep" | "leave out" | "names" | "object file";

/**
 * Tells what to do with a custom section.
 *
 * @param name Its name.
 * @returns What to do.
 */
export function customSection(name: string): CustomSection {
  if (name === "name") return "names";
  if (OF_OBJECT.test(name)) return "object file";
  return OF_PLACES.test(name) ? "leave out" : "keep";
}

/**
 * Rewrites the section `name`.
 *
 * @param source What follows its name.
 * @param target Where it is written, with its name.
 * @param code Knows the new indices.
 * @returns `false` where the section cannot be read: as an engine does, its reader goes without.
 */
export function rewriteNames(source: WasmReader, target: WasmWriter, code: CodeRewriter): boolean {
  target.name("name");
  try {
    while (!source.done) {
      const id = source.byte();
      const part = source.part(source.u32(), "a part of the names");
      target.byte(id);
      const rest = new WasmWriter();
      if (id === FUNCTION_NAMES) rewriteMap(part, rest, code, skipName);
      else if (id === OfFunctions.Locals || id === OfFunctions.Labels) {
        rewriteMap(part, rest, code, skipNames);
      } else rest.copy(part.bytes, part.at, part.end);
      target.sized(rest.bytes);
    }
  } catch (error) {
    if (error instanceof TdsmError) return false;
    throw error;
  }
  return true;
}

/** Rewrites entries that begin with the index of a function. */
function rewriteMap(
  source: WasmReader,
  target: WasmWriter,
  code: CodeRewriter,
  skip: (source: WasmReader) => void,
): void {
  const count = source.u32();
  target.u32(count);
  for (let entry = 0; entry < count; entry++) {
    target.u32(code.shifted(source.u32()));
    const first = source.at;
    skip(source);
    target.copy(source.bytes, first, source.at);
  }
  source.finish();
}

function skipName(source: WasmReader): void {
  source.skip(source.u32());
}

function skipNames(source: WasmReader): void {
  for (let names = source.u32(); names > 0; names--) {
    source.u32();
    skipName(source);
  }
}

/** What a module's own functions are called, take and do: what lifting looks at. */

import { TdsmError } from "../errors.ts";
import { hex, Section, WasmReader } from "./binary.ts";
import { visitInstructions } from "./code.ts";
import { FUNCTION_NAMES } from "./names.ts";
import { Opcode } from "./opcodes.ts";
import type { Sections } from "./sections.ts";
import { skipTypes, skipValueType } from "./types.ts";

/** What a function does, as far as it matters. */
export interface FunctionFacts {
  /** The offsets at which it reads a word of 32 bits by its first parameter. */
  readonly loads: ReadonlySet<number>;
  /** How often it names each function. */
  readonly mentions: ReadonlyMap<number, number>;
}

/** The functions of a module that has been rewritten once: so all of it is known to be readable. */
export class ModuleFunctions {
  readonly #bytes: Uint8Array;
  readonly #imported: number;
  /** By name, the indices. */
  readonly #named: ReadonlyMap<string, readonly number[]>;
  /** The bytes of each type, in hexadecimal; empty for a group. */
  readonly #types: string[] = [];
  /** The index of the type of each function that is not imported. */
  readonly #typeOf: number[] = [];
  /** The code of each function that is not imported. */
  readonly #code: WasmReader[] = [];

  /**
   * @param bytes The module.
   * @param sections Its sections.
   * @param imported How many functions it imports.
   */
  constructor(bytes: Uint8Array, sections: Sections, imported: number) {
    this.#bytes = bytes;
    this.#imported = imported;
    this.#named = readNames(sections);
    // Without names nothing is looked for.
    if (this.#named.size === 0) return;
    sections.each(Section.Type, (source) => {
      const first = source.at;
      const types = skipTypes(source);
      const type = types === 1 ? hex(bytes.subarray(first, source.at)) : "";
      for (let made = 0; made < types; made++) this.#types.push(type);
    });
    sections.each(Section.Function, (source) => this.#typeOf.push(source.u32()));
    sections.each(Section.Code, (source) => {
      this.#code.push(source.part(source.u32(), "a function"));
    });
  }

  /**
   * Finds a function by its name.
   *
   * @param name The name.
   * @returns Its index; `undefined` where no function of the module's own has the name, or where
   * more than one has it or is a variant that a compiler has made of it.
   */
  find(name: string): number | undefined {
    const [index, ...others] = this.#named.get(name) ?? [];
    if (index === undefined || others.length > 0) return undefined;
    if (this.#code[index - this.#imported] === undefined) return undefined;
    const variant = `${name}.`;
    return this.#named.keys().some((other) => other.startsWith(variant)) ? undefined : index;
  }

  /** Whether a function has a name, be it imported or not. */
  has(name: string): boolean {
    return this.#named.has(name);
  }

  /** The type of a function: its bytes, in hexadecimal. */
  typeOf(index: number): string | undefined {
    return this.#types[this.#typeOf[index - this.#imported]!];
  }

  /** What a function does. */
  factsOf(index: number): FunctionFacts {
    const { at, end } = this.#code[index - this.#imported]!;
    const source = new WasmReader(this.#bytes, at, end, "a function");
    for (let groups = source.u32(); groups > 0; groups--) {
      source.u32();
      skipValueType(source);
    }
    const loads = new Set<number>();
    const mentions = new Map<number, number>();
    let isFirstParameter = false;
    visitInstructions(source, (opcode, at) => {
      const operands = new WasmReader(this.#bytes, at, end, "a function");
      const { Call, ReturnCall, RefFunc, I32Load, I32AtomicLoad, LocalGet } = Opcode;
      if (opcode === Call || opcode === ReturnCall || opcode === RefFunc) {
        const callee = operands.u32();
        mentions.set(callee, (mentions.get(callee) ?? 0) + 1);
      } else if (isFirstParameter && (opcode === I32Load || opcode === I32AtomicLoad)) {
        operands.u32();
        loads.add(operands.u32());
      }
      isFirstParameter = opcode === LocalGet && operands.u32() === 0;
    });
    return { loads, mentions };
  }
}

/** Reads the names of functions; none where they cannot be read, or are there twice. */
function readNames(sections: Sections): ReadonlyMap<string, readonly number[]> {
  const names = new Map<string, number[]>();
  const found = sections.all.filter(({ id }) => id === Section.Custom)
    .map((section) => sections.read(section)).filter((source) => source.name() === "name");
  if (found.length !== 1) return names;
  const source = found[0]!;
  try {
    while (!source.done) {
      const id = source.byte();
      const part = source.part(source.u32(), "a part of the names");
      if (id !== FUNCTION_NAMES) continue;
      for (let entries = part.u32(); entries > 0; entries--) {
        const index = part.u32();
        const name = part.name();
        const others = names.get(name);
        if (others === undefined) names.set(name, [index]);
        else others.push(index);
      }
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    return new Map();
  }
  return names;
}

/** Rewriting of code: function bodies, and the expressions that give first values. */

import { WASM_NESTING_MAX } from "../limits.ts";
import { refuse, type WasmReader, type WasmWriter } from "./binary.ts";
import { type Immediate, immediatesOf, Opcode, readOpcode, refuseOpcode } from "./opcodes.ts";
import { skipBlockType, skipValueTypes } from "./types.ts";

/** The module from which a rewritten module imports what it needs. */
export const IMPORT_MODULE = "tdsm";

/** The functions that take the place of instructions, in the order of their indices. */
export const REPLACEMENTS = ["wait32", "wait64", "notify", "grow", "size"] as const;
/** One of {@linkcode REPLACEMENTS}. */
export type Replacement = typeof REPLACEMENTS[number];

/** A function that lifted functions call, see `lift.ts`. */
export type LiftFunction = "beginCondWait" | "endCondWait" | "wakeCond" | "waitAtBarrier";
/** A function that a rewritten module imports behind its own. */
export type AddedFunction = Replacement | LiftFunction;

/** Which function takes the place of an instruction. */
const REPLACED: ReadonlyMap<number, Replacement> = new Map([
  [Opcode.Wait32, "wait32"],
  [Opcode.Wait64, "wait64"],
  [Opcode.Notify, "notify"],
  [Opcode.MemoryGrow, "grow"],
  [Opcode.MemorySize, "size"],
]);

/** From this one on, clauses of `try_table` name no tag. */
const CATCH_ALL = 2;
/** The last kind of clause of `try_table`. */
const CATCH_ALL_REF = 3;
/** The bit of an access's alignment that says that the index of a memory follows. */
const ACCESS_MEMORY = 64;

/** Rewrites the code of one module. */
export class CodeRewriter {
  /** How often code and tables name each function of the module, so far. */
  readonly mentions: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #imported: number;
  readonly #added: readonly AddedFunction[];
  readonly #is64: boolean;

  /**
   * @param bytes The module.
   * @param functions How many functions it has, and how many of these it imports.
   * @param added The functions that it gets.
   * @param is64 Whether its memory has addresses of 64 bits.
   */
  constructor(
    bytes: Uint8Array,
    { all, imported }: { readonly all: number; readonly imported: number },
    added: readonly AddedFunction[],
    is64: boolean,
  ) {
    this.#bytes = bytes;
    this.mentions = new Uint32Array(all);
    this.#imported = imported;
    this.#added = added;
    this.#is64 = is64;
  }

  /** The index that a function gets: those that are added come behind the module's imports. */
  shifted(index: number): number {
    return index < this.#imported ? index : index + this.#added.length;
  }

  /** The same, of a function that is named where it can be called from. */
  mentioned(index: number): number {
    this.mentions[index]!++;
    return this.shifted(index);
  }

  /** The index of a function that is added. */
  indexOf(added: AddedFunction): number {
    return this.#imported + this.#added.indexOf(added);
  }

  /**
   * Rewrites instructions up to the `end` of the outermost block.
   *
   * @param source Where they are.
   * @param target Where they are written.
   */
  expression(source: WasmReader, target: WasmWriter): void {
    /** Instructions before this byte are written. */
    let written = source.at;
    for (let depth = 1; depth > 0;) {
      const first = source.at;
      const opcode = readOpcode(source);
      const immediates = immediatesOf(opcode) ?? refuseOpcode(source, first);
      const replacement = REPLACED.get(opcode);
      if (replacement !== undefined) {
        target.copy(this.#bytes, written, first);
        this.#replace(replacement, source, target);
        written = source.at;
        continue;
      }
      for (const immediate of immediates) {
        if (immediate === "function") {
          target.copy(this.#bytes, written, source.at);
          target.u32(this.mentioned(source.u32()));
          written = source.at;
        } else {
          skipImmediate(immediate, source);
        }
      }
      if (immediates[0] === "block" && ++depth > WASM_NESTING_MAX) {
        refuse(`the block at byte ${first} is nested more than ${WASM_NESTING_MAX} deep`);
      }
      if (opcode === Opcode.End || opcode === Opcode.Delegate) depth--;
    }
    target.copy(this.#bytes, written, source.at);
  }

  /** Writes a call in the place of an instruction whose opcode was read. */
  #replace(replacement: Replacement, source: WasmReader, target: WasmWriter): void {
    if (replacement === "grow" || replacement === "size") skipImmediate("memory", source);
    else {
      // What the instruction adds to its address is one more argument.
      skipAlignment(source);
      const offset = source.u64();
      target.byte(this.#is64 ? Opcode.I64Const : Opcode.I32Const);
      target.signed(BigInt.asIntN(this.#is64 ? 64 : 32, offset));
    }
    target.byte(Opcode.Call);
    target.u32(this.indexOf(replacement));
  }
}

/**
 * Shows the instructions of a function, without changing them.
 *
 * @param source Where they are, up to the `end` of the outermost block.
 * @param visit Called for each with its opcode, and with where that which follows it begins.
 */
export function visitInstructions(
  source: WasmReader,
  visit: (opcode: number, at: number) => void,
): void {
  for (let depth = 1; depth > 0;) {
    const first = source.at;
    const opcode = readOpcode(source);
    const immediates = immediatesOf(opcode) ?? refuseOpcode(source, first);
    visit(opcode, source.at);
    for (const immediate of immediates) {
      if (immediate === "function") source.u32();
      else skipImmediate(immediate, source);
    }
    if (immediates[0] === "block") depth++;
    if (opcode === Opcode.End || opcode === Opcode.Delegate) depth--;
  }
}

function skipImmediate(immediate: Exclude<Immediate, "function">, source: WasmReader): void {
  switch (immediate) {
    case "index":
      source.u32();
      return;
    case "memory":
      return requireFirst(source);
    case "access":
      skipAlignment(source);
      return source.skipU64();
    case "block":
      return skipBlockType(source);
    case "heap":
      return source.skipSigned(33);
    case "values":
      return skipValueTypes(source);
    case "labels":
      for (let labels = source.u32(); labels >= 0; labels--) source.u32();
      return;
    case "catches":
      for (let clauses = source.u32(); clauses > 0; clauses--) skipCatch(source);
      return;
    case "s32":
      return source.skipSigned(32);
    case "s64":
      return source.skipSigned(64);
    default:
      return source.skip(immediate);
  }
}

/** Steps over the alignment of an access, and the memory's index where there is one. */
function skipAlignment(source: WasmReader): void {
  if (source.u32() & ACCESS_MEMORY) requireFirst(source);
}

function skipCatch(source: WasmReader): void {
  const at = source.at;
  const kind = source.byte();
  if (kind > CATCH_ALL_REF) refuse(`byte ${at} begins a clause of try_table that is not known`);
  if (kind < CATCH_ALL) source.u32();
  source.u32();
}

/** Steps over the index of a memory, which must be that of the only one. */
function requireFirst(source: WasmReader): void {
  const at = source.at;
  const index = source.u32();
  if (index !== 0) refuse(`byte ${at} uses memory ${index}, but the region can be one memory only`);
}

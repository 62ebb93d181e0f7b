/** Stepping over types of WebAssembly: their indices stay as they are, and so do their bytes. */

import { hex, refuse, type WasmReader, type WasmWriter } from "./binary.ts";

/** The type of a memory. */
export interface MemoryType {
  /** The pages of 64 KiB that it begins with. */
  readonly pages: bigint;
  /** The most pages that it may grow to; `undefined` where the module does not say. */
  readonly maximum: bigint | undefined;
  /** Whether several threads may use it. */
  readonly shared: boolean;
  /** Whether addresses have 64 bits, else 32. */
  readonly is64: boolean;
}

/** Types of one byte: numbers, vectors, and references that have a short form. */
const SHORT_TYPES: ReadonlySet<number> = new Set([
  ...[0x7f, 0x7e, 0x7d, 0x7c, 0x7b],
  ...[0x74, 0x73, 0x72, 0x71, 0x70, 0x6f, 0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x69],
]);
/** Behind these a heap type follows: `ref null`, `ref`. */
const REFERENCES: ReadonlySet<number> = new Set([0x63, 0x64]);
/** What a field may be beside a value: `i16`, `i8`. */
const PACKED_TYPES: ReadonlySet<number> = new Set([0x77, 0x78]);

const Form = {
  Function: 0x60,
  Structure: 0x5f,
  Array: 0x5e,
  SubType: 0x50,
  FinalSubType: 0x4f,
  Group: 0x4e,
} as const;

/** What the first byte of limits says. */
const Limit = { Maximum: 1, Shared: 2, Is64: 4 } as const;

/** Steps over the type of a value or a reference. */
export function skipValueType(source: WasmReader): void {
  const at = source.at;
  const byte = source.byte();
  if (REFERENCES.has(byte)) source.skipSigned(33);
  else if (!SHORT_TYPES.has(byte)) unknownType(at, byte);
}

/** Steps over the type of a block. */
export function skipBlockType(source: WasmReader): void {
  const byte = source.byte();
  if (REFERENCES.has(byte)) return source.skipSigned(33);
  // Nothing, one value, or the index of a function type.
  source.at--;
  source.skipSigned(33);
}

/**
 * Steps over one entry of the section of types.
 *
 * @param source Where it is.
 * @returns How many types it defines.
 */
export function skipTypes(source: WasmReader): number {
  const at = source.at;
  const form = source.byte();
  if (form !== Form.Group) {
    skipSubType(source, at, form);
    return 1;
  }
  const count = source.u32();
  for (let made = 0; made < count; made++) {
    const at = source.at;
    skipSubType(source, at, source.byte());
  }
  return count;
}

/** Steps over a table's type. */
export function skipTableType(source: WasmReader): void {
  skipValueType(source);
  const at = source.at;
  const flags = source.byte();
  if (flags & ~(Limit.Maximum | Limit.Is64)) unknownLimits(at, flags);
  skipLimit(source, flags);
  if (flags & Limit.Maximum) skipLimit(source, flags);
}

/** Reads a memory's type. */
export function readMemoryType(source: WasmReader): MemoryType {
  const at = source.at;
  const flags = source.byte();
  if (flags & ~(Limit.Maximum | Limit.Shared | Limit.Is64)) unknownLimits(at, flags);
  const is64 = (flags & Limit.Is64) !== 0;
  const limit = (): bigint => is64 ? source.u64() : BigInt(source.u32());
  const pages = limit();
  const maximum = flags & Limit.Maximum ? limit() : undefined;
  return { pages, maximum, shared: (flags & Limit.Shared) !== 0, is64 };
}

/** Writes a memory's type. */
export function writeMemoryType(target: WasmWriter, memory: MemoryType): void {
  const { pages, maximum, shared, is64 } = memory;
  const flags = (maximum === undefined ? 0 : Limit.Maximum) | (shared ? Limit.Shared : 0) |
    (is64 ? Limit.Is64 : 0);
  target.byte(flags);
  target.u64(pages);
  if (maximum !== undefined) target.u64(maximum);
}

function skipSubType(source: WasmReader, at: number, form: number): void {
  if (form === Form.SubType || form === Form.FinalSubType) {
    for (let supers = source.u32(); supers > 0; supers--) source.u32();
    at = source.at;
    form = source.byte();
  }
  switch (form) {
    case Form.Function:
      for (let side = 0; side < 2; side++) skipValueTypes(source);
      return;
    case Form.Structure:
      for (let fields = source.u32(); fields > 0; fields--) skipField(source);
      return;
    case Form.Array:
      return skipField(source);
    default:
      unknownType(at, form);
  }
}

/** Steps over the types of some values, counted. */
export function skipValueTypes(source: WasmReader): void {
  for (let values = source.u32(); values > 0; values--) skipValueType(source);
}

function skipField(source: WasmReader): void {
  if (PACKED_TYPES.has(source.byte())) return source.skip(1);
  source.at--;
  skipValueType(source);
  source.skip(1);
}

function skipLimit(source: WasmReader, flags: number): void {
  if (flags & Limit.Is64) source.skipU64();
  else source.u32();
}

function unknownType(at: number, byte: number): never {
  refuse(`byte ${at} (${hex([byte])}) begins a type that is not known`);
}

function unknownLimits(at: number, flags: number): never {
  refuse(`byte ${at} (${hex([flags])}) has limits of a kind that is not known`);
}

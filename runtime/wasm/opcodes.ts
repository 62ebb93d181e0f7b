/**
 * What follows each opcode of WebAssembly 3.0, with threads and the exceptions of before 3.0: all
 * that must be known to step from one instruction to the next.
 */

import { hex, refuse, type WasmReader } from "./binary.ts";

/** One thing that follows an opcode. */
export type Immediate =
  /** An index or a count that stays as it is. */
  | "index"
  /** A function: its index is shifted. */
  | "function"
  /** A memory. */
  | "memory"
  /** Alignment, memory and offset of an access. */
  | "access"
  /** The type of a block, which begins here. */
  | "block"
  /** A heap type. */
  | "heap"
  /** Value types, counted. */
  | "values"
  /** Labels, counted, and one more. */
  | "labels"
  /** The clauses of `try_table`, counted. */
  | "catches"
  /** A signed number of so many bits. */
  | "s32"
  | "s64"
  /** So many bytes. */
  | 1
  | 4
  | 8
  | 16;

/** Opcodes from the first to the last one, and what follows each. */
type Row = readonly [first: number, last: number, ...immediates: readonly Immediate[]];

/** What follows each opcode, by opcode; nothing where there is no such opcode. */
type Table = readonly (readonly Immediate[] | undefined)[];

/** The opcodes that are more than one step, as {@linkcode readOpcode} returns them. */
export const Opcode = {
  If: 0x04,
  End: 0x0b,
  Return: 0x0f,
  Call: 0x10,
  ReturnCall: 0x12,
  Delegate: 0x18,
  Select: 0x1b,
  LocalGet: 0x20,
  LocalSet: 0x21,
  LocalTee: 0x22,
  I32Load: 0x28,
  MemorySize: 0x3f,
  MemoryGrow: 0x40,
  I32Const: 0x41,
  I64Const: 0x42,
  I32Eqz: 0x45,
  I32LtU: 0x49,
  I32Add: 0x6a,
  I32Sub: 0x6b,
  RefFunc: 0xd2,
  Notify: 0xfe000,
  Wait32: 0xfe001,
  Wait64: 0xfe002,
  I32AtomicLoad: 0xfe010,
} as const;
/** How far an opcode's first byte is shifted to the left where it is a prefix. */
const PREFIX_SHIFT = 12;
/** What is behind a prefix is at most so much. */
const BEHIND_MAX = 0xfff;

/** Opcodes of one byte. */
const CORE: readonly Row[] = [
  [0x00, 0x01], // unreachable, nop
  [0x02, 0x04, "block"], // block, loop, if
  [0x05, 0x05], // else
  [0x06, 0x06, "block"], // try
  [0x07, 0x09, "index"], // catch, throw, rethrow
  [0x0a, 0x0b], // throw_ref, end
  [0x0c, 0x0d, "index"], // br, br_if
  [0x0e, 0x0e, "labels"], // br_table
  [0x0f, 0x0f], // return
  [0x10, 0x10, "function"], // call
  [0x11, 0x11, "index", "index"], // call_indirect
  [0x12, 0x12, "function"], // return_call
  [0x13, 0x13, "index", "index"], // return_call_indirect
  [0x14, 0x15, "index"], // call_ref, return_call_ref
  [0x18, 0x18, "index"], // delegate
  [0x19, 0x1b], // catch_all, drop, select
  [0x1c, 0x1c, "values"], // select with a type
  [0x1f, 0x1f, "block", "catches"], // try_table
  [0x20, 0x26, "index"], // locals, globals, table.get, table.set
  [0x28, 0x3e, "access"], // loads, stores
  [0x3f, 0x40, "memory"], // memory.size, memory.grow
  [0x41, 0x41, "s32"],
  [0x42, 0x42, "s64"],
  [0x43, 0x43, 4],
  [0x44, 0x44, 8],
  [0x45, 0xc4], // numbers
  [0xd0, 0xd0, "heap"], // ref.null
  [0xd1, 0xd1], // ref.is_null
  [0xd2, 0xd2, "function"], // ref.func
  [0xd3, 0xd4], // ref.eq, ref.as_non_null
  [0xd5, 0xd6, "index"], // br_on_null, br_on_non_null
];

/** Opcodes behind 0xfb: structures, arrays, casts. */
const GARBAGE_COLLECTED: readonly Row[] = [
  [0, 1, "index"], // struct.new
  [2, 5, "index", "index"], // struct.get, struct.set
  [6, 7, "index"], // array.new
  [8, 10, "index", "index"], // array.new_fixed, array.new_data, array.new_elem
  [11, 14, "index"], // array.get, array.set
  [15, 15], // array.len
  [16, 16, "index"], // array.fill
  [17, 19, "index", "index"], // array.copy, array.init_data, array.init_elem
  [20, 23, "heap"], // ref.test, ref.cast
  [24, 25, 1, "index", "heap", "heap"], // br_on_cast
  [26, 30], // conversions, i31
];

/** Opcodes behind 0xfc: saturating conversions, bulk memory, tables. */
const BULK: readonly Row[] = [
  [0, 7], // saturating conversions
  [8, 8, "index", "memory"], // memory.init
  [9, 9, "index"], // data.drop
  [10, 10, "memory", "memory"], // memory.copy
  [11, 11, "memory"], // memory.fill
  [12, 12, "index", "index"], // table.init
  [13, 13, "index"], // elem.drop
  [14, 14, "index", "index"], // table.copy
  [15, 17, "index"], // table.grow, table.size, table.fill
];

/** Opcodes behind 0xfd: vectors. */
const VECTOR: readonly Row[] = [
  [0x00, 0x0b, "access"], // loads, v128.store
  [0x0c, 0x0d, 16], // v128.const, i8x16.shuffle
  [0x0e, 0x14], // swizzle, splats
  [0x15, 0x22, 1], // lanes
  [0x23, 0x53], // comparisons, bits
  [0x54, 0x5b, "access", 1], // lanes in memory
  [0x5c, 0x5d, "access"], // loads that fill up with zeros
  [0x5e, 0x99],
  [0x9b, 0xa1],
  [0xa3, 0xa4],
  [0xa7, 0xae],
  [0xb1, 0xb1],
  [0xb5, 0xba],
  [0xbc, 0xc1],
  [0xc3, 0xc4],
  [0xc7, 0xce],
  [0xd1, 0xd1],
  [0xd5, 0xe1],
  [0xe3, 0xed],
  [0xef, 0xff],
  [0x100, 0x113], // relaxed
];

/** Opcodes behind 0xfe: threads. */
const ATOMIC: readonly Row[] = [
  [0x00, 0x02, "access"], // notify, wait32, wait64
  [0x03, 0x03, 1], // atomic.fence
  [0x10, 0x4e, "access"],
];

const ONE_BYTE = table(CORE);
const PREFIXED: ReadonlyMap<number, Table> = new Map([
  [0xfb, table(GARBAGE_COLLECTED)],
  [0xfc, table(BULK)],
  [0xfd, table(VECTOR)],
  [0xfe, table(ATOMIC)],
]);

/**
 * Reads an opcode.
 *
 * @param source Where it is.
 * @returns The byte, or the prefix and what is behind it.
 */
export function readOpcode(source: WasmReader): number {
  const first = source.at;
  const byte = source.byte();
  if (!PREFIXED.has(byte)) return byte;
  const behind = source.u32();
  if (behind > BEHIND_MAX) refuseOpcode(source, first);
  return byte << PREFIX_SHIFT | behind;
}

/**
 * What follows an opcode.
 *
 * @param opcode The opcode, as {@linkcode readOpcode} returned it.
 * @returns What follows, in order; `undefined` where there is no such opcode.
 */
export function immediatesOf(opcode: number): readonly Immediate[] | undefined {
  if (opcode < 0x100) return ONE_BYTE[opcode];
  return PREFIXED.get(opcode >>> PREFIX_SHIFT)?.[opcode & BEHIND_MAX];
}

/**
 * Refuses an opcode that has just been read.
 *
 * @param source Where it was.
 * @param first Its first byte.
 */
export function refuseOpcode(source: WasmReader, first: number): never {
  const bytes = hex(source.bytes.subarray(first, source.at));
  refuse(`byte ${first} (${bytes}) begins an instruction that is not known`);
}

function table(rows: readonly Row[]): Table {
  const made: (readonly Immediate[] | undefined)[] = [];
  for (const [first, last, ...immediates] of rows) {
    for (let opcode = first; opcode <= last; opcode++) made[opcode] = immediates;
  }
  return made;
}

import { assertEquals } from "@std/assert";
import {
  functionType,
  I32,
  number,
  section,
  sharedMemory,
  sized,
  text,
  wasmModule,
} from "../../tests/support/wasm_module.ts";
import { Section } from "./binary.ts";
import { type Immediate, immediatesOf } from "./opcodes.ts";

const PREFIXES = [0xfb, 0xfc, 0xfd, 0xfe];
/** Opcodes behind a prefix are tried up to here. */
const BEHIND_MAX = 0x17f;
/**
 * What V8 says of an opcode that it does not know, or that is of use only with a flag, as those of
 * structures with descriptors are.
 */
const UNKNOWN =
  /[Ii]nvalid (?:numeric |simd |atomic |gc |string )?opcode|enable with --experimental|without descriptor/;

/** Any value that each kind of immediate can have. */
const VALUES: Readonly<Record<Exclude<Immediate, number>, readonly number[]>> = {
  index: [0],
  function: [0],
  memory: [0],
  access: [0, 0],
  block: [0x40],
  heap: [0x70],
  values: [1, I32],
  labels: [0, 0],
  catches: [0],
  s32: [0],
  s64: [0],
};

/** What stands around instructions that are not valid by themselves, by opcode. */
const AROUND: ReadonlyMap<number, readonly [before: readonly number[], after: readonly number[]]> =
  new Map([
    [0x05, [[0x41, 0, 0x04, 0x40], [0x0b]]], // else: in an if
    [0x07, [[0x06, 0x40], [0x0b]]], // catch: in a try
    [0x09, [[0x06, 0x40, 0x19], [0x0b]]], // rethrow: in a catch_all
    [0x0b, [[0x02, 0x40], []]], // end: of a block
    [0x18, [[0x06, 0x40], []]], // delegate: of a try
    [0x19, [[0x06, 0x40], [0x0b]]], // catch_all: in a try
    [0xfb018, [[0x02, 0x6e], [0x0b]]], // br_on_cast: out of a block that has a reference
    [0xfb019, [[0x02, 0x6e], [0x0b]]],
  ]);

/** What type 0 is: a function, a structure, an array of numbers, of bytes, of references. */
const FIRST_TYPES = [
  functionType([], []),
  [0x5f, 1, I32, 1],
  [0x5f, 1, 0x78, 1],
  [0x5e, I32, 1],
  [0x5e, 0x78, 1],
  [0x5e, 0x70, 1],
];
const ALIGNMENTS = [0, 1, 2, 3];
const HEAPS = [0x70, 0x6e, 0x6f, 0x69];

/** A module that has one of everything, and a function with an instruction in it. */
function moduleWith(type: readonly number[], code: readonly number[]): Uint8Array<ArrayBuffer> {
  const FUNCREF = 0x70;
  return wasmModule(
    section(Section.Type, type, functionType([], []), functionType([], [])),
    section(Section.Import, [...text("t"), ...text("t"), 4, 0, 2]),
    section(Section.Function, [1]),
    section(Section.Table, [FUNCREF, 0, 1]),
    sharedMemory(1, 1),
    section(Section.Global, [I32, 1, 0x41, 0, 0x0b]),
    section(Section.Element, [5, FUNCREF, 1, 0xd2, 0, 0x0b]),
    [Section.DataCount, 1, 1],
    section(Section.Code, sized([1, 1, I32, ...code, 0x0b])),
    section(Section.Data, [1, 0]),
  );
}

/** What V8 says of an instruction, tried in every way: nothing where one of them is valid. */
function verdicts({ opcode, bytes }: Tried, immediates: readonly Immediate[]): string[] {
  const said: string[] = [];
  const [before, after] = AROUND.get(opcode) ?? [[], immediates[0] === "block" ? [0x0b] : []];
  for (const type of FIRST_TYPES) {
    for (const alignment of immediates.includes("access") ? ALIGNMENTS : [0]) {
      for (const heap of immediates.includes("heap") ? HEAPS : [0]) {
        const values = immediates.flatMap((immediate) => {
          if (immediate === "access") return [alignment, 0];
          if (immediate === "heap") return [heap];
          return typeof immediate === "number"
            ? new Array<number>(immediate).fill(0)
            : VALUES[immediate];
        });
        // Behind `unreachable` the stack has what an instruction takes.
        const code = [...before, 0x00, ...bytes, ...values, ...after, 0x00];
        try {
          new WebAssembly.Module(moduleWith(type, code));
          return [];
        } catch (error) {
          said.push((error as Error).message);
        }
      }
    }
  }
  return said;
}

interface Tried {
  readonly opcode: number;
  readonly bytes: readonly number[];
}

const OPCODES: readonly Tried[] = [
  ...Array.from({ length: 256 }, (_, byte) => byte)
    .filter((byte) => !PREFIXES.includes(byte))
    .map((byte) => ({ opcode: byte, bytes: [byte] })),
  ...PREFIXES.flatMap((prefix) =>
    Array.from({ length: BEHIND_MAX + 1 }, (_, behind) => ({
      opcode: prefix << 12 | behind,
      bytes: [prefix, ...number(behind)],
    }))
  ),
];

Deno.test("immediatesOf: what is known is valid with what follows it, says this Deno's engine", () => {
  let known = 0;
  const wrong = OPCODES.flatMap((tried) => {
    const immediates = immediatesOf(tried.opcode);
    if (immediates === undefined) return [];
    known++;
    const said = verdicts(tried, immediates);
    return said.length === 0 ? [] : [`${tried.opcode.toString(16)}: ${said[0]}`];
  });
  assertEquals(wrong, []);
  assertEquals(known, 571);
});

Deno.test("immediatesOf: what is not known, this Deno's engine does not know either", () => {
  const missing = OPCODES.flatMap((tried) => {
    if (immediatesOf(tried.opcode) !== undefined) return [];
    const said = verdicts(tried, []);
    if (said.some((message) => UNKNOWN.test(message))) return [];
    return [`${tried.opcode.toString(16)}: ${said.join("; ")}`];
  });
  assertEquals(missing, []);
});

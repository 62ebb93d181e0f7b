/** WebAssembly modules for tests, put together byte by byte. */

import { Section } from "../../runtime/wasm/binary.ts";

/** The types of numbers. */
export const I32 = 0x7f;
export const I64 = 0x7e;

/** An unsigned number. */
export function number(value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...number(value >>> 7)];
}

/** A text. */
export function text(value: string): number[] {
  return sized([...new TextEncoder().encode(value)]);
}

/** Bytes, and how many there are before them. */
export function sized(bytes: readonly number[]): number[] {
  return [...number(bytes.length), ...bytes];
}

/** Items, and how many there are before them. */
export function counted(...items: readonly (readonly number[])[]): number[] {
  return [...number(items.length), ...items.flat()];
}

/** A section that has items. */
export function section(id: number, ...items: readonly (readonly number[])[]): number[] {
  return [id, ...sized(counted(...items))];
}

/** A custom section. */
export function custom(name: string, content: readonly number[]): number[] {
  return [Section.Custom, ...sized([...text(name), ...content])];
}

/** The type of a function. */
export function functionType(parameters: readonly number[], results: readonly number[]): number[] {
  return [0x60, ...sized(parameters), ...sized(results)];
}

/** The body of a function without locals. */
export function body(...code: readonly number[]): number[] {
  return sized([0, ...code, 0x0b]);
}

/** A module. */
export function wasmModule(...sections: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flat()]);
}

/** A shared memory of its own, of up to so many pages. */
export function sharedMemory(pages: number, maximum: number, is64 = false): number[] {
  return section(Section.Memory, [is64 ? 7 : 3, ...number(pages), ...number(maximum)]);
}

/** A module whose functions are each one instruction, with parameters that it takes. */
export function ofInstructions(is64: boolean): Uint8Array<ArrayBuffer> {
  const address = is64 ? I64 : I32;
  const [get0, get1, get2] = [[0x20, 0], [0x20, 1], [0x20, 2]] as const;
  const offset = is64 ? [0x80, 0x80, 0x80, 0x80, 0x80, 0x01] : [0xfc, 0xff, 0xff, 0xff, 0x0f];
  return wasmModule(
    section(
      Section.Type,
      functionType([address, I32, I64], [I32]),
      functionType([address, I64, I64], [I32]),
      functionType([address, I32], [I32]),
      functionType([address], [address]),
      functionType([], [address]),
    ),
    section(Section.Function, [0], [1], [2], [3], [4]),
    sharedMemory(1, 3, is64),
    section(
      Section.Export,
      ...["wait32", "wait64", "notify", "grow", "size"].map((name, index) => [
        ...text(name),
        0,
        index,
      ]),
      [...text("memory"), 2, 0],
    ),
    section(
      Section.Code,
      body(...get0, ...get1, ...get2, 0xfe, 0x01, 2, 8),
      body(...get0, ...get1, ...get2, 0xfe, 0x02, 3, ...offset),
      body(...get0, ...get1, 0xfe, 0x00, 2, 0),
      body(...get0, 0x40, 0),
      body(0x3f, 0),
    ),
  );
}

/**
 * A module that names functions in every place where it can. It imports one that adds 100; its own
 * return 1, 2 and 3 and what these places come to.
 */
export function ofIndices(): Uint8Array<ArrayBuffer> {
  const [add, one, two, three] = [0, 1, 2, 3];
  const reference = (index: number): number[] => [0xd2, index, 0x0b];
  const constant = (value: number): number[] => [0x41, value];
  const FUNCREF = 0x70;
  return wasmModule(
    section(
      Section.Type,
      functionType([I32], [I32]),
      functionType([], [I32]),
      functionType([], []),
    ),
    section(
      Section.Import,
      [...text("host"), ...text("add"), 0, 0],
      [...text("host"), ...text("table"), 1, FUNCREF, 0, 1],
    ),
    section(Section.Function, [1], [1], [1], [0], [1], [1], [2], [1]),
    section(
      Section.Table,
      [FUNCREF, 0, 8],
      // A table whose first value is given.
      [0x40, 0, FUNCREF, 0, 2, ...reference(three)],
    ),
    sharedMemory(1, 1),
    section(Section.Global, [FUNCREF, 0, ...reference(two)], [I32, 1, ...constant(0), 0x0b]),
    section(
      Section.Export,
      [...text("one"), 0, one],
      [...text("add"), 0, add],
      [...text("indirect"), 0, 4],
      [...text("tail"), 0, 5],
      [...text("called"), 0, 6],
      [...text("filled"), 0, 8],
      [...text("global"), 3, 0],
      [...text("started"), 3, 1],
    ),
    [Section.Start, ...sized([7])],
    section(
      Section.Element,
      [0, ...constant(0), 0x0b, ...counted([one])], // into table 0
      [1, 0, ...counted([one], [two])], // passive
      [2, 1, ...constant(0), 0x0b, 0, ...counted([one], [two])], // into table 1
      [3, 0, ...counted([three])], // declared
      [4, ...constant(0), 0x0b, ...counted(reference(two))],
      [5, FUNCREF, ...counted(reference(three))],
      [6, 1, ...constant(2), 0x0b, FUNCREF, ...counted(reference(three), reference(add))],
      [7, FUNCREF, ...counted(reference(two))],
    ),
    section(
      Section.Code,
      body(...constant(1)),
      body(...constant(2)),
      body(...constant(3)),
      // indirect(index): calls through table 1.
      body(0x20, 0, 0x11, 1, 1),
      // tail: returns add(2).
      body(0x10, two, 0x12, add),
      // called: one + three, by call and by a reference on a table.
      body(...constant(7), 0xd2, three, 0x26, 1, 0x10, one, ...constant(7), 0x11, 1, 1, 0x6a),
      // start
      body(0x10, three, 0x24, 1),
      // filled: calls through the table whose first value is given.
      body(...constant(1), 0x11, 1, 2),
    ),
    custom("name", [
      ...[0, ...sized(text("indices"))],
      ...[
        1,
        ...sized(counted([add, ...text("add")], [one, ...text("one")], [two, ...text("two")])),
      ],
      ...[2, ...sized(counted([4, ...counted([0, ...text("index")])]))],
    ]),
    custom("producers", counted()),
    custom(".debug_info", [1, 2, 3]),
  );
}

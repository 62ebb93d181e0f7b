/** The sections of a module: where they are, and that they stand in their order. */

import { WASM_MODULE_MAX_BYTES } from "../limits.ts";
import { hex, refuse, Section, WasmReader } from "./binary.ts";

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const VERSION = [0x01, 0x00, 0x00, 0x00];
/** How long the head of a module is, which stands before its sections. */
export const HEAD_BYTES = MAGIC.length + VERSION.length;
/** The version of a component, which is made of modules. */
const COMPONENT = [0x0d, 0x00, 0x01, 0x00];

/** The order in which sections stand in a module. */
const ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/** A section of a module. */
export interface FoundSection {
  readonly id: number;
  /** Where it begins, with its head. */
  readonly first: number;
  readonly content: number;
  readonly end: number;
}

/** The sections of one module. */
export class Sections {
  readonly #bytes: Uint8Array;
  /** All of them, in the order in which they stand. */
  readonly all: readonly FoundSection[];

  /**
   * @param bytes The module.
   * @throws {TdsmError} `InvalidArgument` where it is none, or a section is not in its place.
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.all = findSections(bytes);
  }

  /**
   * Reads all entries of a section that the module may have.
   *
   * @param id The section.
   * @param read Reads an entry.
   */
  each(id: number, read: (source: WasmReader) => void): void {
    const section = this.all.find((section) => section.id === id);
    if (section === undefined) return;
    const source = this.read(section);
    for (let entries = source.u32(); entries > 0; entries--) read(source);
    source.finish();
  }

  /** The content of a section. */
  read({ first, content, end }: FoundSection): WasmReader {
    return new WasmReader(this.#bytes, content, end, `the section at byte ${first}`);
  }
}

/** Finds the sections, and checks that they stand in their order. */
function findSections(bytes: Uint8Array): FoundSection[] {
  checkHead(bytes);
  const source = new WasmReader(bytes, HEAD_BYTES, bytes.length, "the module");
  const found: FoundSection[] = [];
  let last = -1;
  while (!source.done) {
    const first = source.at;
    const id = source.byte();
    const { at: content, end } = source.part(source.u32(), "a section");
    found.push({ id, first, content, end });
    if (id === Section.Custom) continue;
    const place = rank(id);
    if (place < 0) refuse(`the section at byte ${first} is of a kind that is not known (${id})`);
    if (place <= last) refuse(`the section at byte ${first} (${id}) is not in its place`);
    last = place;
  }
  return found;
}

function checkHead(bytes: Uint8Array): void {
  if (bytes.length > WASM_MODULE_MAX_BYTES) {
    refuse(`it has ${bytes.length} bytes, and engines take ${WASM_MODULE_MAX_BYTES} at most`);
  }
  const begins = (at: number, wanted: readonly number[]): boolean =>
    wanted.every((byte, index) => bytes[at + index] === byte);
  if (!begins(0, MAGIC)) {
    const given = bytes.length === 0
      ? "there are none"
      : `it begins with ${hex(bytes.slice(0, 4))}`;
    refuse(`the bytes are no WebAssembly in the binary format (${given}, not ${hex(MAGIC)})`);
  }
  if (begins(MAGIC.length, COMPONENT)) refuse("it is a component; give a core module");
  if (!begins(MAGIC.length, VERSION)) {
    const version = hex(bytes.slice(MAGIC.length, MAGIC.length + VERSION.length));
    refuse(`it is of version ${version}, not ${hex(VERSION)}`);
  }
}

/**
 * The place of a section among those that a module can have.
 *
 * @param id The section.
 * @returns Its place; -1 where it is of no known kind.
 */
export function rank(id: number): number {
  return ORDER.indexOf(id);
}

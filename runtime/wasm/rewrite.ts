/**
 * Rewriting of WebAssembly modules so that their memory can be the region: what only an engine of
 * one process can do for an instruction becomes a call of an import, which works across nodes.
 */

import { WASM_MEMORY32_MAX_PAGES } from "../limits.ts";
import { show } from "../arguments/show.ts";
import { refuse, Section, WasmReader, WasmWriter } from "./binary.ts";
import { type AddedFunction, CodeRewriter, IMPORT_MODULE, REPLACEMENTS } from "./code.ts";
import { ModuleFunctions } from "./functions.ts";
import { findLifts, type Lifted, Lifting } from "./lift.ts";
import { customSection, rewriteNames } from "./names.ts";
import { type FoundSection, HEAD_BYTES, rank, Sections } from "./sections.ts";
import {
  type MemoryType,
  readMemoryType,
  skipTableType,
  skipTypes,
  skipValueType,
  writeMemoryType,
} from "./types.ts";

/** The name by which it imports its memory, if it had one of its own. */
const IMPORT_MEMORY = "memory";

/** What is refused or not, and what else is changed. */
export interface RewriteOptions {
  /** Whether a module without shared memory is rewritten, too. Default: false. */
  readonly anyMemory?: boolean;
  /**
   * Whether what the C library has for threads of one machine is lifted, where it is recognised:
   * see `lift.ts`. Such a module imports more functions: `Lifting.added` names them. Default:
   * false.
   */
  readonly lift?: boolean;
}

/** A module that was rewritten. */
export interface RewrittenModule {
  /** The module. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The type of its memory, and by which names it is imported; `undefined` if it has none. */
  readonly memory: ImportedMemory | undefined;
  /** What was lifted. */
  readonly lifted: readonly Lifted[];
}

/** The memory that a rewritten module imports. */
export interface ImportedMemory extends MemoryType {
  /** The module's name in the import. */
  readonly module: string;
  /** The memory's name in the import. */
  readonly name: string;
}

/** The kinds of imports and exports. */
const Kind = { Function: 0, Table: 1, Memory: 2, Global: 3, Tag: 4 } as const;

const FUNCTION_TYPE = 0x60;
const I32 = 0x7f;
const I64 = 0x7e;
/** Parameters and result of each function that is added. */
const SIGNATURES: Record<AddedFunction, readonly ("address" | "i32" | "i64")[]> = {
  wait32: ["address", "i32", "i64", "address", "i32"],
  wait64: ["address", "i64", "i64", "address", "i32"],
  notify: ["address", "i32", "address", "i32"],
  grow: ["address", "address"],
  size: ["address"],
  beginCondWait: ["i32", "i32", "i32"],
  endCondWait: ["i32", "i32"],
  wakeCond: ["i32", "i32", "i32"],
  waitAtBarrier: ["i32", "i32", "i32"],
};

/** A table's entry that begins with its first value. */
const TABLE_WITH_VALUE = 0x40;

/** The bits of an element segment's first number. */
const Segment = { NotActive: 1, Explicit: 2, Expressions: 4 } as const;
const SEGMENT_FLAGS = 7;

/**
 * Rewrites a WebAssembly module with shared memory so that instances on several nodes can share it.
 * `memory.atomic.wait32`, `memory.atomic.wait64`, `memory.atomic.notify`, `memory.grow` and
 * `memory.size` become calls of functions that the module imports from `"tdsm"`. A memory of the
 * module's own becomes the import `"tdsm" "memory"`; one that it imports stays that import.
 *
 * All other code and data mean what they meant before. Names of functions are kept; debug
 * information and whatever else points to places in the code is left out.
 *
 * @param bytes The module, in the binary format.
 * @returns The module, rewritten.
 * @throws {TdsmError} `InvalidArgument` when the bytes are no module, or one that cannot be
 *   rewritten: without shared memory, with two memories, or with an instruction that is not known.
 * @throws {TypeError} When `bytes` are no bytes.
 *
 * @example A module that says how large its memory is
 * ```ts
 * import { rewriteWasm } from "@tdsm/runtime";
 *
 * // (module (memory 1 2 shared) (func (export "pages") (result i32) (memory.size)))
 * const text = "\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x05\x04\x01\x03\x01\x02" +
 *   "\x07\x09\x01\x05pages\0\0\x0a\x06\x01\x04\0\x3f\0\x0b";
 * const bytes = rewriteWasm(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
 * const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
 * console.log(imports.map(({ name }) => name)); // wait32, wait64, notify, grow, size, memory
 * ```
 */
export function rewriteWasm(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return rewriteModule(bytes).bytes;
}

/**
 * Rewrites a module as {@linkcode rewriteWasm} does.
 *
 * @param bytes The module.
 * @param options What is refused.
 * @returns The module, and the memory that it imports.
 * @throws {TdsmError} `InvalidArgument`, as `rewriteWasm`.
 * @throws {TypeError} As `rewriteWasm`.
 */
export function rewriteModule(bytes: Uint8Array, options: RewriteOptions = {}): RewrittenModule {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`Cannot rewrite ${show(bytes)}: give the module's bytes as a Uint8Array`);
  }
  const { anyMemory = false, lift = false } = options;
  const rewriter = new ModuleRewriter(bytes, anyMemory);
  const rewritten = rewriter.rewrite();
  // What is added could make sense of an index that had none.
  requireValid(bytes);
  const lifting = lift ? rewriter.findLifts() : new Lifting();
  const isLifted = lifting.lifted.length > 0;
  return isLifted ? new ModuleRewriter(bytes, anyMemory, lifting).rewrite() : rewritten;
}

/** What the name of a function, in the engine's words, could end a line by. */
const LINE_ENDS = /[\p{Cc}\p{Zl}\p{Zp}]/gu;

/** Refuses what the engine refuses, in its words. */
function requireValid(bytes: Uint8Array): void {
  const source = bytes as Uint8Array<ArrayBuffer>;
  if (WebAssembly.validate(source)) return;
  try {
    new WebAssembly.Module(source);
  } catch (error) {
    refuse(`it is not valid (${(error as Error).message.replace(LINE_ENDS, " ")})`);
  }
}

/** Rewrites one module. */
class ModuleRewriter {
  readonly #bytes: Uint8Array;
  readonly #sections: Sections;
  readonly #lifting: Lifting;
  /** The functions that the module gets. */
  readonly #added: readonly AddedFunction[];
  readonly #memory: ImportedMemory | undefined;
  readonly #code: CodeRewriter;
  /** The types that the module defines. */
  #types = 0;
  /** The functions that it imports. */
  #imported = 0;
  /** The function whose code is written next. */
  #next: number;
  readonly #target = new WasmWriter();
  /** The section that is being written. */
  readonly #section = new WasmWriter();
  /** The function that is being written. */
  readonly #body = new WasmWriter();

  constructor(bytes: Uint8Array, anyMemory: boolean, lifting: Lifting = new Lifting()) {
    this.#bytes = bytes;
    this.#sections = new Sections(bytes);
    this.#lifting = lifting;
    this.#added = [...REPLACEMENTS, ...lifting.added];
    this.#types = this.#countTypes();
    this.#memory = this.#findMemory();
    if (!anyMemory) checkMemory(this.#memory);
    this.#next = this.#imported;
    let all = this.#imported;
    this.#sections.each(Section.Function, (source) => {
      source.u32();
      all++;
    });
    const counts = { all, imported: this.#imported };
    this.#code = new CodeRewriter(bytes, counts, this.#added, this.#memory?.is64 ?? false);
  }

  rewrite(): RewrittenModule {
    this.#target.copy(this.#bytes, 0, HEAD_BYTES);
    // Both are written whether the module has them or not.
    const due = [Section.Type, Section.Import] as number[];
    for (const section of this.#sections.all) {
      const { id } = section;
      while (due.length > 0 && id !== Section.Custom && rank(id) >= rank(due[0]!)) {
        const next = due.shift()!;
        if (next !== id) this.#write(next, undefined);
      }
      this.#write(id, section);
    }
    for (const id of due) this.#write(id, undefined);
    const { lifted } = this.#lifting;
    return { bytes: this.#target.bytes.slice(), memory: this.#memory, lifted };
  }

  /** Finds what can be lifted, once the module has been rewritten without. */
  findLifts(): Lifting {
    // The C library has addresses of 32 bits.
    if (this.#memory === undefined || this.#memory.is64) return new Lifting();
    const functions = new ModuleFunctions(this.#bytes, this.#sections, this.#imported);
    return findLifts(functions, this.#code.mentions);
  }

  /** Writes a section; with the functions that are added, if it is one of those that name them. */
  #write(id: number, section: FoundSection | undefined): void {
    const source = section === undefined
      ? new WasmReader(this.#bytes, 0, 0, "nothing")
      : this.#sections.read(section);
    this.#section.clear();
    switch (id) {
      case Section.Custom:
        if (!this.#custom(source)) return;
        break;
      case Section.Type:
        this.#writeTypes(source);
        break;
      case Section.Import:
        this.#writeImports(source);
        break;
      case Section.Table:
        this.#entries(source, () => this.#table(source));
        break;
      case Section.Memory:
        // The module's own is an import from here on.
        return;
      case Section.Global:
        this.#entries(source, () => {
          this.#copy(source, () => {
            skipValueType(source);
            source.skip(1);
          });
          this.#code.expression(source, this.#section);
        });
        break;
      case Section.Export:
        this.#entries(source, () => this.#export(source));
        break;
      case Section.Start:
        this.#section.u32(this.#code.mentioned(source.u32()));
        break;
      case Section.Element:
        this.#entries(source, () => this.#element(source));
        break;
      case Section.Code:
        this.#entries(source, () => this.#function(source));
        break;
      default:
        this.#section.copy(this.#bytes, source.at, source.end);
        source.skip(source.end - source.at);
    }
    source.finish();
    this.#target.section(id, this.#section);
  }

  /** Rewrites what a section has a count of. */
  #entries(source: WasmReader, entry: () => void): void {
    const count = source.u32();
    this.#section.u32(count);
    for (let done = 0; done < count; done++) entry();
  }

  /** Writes what is stepped over, as it is. */
  #copy(source: WasmReader, skip: () => void): void {
    const first = source.at;
    skip();
    this.#section.copy(this.#bytes, first, source.at);
  }

  #custom(source: WasmReader): boolean {
    const first = source.at;
    const name = source.name();
    switch (customSection(name)) {
      case "object file":
        return refuse(`it is an object file (it has the section ${name}); link it first`);
      case "leave out":
        return false;
      case "names":
        return rewriteNames(source, this.#section, this.#code);
      case "keep":
        this.#section.copy(this.#bytes, first, source.end);
        source.skip(source.end - source.at);
        return true;
    }
  }

  #writeTypes(source: WasmReader): void {
    const count = source.done ? 0 : source.u32();
    this.#section.u32(count + this.#added.length);
    this.#copy(source, () => source.skip(source.end - source.at));
    const codes = { i32: I32, i64: I64, address: this.#memory?.is64 ? I64 : I32 };
    for (const name of this.#added) {
      const values = SIGNATURES[name].map((value) => codes[value]);
      this.#section.byte(FUNCTION_TYPE);
      this.#section.sized(Uint8Array.from(values.slice(0, -1)));
      this.#section.sized(Uint8Array.from(values.slice(-1)));
    }
  }

  #writeImports(source: WasmReader): void {
    const target = this.#section;
    const count = source.done ? 0 : source.u32();
    const own = this.#memory?.module === IMPORT_MODULE;
    target.u32(count + this.#added.length + (own ? 1 : 0));
    this.#copy(source, () => source.skip(source.end - source.at));
    for (const [index, name] of this.#added.entries()) {
      target.name(IMPORT_MODULE);
      target.name(name);
      target.byte(Kind.Function);
      target.u32(this.#types + index);
    }
    if (!own) return;
    target.name(IMPORT_MODULE);
    target.name(IMPORT_MEMORY);
    target.byte(Kind.Memory);
    writeMemoryType(target, this.#memory!);
  }

  #table(source: WasmReader): void {
    const withValue = source.byte() === TABLE_WITH_VALUE;
    source.at--;
    this.#copy(source, () => {
      if (withValue) source.skip(2);
      skipTableType(source);
    });
    if (withValue) this.#code.expression(source, this.#section);
  }

  #export(source: WasmReader): void {
    let kind = 0;
    this.#copy(source, () => {
      source.name();
      kind = source.byte();
    });
    const index = source.u32();
    this.#section.u32(kind === Kind.Function ? this.#code.shifted(index) : index);
  }

  #element(source: WasmReader): void {
    const at = source.at;
    const flags = source.u32();
    if (flags > SEGMENT_FLAGS) {
      refuse(`byte ${at} begins a segment of elements of a kind that is not known`);
    }
    const [active, explicit] = [!(flags & Segment.NotActive), (flags & Segment.Explicit) !== 0];
    const expressions = (flags & Segment.Expressions) !== 0;
    this.#section.u32(flags);
    if (active) {
      if (explicit) this.#section.u32(source.u32());
      this.#code.expression(source, this.#section);
    }
    if (!active || explicit) {
      this.#copy(source, () => expressions ? skipValueType(source) : source.skip(1));
    }
    this.#entries(source, () => {
      if (expressions) this.#code.expression(source, this.#section);
      else this.#section.u32(this.#code.mentioned(source.u32()));
    });
  }

  #function(section: WasmReader): void {
    const at = section.at;
    const source = section.part(section.u32(), `the function at byte ${at}`);
    this.#body.clear();
    const locals = source.at;
    for (let groups = source.u32(); groups > 0; groups--) {
      source.u32();
      skipValueType(source);
    }
    this.#body.copy(this.#bytes, locals, source.at);
    this.#lifting.begin(this.#next++, this.#body, this.#code);
    this.#code.expression(source, this.#body);
    source.finish();
    this.#section.sized(this.#body.bytes);
  }

  #countTypes(): number {
    let types = 0;
    this.#sections.each(Section.Type, (source) => types += skipTypes(source));
    return types;
  }

  /** Counts the imported functions, and finds the memory. */
  #findMemory(): ImportedMemory | undefined {
    const memories: ImportedMemory[] = [];
    this.#sections.each(Section.Import, (source) => {
      const module = source.name();
      const name = source.name();
      if (module === IMPORT_MODULE) {
        refuse(`it imports ${show(name)} from ${show(IMPORT_MODULE)}: it is rewritten already`);
      }
      const at = source.at;
      switch (source.byte()) {
        case Kind.Function:
          source.u32();
          this.#imported++;
          return;
        case Kind.Table:
          return skipTableType(source);
        case Kind.Memory:
          memories.push({ module, name, ...readMemoryType(source) });
          return;
        case Kind.Global:
          skipValueType(source);
          return source.skip(1);
        case Kind.Tag:
          source.skip(1);
          source.u32();
          return;
        default:
          refuse(`byte ${at} begins an import of a kind that is not known`);
      }
    });
    this.#sections.each(Section.Memory, (source) => {
      const type = readMemoryType(source);
      memories.push({ module: IMPORT_MODULE, name: IMPORT_MEMORY, ...type });
    });
    if (memories.length > 1) {
      refuse(`it has ${memories.length} memories, but the region can be one memory only`);
    }
    return memories[0];
  }
}

function checkMemory(memory: MemoryType | undefined): void {
  const build = "build it with threads, as for wasm32-wasip1-threads";
  if (memory === undefined) refuse(`it has no memory that threads share; ${build}`);
  if (!memory.shared) refuse(`its memory is not shared; ${build}`);
  if (memory.maximum === undefined) refuse("its memory is shared, but has no maximum");
  if (memory.pages > memory.maximum) {
    refuse(`its memory begins with ${memory.pages} pages, more than its maximum`);
  }
  if (!memory.is64 && memory.maximum > WASM_MEMORY32_MAX_PAGES) {
    const most = WASM_MEMORY32_MAX_PAGES;
    refuse(`its memory has up to ${memory.maximum} pages, and 32 bits address ${most} at most`);
  }
}

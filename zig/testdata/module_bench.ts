/**
 * What tests of native modules share: a module's source, and a region whose faults are served.
 */

import { FAULT_PAGE, FAULT_WINDOW, FAULT_WORDS } from "../../ffi/abi.ts";
import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { NativeModule } from "../../ffi/module.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { TdsmError } from "../../runtime/errors.ts";

/** Bytes. */
export const KIB = 1024;
/** Bytes. */
export const MIB: number = 1024 * KIB;
/** Bytes. */
export const GIB: number = 1024 * MIB;

/** A module with one shared variable and a function that adds 1 to it, in C. */
export const COUNTER_C = `
  #include "tdsm.h"
  TDSM_SHARED int counter;
  int bump(void) { return __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST); }`;
/** The same in Zig. */
export const COUNTER_ZIG = `
  export var counter: i32 linksection(".bss.rdma") = 0;
  export fn bump() i32 { return @atomicRmw(i32, &counter, .Add, 1, .seq_cst) + 1; }`;

/** What the two above export. */
export const COUNTER = {
  bump: { parameters: [], result: "i32", nonblocking: true },
  counter: { type: "pointer" },
} as const;

/** What every test has: a folder for its modules, the library, and a region. */
export class Bench implements AsyncDisposable {
  readonly directory: string;
  readonly library: TdsmLibrary = openLibrary();
  readonly region: NativeRegion;

  private constructor(directory: string, size: number, pageSize: number) {
    this.directory = directory;
    this.region = NativeRegion.open(this.library, { size, pageSize });
  }

  static async open(size = 16 * MIB, pageSize = 4 * KIB): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "tdsm-module-" }), size, pageSize);
  }

  path(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** Serves every fault until `done` is; answers the pages and windows that faulted. */
  async serve<T>(
    done: Promise<T>,
  ): Promise<{ value: T; faults: [page: number, window: number][] }> {
    const faults: [number, number][] = [];
    const records = new Uint32Array(16 * FAULT_WORDS);
    let over = false;
    const stop = (): void => {
      over = true;
      this.region.kick();
    };
    done.then(stop, stop);
    while (!over) {
      const count = this.region.readFaults(records);
      for (let at = 0; at < count * FAULT_WORDS; at += FAULT_WORDS) {
        faults.push([records[at + FAULT_PAGE]!, records[at + FAULT_WINDOW]!]);
        this.region.install(records[at + FAULT_PAGE]!, 1, true);
      }
      if (count === 0) await this.region.wait(-1);
    }
    return { value: await done, faults };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.region[Symbol.dispose]();
    this.library[Symbol.dispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The `int` at byte `at` of `bytes`. */
export function int32At(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true);
}

/** Whether the library at `path` is loaded in this process. */
export function isLoaded(bench: Bench, path: string): boolean {
  try {
    NativeModule.find(bench.library, path);
  } catch (error) {
    if (error instanceof TdsmError && error.code === "LibraryNotFound") return false;
    if (!(error instanceof TdsmError)) throw error;
  }
  return true;
}

import { assertEquals, assertRejects } from "@std/assert";
import { withFolder } from "../../tests/support/folder.ts";
import {
  body,
  functionType,
  number,
  section,
  sharedMemory,
  text,
  wasmModule,
} from "../../tests/support/wasm_module.ts";
import { TdsmError } from "../errors.ts";
import { Section } from "../wasm/binary.ts";
import { loadProgram } from "./program.ts";

const MEMORY = sharedMemory(1, 2);
const TYPES = section(Section.Type, functionType([], []));
const START = section(Section.Export, [...text("_start"), 0, 0]);
const FUNCTIONS = section(Section.Function, [0]);
const CODE = section(Section.Code, body());

/** A module that imports a function. */
function importing(module: string, name: string): Uint8Array {
  return wasmModule(
    TYPES,
    section(Section.Import, [...text(module), ...text(name), 0, 0]),
    MEMORY,
    START,
  );
}

/** Modules that cannot run, and what the message says behind their path. */
const REFUSED: readonly (readonly [what: string, bytes: Uint8Array, problem: RegExp])[] = [
  ["what is no module", new TextEncoder().encode("#!/bin/sh\n"), /: the bytes are no WebAssembly/],
  [
    "a memory that is not shared",
    wasmModule(section(Section.Memory, [1, 1, 2])),
    /: its memory is not shared; build it/,
  ],
  [
    "two memories",
    wasmModule(section(Section.Import, [...text("a"), ...text("b"), 2, 3, 1, 1]), MEMORY),
    /: it has 2 memories, but the region can be one memory only/,
  ],
  [
    "too large a maximum",
    wasmModule(section(Section.Memory, [3, 1, ...number(65_537)])),
    /: its memory has up to 65537 pages, and 32 bits address 65536 at most/,
  ],
  [
    "addresses of 64 bits",
    wasmModule(sharedMemory(1, 2, true)),
    /: its memory has addresses of 64 bits/,
  ],
  [
    "an import of another host",
    importing("env", "draw"),
    /: it imports the function "draw" from "env", which no node has: build it/,
  ],
  [
    "a function that WASI has not",
    importing("wasi_snapshot_preview1", "fly"),
    /: it imports the function "fly" from "wasi_snap/,
  ],
  [
    "a library",
    wasmModule(TYPES, FUNCTIONS, MEMORY, CODE),
    /: it has no function _start: it is a library, not a program/,
  ],
  [
    "threads without their start",
    importing("wasi", "thread-spawn"),
    /: it starts threads, but exports no wasi_thread_start\. Link/,
  ],
];

for (const [what, bytes, problem] of REFUSED) {
  Deno.test(`loadProgram: refuses ${what} in one line`, () =>
    withFolder(async (folder) => {
      const path = `${folder}/program.wasm`;
      await Deno.writeFile(path, bytes);
      const { code, message } = await assertRejects(() => loadProgram(path, true), TdsmError);
      assertEquals([code, message.includes("\n")], ["InvalidOption", false]);
      assertEquals(message.startsWith(`Cannot run ${path}: `), true);
      assertEquals(problem.exec(message) === null ? message : "", "");
    }));
}

Deno.test("loadProgram: a file that is not there is named, with the folder", async () => {
  const { message } = await assertRejects(() => loadProgram("nothing.wasm", true), TdsmError);
  assertEquals(message, `Cannot run nothing.wasm: there is no such file in ${Deno.cwd()}`);
});

Deno.test("loadProgram: knows the memory, and a hash of the file", () =>
  withFolder(async (folder) => {
    const path = `${folder}/program.wasm`;
    const memory = [...text("host"), ...text("cells"), 2, 3, 1, 2];
    await Deno.writeFile(
      path,
      wasmModule(TYPES, section(Section.Import, memory), FUNCTIONS, START, CODE),
    );
    const program = await loadProgram(path, true);
    assertEquals(program.memory, { module: "host", name: "cells", pages: 1, maximum: 2 });
    assertEquals(program.hash.length, 64);
    assertEquals(program.hash, (await loadProgram(path, true)).hash);
  }));

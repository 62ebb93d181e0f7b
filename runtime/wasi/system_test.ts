import { assert, assertEquals } from "@std/assert";
import { withFolder } from "../../tests/support/folder.ts";
import { WASM_PAGE_BYTES, WASM_WRITE_MAX_BYTES } from "../limits.ts";
import { Errno } from "./errno.ts";
import { WasiSystem } from "./system.ts";

/** Flags of `path_open`: what is looked up, and how it is opened. */
const FOLLOW = 1;
const Open = { Create: 1, Directory: 2, Exclusive: 4, Truncate: 8 } as const;
const Right = { Read: 2n, Write: 64n } as const;
/** The descriptor of the first folder. */
const FOLDER = 3;
const [OPENED, LIST, COUNTED, PATH, TARGET, BYTES] = [0, 16, 32, 64, 256, 512];

/** A program's memory, and calls of its system, which has one folder. */
class Program {
  readonly #system: WasiSystem;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(system: WasiSystem, { buffer }: WebAssembly.Memory) {
    this.#system = system;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  /** Opens a file; returns the error number, or the descriptor as a negative number. */
  async open(path: string, lookup: number, how: number): Promise<number> {
    const { length } = this.#put(path, PATH);
    const rights = Right.Read | Right.Write;
    const args = [FOLDER, lookup, PATH, length, how, rights, rights, 0, OPENED];
    const error = await this.#system.call("path_open", args);
    return error === Errno.Success ? -this.#view.getUint32(OPENED, true) : error;
  }

  async link(target: string, path: string): Promise<number> {
    const [from, to] = [this.#put(target, TARGET), this.#put(path, PATH)];
    const args = [TARGET, from.length, FOLDER, PATH, to.length];
    return await this.#system.call("path_symlink", args);
  }

  /** Reads a file that is open. */
  async read(descriptor: number): Promise<string> {
    const length = 64;
    this.#view.setUint32(LIST, BYTES, true);
    this.#view.setUint32(LIST + 4, length, true);
    await this.#system.call("fd_read", [descriptor, LIST, 1, COUNTED]);
    const end = BYTES + this.#view.getUint32(COUNTED, true);
    return new TextDecoder().decode(this.#bytes.slice(BYTES, end));
  }

  /** Calls a function that takes a list of buffers, with a list of so many. */
  async transfer(
    name: "fd_read" | "fd_write" | "fd_pread" | "fd_pwrite",
    descriptor: number,
    count: number,
  ): Promise<number> {
    const at = name.startsWith("fd_p") ? [0n] : [];
    return await this.#system.call(name, [descriptor, LIST, count, ...at, COUNTED]);
  }

  /** Writes the last bytes of memory to a stream, so many times; returns how many are written. */
  async write(stream: number, length: number, times: number): Promise<number> {
    const last = this.#bytes.length - length;
    for (let time = 0; time < times; time++) {
      this.#view.setUint32(BYTES + 8 * time, last, true);
      this.#view.setUint32(BYTES + 8 * time + 4, length, true);
    }
    await this.#system.call("fd_write", [stream, BYTES, times, COUNTED]);
    return this.#view.getUint32(COUNTED, true);
  }

  #put(text: string, at: number): Uint8Array {
    const bytes = new TextEncoder().encode(text);
    this.#bytes.set(bytes, at);
    return bytes;
  }
}

/** Gives a test a program that has the folder `own` of a folder. */
async function withProgram(
  test: (program: Program, folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/own/inner`, { recursive: true });
    await Deno.writeTextFile(`${folder}/outside`, "secret");
    await Deno.writeTextFile(`${folder}/own/inside`, "inside");
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const folders = { "/own": `${folder}/own` };
    const system = await WasiSystem.open({ args: [], env: {}, folders }, memory);
    await test(new Program(system, memory), folder);
  });
}

Deno.test("WasiSystem: no link leads a program out of its folder, followed or not", () =>
  withProgram(async (program, folder) => {
    const links = { "file": "../outside", "absolute": `${folder}/outside`, "folder": ".." };
    for (const [name, target] of Object.entries(links)) {
      assertEquals(await program.link(target, name), Errno.Success);
    }
    const paths = ["../outside", "inner/../../outside", "file", "absolute", "folder/outside"];
    const folders = ["folder", "folder/", "folder/.", "folder/.."];
    for (const lookup of [0, FOLLOW]) {
      for (const how of [0, Open.Create, Open.Create | Open.Truncate]) {
        for (const path of paths) {
          const found = await program.open(path, lookup, how);
          assert(found > 0, `${path} ${lookup} ${how}`);
        }
      }
      for (const path of folders) {
        const found = await program.open(path, lookup, Open.Directory);
        assert(found > 0, `${path} ${lookup}`);
      }
    }
    assertEquals(await program.open("file", 0, 0), Errno.Loop);
    assertEquals(await Deno.readTextFile(`${folder}/outside`), "secret");
  }));

Deno.test("WasiSystem: a file is not made through a link that leads nowhere", () =>
  withProgram(async (program, folder) => {
    await program.link("../made", "nowhere");
    await program.link(`${folder}/made`, "absolute");
    await program.link("nowhere", "twice");
    for (const path of ["nowhere", "absolute", "twice"]) {
      for (const lookup of [0, FOLLOW]) {
        for (const how of [Open.Create, Open.Create | Open.Exclusive]) {
          assert(await program.open(path, lookup, how) > 0, `${path} ${lookup} ${how}`);
        }
      }
    }
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["outside", "own"]);
  }));

Deno.test("WasiSystem: files of the folder are opened, made and cut, also by links within it", () =>
  withProgram(async (program, folder) => {
    await program.link("inside", "link");
    for (const [path, lookup] of [["inside", 0], ["inside", FOLLOW], ["link", FOLLOW]] as const) {
      for (const how of [0, Open.Create]) {
        const descriptor = -await program.open(path, lookup, how);
        assert(descriptor > 0, `${path} ${lookup} ${how}`);
        assertEquals(await program.read(descriptor), "inside");
      }
    }
    assert(await program.open("inner", 0, Open.Directory) < 0);
    assert(await program.open("new", 0, Open.Create) < 0);
    assert(await program.open("inner/newer", FOLLOW, Open.Create | Open.Exclusive) < 0);
    assertEquals(await program.open("new", FOLLOW, Open.Create | Open.Exclusive), Errno.Exists);
    assertEquals(await program.open("none", FOLLOW, 0), Errno.NoEntry);
    assert(await program.open("link", FOLLOW, Open.Create | Open.Truncate) < 0);
    assertEquals(await Deno.readTextFile(`${folder}/own/inside`), "");
  }));

Deno.test("WasiSystem: a FIFO and a device are refused, and nobody waits for them", () =>
  withFolder(async (folder) => {
    await new Deno.Command("mkfifo", { args: [`${folder}/fifo`] }).output();
    await Deno.symlink("fifo", `${folder}/link`);
    await Deno.writeTextFile(`${folder}/inside`, "inside");
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    for (const [own, paths] of Object.entries({ [folder]: ["fifo", "link"], "/dev": ["zero"] })) {
      const environment = { args: [], env: {}, folders: { "/own": own } };
      const program = new Program(await WasiSystem.open(environment, memory), memory);
      for (const path of paths) {
        for (const how of [0, Open.Create, Open.Create | Open.Truncate]) {
          assertEquals(await program.open(path, FOLLOW, how), Errno.NotSupported, path);
        }
        assert(await program.open(path, 0, 0) > 0, path);
      }
    }
    // What it was asked stands in no memory of the program.
    const environment = { args: [], env: {}, folders: { "/own": folder } };
    const program = new Program(await WasiSystem.open(environment, memory), memory);
    const before = new Uint8Array(memory.buffer).slice();
    const descriptor = -await program.open("inside", FOLLOW, 0);
    const changed = new Uint8Array(memory.buffer).findLastIndex((byte, at) => byte !== before[at]);
    assert(descriptor > 0 && changed < PATH + "inside".length);
    assertEquals(await program.read(descriptor), "inside");
  }));

Deno.test("WasiSystem: a list of buffers that memory does not hold is refused", () =>
  withProgram(async (program) => {
    const file = -await program.open("inside", FOLLOW, 0);
    const tooMany = [WASM_PAGE_BYTES / 8 - 1, 0x7fff_ffff, -1];
    for (const count of tooMany) {
      for (const name of ["fd_read", "fd_write", "fd_pread", "fd_pwrite"] as const) {
        for (const descriptor of [file, 1]) {
          const error = await program.transfer(name, descriptor, count);
          assertEquals([name, count, error], [name, count, Errno.Fault]);
        }
      }
    }
  }));

Deno.test("WasiSystem: a program is told how many bytes of a long list went to its stream", () =>
  withProgram(async (program) => {
    const { write } = Deno.stdout;
    let written = 0;
    Deno.stdout.write = (bytes) => {
      written += bytes.length;
      return Promise.resolve(bytes.length);
    };
    try {
      // A thousand times, what is written would be more than is copied at once.
      const told = [await program.write(1, 1000, 3), await program.write(1, 32 << 10, 1000)];
      assertEquals(told, [3000, WASM_WRITE_MAX_BYTES]);
      assertEquals(written, told[0]! + told[1]!);
    } finally {
      Deno.stdout.write = write;
    }
  }));

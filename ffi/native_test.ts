import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../runtime/errors.ts";
import {
  FAULT_FLAGS,
  FAULT_MINOR,
  FAULT_PAGE,
  FAULT_THREAD,
  FAULT_WINDOW,
  FAULT_WORDS,
  FAULT_WRITE,
  FAULT_WRITE_PROTECT,
  WAIT_CLOSING,
  WAIT_FAULTS,
  WAIT_KICKED,
} from "./abi.ts";
import { openLibrary } from "./library.ts";
import { viewMemory } from "./native_values.ts";
import { NativeRegion, rdmaSection, setEnvironment } from "./native.ts";

const MIB = 1024 * 1024;

/** A thread that makes accesses on request: it blocks where the page is absent. */
class AppThread implements Disposable {
  readonly #worker: Worker;

  constructor(region: NativeRegion) {
    const source = `
      let memory;
      self.onmessage = ({ data }) => {
        if (data.address !== undefined) {
          const pointer = Deno.UnsafePointer.create(data.address);
          memory = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, data.size));
        } else if (data.value !== undefined) {
          memory[data.at] = data.value;
          postMessage(data.value);
        } else postMessage(memory[data.at]);
      };`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(url, { type: "module" });
    URL.revokeObjectURL(url);
    this.#worker.postMessage({ address: region.windowAddress, size: region.size });
  }

  /** Reads the byte at `at`, or writes `value` there; resolves once the access is over. */
  access(at: number, value?: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#worker.onmessage = ({ data }) => resolve(data);
    this.#worker.postMessage({ at, value });
    return promise;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

async function nextFault(region: NativeRegion): Promise<Uint32Array> {
  const faults = new Uint32Array(FAULT_WORDS);
  while (region.readFaults(faults) === 0) await region.wait(-1);
  return faults;
}

Deno.test("NativeRegion: accesses of another thread are served from TypeScript", async () => {
  using library = openLibrary();
  using region = NativeRegion.open(library, { size: 64 * MIB, pageSize: 8192 });
  using app = new AppThread(region);
  const alias = region.alias();

  const read = app.access(5 * 8192 + 100);
  const missing = await nextFault(region);
  assertEquals([missing[FAULT_PAGE], missing[FAULT_FLAGS], missing[FAULT_WINDOW]], [5, 0, 0]);
  assertNotEquals(missing[FAULT_THREAD], 0);
  alias[5 * 8192 + 100] = 42;
  region.install(5, 1, false);
  assertEquals(await read, 42);

  const write = app.access(5 * 8192 + 100, 43);
  const upgrade = await nextFault(region);
  assertEquals(upgrade[FAULT_FLAGS], FAULT_WRITE | FAULT_WRITE_PROTECT);
  region.unprotect(5, 1);
  await write;
  assertEquals(alias[5 * 8192 + 100], 43);

  region.protect(5, 1);
  region.evict(5, 1);
  const again = app.access(5 * 8192 + 100);
  assertEquals((await nextFault(region))[FAULT_FLAGS], FAULT_MINOR);
  region.install(5, 1, true, true);
  assertEquals(await again, 0);
  region.release(5, 1);
});

Deno.test("NativeRegion: wait ends by time, by kick, by fault and by close", async () => {
  using library = openLibrary();
  using region = NativeRegion.open(library, { size: MIB, pageSize: 4096 });
  assertEquals(await region.wait(100), 0);
  const kicked = region.wait(-1);
  region.kick();
  assertEquals(await kicked, WAIT_KICKED);
  using app = new AppThread(region);
  const read = app.access(0);
  assertEquals(await region.wait(-1), WAIT_FAULTS);
  region.install(0, 1, false);
  await read;

  const other = NativeRegion.open(library, { size: MIB, pageSize: 4096 });
  other.kick();
  await other.wait(-1);
  const waiting = other.wait(-1).catch((error: TdsmError) => error.code);
  other[Symbol.dispose]();
  other[Symbol.dispose]();
  const ended = await waiting;
  // The thread of the pool may come too late to be inside: then the handle is closed already.
  assert(ended === "NodeClosed" || (Number(ended) & WAIT_CLOSING) !== 0, String(ended));
  assertEquals(assertThrows(() => other.kick(), TdsmError).code, "NodeClosed");
});

Deno.test("NativeRegion: attach shares the region, and does not close it", () => {
  using library = openLibrary();
  using region = NativeRegion.open(library, { size: MIB, pageSize: 4096 });
  {
    using attached = NativeRegion.attach(library, { handle: region.handle });
    assertEquals(attached.windowAddress, region.windowAddress);
    assertEquals(attached.aliasAddress, region.aliasAddress);
    assertEquals([attached.size, attached.pageSize], [MIB, 4096]);
    attached.install(0, 1, true);
  }
  region.window()[0] = 3;
  assertEquals(region.alias()[0], 3);
  assertEquals(
    assertThrows(() => NativeRegion.attach(library, { handle: 0 }), TdsmError).code,
    "NodeClosed",
  );
});

Deno.test("NativeRegion: a window shows part of the region in another place", () => {
  using library = openLibrary();
  using region = NativeRegion.open(library, { size: MIB, pageSize: 4096 });
  const address = region.addWindow(8192, 8192);
  region.install(2, 2, true);
  viewMemory(address, 8192)[4096] = 9;
  assertEquals(region.window()[3 * 4096], 9);
  region.removeWindow(address);
  assertEquals(assertThrows(() => region.removeWindow(address), TdsmError).code, "InvalidOption");
  assertEquals(assertThrows(() => region.addWindow(0, 100), TdsmError).code, "InvalidOption");
});

Deno.test("NativeRegion: sizes that cannot be are refused by name", () => {
  using library = openLibrary();
  const bad = [
    { size: 0, pageSize: 4096 },
    { size: 4097, pageSize: 4096 },
    { size: -4096, pageSize: 4096 },
    { size: 1.5, pageSize: 4096 },
    { size: 2 ** 40 + 4096, pageSize: 4096 },
    { size: NaN, pageSize: 4096 },
    { size: MIB, pageSize: 1024 },
    { size: MIB, pageSize: 5000 },
    { size: 64 * MIB, pageSize: 4 * MIB },
    { size: 64 * MIB, pageSize: 2 ** 32 + 4096 },
  ];
  for (const options of bad) {
    const error = assertThrows(() => NativeRegion.open(library, options), TdsmError);
    assertEquals(error.code, "InvalidOption", JSON.stringify(options));
  }
});

Deno.test("NativeRegion: pages outside the region are refused", () => {
  using library = openLibrary();
  using region = NativeRegion.open(library, { size: MIB, pageSize: 4096 });
  for (const operation of ["protect", "unprotect", "evict", "release"] as const) {
    const error = assertThrows(() => region[operation](250, 7), TdsmError);
    assertEquals([error.code, error.operation], ["InvalidOption", operation]);
    assertMatch(error.message, /7 pages from page 250/);
  }
  assertEquals(assertThrows(() => region.install(0, 257, true), TdsmError).operation, "install");
});

Deno.test("NativeRegion: a feature that the kernel lacks is named", () => {
  using library = openLibrary();
  const error = assertThrows(
    () => NativeRegion.open(library, { size: MIB, pageSize: 4096, requiredFeatures: 1n << 60n }),
    TdsmError,
  );
  assertEquals(error.code, "KernelUnsupported");
  assertMatch(error.message, /missing: bit 60, while checking the features of userfaultfd$/);
});

Deno.test("NativeRegion: a region of 1 TiB opens as fast as one of 64 MiB, and both ends work", () => {
  using library = openLibrary();
  const median = (size: number): number => {
    const times = Array.from({ length: 15 }, () => {
      const start = performance.now();
      NativeRegion.open(library, { size, pageSize: 4096 })[Symbol.dispose]();
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[7]!;
  };
  const [small, large] = [median(64 * MIB), median(2 ** 40)];
  // 16,384 times the size: anything that grew with it would be far beyond this.
  assert(large < 50 * small, `64 MiB: ${small} ms, 1 TiB: ${large} ms`);

  using region = NativeRegion.open(library, { size: 2 ** 40, pageSize: 4096 });
  const last = 2 ** 28 - 1;
  region.install(last, 1, true);
  region.window()[2 ** 40 - 1] = 200;
  assertEquals(region.alias()[2 ** 40 - 1], 200);
});

Deno.test("NativeRegion: the library's own .rdma section is on pages of its own", () => {
  using library = openLibrary();
  const { start, end, size } = rdmaSection(library);
  assertEquals([start % 4096n, end % 4096n], [0n, 0n]);
  // One variable of 5,000 bytes, rounded up to pages.
  assertEquals([end - start, size], [8192n, 8192]);
  const bytes = viewMemory(start, size);
  bytes[4999] = 1;
  assertEquals(bytes[4999], 1);
});

Deno.test("NativeRegion: the environment that native code sees can be set", () => {
  using library = openLibrary();
  setEnvironment(library, "TDSM_TEST_VARIABLE", "seen");
  assertEquals(Deno.env.get("TDSM_TEST_VARIABLE"), "seen");
  for (const name of ["", "A=B", "A\0B"]) {
    const error = assertThrows(() => setEnvironment(library, name, "x"), TdsmError);
    assertEquals(error.code, "InvalidOption");
  }
});

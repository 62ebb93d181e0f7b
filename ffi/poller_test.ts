import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { TdsmError } from "../runtime/errors.ts";
import { openLibrary } from "./library.ts";
import { NativeRegion } from "./native.ts";
import { type Descriptor, Poller } from "./poller.ts";

/** A poller of this thread, and a connection of which one end is handed over. */
class Bench implements AsyncDisposable {
  readonly told: string[] = [];
  readonly poller: Poller;
  readonly descriptor: Descriptor;
  readonly near: Deno.TcpConn;
  readonly far: Deno.TcpConn;
  isFarClosed = false;
  readonly #listener: Deno.TcpListener;
  readonly #library = openLibrary();

  private constructor(listener: Deno.TcpListener, near: Deno.TcpConn, far: Deno.TcpConn) {
    this.#listener = listener;
    this.near = near;
    this.far = far;
    this.poller = Poller.open(this.#library, listener)!;
    this.descriptor = this.poller.take(near, {
      ready: (bytes, room) => void this.told.push(`${bytes} ${room}`),
    });
  }

  static async open(): Promise<Bench> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = listener.addr;
    const [near, far] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
    return new Bench(listener, near, far);
  }

  region(): NativeRegion {
    return NativeRegion.open(this.#library, { size: 1 << 16, pageSize: 4096 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.descriptor.close();
    this.near.close();
    if (!this.isFarClosed) this.far.close();
    this.poller[Symbol.dispose]();
    this.#listener.close();
    // What Deno has begun to close it closes in its next turn.
    await new Promise((resolve) => setImmediate(resolve));
    this.#library[Symbol.dispose]();
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (word: string): Uint8Array => new TextEncoder().encode(word);

Deno.test("Poller: a connection that Deno made is read and written by its descriptor", async () => {
  await using bench = await Bench.open();
  const { poller, descriptor, far } = bench;
  const words = ["frame ", "and ", "page"].map(bytesOf);
  assertEquals(descriptor.send(words.length, (index) => words[index]!, false), 14);
  const seen = new Uint8Array(32);
  assertEquals(text(seen.subarray(0, (await far.read(seen))!)), "frame and page");
  assertEquals(descriptor.sendFirst(bytesOf("a batch, half full").subarray(2), 5), 5);
  assertEquals(text(seen.subarray(0, (await far.read(seen))!)), "batch");

  const first = new Uint8Array(4);
  assertEquals(descriptor.receive(first), undefined);
  await far.write(bytesOf("answer"));
  assertEquals([poller.wait(0).any, bench.told], [false, []]);
  descriptor.detach();
  assert(poller.wait(1e9).any);
  assertEquals(bench.told, ["true false"]);
  assertEquals(descriptor.receive(first, seen), 6);
  assertEquals(text(first) + text(seen.subarray(0, 2)), "answer");
  assertEquals(poller.wait(0).any, false);

  await far.closeWrite();
  assert(poller.wait(1e9).any);
  assertEquals(descriptor.receive(first), 0);
});

Deno.test("Poller: what its thread's event loop has to do ends the sleep, and a handed-over link does not", async () => {
  await using bench = await Bench.open();
  const { poller, descriptor, near, far } = bench;
  descriptor.detach();
  // Lets Deno take note of everything that has happened until here.
  await new Promise((resolve) => setImmediate(resolve));
  poller.wait(0);
  await far.write(bytesOf("x"));
  await new Promise((resolve) => setImmediate(resolve));
  poller.wait(1e9);
  assertEquals(poller.loopReady, false);
  // Deno itself reads at the other end.
  const read = far.read(new Uint8Array(1));
  await new Promise((resolve) => setImmediate(resolve));
  poller.wait(0);
  descriptor.receive(new Uint8Array(1));
  descriptor.send(1, () => bytesOf("y"), false);
  poller.wait(1e9);
  assert(poller.loopReady);
  assertEquals(await read, 1);
  await near.closeWrite();
});

Deno.test("Poller: a kick ends the sleep once, and faults can be left more than once", async () => {
  await using bench = await Bench.open();
  const { poller } = bench;
  using region = bench.region();
  poller.watch(region);
  assertEquals(poller.wait(0), { faults: false, any: false });
  region.kick();
  assertEquals(poller.wait(1e9), { faults: false, any: true });
  assertEquals(poller.wait(0), { faults: false, any: false });
  poller.leaveFaults(region);
  poller.leaveFaults(region);
  assertEquals(poller.wait(0, 50), { faults: false, any: false });
});

Deno.test("Poller: a connection that has failed says how", async () => {
  await using bench = await Bench.open();
  const { poller, descriptor, far } = bench;
  descriptor.detach();
  descriptor.send(1, () => bytesOf("unread"), false);
  far.close();
  bench.isFarClosed = true;
  const error = assertThrows(() => {
    // Until the kernel knows of the reset, it takes the bytes.
    for (;;) {
      descriptor.send(1, () => bytesOf("x"), false);
      poller.wait(0);
    }
  }, TdsmError);
  assertEquals(error.code, "PeerLost");
  assertMatch(error.message, /^(Broken pipe|Connection reset by peer) \(os error \d+\)$/);
});

import { assert, assertEquals } from "@std/assert";
import { SEAL_STATE } from "../../ffi/abi.ts";
import { openLibrary } from "../../ffi/library.ts";
import { Poller } from "../../ffi/poller.ts";
import { Suite } from "../../ffi/seal.ts";
import { ThreadDescriptor } from "../../ffi/thread_link.ts";
import { firstTicketOf, type SyncReply, SyncStatus } from "../protocol/sync/messages.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { THREAD_ANSWER_BYTES } from "../ring/thread_link.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import { encodeSync } from "../wire/sync_frames.ts";
import { sealBoth } from "../../tests/support/link_bench.ts";
import { ThreadLinks } from "./thread_links.ts";

const LONG_US = 60_000_000;
/** What both sides say when a link is made. */
const HELLO = Uint8Array.of(1, 2, 3);

/** Defines a test of links in the clear, one of sealed links, and one of links with `--plain`. */
function test(title: string, body: (bench: Bench) => Promise<void>): void {
  for (const how of ["clear", "sealed", "plain"] as const) {
    Deno.test(`ThreadLinks, ${how}: ${title}`, async () => {
      await using bench = new Bench(how);
      await body(bench);
    });
  }
}

/** The links of a node's threads, and the other ends of them. */
class Bench implements AsyncDisposable {
  readonly slots = new CallSlots();
  readonly library = openLibrary({});
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #poller = Poller.open(this.library, this.#listener)!;
  /** The directory node's ends, in the order in which they were made. */
  readonly ends: Stream[] = [];
  readonly threads: number[] = [];
  #given: (key: bigint) => void = () => {};
  /** Whether the directory node lets no thread connect. */
  refuses = false;
  /** Whether the directory node says more than it was asked for. */
  saysMore = false;
  readonly links = new ThreadLinks({
    library: this.library,
    slots: this.slots,
    poller: this.#poller,
    dial: async (thread) => {
      this.threads.push(thread);
      if (this.refuses) throw new Error("refused");
      const { port } = this.#listener.addr as Deno.NetAddr;
      const [near, far] = await Promise.all([
        Deno.connect({ hostname: "127.0.0.1", port }),
        this.#listener.accept(),
      ]);
      const [mine, theirs] = this.#secured(near, far);
      this.ends.push(theirs);
      // Both have shown by their first record that they have the key.
      for (const [one, other] of [[mine, theirs], [theirs, mine]] as const) {
        await one.write(HELLO);
        assertEquals(await other.read(new Uint8Array(HELLO.length)), HELLO.length);
      }
      if (this.saysMore) {
        await theirs.write(Uint8Array.of(4, 5));
        assertEquals(await mine.read(new Uint8Array(1)), 1);
      }
      return mine;
    },
    giveBackPermit: (key) => this.#given(key),
    needsTurn: () => {},
  });

  readonly #how: "clear" | "sealed" | "plain";

  constructor(how: "clear" | "sealed" | "plain" = "clear") {
    this.#how = how;
  }

  /** Both ends of a connection, as the handshake leaves them. */
  #secured(near: Deno.TcpConn, far: Deno.TcpConn): [Stream, Stream] {
    if (this.#how === "clear") return [near, far];
    return sealBoth(this.library, near, far, Suite.ChaCha20Poly1305, this.#how === "plain");
  }

  /** The next permit that is given back. */
  givenBack(): Promise<bigint> {
    return new Promise((resolve) => this.#given = resolve);
  }

  /** A thread with a link of its own. */
  async open(): Promise<{ slot: number; thread: number; descriptor: ThreadDescriptor }> {
    const slot = this.slots.claim()!;
    await this.links.open(slot);
    const { fd, thread, seal } = this.slots.link(slot)!;
    assertEquals(seal !== undefined, this.#how === "sealed");
    return { slot, thread, descriptor: new ThreadDescriptor(this.library, fd, seal) };
  }

  async answer(end: Stream, ticket: number, status: SyncStatus): Promise<void> {
    const reply: SyncReply = { kind: "syncReply", ticket, status, count: 0, key: 0n };
    const bytes = new Uint8Array(THREAD_ANSWER_BYTES);
    encodeSync(reply, bytes, 0);
    await end.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.links.close();
    // What goes on behind a link that is gone ends with it.
    await new Promise((resolve) => setTimeout(resolve, 0));
    for (const end of this.ends) {
      try {
        end.close();
      } catch {
        // The test has closed it.
      }
    }
    this.#listener.close();
    this.#poller[Symbol.dispose]();
    this.library[Symbol.dispose]();
  }
}

/** Reads until the other side has ended; how many bytes came. */
async function readToEnd(end: Stream): Promise<number> {
  const bytes = new Uint8Array(1024);
  let total = 0;
  for (;;) {
    const count = await end.read(bytes);
    if (count === null) return total;
    total += count;
  }
}

test("a permit that a thread has not read is given back once the desk has seen the thread's end", async (bench) => {
  const { slot, thread, descriptor } = await bench.open();
  const [end] = bench.ends;
  descriptor.send(new Uint8Array(44), LONG_US);
  const ticket = firstTicketOf(thread) + 1;
  bench.slots.notePermit(slot, ticket, 77n);
  bench.links.threadGone(slot);
  assertEquals(bench.slots.link(slot), undefined);
  assertEquals(await readToEnd(end!), 44);
  const given = bench.givenBack();
  await bench.answer(end!, ticket - 1, SyncStatus.Done);
  await bench.answer(end!, ticket, SyncStatus.Done);
  end!.close();
  bench.links.gone(thread);
  assertEquals(await given, 77n);
});

test("what a thread has read, or was not granted, is not given back", async (bench) => {
  void bench.givenBack().then(() => {
    throw new Error("a permit is given back");
  });
  for (const status of [SyncStatus.Done, SyncStatus.Cancelled]) {
    const { slot, thread, descriptor } = await bench.open();
    const end = bench.ends.at(-1)!;
    const ticket = firstTicketOf(thread);
    bench.slots.notePermit(slot, ticket, 77n);
    await bench.answer(end, ticket, status);
    if (status === SyncStatus.Done) {
      assertEquals(descriptor.receive(new Uint8Array(THREAD_ANSWER_BYTES), LONG_US), 44);
    }
    bench.links.threadGone(slot);
    await readToEnd(end);
    end.close();
    bench.links.gone(thread);
  }
});

test("a number is not given to another thread before the desk has seen the end of its link", async (bench) => {
  await bench.open();
  for (let count = 1; count < 64; count++) {
    const { slot } = await bench.open();
    bench.links.threadGone(slot);
    bench.slots.release(slot, 1);
  }
  assertEquals(new Set(bench.threads).size, 64);
  // None is left, though all threads but the first have ended.
  const slot = bench.slots.claim()!;
  await bench.links.open(slot);
  assertEquals([bench.slots.link(slot), bench.threads.length], [undefined, 64]);
  const freed = bench.threads[20]!;
  bench.links.gone(freed);
  await bench.links.open(slot);
  assertEquals(bench.slots.link(slot)?.thread, freed);
});

test("a thread that is let in nowhere has no link, and is not tried again", async (bench) => {
  bench.refuses = true;
  const slot = bench.slots.claim()!;
  await bench.links.open(slot);
  await bench.links.open(slot);
  assertEquals([bench.slots.link(slot), bench.threads.length], [undefined, 1]);
});

Deno.test("ThreadLinks: how a link was sealed is known to nobody once its thread is gone", async () => {
  await using bench = new Bench("sealed");
  const { slot, descriptor } = await bench.open();
  descriptor.send(HELLO, LONG_US);
  const before = bench.slots.link(slot)!.seal!.memory.slice();
  assert(before.some((byte) => byte !== 0));
  bench.links.threadGone(slot);
  await bench.links.open(slot);
  // The next link of the slot has states of its own: what it numbers begins anew, after one record
  // of its own.
  const after = bench.slots.link(slot)!.seal!.memory;
  const { number } = SEAL_STATE.fields;
  assertEquals([before[number.offset], after[number.offset]], [4, 2]);
});

Deno.test("ThreadLinks: no thread has a link on which the desk has said something unasked", async () => {
  await using bench = new Bench("sealed");
  bench.saysMore = true;
  const slot = bench.slots.claim()!;
  await bench.links.open(slot);
  assertEquals(bench.slots.link(slot), undefined);
  assertEquals(await readToEnd(bench.ends[0]!), 0);
});

test("a node that leaves ends every link behind what its threads have sent, and waits for the desk", async (bench) => {
  const all = [await bench.open(), await bench.open()];
  for (const { descriptor } of all) descriptor.send(new Uint8Array(44), LONG_US);
  let left = false;
  const leaving = bench.links.endAll().then(() => left = true);
  assertEquals(await Promise.all(bench.ends.map(readToEnd)), [44, 44]);
  bench.links.gone(all[0]!.thread);
  await Promise.resolve();
  assertEquals(left, false);
  bench.links.gone(all[1]!.thread);
  await leaving;
  // None is opened any more.
  await bench.links.open(bench.slots.claim()!);
  assertEquals(bench.threads.length, 2);
});

test("a thread that waits is woken when its node ends, and nobody waits for the desk", async (bench) => {
  const { descriptor } = await bench.open();
  const leaving = bench.links.endAll();
  bench.links.close();
  await leaving;
  assertEquals(descriptor.receive(new Uint8Array(THREAD_ANSWER_BYTES), LONG_US), undefined);
});

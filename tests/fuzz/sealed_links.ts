/**
 * Throws changed records at the native path of a link, over a pair of sockets: what comes out is
 * all that was sent before the first changed record, and no byte more.
 */

import { assert } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { SEAL_KEY_BYTES, SEALED_LINK } from "../../ffi/abi.ts";
import { Descriptor } from "../../ffi/poller.ts";
import { LinkSeal, notAuthentic, sealedBytes, SealState, Suite, suitesOf } from "../../ffi/seal.ts";
import { ThreadDescriptor } from "../../ffi/thread_link.ts";
import { TdsmError } from "../../runtime/errors.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { change } from "./handshakes.ts";
import { moved } from "./sealed.ts";
import type { Target } from "./target.ts";

const KEY = new Uint8Array(SEAL_KEY_BYTES).fill(7);
const PIECE_MAX_BYTES = 300;
const PIECES = 3;
/** The options of `socketpair`: local, a stream, which does not block. */
const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK = 0o4001;

const library = openLibrary();
const hasAes = (suitesOf(library) & Suite.Aegis256) !== 0;
const libc = Deno.dlopen("libc.so.6", {
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
});
const sockets = new Int32Array(2);
assert(libc.symbols.socketpair(AF_UNIX, SOCK_STREAM_NONBLOCK, 0, sockets) === 0);
const [near, far] = sockets as unknown as [number, number];
const seal = new LinkSeal();
const poller = { detach: () => {}, removed: () => {}, turn: () => {}, sent: () => {} };
const descriptor = new Descriptor(library.symbols, -1, near, seal, poller);
const ofThread = new ThreadDescriptor(library, near, seal);
const bare = new Descriptor(library.symbols, -1, near, undefined, poller);

const plain = new Uint8Array(PIECES * PIECE_MAX_BYTES);
const wire = new Uint8Array(PIECES * sealedBytes(PIECE_MAX_BYTES));
const received = new Uint8Array(2 * plain.length);

/** What is tried in place of {@linkcode Descriptor.receive}, to see that its faults are found. */
export type Receive = (first: Uint8Array, second: Uint8Array) => number | undefined;

/** What is tried elsewise. */
export function sealedLinkReceive(first: Uint8Array, second: Uint8Array): number | undefined {
  return descriptor.receive(first, second);
}

function threadLinkReceive(first: Uint8Array, second: Uint8Array): number | undefined {
  // One lies behind the other.
  const room = new Uint8Array(received.buffer, first.byteOffset, first.length + second.length);
  const taken = ofThread.receive(room, 0);
  if (taken === undefined) throw notAuthentic();
  return taken === 0 ? undefined : taken;
}

/**
 * The native path of a sealed link that a thread has for itself.
 *
 * @returns The target.
 */
export function threadLinkTarget(): Target {
  return { ...sealedLinkTarget(threadLinkReceive), name: "thread link" };
}

/**
 * The native path of a sealed link.
 *
 * @param receive What to try.
 * @returns The target.
 */
export function sealedLinkTarget(receive: Receive = sealedLinkReceive): Target {
  return {
    name: "sealed link",
    weight: 20,
    try(random) {
      const suite = hasAes && random.chance(80) ? Suite.Aegis256 : Suite.ChaCha20Poly1305;
      seal.memory.fill(0, 0, SEALED_LINK.fields.out.offset);
      for (const direction of ["sends", "receives"] as const) {
        seal.goOn(direction, new SealState(library, suite, KEY));
      }
      const ends = send(random);
      const size = libc.symbols.read(far, wire, BigInt(wire.length));
      const sent = wire.subarray(0, Number(size));
      const arrived = random.below(8) === 0
        ? moved(random.below(sent.length), sent)
        : change(random, sent);
      const intact = sameBytes(arrived, sent);
      let whole = 0;
      for (const { wireEnd, plainEnd } of ends) if (wireEnd <= intact) whole = plainEnd;
      const outcome = receiveAll(random, receive, arrived);
      assert(outcome.count === whole, `${outcome.count} bytes came out, not ${whole}`);
      assert(sameBytes(received.subarray(0, whole), plain) === whole, "another byte came out");
      return outcome.how;
    },
  };
}

/** How many bytes two begin with that are the same. */
function sameBytes(one: Uint8Array, other: Uint8Array): number {
  const most = Math.min(one.length, other.length);
  let count = 0;
  while (count < most && one[count] === other[count]) count++;
  return count;
}

/** Seals some pieces. Returns where the record of each ends. */
function send(random: Random): { wireEnd: number; plainEnd: number }[] {
  const ends: { wireEnd: number; plainEnd: number }[] = [];
  const pieces: Uint8Array[] = [];
  let [wireEnd, plainEnd] = [0, 0];
  for (let piece = 0; piece < PIECES; piece++) {
    const length = random.between(1, PIECE_MAX_BYTES);
    const start = plainEnd;
    plainEnd += length;
    wireEnd += sealedBytes(length);
    pieces.push(plain.subarray(start, plainEnd).fill(random.between(1, 255)));
    ends.push({ wireEnd, plainEnd });
  }
  assert(descriptor.send(PIECES, (index) => pieces[index]!, false) === plainEnd);
  return ends;
}

/** Has bytes arrive in two goes, and takes what comes out, until that fails or is over. */
function receiveAll(
  random: Random,
  receive: Receive,
  arrived: Uint8Array,
): { how: string; count: number } {
  let count = 0;
  const split = random.below(arrived.length + 1);
  try {
    for (const part of [arrived.subarray(0, split), arrived.subarray(split)]) {
      libc.symbols.write(far, part as Uint8Array<ArrayBuffer>, BigInt(part.length));
      for (;;) {
        const first = received.subarray(count, count + random.below(100));
        const second = received.subarray(count + first.length).subarray(0, random.between(1, 400));
        const taken = receive(first, second);
        if (taken === undefined) break;
        count += taken;
        assert(count <= plain.length, "more bytes came out than were sent");
      }
      assert(!descriptor.holds, "something is held that nobody is told of");
    }
    return { how: "waits", count };
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    assert(error.code === "FrameCorrupted", error.code);
    return { how: error.code, count };
  } finally {
    while (bare.receive(received) !== undefined);
  }
}

/**
 * Pages of the kinds that programs keep in memory, the same for each seed: what compression is
 * tested, broken and measured with.
 */

import { Random } from "../simulator/coherence/random.ts";

const WORDS =
  ("a node that has a page sends it to the one that asks and forgets what it had while the " +
    "home keeps the order of requests so no other reader or writer can come between them until " +
    "every copy is gone memory directory owner sharer invalidate downgrade acknowledge grant")
    .split(" ");
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

type Fill = (bytes: Uint8Array, view: DataView, random: Random) => void;

/** Writes a number of `size` bytes for each place of a page. */
function numbers(size: number, put: (view: DataView, at: number, random: Random) => void): Fill {
  return (bytes, view, random) => {
    for (let at = 0; at < bytes.length; at += size) put(view, at, random);
  };
}

function fraction(random: Random): number {
  return (random.next() * 2 ** 21 + random.below(2 ** 21)) / 2 ** 53;
}

function noise(bytes: Uint8Array, random: Random): void {
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.next() >>> 11;
}

function text(bytes: Uint8Array, random: Random): void {
  const encoder = new TextEncoder();
  for (let at = 0; at < bytes.length;) {
    at += encoder.encodeInto(`${WORDS[random.below(WORDS.length)]} `, bytes.subarray(at)).written;
  }
}

/** How to fill a page of zeros, by the name of what is in it then. */
const FILLS = {
  "zeros": () => {},
  "zeros and a one": (bytes) => bytes[bytes.length - 1] = 1,
  "text": (bytes, _, random) => text(bytes, random),
  "counters, 4 bytes": numbers(4, (view, at) => view.setUint32(at, at / 4, true)),
  "counters, 8 bytes": numbers(8, (view, at) => view.setUint32(at, at / 8, true)),
  "small numbers, 4 bytes": numbers(4, (view, at, random) => {
    view.setUint32(at, random.below(1000), true);
  }),
  "doubles, random": numbers(8, (view, at, random) => view.setFloat64(at, fraction(random), true)),
  "doubles, a curve": numbers(8, (view, at) => view.setFloat64(at, Math.sin(at / 8000), true)),
  "doubles, whole": numbers(8, (view, at, random) => {
    view.setFloat64(at, random.below(1000), true);
  }),
  "doubles, 1 of 10 not zero": numbers(8, (view, at, random) => {
    if (random.chance(10)) view.setFloat64(at, fraction(random), true);
  }),
  "doubles, all the same": numbers(8, (view, at) => view.setFloat64(at, Math.PI, true)),
  "records of 32 bytes": numbers(32, (view, at, random) => {
    view.setUint32(at, at / 32, true);
    view.setUint32(at + 4, 7, true);
    view.setFloat64(at + 8, fraction(random), true);
    view.setUint32(at + 16, random.below(5), true);
  }),
  "pointers": numbers(8, (view, at, random) => {
    view.setBigUint64(at, 0x7f8a_0000_0000n + BigInt(16 * random.below(65_536)), true);
  }),
  "base64": (bytes, _, random) => {
    for (let at = 0; at < bytes.length; at++) bytes[at] = BASE64.charCodeAt(random.below(64));
  },
  "half noise, half zeros": (bytes, _, random) => {
    noise(bytes.subarray(0, bytes.length / 2), random);
  },
  "noise, 1/8 zeros": (bytes, _, random) => noise(bytes.subarray(bytes.length / 8), random),
  "noise": (bytes, _, random) => noise(bytes, random),
} as const satisfies Record<string, Fill>;

/** What can be in a page. */
export type PageKind = keyof typeof FILLS;

/** Every kind of page. */
export const PAGE_KINDS = Object.keys(FILLS) as readonly PageKind[];

/**
 * Makes a page.
 *
 * @param kind What is in it.
 * @param pageSize Its size in bytes.
 * @param seed Whatever is random in it depends on this alone.
 * @returns The page.
 */
export function makePage(
  kind: PageKind,
  pageSize: number,
  seed: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pageSize);
  const fill: Fill = FILLS[kind];
  fill(bytes, new DataView(bytes.buffer), new Random(seed));
  return bytes;
}

/**
 * Puts pages one after the other.
 *
 * @param pages The pages.
 * @returns The run.
 */
export function joinPages(pages: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const pageSize = pages[0]?.length ?? 0;
  const run = new Uint8Array(pages.length * pageSize);
  pages.forEach((page, index) => run.set(page, index * pageSize));
  return run;
}

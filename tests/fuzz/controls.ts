/**
 * Throws broken control messages at their decoder: fields that are missing, strange, doubled or of
 * the wrong type, values at their bounds, and MessagePack that announces more than it has.
 */

import { encode } from "../../runtime/std/msgpack_encode.js";
import { CONTROL_MAX_BYTES } from "../../runtime/limits.ts";
import { FRAME_HEADER_BYTES } from "../../runtime/wire/layout.ts";
import type { ValueMap, ValueType } from "../../runtime/std/msgpack_encode.d.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { CONTROLS } from "../support/frames.ts";
import { SOUND_FRAMES } from "./corpus.ts";
import { checkControl } from "./frames.ts";
import { breakBytes, edgeWord, GROWTH_MAX_BYTES, pick } from "./mutate.ts";
import type { Target } from "./target.ts";

const BODY_MAX_BYTES = CONTROL_MAX_BYTES - FRAME_HEADER_BYTES;
/** Names that are something else to JavaScript. */
const NAMES = ["__proto__", "constructor", "kind", "toString", "", "0", "node", "size", "peers"];
/** What MessagePack puts before arrays, maps, strings and bytes whose length follows in 32 bits. */
const LONG_HEADS = [0xdd, 0xdf, 0xdb, 0xc6];
/** An array of one, and a map of one whose name is empty. */
const NESTS = [[0x91], [0x81, 0xa0]];
const WORDS: readonly ValueType[] = [
  0n,
  1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
  -1n,
  -1,
  -128,
  0.5,
  -0,
  2 ** 53,
  Number.MAX_VALUE,
  NaN,
  Infinity,
  true,
  false,
  null,
  "",
  "a",
  "0.0.0.0",
  "x".repeat(48),
  "x".repeat(49),
  "ü".repeat(1024),
  "y".repeat(1025),
];

const scratch = new Uint8Array(CONTROL_MAX_BYTES + 4 * GROWTH_MAX_BYTES);
const sound = CONTROLS.map(([, control]) => readBody(control.kind));

/** The decoder of control messages. */
export const controlTarget: Target = {
  name: "control",
  weight: 12,
  try: (random) => checkControl(makeBody(random)),
};

/** The values of a sound message as the wire has them. */
function readBody(kind: string): ValueMap {
  const control = CONTROLS.find(([, control]) => control.kind === kind)![1];
  const entries = Object.entries(control).map(([name, value]) => [name, wireValue(value)]);
  return Object.fromEntries(entries) as ValueMap;
}

/** As the encoder writes it: large integers in 64 bits, addresses without names. */
function wireValue(value: unknown): ValueType {
  if (typeof value === "number" && value > 0xffff_ffff) return BigInt(value);
  if (!Array.isArray(value)) return value as ValueType;
  return value.map(({ id, address, port }) => [id, address, port]);
}

/**
 * Makes the body of a control frame.
 *
 * @param random The source of chance.
 * @returns The body, at least a byte; it is overwritten by the next call.
 */
function makeBody(random: Random): Uint8Array {
  if (random.below(200) === 0) return makeHollow(random);
  const map: ValueMap = { ...pick(sound, random) };
  for (let changes = random.below(3); changes > 0; changes--) breakMap(map, random);
  let length = put(map);
  // A kind of which the corpus has frames that cannot be made of its values, as of other releases.
  if (random.chance(10)) length = putGolden(random);
  if (random.chance(30)) {
    length = Math.min(breakBytes(scratch, length, random), BODY_MAX_BYTES);
  }
  return scratch.subarray(0, length);
}

function put(map: ValueMap): number {
  let body: Uint8Array;
  try {
    body = encode(map);
  } catch {
    // The encoder refuses what MessagePack has no place for; the empty map is of no kind.
    body = encode({});
  }
  const length = Math.min(body.length, BODY_MAX_BYTES);
  scratch.set(body.subarray(0, length));
  return length;
}

function putGolden(random: Random): number {
  const { bytes } = pick(SOUND_FRAMES, random);
  const body = bytes.length > FRAME_HEADER_BYTES ? bytes.subarray(FRAME_HEADER_BYTES) : bytes;
  scratch.set(body);
  return body.length;
}

/** More is announced than is there, or nested deeper than any message. */
function makeHollow(random: Random): Uint8Array {
  const body = scratch.subarray(0, pick([5, 100, 2000, BODY_MAX_BYTES], random));
  if (random.chance(50)) {
    const nest = pick(NESTS, random);
    for (let at = 0; at < body.length; at++) body[at] = nest[at % nest.length]!;
    return body;
  }
  body.fill(0xc0);
  body[0] = pick(LONG_HEADS, random);
  new DataView(body.buffer).setUint32(1, edgeWord(random));
  return body;
}

/** Changes a field, leaves one out, or adds one. */
function breakMap(map: ValueMap, random: Random): void {
  const name = pick([...Object.keys(map), "kind"], random);
  switch (random.below(8)) {
    case 0:
      delete map[name];
      break;
    case 1:
      set(map, pick(NAMES, random), makeValue(random, 2));
      break;
    case 2:
      set(map, name, map[pick(Object.keys(pick(sound, random)), random)] ?? 0);
      break;
    case 3:
      if (Array.isArray(map[name])) set(map, name, breakList(map[name], random));
      break;
    default:
      set(map, name, makeValue(random, 2));
  }
}

function breakList(list: readonly ValueType[], random: Random): ValueType {
  const entry: ValueType = [edgeWord(random), pick(["a", "", 7], random), edgeWord(random)];
  if (random.chance(50)) return [...list, entry];
  const many = pick([2, 1024, 1025], random);
  return Array.from({ length: many }, (_, index) => [index + 1, "a", 1]);
}

/** Sets a field even where JavaScript would take its name for something else. */
function set(map: ValueMap, name: string, value: ValueType): void {
  Object.defineProperty(map, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
}

function makeValue(random: Random, depth: number): ValueType {
  if (depth > 0 && random.chance(15)) {
    const length = random.below(4);
    return Array.from({ length }, () => makeValue(random, depth - 1));
  }
  if (depth > 0 && random.chance(15)) {
    const map: ValueMap = {};
    set(map, pick(NAMES, random), makeValue(random, depth - 1));
    return map;
  }
  if (random.chance(5)) return new Uint8Array(random.below(10));
  return random.chance(40) ? edgeWord(random) : pick(WORDS, random);
}

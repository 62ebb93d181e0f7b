/**
 * The fields of control messages: how each is checked when it arrives and written when it leaves.
 */

import type { ValueMap, ValueType } from "../std/msgpack_encode.d.ts";
import {
  ADDRESS_MAX_BYTES,
  CONTROL_TEXT_MAX,
  COUNTERS_MAX,
  NODE_ID_MAX,
  NODES_MAX,
  U64_MAX,
} from "../limits.ts";
import { PORT_MAX } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { printable } from "../printable.ts";
import { decode } from "../std/msgpack_decode.js";
import { type Malformed, malformed } from "./reason.ts";

/** How one field is read and written. */
export interface FieldCodec<T> {
  /** The value of what arrived, or `undefined` where that is no value of this field. */
  read(value: ValueType): T | undefined;
  /** What to send for the value. */
  write(value: T): ValueType;
  /** Whether the field may be left out. */
  readonly optional: boolean;
}

/** Fields by name, with the types that an interface says. */
export type Fields<T> = { readonly [F in keyof T]-?: FieldCodec<NonNullable<T[F]>> };

/** The fields of each kind of message. */
export type Shapes<Message extends { readonly kind: string }> = {
  readonly [K in Message["kind"]]: Fields<Omit<Extract<Message, { kind: K }>, "kind">>;
};

/** Fields, where it does not matter of what they are. */
export type Shape = readonly (readonly [name: string, field: FieldCodec<unknown>])[];

/**
 * Writes the fields of a map.
 *
 * @param what What has the fields, for errors.
 * @param shape The fields.
 * @param values Their values, by name.
 * @returns The map.
 * @throws {TdsmError} `LimitExceeded` where a field is out of its bounds.
 */
export function writeFields(what: string, shape: Shape, values: object): ValueMap {
  const map: ValueMap = {};
  for (const [name, field] of shape) {
    const value = (values as Record<string, unknown>)[name];
    if (value === undefined && field.optional) continue;
    const written = field.write(value);
    // The receiver would only end the connection; an error here says which field is wrong.
    if (field.read(written) === undefined) throw outOfBounds(what, name);
    map[name] = written;
  }
  return map;
}

/**
 * Reads the fields of a map.
 *
 * @param what What has the fields, for reasons.
 * @param shape The fields.
 * @param map The map, which may have no other entry.
 * @returns Their values by name, or what is wrong.
 */
export function readFields(
  what: string,
  shape: Shape,
  map: ReadonlyMap<string, ValueType>,
): { readonly kind: "fields"; readonly values: Record<string, unknown> } | Malformed {
  const values: Record<string, unknown> = {};
  let known = 0;
  for (const [name, field] of shape) {
    const value = map.get(name);
    if (value === undefined) {
      if (!field.optional) return malformed("ControlFieldMissing", `${what}.${name}`);
      continue;
    }
    known++;
    values[name] = field.read(value);
    if (values[name] === undefined) return malformed("ControlFieldInvalid", `${what}.${name}`);
  }
  if (map.size !== known) return malformed("ControlFieldUnknown", what);
  return { kind: "fields", values };
}

/**
 * The entries of a map of MessagePack.
 *
 * @param body Its bytes.
 * @returns Its entries; `undefined` where it is no map.
 */
export function decodeMap(body: Uint8Array): Map<string, ValueType> | undefined {
  let value: ValueType;
  try {
    value = decode(body);
  } catch {
    // Not MessagePack, or nested so deeply that the decoder's stack ended.
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value) || value instanceof Uint8Array) return undefined;
  // A map has no inherited entries, whatever names the sender chose.
  return new Map(Object.entries(value));
}

/**
 * An error for what must not be sent.
 *
 * @param what The message, or a part of it.
 * @param which What of it.
 * @returns The error.
 */
export function outOfBounds(what: string, which: string): TdsmError {
  return new TdsmError("LimitExceeded", `Cannot send ${what}: ${which} is out of bounds`, {
    operation: what,
  });
}

/** Where a node can be reached. */
export interface PeerAddress {
  /** The node. */
  readonly id: number;
  /** A host name, or an IP address without brackets. */
  readonly address: string;
  /** The TCP port. */
  readonly port: number;
}

/** The largest number of 32 bits. */
export const U32_MAX = 0xffff_ffff;

/** The characters of host names and IP addresses, with a zone or without. */
const ADDRESS_PATTERN = /^[\w.:%-]+$/;
/** The characters of error codes. */
const WORD_PATTERN = /^[A-Za-z]{1,64}$/;

/** A field that may be left out. */
export function optional<T>(field: FieldCodec<T>): FieldCodec<T> {
  return { ...field, optional: true };
}

/**
 * A whole number.
 *
 * @param least The least that it may be.
 * @param most The most, at most 2^53 - 1.
 */
export function integer(least: number, most: number): FieldCodec<number> {
  return {
    read(value) {
      const number = typeof value === "bigint" ? Number(value) : value;
      if (typeof number !== "number" || !Number.isSafeInteger(number)) return undefined;
      return number >= least && number <= most ? number : undefined;
    },
    // The encoder would make a float of a number above 32 bits.
    write: (value) => value > U32_MAX ? BigInt(value) : value,
    optional: false,
  };
}

const amount = integer(0, Number.MAX_SAFE_INTEGER);

/** A number of 64 bits. */
export const u64: FieldCodec<bigint> = {
  read: (value) => typeof value === "bigint" && value >= 0n && value <= U64_MAX ? value : undefined,
  write: (value) => value,
  optional: false,
};

/** Bytes, at least and at most so many. */
export function bytes(least: number, most: number): FieldCodec<Uint8Array> {
  return {
    read(value) {
      if (!(value instanceof Uint8Array)) return undefined;
      return value.length >= least && value.length <= most ? value.slice() : undefined;
    },
    write: (value) => value,
    optional: false,
  };
}

/** True or false. */
export const flag: FieldCodec<boolean> = {
  read: (value) => typeof value === "boolean" ? value : undefined,
  write: (value) => value,
  optional: false,
};

/**
 * Text for people. A long text is cut off rather than refused, since part of a reason is better
 * than none. The receiver replaces by spaces what must not be printed, because errors with the text
 * are shown on terminals.
 */
export const text: FieldCodec<string> = {
  read: (value) =>
    typeof value === "string" && value.length <= CONTROL_TEXT_MAX ? printable(value) : undefined,
  write: (value) => value.slice(0, CONTROL_TEXT_MAX),
  optional: false,
};

/** One of a growing list of words, such as the codes of errors. */
export const word: FieldCodec<string> = {
  read: (value) => typeof value === "string" && WORD_PATTERN.test(value) ? value : undefined,
  write: (value) => value,
  optional: false,
};

/** A host name or an IP address. */
export const address: FieldCodec<string> = {
  read(value) {
    if (typeof value !== "string" || value.length > ADDRESS_MAX_BYTES) return undefined;
    return ADDRESS_PATTERN.test(value) ? value : undefined;
  },
  write: (value) => value,
  optional: false,
};

/** A node. */
export const node: FieldCodec<number> = integer(1, NODE_ID_MAX);

/** A TCP port that a node listens on. */
export const port: FieldCodec<number> = integer(1, PORT_MAX);

/** Counters by name. The names depend on the sender's release, so any name is accepted. */
export const counters: FieldCodec<Readonly<Record<string, number>>> = {
  read(value) {
    if (typeof value !== "object" || value === null) return undefined;
    if (Array.isArray(value) || value instanceof Uint8Array) return undefined;
    const entries = Object.entries(value);
    if (entries.length > COUNTERS_MAX) return undefined;
    const counted: [name: string, count: number][] = [];
    for (const [name, entry] of entries) {
      const count = amount.read(entry);
      if (count === undefined || !WORD_PATTERN.test(name)) return undefined;
      counted.push([name, count]);
    }
    return Object.fromEntries(counted);
  },
  write: (value) =>
    Object.fromEntries(Object.entries(value).map(([name, count]) => [name, amount.write(count)])),
  optional: false,
};

/**
 * A list.
 *
 * @param item What the list consists of.
 * @param most The most items.
 */
export function list<T>(item: FieldCodec<T>, most: number): FieldCodec<readonly T[]> {
  return {
    read(value) {
      if (!Array.isArray(value) || value.length > most) return undefined;
      const items: T[] = [];
      for (const entry of value as readonly ValueType[]) {
        const read = item.read(entry);
        if (read === undefined) return undefined;
        items.push(read);
      }
      return items;
    },
    write: (value) => value.map((entry) => item.write(entry)),
    optional: false,
  };
}

/** The codec of each item of a tuple. */
type Items<T extends readonly unknown[]> = { readonly [I in keyof T]: FieldCodec<T[I]> };

/**
 * A list of so many values, each of its own type, since names would take more bytes.
 *
 * @param items The values.
 * @param make What a value of the field is made of.
 * @param parts The same, the other way round.
 */
export function tuple<const T extends readonly unknown[], Value>(
  items: Items<T>,
  make: (values: T) => Value,
  parts: (value: Value) => T,
): FieldCodec<Value> {
  const codecs = items as readonly FieldCodec<unknown>[];
  return {
    read(value) {
      if (!Array.isArray(value) || value.length !== codecs.length) return undefined;
      const values = codecs.map((codec, index) => codec.read(value[index] as ValueType));
      return values.includes(undefined) ? undefined : make(values as unknown as T);
    },
    write: (value) => parts(value).map((part, index) => codecs[index]!.write(part)),
    optional: false,
  };
}

/** Where nodes can be reached, each as `[id, address, port]`: names would double the bytes. */
export const peers: FieldCodec<readonly PeerAddress[]> = {
  read(value) {
    if (!Array.isArray(value) || value.length > NODES_MAX) return undefined;
    const list: PeerAddress[] = [];
    for (const entry of value as readonly ValueType[]) {
      const peer = readPeer(entry);
      if (peer === undefined) return undefined;
      list.push(peer);
    }
    return list;
  },
  write: (value) => value.map((peer) => [peer.id, peer.address, peer.port]),
  optional: false,
};

function readPeer(entry: ValueType): PeerAddress | undefined {
  if (!Array.isArray(entry) || entry.length !== 3) return undefined;
  const [first, second, third] = entry as readonly ValueType[];
  const peer = {
    id: node.read(first!),
    address: address.read(second!),
    port: port.read(third!),
  };
  const { id, address: host, port: listens } = peer;
  if (id === undefined || host === undefined || listens === undefined) return undefined;
  return { id, address: host, port: listens };
}

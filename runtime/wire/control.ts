/**
 * Control messages: those about the cluster itself. They are rare, so they travel as maps of
 * MessagePack, which can grow; but they are checked as strictly as a frame of pages. A new kind is
 * an interface, its place in {@linkcode Control}, and a line in `SHAPES`.
 */

import { encode } from "../std/msgpack_encode.js";
import { CONTROL_MAX_BYTES, NODE_ID_MAX, NODES_MAX } from "../limits.ts";
import { ALLOCATOR_SHAPES } from "./allocation_control.ts";
import type { BarrierTreeMessage } from "../protocol/sync/messages.ts";
import { BARRIER_SHAPES } from "./barrier_control.ts";
import { DEBT_SHAPES, type DebtControl } from "./debt_control.ts";
import type { AllocatorControl } from "../protocol/allocation/messages.ts";
import { encodeControlHeader } from "./page_frames.ts";
import { FRAME_HEADER_BYTES } from "./layout.ts";
import {
  address,
  decodeMap,
  flag,
  integer,
  node,
  optional,
  outOfBounds,
  type PeerAddress,
  peers,
  port,
  readFields,
  type Shape,
  type Shapes,
  text,
  U32_MAX,
  u64,
  word,
  writeFields,
} from "./control_fields.ts";
import type { PingMessage } from "./ping_frames.ts";
import { type Malformed, malformed } from "./reason.ts";
import { REGION_FIELDS, type RegionSettings, WANTED_FIELDS } from "./region_settings.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import { STATUS_SHAPES, type StatusControl } from "./status_control.ts";
import { THREAD_SHAPES, type ThreadControl } from "./thread_control.ts";

/**
 * First message of a node that connects: its id, and the cluster that it is a member of or wants to
 * join. A joining node also says which settings it expects the directory node to have decided.
 */
export interface HelloControl extends Partial<RegionSettings> {
  readonly kind: "hello";
  /** The protocol that the node speaks. */
  readonly protocolVersion: number;
  /** The cluster, as its directory numbered it; 0 for a node that wants to join. */
  readonly session: bigint;
  /** The node; 0 for one that wants to join. */
  readonly node: NodeId;
  /**
   * Where it listens; the address of all interfaces stands for the one that its connection comes
   * from.
   */
  readonly address: string;
  /** The TCP port on which it listens. */
  readonly port: number;
  /** Whether it only serves, so that the directory need not wait for it to finish. */
  readonly serving: boolean;
  /** The node's release, for people. */
  readonly release: string;
  /**
   * Its rank, from 0 on, where a launcher gives ranks and the node wants to join: an id is kept for
   * each rank.
   */
  readonly rank?: number;
}

/** Directory → joining node: you are in, and this is the cluster. */
export interface WelcomeControl extends RegionSettings {
  readonly kind: "welcome";
  /** The new node. */
  readonly node: NodeId;
  /** The cluster. */
  readonly session: bigint;
  /** Every other node of the cluster, the directory's among them. */
  readonly peers: readonly PeerAddress[];
}

/** Answer to a hello: no. The connection ends. */
export interface RefuseControl {
  readonly kind: "refuse";
  /** A code of `TdsmError`; a newer release may have more of them. */
  readonly code: string;
  /** Why, for people. */
  readonly reason: string;
}

/** Answer to a hello from a node of the same cluster: yes. */
export interface AcceptControl {
  readonly kind: "accept";
  /** The node that answers. */
  readonly node: NodeId;
}

/** Directory → every node: there is one more. */
export interface PeerJoinedControl extends PeerAddress {
  readonly kind: "peerJoined";
}

/** Directory → home that has said that its memory is limited: of the others, this node has most. */
export interface RoomElsewhereControl extends Pick<PingMessage, "room" | "spare"> {
  readonly kind: "roomElsewhere";
  /** The node. */
  readonly node: NodeId;
}

/** The room of a node whose memory is not limited. */
export const ROOM_UNLIMITED = 0xffff_ffff;

/** Directory → every node: the cluster ends, and all is well. */
export interface ClosingControl {
  readonly kind: "closing";
}

/** Failed node → directory node → every node: the cluster ends, because a node has failed. */
export interface AbortControl {
  readonly kind: "abort";
  /** The node that has failed. */
  readonly node: NodeId;
  /** Why, for people. */
  readonly reason: string;
}

/** A message that is not about pages. */
export type Control =
  | HelloControl
  | WelcomeControl
  | RefuseControl
  | AcceptControl
  | PeerJoinedControl
  | RoomElsewhereControl
  | ClosingControl
  | AbortControl
  | AllocatorControl
  | BarrierTreeMessage
  | StatusControl
  | DebtControl
  | ThreadControl;

const SHAPES: Shapes<Control> = {
  hello: {
    protocolVersion: integer(0, 0xff),
    session: u64,
    node: integer(0, NODE_ID_MAX),
    address,
    port,
    ...WANTED_FIELDS,
    serving: flag,
    release: text,
    rank: optional(integer(0, NODES_MAX - 1)),
  },
  welcome: {
    node,
    session: u64,
    ...REGION_FIELDS,
    peers,
  },
  refuse: { code: word, reason: text },
  accept: { node },
  peerJoined: { id: node, address, port },
  roomElsewhere: { node, room: integer(0, U32_MAX), spare: integer(0, U32_MAX) },
  closing: {},
  abort: { node, reason: text },
  ...ALLOCATOR_SHAPES,
  ...BARRIER_SHAPES,
  ...STATUS_SHAPES,
  ...DEBT_SHAPES,
  ...THREAD_SHAPES,
};

/**
 * Whether a message is a control message.
 *
 * @param message Any message between nodes.
 * @param message.kind Its kind, which no message of another family has.
 * @returns Whether it is one.
 */
export function isControl(message: { readonly kind: string }): message is Control {
  return SHAPES_BY_KIND.has(message.kind);
}

const SHAPES_BY_KIND: ReadonlyMap<string, Shape> = new Map(
  Object.entries(SHAPES).map(([kind, shape]) => [kind, Object.entries(shape)]),
);

/**
 * Writes a control message.
 *
 * @param control The message.
 * @param target Where to write; `CONTROL_MAX_BYTES` from `offset` on are enough for any.
 * @param offset Where the frame begins, in bytes.
 * @returns The bytes written.
 * @throws {TdsmError} `LimitExceeded` where a field, or the whole, is out of its bounds.
 * @throws {RangeError} Where the target is too short.
 */
export function encodeControl(control: Control, target: Uint8Array, offset: number): number {
  const body = encodeBody(control);
  const bytes = FRAME_HEADER_BYTES + body.length;
  if (bytes > CONTROL_MAX_BYTES) throw outOfBounds(control.kind, `${bytes} bytes`);
  if (offset + bytes > target.length) {
    throw new RangeError(
      `Cannot encode a frame of ${bytes} bytes at ${offset} of ${target.length}`,
    );
  }
  target.set(body, offset + FRAME_HEADER_BYTES);
  encodeControlHeader(body.length, target, offset);
  return bytes;
}

/** The last message that was encoded, and its body: what all nodes are told is encoded once. */
let last: { readonly control: Control; readonly body: Uint8Array } | undefined;

function encodeBody(control: Control): Uint8Array {
  if (last?.control === control) return last.body;
  const { kind } = control;
  const body = encode({ kind, ...writeFields(kind, SHAPES_BY_KIND.get(kind)!, control) });
  last = { control, body };
  return body;
}

/**
 * Reads the body of a control frame.
 *
 * @param body Its bytes, which the result does not refer to.
 * @returns The message, or what is wrong.
 */
export function decodeControl(
  body: Uint8Array,
): { readonly kind: "control"; readonly control: Control } | Malformed {
  const map = decodeMap(body);
  if (map === undefined) return malformed("ControlNotMap", `${body.length} bytes`);
  const kind = map.get("kind");
  const shape = typeof kind === "string" ? SHAPES_BY_KIND.get(kind) : undefined;
  if (shape === undefined) {
    const name = typeof kind === "string" ? JSON.stringify(kind.slice(0, 64)) : "none";
    return malformed("ControlKindUnknown", name);
  }
  map.delete("kind");
  const read = readFields(`${kind}`, shape, map);
  if (read.kind === "malformed") return read;
  // Every field that the kind's interface has was read by the codec that `Shapes` ties to its type.
  return { kind: "control", control: { kind, ...read.values } as unknown as Control };
}

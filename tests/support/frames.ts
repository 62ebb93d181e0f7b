/**
 * The frames of `frames.txt`: their messages, and the bytes that are checked in.
 */

import type { Control } from "../../runtime/wire/control.ts";
import { Content, type Message } from "../../runtime/protocol/coherence/messages.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import { Encoding } from "../../runtime/wire/layout.ts";
import type { FrameBounds } from "../../runtime/wire/check.ts";
import { encodeFigures } from "../../runtime/wire/status_control.ts";

/** The region that the frames are about. */
export const BOUNDS: FrameBounds = { pageCount: 1 << 24, pageSize: 4096, runPages: 128 };

/** A frame about pages. */
export interface MessageExample {
  /** Its line in `frames.txt`. */
  readonly label: string;
  readonly message: Message;
  readonly payloadBytes: number;
  /** How the page bytes are packed; where it is left out, not at all. */
  readonly encoding?: Encoding;
  /** The checksum of the page bytes; where it is left out, they have none. */
  readonly payloadChecksum?: number;
}

const invalidated: readonly number[] = [];

const WITHOUT_PAYLOAD: readonly (readonly [label: string, message: Message])[] = [
  ["request to read", {
    kind: "request",
    access: Access.Read,
    first: 0x020304,
    count: 8,
    request: 1,
  }],
  ["request to write", {
    kind: "request",
    access: Access.Write,
    first: 0,
    count: 1,
    request: 0xffff_ffff,
  }],
  ["forward of a read", {
    kind: "forward",
    access: Access.Read,
    first: 300,
    count: 4,
    requester: 3,
    request: 7,
    invalidated,
  }],
  ["forward of a write with invalidations", {
    kind: "forward",
    access: Access.Write,
    first: 300,
    count: 4,
    requester: 0x1234_5678,
    request: 8,
    invalidated: [1, 2, 0xffff_fffe],
  }],
  ["invalidate", { kind: "invalidate", first: 16, count: 128, requester: 2, request: 9 }],
  ["acknowledge", { kind: "acknowledge", first: 16, count: 128, request: 9 }],
  ["grant of zeros", {
    kind: "grant",
    access: Access.Write,
    content: Content.Zero,
    first: 6,
    count: 64,
    request: 12,
    invalidated,
    lostNode: 0,
  }],
  ["grant of what is kept", {
    kind: "grant",
    access: Access.Write,
    content: Content.Kept,
    first: 7,
    count: 1,
    request: 13,
    invalidated: [2],
    lostNode: 0,
  }],
  ["grant of lost pages", {
    kind: "grant",
    access: Access.Read,
    content: Content.Lost,
    first: 8,
    count: 3,
    request: 14,
    invalidated,
    lostNode: 6,
  }],
  ["done", { kind: "done", first: 5, count: 2, request: 10, lost: false }],
  ["done of lost pages", { kind: "done", first: 8, count: 3, request: 14, lost: true }],
  ["peer lost", { kind: "peerLost", node: 6 }],
  ["peer lost seen", { kind: "peerLostSeen", node: 6 }],
  ["refused", { kind: "refused", first: 300, count: 4, requester: 3, request: 7 }],
  ["drop", { kind: "drop", first: 16, count: 128 }],
  ["dropped", { kind: "dropped", first: 16, count: 127 }],
  ["keep", { kind: "keep", first: 143, count: 1 }],
  ["offload", { kind: "offload", first: 300, count: 4, awaited: 2 }],
  ["adopt", { kind: "adopt", first: 300, count: 3 }],
  ["locate", { kind: "locate", first: 300, count: 3 }],
  ["located", { kind: "located", first: 300, count: 3, node: 2 }],
  ["retire", { kind: "retire" }],
  ["retired", { kind: "retired", node: 3 }],
  ["drain", { kind: "drain", node: 3 }],
  ["drained", { kind: "drained", node: 3 }],
  ["inquire", { kind: "inquire", node: 6 }],
  ["holds", { kind: "holds", access: Access.Write, first: 300, count: 4 }],
  ["touched", { kind: "touched", first: 300, count: 4, node: 2 }],
  ["reported", { kind: "reported", node: 3 }],
  ["part", { kind: "part" }],
  ["parted", { kind: "parted" }],
  ["clear", { kind: "clear", first: 300, count: 3 }],
  ["cleared", { kind: "cleared", first: 300, count: 3 }],
  ["leave", { kind: "leave" }],
  ["left", { kind: "left" }],
];

/** Every kind of frame about pages. */
export const MESSAGES: readonly MessageExample[] = [
  ...WITHOUT_PAYLOAD.map(([label, message]) => ({ label, message, payloadBytes: 0 })),
  {
    label: "grant of data to read",
    message: {
      kind: "grant",
      access: Access.Read,
      content: Content.Data,
      first: 5,
      count: 2,
      request: 10,
      invalidated,
      lostNode: 0,
    },
    payloadBytes: 2 * 4096,
    // Of zeros.
    payloadChecksum: 0x9044_4623,
  },
  {
    label: "grant of data to write with invalidations",
    message: {
      kind: "grant",
      access: Access.Write,
      content: Content.Data,
      first: 5,
      count: 128,
      request: 11,
      invalidated: [4, 5],
      lostNode: 0,
    },
    payloadBytes: 128 * 4096,
  },
  {
    label: "grant of packed data",
    message: {
      kind: "grant",
      access: Access.Read,
      content: Content.Data,
      first: 5,
      count: 3,
      request: 12,
      invalidated,
      lostNode: 0,
    },
    payloadBytes: 3 * 4 + 2345,
    encoding: Encoding.Lz4,
  },
];

/** What a directory node decides, as both its welcomes have it. */
const REGION = {
  size: 64 * 1024 ** 2,
  pageSize: 4096,
  runPages: 128,
  holdTimeUs: 100,
  compression: false,
  checksums: true,
  migration: true,
};

/** What a node says of itself to a program that looks. */
const LOOKED_AT = {
  sources: [{ node: 300, pages: 5 }],
  waits: [0, 2 ** 32],
  cells: [Uint8Array.of(4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0)],
};

/** Every kind of control frame. */
export const CONTROLS: readonly (readonly [label: string, control: Control])[] = [
  ["hello of a node that joins", {
    kind: "hello",
    protocolVersion: 4,
    session: 0n,
    node: 0,
    address: "0.0.0.0",
    port: 40_001,
    size: 8 * 1024 ** 3,
    pageSize: 4096,
    serving: true,
    release: "0.1.0",
  }],
  ["hello of a node that joins and asks for every setting", {
    kind: "hello",
    protocolVersion: 4,
    session: 0n,
    node: 0,
    address: "127.0.0.1",
    port: 40_002,
    serving: false,
    release: "0.1.0",
    size: 8 * 1024 ** 3,
    pageSize: 4096,
    runPages: 64,
    holdTimeUs: 100,
    compression: false,
    checksums: true,
    migration: true,
  }],
  ["hello of a node with a rank", {
    kind: "hello",
    protocolVersion: 4,
    session: 0n,
    node: 0,
    address: "0.0.0.0",
    port: 40_001,
    size: 8 * 1024 ** 3,
    pageSize: 4096,
    serving: true,
    release: "0.1.0",
    rank: 5,
  }],
  ["hello of a peer", {
    kind: "hello",
    protocolVersion: 4,
    session: 0xfedc_ba98_7654_3210n,
    node: 3,
    address: "10.0.0.3",
    port: 40_001,
    serving: false,
    release: "0.1.0",
  }],
  ["welcome", {
    kind: "welcome",
    node: 3,
    session: 0xfedc_ba98_7654_3210n,
    ...REGION,
    homes: "directory",
    peers: [
      { id: 1, address: "10.0.0.1", port: 9634 },
      { id: 2, address: "fe80::2%eth0", port: 40_000 },
    ],
  }],
  ["welcome to a cluster with homes on every node", {
    kind: "welcome",
    node: 2,
    session: 1n,
    ...REGION,
    homes: "first-touch",
    peers: [{ id: 1, address: "10.0.0.1", port: 9634 }],
  }],
  ["refuse", { kind: "refuse", code: "RegionMismatch", reason: "the region has 64 MiB" }],
  ["accept", { kind: "accept", node: 2 }],
  ["peer joined", { kind: "peerJoined", id: 4, address: "node-4.example", port: 40_002 }],
  ["room elsewhere", { kind: "roomElsewhere", node: 4, room: 70_000, spare: 300 }],
  ["closing", { kind: "closing" }],
  ["abort", { kind: "abort", node: 2, reason: "RangeError: of the program" }],
  ["allocate", {
    kind: "allocate",
    ticket: 0xffff_ffff,
    type: "Float64Array",
    length: 2 ** 33,
    align: 65_536,
    packed: false,
    name: "Gitter ü",
  }],
  ["allocate what is packed", {
    kind: "allocate",
    ticket: 1,
    type: "Uint8Array",
    length: 3,
    packed: true,
  }],
  ["allocate with a home", {
    kind: "allocate",
    ticket: 7,
    type: "Int32Array",
    length: 1000,
    packed: false,
    home: 3,
  }],
  ["allocate, spread", {
    kind: "allocate",
    ticket: 8,
    type: "Int32Array",
    length: 1000,
    packed: false,
    name: "grid",
    home: "spread",
  }],
  ["allocated", {
    kind: "allocated",
    ticket: 2,
    offset: 2 ** 40 - 4096,
    dirtyBytes: 4096,
    created: true,
  }],
  ["allocated, with pages that are kept", {
    kind: "allocated",
    ticket: 3,
    offset: 8192,
    dirtyBytes: 0,
    reused: [{ first: 2, count: 5 }, { first: 0x0fff_ffff, count: 65_536 }],
    created: true,
  }],
  ["zeroed", { kind: "zeroed", offset: 0 }],
  ["free", { kind: "free", ticket: 3, offset: 8192, bytes: 2 ** 36 }],
  ["freed", { kind: "freed", ticket: 3 }],
  ["find home", { kind: "findHome", ticket: 9, page: 70_000 }],
  ["home found", { kind: "homeFound", ticket: 9, node: 300 }],
  ["allocation failed", {
    kind: "allocationFailed",
    ticket: 4,
    code: "OutOfMemory",
    reason: "4 KiB are free",
  }],
  ["status request", { kind: "statusRequest", protocolVersion: 4 }],
  ["status request of a program that looks", {
    kind: "statusRequest",
    protocolVersion: 4,
    since: 2 ** 32,
    looked: [{ first: 70_000, count: 128 }],
  }],
  ["cluster status", {
    kind: "clusterStatus",
    size: 2 ** 40,
    pageSize: 65_536,
    compression: true,
    nodes: 3,
  }],
  ["cluster status with allocations", {
    kind: "clusterStatus",
    size: 2 ** 40,
    pageSize: 65_536,
    compression: true,
    nodes: 3,
    named: [{ name: "grid", first: 70_000, count: 128 }],
  }],
  ["node status", {
    kind: "nodeStatus",
    id: 2,
    address: "fe80::2",
    port: 40_000,
    figures: encodeFigures({ counters: { faults: 7, bytesSent: 2 ** 32 } }),
  }],
  ["node status without counters", {
    kind: "nodeStatus",
    id: 3,
    address: "10.0.0.3",
    port: 40_001,
  }],
  ["node status with moves", {
    kind: "nodeStatus",
    id: 2,
    address: "fe80::2",
    port: 40_000,
    figures: encodeFigures({ counters: { faults: 7 }, moves: [2 ** 32, 0] }),
  }],
  ["node status for a program that looks", {
    kind: "nodeStatus",
    id: 2,
    address: "fe80::2",
    port: 40_000,
    figures: encodeFigures({ counters: { faults: 7 }, ...LOOKED_AT }),
  }],
  ["cluster waits", {
    kind: "clusterWaits",
    places: [
      { kind: "mutex", name: "ledger", holder: 300, parties: 0, count: 2, waiting: [2, 3] },
    ],
  }],
  ["cluster events", {
    kind: "clusterEvents",
    events: [{ number: 2 ** 32, atMs: 1_764_460_800_000, level: 2, text: "Node 3 is lost" }],
  }],
  ["stats request", { kind: "statsRequest", ticket: 1 }],
  ["stats request of runs", {
    kind: "statsRequest",
    ticket: 1,
    runs: [{ first: 70_000, count: 128 }],
  }],
  ["stats request of a program that looks", {
    kind: "statsRequest",
    ticket: 1,
    looks: true,
    looked: [{ first: 70_000, count: 128 }],
  }],
  ["stats", {
    kind: "stats",
    ticket: 0xffff_ffff,
    figures: encodeFigures({ counters: { faults: 0 } }),
  }],
  ["stats with moves", {
    kind: "stats",
    ticket: 0xffff_ffff,
    figures: encodeFigures({ counters: { faults: 0 }, moves: [2 ** 32, 0] }),
  }],
  ["stats for a program that looks", {
    kind: "stats",
    ticket: 1,
    figures: encodeFigures({ counters: { faults: 0 }, ...LOOKED_AT }),
  }],
  ["remind", { kind: "remind", first: 7, requester: 2, request: 0xffff_ffff }],
  ["settled", { kind: "settled", first: 70_000, requester: 300, request: 1 }],
  ["settled, but for an acknowledgement", {
    kind: "settled",
    first: 70_000,
    requester: 300,
    request: 1,
    lacks: 2,
  }],
  ["in default", { kind: "inDefault", node: 4, page: 70_000, opponent: 300 }],
  ["thread hello", {
    kind: "threadHello",
    protocolVersion: 4,
    session: 0xfedc_ba98_7654_3210n,
    node: 3,
    thread: 64,
  }],
  ["thread gone", { kind: "threadGone", thread: 1 }],
  ["a place in a barrier's tree", {
    kind: "barrierTree",
    tree: 70_000,
    name: "phäse",
    parties: 18,
    arrivals: 2,
    leads: true,
    parent: 1,
    children: [300, 4],
  }],
  ["a leaf in a barrier's tree", {
    kind: "barrierTree",
    tree: 0xffff_ffff,
    name: "x",
    parties: 65_536,
    arrivals: 1,
    leads: false,
    parent: 0xffff_fffe,
    children: [],
  }],
];

/**
 * A result that must be of one kind.
 *
 * @param result The result.
 * @param kind The kind that it must have.
 * @returns The result.
 * @throws {Error} Where it is of another kind.
 */
export function ofKind<R extends { readonly kind: string }, K extends R["kind"]>(
  result: R,
  kind: K,
): Extract<R, { readonly kind: K }> {
  if (result.kind === kind) return result as Extract<R, { readonly kind: K }>;
  throw new Error(`Not ${kind}: ${Deno.inspect(result)}`);
}

/**
 * Reads the bytes that are checked in.
 *
 * @returns The bytes of each frame, by its label.
 */
export function readGoldenFrames(): Map<string, Uint8Array<ArrayBuffer>> {
  const frames = new Map<string, Uint8Array<ArrayBuffer>>();
  const text = Deno.readTextFileSync(new URL("./frames.txt", import.meta.url));
  for (const paragraph of text.split("\n\n").slice(1)) {
    const [label, ...lines] = paragraph.trimEnd().split("\n");
    frames.set(label!, Uint8Array.fromHex(lines.join("").replaceAll(" ", "")));
  }
  return frames;
}

/**
 * Throws broken conversations at a whole node, without its socket and region: handshake, admission,
 * link, engine and services. Whatever a peer sends, and however it ends, the node accepts the
 * message or refuses it with a reason, keeps to its bounds, and releases the connection.
 */

import { assert } from "@std/assert";
import { TdsmError } from "../../runtime/errors.ts";
import { Cluster, type ClusterOptions, type Member } from "../../runtime/cluster/cluster.ts";
import type { Peer } from "../../runtime/cluster/admission.ts";
import type { RegionSettings } from "../../runtime/wire/region_settings.ts";
import { listen } from "../../runtime/cluster/handshake.ts";
import type { Vitals } from "../../runtime/cluster/links.ts";
import { Services } from "../../runtime/engine/services.ts";
import { ManualTimers } from "../support/manual_timers.ts";
import {
  CONTROL_MAX_BYTES,
  HANDSHAKE_MAX_MS,
  HEARTBEAT_MS,
  LINK_CLOSE_MAX_MS,
  PEER_VERDICT_LAST_MS,
  PEER_VERDICT_MAX_MS,
  RPC_MAX_BYTES,
  SILENCE_MAX_MS,
} from "../../runtime/limits.ts";
import { crc32c } from "../../runtime/wire/crc32c.ts";
import { encodeMessage } from "../../runtime/wire/page_frames.ts";
import { Encoding, FRAME_HEADER_BYTES, MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import { type Control, encodeControl, ROOM_UNLIMITED } from "../../runtime/wire/control.ts";
import type { ClusterReport } from "../../runtime/wire/status_control.ts";
import { Coherence } from "../../runtime/protocol/coherence/coherence.ts";
import type { EngineMessage } from "../../runtime/wire/peer_message.ts";
import { Framer } from "../../runtime/wire/framer.ts";
import {
  Content,
  DIRECTORY_NODE,
  type Message,
  type NodeId,
} from "../../runtime/protocol/coherence/messages.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { HELLO } from "../support/raw_peer.ts";
import { SOUND_FRAMES } from "./corpus.ts";
import { type Ending, MemoryConnection, MemoryNetwork, settle } from "./memory_network.ts";
import { breakBytes, breakField, GROWTH_MAX_BYTES, pick, sealBroken } from "./mutate.ts";
import type { Target } from "./target.ts";

const PAGE = 4096;
const REGION: RegionSettings = {
  size: 64 * PAGE,
  pageSize: PAGE,
  runPages: 4,
  holdTimeUs: 0,
  compression: true,
  checksums: true,
  migration: true,
  homes: "directory",
};
const BOUNDS = { pageCount: 64, pageSize: PAGE, runPages: REGION.runPages };
const SESSION = 7n;
const SCRIPT_MAX_BYTES = 128 * 1024;
const FRAMES_MAX = 6;
/** How many broken frames of a hundred have the checksums of what they were broken to. */
const SEALED_PERCENT = 85;
/** Longer page bytes tell nothing more, and cost time. */
const PAYLOAD_MAX_BYTES = 2 * PAGE;
/** Every piece that is read, and every frame in it, takes a few microtasks. */
const TURNS_MAX = 4000;
const DIRECTORY = { hostname: "127.0.0.1", port: 9634 };
const LISTENS = { address: DIRECTORY.hostname, port: DIRECTORY.port };

const alias = new Uint8Array(REGION.size);
const scratch = new Uint8Array(SCRIPT_MAX_BYTES);
const frames = SOUND_FRAMES.filter(({ payloadBytes }) => payloadBytes <= PAYLOAD_MAX_BYTES);

/** A directory node that a peer connects to. */
export const directoryTarget: Target = { name: "directory", weight: 1, try: tryDirectory };
/** A node that joins a directory which says what it likes. */
export const joinTarget: Target = { name: "join", weight: 1, try: tryJoin };

async function tryDirectory(random: Random): Promise<string> {
  const connection = makeConnection(random, [HELLO]);
  using _network = new MemoryNetwork(connection, true);
  return await converse(connection, (node) => {
    node.host();
    return Promise.resolve("stranger");
  });
}

async function tryJoin(random: Random): Promise<string> {
  const welcome: Control = {
    ...REGION,
    kind: "welcome",
    node: random.chance(90) ? 2 : random.between(1, 4),
    session: SESSION,
    peers: random.chance(80) ? [] : [{ id: 3, address: "127.0.0.1", port: 9 }],
  };
  const connection = makeConnection(random, [welcome]);
  using _network = new MemoryNetwork(connection, false);
  return await converse(connection, (node) => node.join());
}

/** Lets a node live until its connection has ended, and then closes it. */
async function converse(
  connection: MemoryConnection,
  start: (node: FuzzedNode) => Promise<string>,
): Promise<string> {
  using timers = new ManualTimers(
    HANDSHAKE_MAX_MS,
    HEARTBEAT_MS,
    LINK_CLOSE_MAX_MS,
    PEER_VERDICT_LAST_MS,
    PEER_VERDICT_MAX_MS,
  );
  const node = new FuzzedNode();
  const started = start(node);
  let outcome: string | undefined;
  started.then((result) => outcome = result, (error) => node.fault ??= error);
  const ended = (): boolean => connection.closed && outcome !== undefined;
  const passTime = (): void => {
    // A peer that says nothing is given up, first as a stranger, then as a node, then as one that
    // is told why.
    timers.fire(HANDSHAKE_MAX_MS);
    // Beat by beat: a node whose own beat is late blames no other for its silence.
    for (let ms = 0; ms <= SILENCE_MAX_MS; ms += HEARTBEAT_MS) {
      timers.skip(HEARTBEAT_MS);
      timers.fire(HEARTBEAT_MS);
    }
    timers.fire(LINK_CLOSE_MAX_MS);
  };
  for (let times = 0; times < 3 && !await settle(ended, TURNS_MAX); times++) passTime();
  if (node.fault !== undefined) throw node.fault;
  assert(connection.closed, "keeps a connection on which nothing comes any more");
  assert(outcome !== undefined, "neither joins nor says why not");
  assert(connection.readBytesMax <= RPC_MAX_BYTES, `reads into ${connection.readBytesMax} bytes`);
  checkWritten(connection.written);
  let closed = false;
  void node.close().then(() => closed = true);
  if (!await settle(() => closed, TURNS_MAX)) timers.fire(LINK_CLOSE_MAX_MS);
  assert(await settle(() => closed, TURNS_MAX), "does not close");
  return node.admitted ? "member" : `${outcome}`;
}

/** A node but for its region; it serves from memory that no program maps. */
class FuzzedNode {
  /** Whether the peer has become a member. */
  admitted = false;
  /** What must not have been thrown. */
  fault: unknown;
  readonly #options: ClusterOptions = {
    listener: listen(DIRECTORY.hostname, 0),
    serving: false,
    release: "fuzz",
  };
  #member: FuzzedMember | undefined;

  host(): void {
    this.#member = Cluster.host(
      this.#options,
      REGION,
      (cluster, region) => new FuzzedMember(this, cluster, region),
    );
  }

  /** Joins, and returns the outcome. */
  async join(): Promise<string> {
    // One try: another would meet nobody.
    const timeoutMs = 0;
    try {
      this.#member = await Cluster.join(
        this.#options,
        DIRECTORY,
        {},
        timeoutMs,
        (cluster, region) => {
          const member = new FuzzedMember(this, cluster, region);
          this.admitted = true;
          // So that there is something to grant.
          member.run({ kind: "fault", page: 5, access: Access.Read });
          member.run({ kind: "fault", page: 9, access: Access.Write });
          return member;
        },
      );
      return "joined";
    } catch (error) {
      if (error instanceof TdsmError) return error.code;
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#member === undefined) this.#options.listener.close();
    else await this.#member.cluster.close();
  }
}

/** What a node is once it is one of a cluster. */
class FuzzedMember implements Member {
  readonly cluster: Cluster;
  readonly engine: Member["engine"];
  readonly #node: FuzzedNode;
  readonly #coherence: Coherence;
  readonly #services: Services;

  constructor(node: FuzzedNode, cluster: Cluster, region: RegionSettings) {
    const { size, pageSize, runPages, holdTimeUs } = region;
    // The region itself would be refused by the kernel's side.
    if (pageSize !== PAGE || size !== REGION.size) {
      throw new TdsmError("InvalidOption", "no region");
    }
    this.#node = node;
    this.cluster = cluster;
    const { self } = cluster;
    this.#coherence = new Coherence({ self, pageCount: size / pageSize, runPages, holdTimeUs });
    this.#services = new Services({
      self,
      works: true,
      size,
      pageSize,
      send: (to, message) => cluster.send(to, message),
      sendToThread: (to, thread, reply) => cluster.sendToThread(to, thread, reply),
      violation: (node, reason) => cluster.expel(node, reason),
      pages: this.#coherence.directory,
    });
    this.engine = {
      target: (from, grant) => {
        const accepts = this.#coherence.acceptsData(from, grant);
        return accepts ? bytesOf(grant.first, grant.count) : undefined;
      },
      received: (from, message) => this.#step(() => this.#received(from, message)),
      threadAsked: (from, thread, message) =>
        this.#step(() => this.#services.sync(from, message, thread)),
      threadEnded: (from, thread) => this.#step(() => this.#services.threadEnded(from, thread)),
    };
  }

  status(): Promise<ClusterReport> {
    const nodes = [{ kind: "nodeStatus", id: DIRECTORY_NODE, ...LISTENS }] as const;
    const named = [{ name: "grid", first: 3, count: 2 }];
    return Promise.resolve({ named, nodes, places: [], events: [] });
  }

  joined({ id }: Peer): void {
    this.#step(() => {
      this.#services.peerJoined(id, true);
      this.run({ kind: "peerJoined", node: id });
      this.#node.admitted = true;
    });
  }

  lost(node: NodeId): void {
    this.#step(() => {
      this.#services.peerLost(node);
      this.run({ kind: "peerLost", node });
    });
  }

  vitals(): Vitals {
    return { room: ROOM_UNLIMITED, spare: ROOM_UNLIMITED, threads: 1 };
  }

  pinged(from: NodeId, { threads }: Vitals): void {
    this.#services.setThreads(from, threads);
  }

  leased(): void {}

  beat(): void {
    this.#step(() => this.#services.beat());
  }

  changed(): void {}
  closing(): void {}
  threadGone(): void {}

  /** As the engine of a node does. */
  fail(): void {
    this.cluster.abort();
  }

  log(): void {}

  /** What is thrown in here would end the driver of a node. */
  #step(action: () => void): void {
    try {
      action();
      this.cluster.flush();
    } catch (error) {
      this.#node.fault ??= error;
    }
  }

  /** Does what the engine of a node does, but for remote calls and what a node has counted. */
  #received(from: NodeId, message: EngineMessage): void {
    switch (message.kind) {
      case "sync":
      case "syncReply":
        return this.#services.sync(from, message);
      case "barrierTree":
      case "gather":
        return this.#services.gather(from, message);
      case "allocate":
      case "allocated":
      case "zeroed":
      case "free":
      case "freed":
      case "findHome":
      case "homeFound":
      case "allocationFailed":
        return this.#services.allocation(from, message);
      case "rpcCall":
      case "rpcAnswer":
      case "statsRequest":
      case "stats":
        return;
      case "remind":
        if (!this.#coherence.owes(message)) {
          const lacks = this.#coherence.cache.lacks(message);
          this.cluster.send(from, {
            ...message,
            kind: "settled",
            ...(lacks === undefined ? {} : { lacks }),
          });
        }
        return;
      case "settled":
        return this.#coherence.directory?.debts.settled(from, message, message.lacks);
      case "inDefault":
      case "roomElsewhere":
        return;
      default:
        if (message.kind === "leave") {
          this.#services.peerLeft(from);
          this.#services.peerGone(from);
        }
        this.run({ kind: "message", from, message });
    }
  }

  run(input: Parameters<Coherence["step"]>[0]): void {
    const { messages, events } = this.#coherence.step(input, 0);
    for (const { to, message } of messages) {
      const data = message.kind === "grant" && message.content === Content.Data;
      const payload = data ? bytesOf(message.first, message.count) : undefined;
      this.cluster.send(to, message, payload);
    }
    for (const event of events) {
      if (event.kind === "violation") this.cluster.expel(event.node, event.reason);
      else if (event.kind === "peerGone") this.cluster.forget(event.node);
      else if (event.kind === "cleared") this.#services.cleared();
      else if (event.kind === "nodeLeft") this.cluster.release(event.node);
    }
  }
}

function bytesOf(first: number, count: number): Uint8Array {
  return alias.subarray(first * PAGE, (first + count) * PAGE);
}

/** What the node has said must be frames, whole ones but for a last that was cut. */
function checkWritten(written: readonly Uint8Array[]): void {
  const framer = new Framer();
  let payload = 0;
  for (const bytes of written) {
    for (let at = 0; at < bytes.length;) {
      const passed = Math.min(payload, bytes.length - at);
      payload -= passed;
      at += passed;
      const next = bytes.subarray(at, at + framer.space.length);
      framer.space.set(next);
      framer.filled(next.length);
      at += next.length;
      payload += takeFrames(framer);
    }
  }
}

/** Takes what is there; returns how many bytes of the last payload are still to come. */
function takeFrames(framer: Framer): number {
  for (;;) {
    const frame = framer.next(BOUNDS);
    if (frame.kind === "need") return 0;
    if (frame.kind === "malformed") throw new Error(`Says what is no frame: ${frame.reason}`);
    if (frame.kind !== "message" && frame.kind !== "rpc") continue;
    if (frame.payloadBytes === 0) continue;
    const missing = frame.payloadBytes - framer.takePayload(new Uint8Array(frame.payloadBytes));
    if (missing > 0) return missing;
  }
}

/** A connection on which a peer says its first words, then anything, broken in places. */
function makeConnection(random: Random, first: readonly Control[]): MemoryConnection {
  let length = 0;
  if (random.chance(90)) {
    for (const control of first) {
      length = putControl(control, length, random);
    }
  }
  for (let count = random.below(FRAMES_MAX + 1); count > 0; count--) {
    length = random.chance(50) ? putMessage(length, random) : putSound(length, random);
  }
  if (length === 0 || random.chance(25)) length = breakBytes(scratch, Math.max(1, length), random);
  if (random.chance(10)) length = random.between(1, length);
  assert(length + GROWTH_MAX_BYTES < SCRIPT_MAX_BYTES);
  const pieces: Uint8Array[] = [];
  const most = pick([40, 4000, CONTROL_MAX_BYTES], random);
  for (let at = 0; at < length;) {
    const end = Math.min(length, at + random.between(1, most));
    pieces.push(scratch.slice(at, end));
    at = end;
  }
  const endings: readonly Ending[] = ["end", "end", "reset", "silence"];
  return new MemoryConnection({ pieces, ending: pick(endings, random) });
}

function putControl(control: Control, at: number, random: Random): number {
  const size = encodeControl(control, scratch, at);
  const frame = scratch.subarray(at, at + size);
  if (random.chance(10)) breakField(frame, random);
  // One bit of the body: mostly of a value, so that it can still be read.
  const body = random.between(FRAME_HEADER_BYTES, size - 1);
  if (random.chance(20)) frame[body]! ^= 1 << random.below(8);
  if (random.chance(SEALED_PERCENT)) sealBroken(frame);
  return at + size;
}

function putSound(at: number, random: Random): number {
  const { bytes, payloadBytes } = pick(frames, random);
  scratch.set(bytes, at);
  const frame = scratch.subarray(at, at + bytes.length);
  if (random.chance(15)) breakField(frame, random);
  if (random.chance(SEALED_PERCENT)) sealBroken(frame);
  return at + bytes.length + payloadBytes;
}

/** A message about pages of this region. */
function putMessage(at: number, random: Random): number {
  const first = random.chance(50) ? pick([5, 9], random) : random.below(60);
  const count = random.between(1, REGION.runPages);
  const request = random.between(0, 3);
  const access = pick([Access.Read, Access.Write], random);
  const requester = random.between(1, 4);
  const data = random.chance(50);
  const content = data ? Content.Data : pick([Content.Zero, Content.Kept], random);
  const messages: readonly Message[] = [
    { kind: "request", access, first, count, request },
    { kind: "grant", access, content, first, count, request, invalidated: [], lostNode: 0 },
    { kind: "forward", access, first, count, request, requester, invalidated: [] },
    { kind: "done", first, count, request, lost: false },
    { kind: "acknowledge", first, count, request },
    { kind: "invalidate", first, count, request, requester },
    { kind: "leave" },
    { kind: "peerLost", node: requester },
  ];
  const message = pick(messages, random);
  const payloadBytes = message.kind === "grant" && data ? count * PAGE : 0;
  const frame = scratch.subarray(at, at + MESSAGE_MAX_BYTES);
  const payloadAt = at + FRAME_HEADER_BYTES;
  const sum = random.chance(90) ? crc32c(scratch, payloadAt, payloadAt + payloadBytes) : 0;
  const checked = payloadBytes > 0 && random.chance(80) ? sum : undefined;
  return at + encodeMessage(message, payloadBytes, frame, 0, Encoding.Raw, checked) + payloadBytes;
}

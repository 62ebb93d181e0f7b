/** Members of a cluster without an engine, and peers that send what the test says. */

import { assertEquals } from "@std/assert";
import type { Address } from "../../runtime/address.ts";
import type { TdsmError } from "../../runtime/errors.ts";
import { crc32c } from "../../runtime/wire/crc32c.ts";
import { type Control, isControl, ROOM_UNLIMITED } from "../../runtime/wire/control.ts";
import type { EngineMessage, PeerMessage } from "../../runtime/wire/peer_message.ts";
import type { PingMessage } from "../../runtime/wire/ping_frames.ts";
import type { GrantMessage, NodeId } from "../../runtime/protocol/coherence/messages.ts";
import type { SyncRequest } from "../../runtime/protocol/sync/messages.ts";
import type { RegionSettings } from "../../runtime/wire/region_settings.ts";
import { Cluster, type ClusterOptions, type Member } from "../../runtime/cluster/cluster.ts";
import { listen } from "../../runtime/cluster/handshake.ts";
import { Link, type LinkHandlers } from "../../runtime/cluster/link.ts";
import { newCounters, Sender, type Sum } from "../../runtime/cluster/sender.ts";
import type { Secret } from "../../runtime/secure/handshake.ts";
import { grant as linkGrant, request } from "./link_bench.ts";
import { HELLO, PING } from "./raw_peer.ts";

export { request };

/** Bytes of a page. */
export const PAGE = 4096;
/** The settings of the region that the directory nodes of tests decide. */
export const REGION: RegionSettings = {
  size: 64 * PAGE,
  pageSize: PAGE,
  runPages: 32,
  holdTimeUs: 100,
  compression: true,
  checksums: true,
  migration: true,
  homes: "directory",
};
/** Where every node listens. */
export const HOST = "127.0.0.1";

interface Heard {
  readonly from: NodeId;
  readonly message: EngineMessage;
}

/** A cluster's node without an engine: it keeps what it hears. */
export class ClusterMember implements AsyncDisposable {
  readonly heard: Heard[] = [];
  /** What threads of other nodes have asked by links of their own. */
  readonly asked: { from: NodeId; thread: number; message: SyncRequest }[] = [];
  /** The nodes and threads whose links have ended. */
  readonly threadsEnded: [NodeId, number][] = [];
  /** The threads of this node of which the directory node has said that. */
  readonly threadsGone: number[] = [];
  readonly lost: NodeId[] = [];
  /** Why they were lost. */
  readonly reasons: string[] = [];
  readonly joined: NodeId[] = [];
  readonly failures: TdsmError[] = [];
  readonly logged: string[] = [];
  readonly alias = new Uint8Array(REGION.size);
  /** How many more pages the node says that it has memory for, and how many of these are spare. */
  room: readonly [room: number, spare: number] = [ROOM_UNLIMITED, ROOM_UNLIMITED];
  /** What each other node has last said of its own. */
  readonly rooms = new Map<NodeId, readonly [room: number, spare: number]>();
  closings = 0;
  welcomed: RegionSettings | undefined;
  readonly #options: ClusterOptions;
  readonly #watchers = new Set<() => void>();
  #cluster: Cluster | undefined;

  constructor(
    serving = false,
    sum: Sum = crc32c,
    place?: ClusterOptions["place"],
    listener: Deno.TcpListener = listen(HOST, 0),
    secret?: Secret,
  ) {
    this.#options = { listener, serving, release: "test", sum, place, secret };
  }

  static host(
    region: RegionSettings = REGION,
    options: Pick<ClusterOptions, "whyUnreachable" | "place" | "secret"> = {},
  ): ClusterMember {
    const node = new ClusterMember();
    Cluster.host({ ...node.#options, ...options }, region, (cluster) => node.#open(cluster));
    return node;
  }

  async join(directory: ClusterMember): Promise<this> {
    return await this.joinAt(directory.cluster.address, 10_000);
  }

  /** Joins the directory at an address; `opened` stands for the opening of the node's region. */
  async joinAt(
    directory: Address,
    timeoutMs: number,
    { size, opened = () => {} }: { size?: number; opened?: () => void } = {},
  ): Promise<this> {
    const wanted = size === undefined ? {} : { size };
    await Cluster.join(this.#options, directory, wanted, timeoutMs, (cluster, region) => {
      opened();
      this.welcomed = region;
      return this.#open(cluster);
    });
    return this;
  }

  /** The cluster, once the node is one of it. */
  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error("The node is of no cluster");
    return this.#cluster;
  }

  get id(): NodeId {
    return this.cluster.self;
  }

  #open(cluster: Cluster): Member {
    this.#cluster = cluster;
    return {
      engine: {
        target: (_, { first, count }) => this.alias.subarray(first * PAGE, (first + count) * PAGE),
        received: (from, message) => this.#note(() => this.heard.push({ from, message })),
        threadAsked: (from, thread, message) =>
          this.#note(() => this.asked.push({ from, thread, message })),
        threadEnded: (from, thread) => this.#note(() => this.threadsEnded.push([from, thread])),
      },
      threadGone: (thread) => this.#note(() => this.threadsGone.push(thread)),
      status: () => Promise.resolve({ named: [], nodes: [], places: [], events: [] }),
      joined: ({ id }) => this.#note(() => this.joined.push(id)),
      lost: (node, reason) =>
        this.#note(() => {
          this.lost.push(node);
          this.reasons.push(reason);
        }),
      changed: () => this.#note(() => {}),
      vitals: () => ({ room: this.room[0], spare: this.room[1], threads: 1 }),
      pinged: (from, { room, spare }) => this.#note(() => this.rooms.set(from, [room, spare])),
      leased: () => {},
      beat: () => {},
      closing: () => this.#note(() => this.closings++),
      fail: (error) => this.#note(() => this.failures.push(error)),
      log: (level, text) => this.#note(() => this.logged.push(`${level} ${text}`)),
    };
  }

  /** Resolves when `condition` holds, which is looked at whenever the node receives something. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#watchers.add(resolve));
  }

  /** Sends requests that are numbered from `first` on. */
  sendNumbered(to: ClusterMember, first: number, count: number): void {
    for (let number = first; number < first + count; number++) {
      this.cluster.send(to.id, request(number));
      if (number % 3 === 0) this.cluster.flush();
    }
    this.cluster.flush();
  }

  numbersFrom(node: ClusterMember): number[] {
    return this.heard.filter(({ from }) => from === node.id)
      .map(({ message }) => (message as GrantMessage).request);
  }

  #note(action: () => void): void {
    action();
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#cluster === undefined) this.#options.listener.close();
    else await this.#cluster.close();
  }
}

/** A directory node and two nodes that have joined it, which all know each other. */
export interface ThreeMembers extends AsyncDisposable {
  readonly nodes: readonly [
    directory: ClusterMember,
    second: ClusterMember,
    third: ClusterMember,
  ];
}

/** Starts a directory node, and two nodes that join it. */
export async function startThree(): Promise<ThreeMembers> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(ClusterMember.host());
  const second = stack.use(await new ClusterMember().join(directory));
  const third = stack.use(await new ClusterMember().join(directory));
  await second.until(() => second.cluster.peers.length === 2);
  const all = stack.move();
  return {
    nodes: [directory, second, third],
    [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
  };
}

/** The other side of a connection, which sends what the test says. */
export class ScriptedPeer implements Disposable {
  readonly link: Link;
  readonly #heard: (Control | PingMessage)[] = [];
  readonly #messages: PeerMessage[] = [];
  #ended = false;
  #wake: () => void = () => {};

  readonly #sender = new Sender(newCounters());
  readonly #handlers: LinkHandlers = {
    target: () => undefined,
    received: (message) => {
      if (message.kind === "ping" || isControl(message)) this.#heard.push(message);
      else this.#messages.push(message);
      this.#wake();
    },
    ended: () => {
      this.#ended = true;
      this.#wake();
    },
  };

  constructor(connection: Deno.TcpConn) {
    const bounds = { pageCount: 64, pageSize: PAGE, runPages: 32 };
    this.link = new Link(connection, () => bounds, newCounters(), this.#handlers);
  }

  /** Goes on, behind the handshake, as a node that sends messages of its engine. */
  open(): void {
    this.link.open(this.#handlers, this.#sender);
  }

  /** Sends a message, once the link is open. */
  send(message: PeerMessage): void {
    this.#sender.send(message);
    this.#sender.flush();
  }

  /** Connects to a directory node, and joins the cluster with its first ping. */
  static async join({ cluster }: ClusterMember): Promise<ScriptedPeer> {
    const { hostname, port } = cluster.address;
    const peer = new ScriptedPeer(await Deno.connect({ hostname, port }));
    peer.link.say(HELLO);
    assertEquals((await peer.next())?.kind, "welcome");
    peer.link.say(PING);
    return peer;
  }

  /** The next control message; `undefined` after the end. */
  async next(): Promise<Control | PingMessage | undefined> {
    while (this.#heard.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#heard.shift();
  }

  /** The next other message; `undefined` after the end. */
  async nextMessage(): Promise<PeerMessage | undefined> {
    while (this.#messages.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#messages.shift();
  }

  [Symbol.dispose](): void {
    this.link.close();
  }
}

/** A message that page bytes follow. */
export function grant(first: number, count: number): GrantMessage {
  return { ...linkGrant(first, count), invalidated: [] };
}

/** 1, 2, … `count`. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** Lets the event loop turn. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((go) => setImmediate(go));
}

/**
 * The nodes that share a region, as one of them sees them: who they are, and a link to each that is
 * needed. The directory's node takes in those who join, and decides who is gone.
 */

import { type Address, formatAddress } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import {
  ACCEPT_RETRY_MS,
  HANDSHAKES_MAX,
  HEARTBEAT_MS,
  PEER_VERDICT_MAX_MS,
  SILENCE_MAX_MS,
} from "../limits.ts";
import { type Encoding, type FrameBounds, PROTOCOL_VERSION } from "../protocol/codec.ts";
import type { AllocatorControl } from "../protocol/allocator_control.ts";
import type { Control, HelloControl, RefuseControl, WelcomeControl } from "../protocol/control.ts";
import { DIRECTORY_NODE } from "../protocol/home.ts";
import type { GrantMessage, Message, NodeId } from "../protocol/messages.ts";
import type { RpcMessage } from "../protocol/rpc_codec.ts";
import type {
  NodeStatusControl,
  StatsControl,
  StatsRequestControl,
} from "../protocol/status_control.ts";
import type { SyncMessage } from "../protocol/sync_messages.ts";
import {
  objectionToHello,
  objectionToLoopback,
  objectionToStatus,
  type Peer,
  refusal,
  type RegionSettings,
} from "./admission.ts";
import { connectToDirectory, connectToPeer, listen, shakeHands } from "./handshake.ts";
import { Link, type LinkHandlers } from "./link.ts";
import { type LinkCounters, Sender } from "./sender.ts";

/** What a cluster must know of its own node. */
export interface ClusterOptions {
  readonly address: string;
  readonly port: number;
  /** Whether the node only serves, so that nobody need wait for it to finish. */
  readonly serving: boolean;
  /** The runtime's release, for people. */
  readonly release: string;
}

/** Who is told of what happens. */
export interface ClusterHandlers {
  /** Where a grant's bytes go; `undefined` to let them pass unseen. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined;
  message(from: NodeId, message: Message): void;
  /** A message about a semaphore, a barrier or a mutex. */
  sync(from: NodeId, message: SyncMessage): void;
  /** A message of a remote call, with what it carries. */
  rpc(from: NodeId, message: RpcMessage, payload: Uint8Array): void;
  /** A message about allocations. */
  allocation(from: NodeId, message: AllocatorControl): void;
  /** A question about what nodes have counted, or its answer. */
  stats(from: NodeId, control: StatsRequestControl | StatsControl): void;
  /** At the directory's node: what all nodes have counted. */
  status(): Promise<NodeStatusControl[]>;
  /** At the directory's node: a node has joined. */
  joined(peer: Peer): void;
  /** At the directory's node: a node's link has ended. */
  lost(node: NodeId, reason: string): void;
  /** Peers came or went. */
  changed(): void;
  /** The directory's node closes the cluster. */
  closing(): void;
  /** This node cannot go on. */
  failed(error: TdsmError): void;
  /** Something to log; 1 error, 2 warning, 3 information, 4 detail. */
  log(level: number, text: string): void;
}

/** The cluster, as one node sees it. */
export class Cluster {
  readonly counters: LinkCounters = {
    messagesSent: 0,
    messagesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
  };
  readonly #options: ClusterOptions;
  readonly #handlers: ClusterHandlers;
  readonly #listener: Deno.TcpListener;
  readonly #peers = new Map<NodeId, Peer>();
  /** What waits to be sent to each node; there before the link is. */
  readonly #senders = new Map<NodeId, Sender>();
  readonly #links = new Map<NodeId, Link>();
  /** Links that are nobody's yet. */
  readonly #greeted = new Set<Link>();
  /** Links that are nobody's any more, until what was queued is sent. */
  readonly #departing = new Set<Promise<void>>();
  /** Those that something was queued in since the last flush. */
  readonly #touched = new Set<Sender>();
  /** At the directory's node: those who do more than serve. */
  readonly #working = new Set<NodeId>();
  readonly #gone = new Set<NodeId>();
  readonly #verdicts = new Map<NodeId, ReturnType<typeof setTimeout>>();
  #self: NodeId = 0;
  #session = 0n;
  #region: RegionSettings | undefined;
  #bounds: FrameBounds = { pageCount: 0, pageSize: 0, runPages: 0 };
  #nextId = DIRECTORY_NODE + 1;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  /**
   * Listens; {@linkcode host} or {@linkcode join} comes next.
   *
   * @throws {TdsmError} `ListenFailed`.
   */
  constructor(options: ClusterOptions, handlers: ClusterHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#listener = listen(options.address, options.port);
  }

  /** This node's id; 0 before it has one. */
  get self(): NodeId {
    return this.#self;
  }

  /** Where this node listens. */
  get address(): Address {
    return this.#listener.addr;
  }

  /** Every other node, in order of joining. */
  get peers(): Peer[] {
    return [...this.#peers.values()].sort((a, b) => a.id - b.id);
  }

  /** At the directory's node: the other nodes that have work of their own to finish. */
  get working(): NodeId[] {
    return [...this.#working];
  }

  /** Whether a node was here and is not any more. */
  isGone(node: NodeId): boolean {
    return this.#gone.has(node);
  }

  /** Becomes the directory's node of a new cluster. */
  host(region: RegionSettings): void {
    const random = crypto.getRandomValues(new BigUint64Array(1));
    this.#begin(DIRECTORY_NODE, random[0]! || 1n, region);
  }

  /**
   * Joins the cluster of a directory.
   *
   * @param directory Where it is.
   * @param wanted The size and page size to insist on, in bytes.
   * @param timeoutMs How long to try.
   * @param welcomed Called as soon as the node is one of the cluster, before anything else arrives.
   * @throws {TdsmError} `NoDirectory`, or why it does not want this node.
   */
  async join(
    directory: Address,
    wanted: { size: number | undefined; pageSize: number | undefined },
    timeoutMs: number,
    welcomed: (region: RegionSettings) => void,
  ): Promise<void> {
    const connection = await connectToDirectory(directory, timeoutMs);
    this.#requireReachable(connection, directory);
    try {
      const hello = { ...this.#hello(), ...defined(wanted) };
      await this.#greet(connection, hello, (control, link) => {
        if (control.kind !== "welcome") throw refusal(control, directory);
        this.#welcome(control, directory);
        welcomed(control);
        return this.#carry(DIRECTORY_NODE, link);
      });
    } catch (error) {
      if (error instanceof TdsmError && error.operation !== undefined) throw error;
      const code = error instanceof TdsmError ? error.code : "JoinRefused";
      const message = `Cannot join: what listens at ${formatAddress(directory)} does not answer ` +
        `like a directory of this release: ${reasonOf(error)}`;
      throw new TdsmError(code, message, { operation: "join", cause: error });
    }
  }

  /** Nodes of other machines must be able to connect to this one. */
  #requireReachable(connection: Deno.TcpConn, directory: Address): void {
    const { localAddr, remoteAddr } = connection;
    const ends = { local: localAddr.hostname, remote: remoteAddr.hostname };
    const refused = objectionToLoopback(this.address.hostname, ends, directory);
    if (refused === undefined) return;
    connection.close();
    throw refused;
  }

  /** Queues a message; {@linkcode flush} sends. Nothing is sent to those who are gone. */
  send(to: NodeId, message: Message, payload?: Uint8Array, encoding?: Encoding): void {
    this.#sender(to)?.message(message, payload, encoding);
  }

  /** Queues a message about a semaphore, a barrier or a mutex; {@linkcode flush} sends. */
  sendSync(to: NodeId, message: SyncMessage): void {
    this.#sender(to)?.sync(message);
  }

  /** Queues a message of a remote call, with what it carries; {@linkcode flush} sends. */
  sendRpc(to: NodeId, message: RpcMessage, payload: Uint8Array): void {
    this.#sender(to)?.rpc(message, payload);
  }

  /** Whether a node is one of the cluster now. */
  isPresent(node: NodeId): boolean {
    return this.#peers.has(node);
  }

  /** Queues a control message; {@linkcode flush} sends. */
  sendControl(to: NodeId, control: Control): void {
    this.#sender(to)?.control(control);
  }

  /** Sends what is queued. */
  flush(): void {
    for (const sender of this.#touched) sender.flush();
    this.#touched.clear();
  }

  /** A node is gone: nothing that it still says counts, and nothing is sent to it. */
  forget(node: NodeId): void {
    const [sender, link] = [this.#senders.get(node), this.#links.get(node)];
    this.#remove(node);
    sender?.close();
    link?.close();
  }

  /** At the directory's node: a node may go, once it has what was sent to it. */
  release(node: NodeId): void {
    this.#dismiss(node);
    this.#remove(node);
  }

  /** Ends the link to a node that broke the protocol, and tells it why. */
  expel(node: NodeId, reason: string): void {
    const link = this.#links.get(node);
    if (link === undefined) return;
    link.say({ kind: "refuse", code: "ProtocolViolation", reason });
    this.#dismiss(node);
    this.#lost(node, `it broke the protocol: ${reason}`);
  }

  /** Ends every link and stops listening; at the directory's node, after telling everyone. */
  async close(): Promise<void> {
    if (!this.#stop()) return;
    for (const [node, link] of this.#links) {
      if (this.#self === DIRECTORY_NODE) link.say({ kind: "closing" });
      this.#dismiss(node);
    }
    await Promise.all(this.#departing);
  }

  /** Ends every link at once, for a node that cannot go on: the others need not wait for it. */
  abort(): void {
    if (!this.#stop()) return;
    for (const link of this.#links.values()) link.close();
  }

  /** Neither takes part nor lets in; `false` when that was so already. */
  #stop(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    for (const timer of this.#verdicts.values()) clearTimeout(timer);
    this.#listener.close();
    for (const link of this.#greeted) link.close();
    return true;
  }

  /** What waits to be sent to a node, from now on with more; `undefined` when it is gone. */
  #sender(to: NodeId): Sender | undefined {
    let sender = this.#senders.get(to);
    if (sender === undefined) {
      const peer = this.#peers.get(to);
      if (peer === undefined || this.#closed) return undefined;
      sender = new Sender(this.counters);
      this.#senders.set(to, sender);
      void this.#dial(peer);
    }
    this.#touched.add(sender);
    return sender;
  }

  /** What a node still says is not heard; what it is to be told is still sent. */
  #dismiss(node: NodeId): void {
    const link = this.#links.get(node);
    this.#links.delete(node);
    if (link !== undefined) this.#depart(link);
  }

  #depart(link: Link): void {
    const departing = link.closeWhenSent();
    this.#departing.add(departing);
    void departing.then(() => this.#departing.delete(departing));
  }

  #begin(self: NodeId, session: bigint, region: RegionSettings): void {
    const { size, pageSize, runPages } = region;
    this.#self = self;
    this.#session = session;
    this.#region = region;
    this.#bounds = { pageCount: size / pageSize, pageSize, runPages };
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    void this.#acceptAll();
  }

  #welcome(control: WelcomeControl, directory: Address): void {
    for (const peer of control.peers) this.#peers.set(peer.id, peer);
    this.#peers.set(DIRECTORY_NODE, {
      id: DIRECTORY_NODE,
      address: directory.hostname,
      port: directory.port,
    });
    this.#begin(control.node, control.session, control);
  }

  #hello(): HelloControl {
    const { hostname, port } = this.address;
    return {
      kind: "hello",
      protocolVersion: PROTOCOL_VERSION,
      session: this.#session,
      node: this.#self,
      address: hostname,
      port,
      serving: this.#options.serving,
      release: this.#options.release,
    };
  }

  /** Opens a link on a connection, and says `hello` where this node made it. */
  async #greet(
    connection: Deno.TcpConn,
    hello: HelloControl | undefined,
    receive: (control: Control, link: Link) => LinkHandlers,
  ): Promise<void> {
    if (this.#closed) return connection.close();
    let link: Link | undefined;
    try {
      await shakeHands((handlers) => {
        link = new Link(connection, () => this.#bounds, this.counters, handlers);
        this.#greeted.add(link);
        if (hello !== undefined) link.say(hello);
        return link;
      }, receive);
    } finally {
      if (link !== undefined) this.#greeted.delete(link);
    }
  }

  /** Makes a link the one to a node: what waits for the node is sent, and what it says is heard. */
  #carry(node: NodeId, link: Link): LinkHandlers {
    let sender = this.#senders.get(node);
    if (sender === undefined) this.#senders.set(node, sender = new Sender(this.counters));
    this.#greeted.delete(link);
    this.#links.set(node, link);
    link.carry(sender);
    // Of a node that was given up, or let go, the rest is not heard.
    const counts = (): boolean => this.#links.get(node) === link;
    return {
      target: (grant) => counts() ? this.#handlers.target(node, grant) : undefined,
      message: (message) => counts() ? this.#handlers.message(node, message) : undefined,
      sync: (message) => counts() ? this.#handlers.sync(node, message) : undefined,
      rpc: (message, payload) => counts() ? this.#handlers.rpc(node, message, payload) : undefined,
      control: (control) => counts() ? this.#control(node, control) : undefined,
      ended: (error) => {
        if (!counts()) return;
        this.#links.delete(node);
        this.#lost(node, error === undefined ? "its connection ended" : reasonOf(error));
      },
    };
  }

  /** Connects to a peer that something waits for. */
  async #dial(peer: Peer): Promise<void> {
    const { id, address: hostname, port } = peer;
    try {
      const connection = await connectToPeer({ hostname, port });
      // The peer may have dialled too, and have been faster; or it is gone by now.
      const needless = (): boolean => this.#links.has(id) || !this.#peers.has(id);
      if (needless()) return connection.close();
      await this.#greet(connection, this.#hello(), (control, link) => {
        if (control.kind !== "accept") throw refusal(control, { hostname, port });
        if (needless()) throw new TdsmError("JoinRefused", `node ${id} is not waited for any more`);
        return this.#carry(id, link);
      });
    } catch (error) {
      const crossed = error instanceof TdsmError && error.code === "JoinRefused" && id < this.#self;
      if (!crossed && !this.#links.has(id)) this.#lost(id, reasonOf(error));
    }
  }

  async #acceptAll(): Promise<void> {
    const handshakes = new Set<Promise<void>>();
    while (!this.#closed) {
      try {
        const connection = await this.#listener.accept();
        const handshake = this.#accept(connection).finally(() => handshakes.delete(handshake));
        handshakes.add(handshake);
        // More than that wait in the backlog of the listener.
        if (handshakes.size >= HANDSHAKES_MAX) await Promise.race(handshakes);
      } catch (error) {
        if (this.#closed) return;
        this.#handlers.log(2, `Could not accept a connection: ${reasonOf(error)}`);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  /** Hears who it is that has connected; never throws. */
  async #accept(connection: Deno.TcpConn): Promise<void> {
    const { hostname, port } = connection.remoteAddr;
    const dropped = (level: number, reason: string): void => {
      const from = formatAddress({ hostname, port });
      this.#handlers.log(level, `Dropped a connection from ${from}: ${reason}`);
    };
    try {
      await this.#greet(connection, undefined, (control, link) => {
        const refused = this.#objection(control);
        if (refused !== undefined) {
          link.say(refused);
          this.#depart(link);
          // Two that dial each other refuse one of their connections, and nothing is wrong; nor is
          // it when somebody looks at the wrong node.
          const harmless = this.#isMember(control) || control.kind === "statusRequest";
          dropped(harmless ? 4 : 2, refused.reason);
          return DEAF;
        }
        if (control.kind === "statusRequest") return this.#report(link);
        const hello = control as HelloControl;
        return hello.node === 0 ? this.#admit(hello, link) : this.#meet(hello.node, link);
      });
    } catch (error) {
      if (this.#closed) return;
      // Of two that dial each other, one may see before its first word that it is not needed.
      const silent = error instanceof TdsmError && error.code === "PeerLost";
      dropped(silent ? 4 : 2, reasonOf(error));
    }
  }

  #isMember(control: Control): boolean {
    return control.kind === "hello" && control.session === this.#session &&
      this.#peers.has(control.node);
  }

  /** Why whoever says this is not let in, or `undefined` when it is. */
  #objection(control: Control): RefuseControl | undefined {
    if (control.kind === "statusRequest") {
      const directory = this.#peers.get(DIRECTORY_NODE);
      return objectionToStatus(control, { self: this.#self, directory });
    }
    return objectionToHello(control, {
      self: this.#self,
      session: this.#session,
      region: this.#region!,
      directory: this.#peers.get(DIRECTORY_NODE),
      nodes: this.#peers.size + 1,
      nextId: this.#nextId,
      isGone: (node) => this.#gone.has(node),
      isLinked: (node) => this.#links.has(node),
      isDialled: (node) => this.#senders.has(node),
    });
  }

  /** At the directory's node: tells somebody who only looks what there is, and ends the link. */
  #report(link: Link): LinkHandlers {
    const report = async (): Promise<void> => {
      const statuses = await this.#handlers.status();
      const { size, pageSize, compression } = this.#region!;
      const nodes = statuses.length;
      link.say({ kind: "clusterStatus", size, pageSize, compression, nodes });
      for (const status of statuses) link.say(status);
      this.#depart(link);
    };
    const reported = report().finally(() => this.#departing.delete(reported));
    this.#departing.add(reported);
    return DEAF;
  }

  /** At the directory's node: takes a new node in. */
  #admit(hello: HelloControl, link: Link): LinkHandlers {
    const id = this.#nextId++;
    const wildcard = hello.address === "0.0.0.0" || hello.address === "::";
    const address = wildcard ? link.remoteAddress : hello.address;
    const peer: Peer = { id, address, port: hello.port };
    if (!hello.serving) this.#working.add(id);
    const { size, pageSize, runPages, holdTimeUs, compression } = this.#region!;
    link.say({
      kind: "welcome",
      node: id,
      session: this.#session,
      size,
      pageSize,
      runPages,
      holdTimeUs,
      compression,
      peers: this.peers,
    });
    for (const other of this.#links.values()) other.say({ kind: "peerJoined", ...peer });
    this.#peers.set(id, peer);
    this.#handlers.log(
      3,
      `Node ${id} has joined from ${formatAddress({ hostname: address, port: peer.port })}`,
    );
    this.#handlers.joined(peer);
    this.#handlers.changed();
    return this.#carry(id, link);
  }

  /** A peer has dialled. */
  #meet(node: NodeId, link: Link): LinkHandlers {
    link.say({ kind: "accept", node: this.#self });
    return this.#carry(node, link);
  }

  #control(from: NodeId, control: Control): void {
    const fromDirectory = from === DIRECTORY_NODE;
    switch (control.kind) {
      case "ping":
        return;
      case "peerJoined":
        if (!fromDirectory) break;
        this.#peers.set(control.id, control);
        this.#handlers.log(3, `Node ${control.id} has joined`);
        return this.#handlers.changed();
      case "closing":
        if (!fromDirectory) break;
        return this.#handlers.closing();
      case "allocate":
      case "allocated":
      case "zeroed":
      case "free":
      case "freed":
      case "allocationFailed":
        return this.#handlers.allocation(from, control);
      case "statsRequest":
      case "stats":
        return this.#handlers.stats(from, control);
      case "refuse":
        // Only that node is lost to the directory, not the cluster.
        if (this.#self === DIRECTORY_NODE) break;
        return this.#handlers.failed(
          new TdsmError(
            "ProtocolViolation",
            `Node ${from} ended the connection: ${control.reason}`,
          ),
        );
    }
    const reason = control.kind === "refuse" ? `: ${control.reason}` : "";
    throw new TdsmError("ProtocolViolation", `${control.kind} from node ${from}${reason}`);
  }

  /** A link has ended, or could not be made. The directory decides what that means. */
  #lost(node: NodeId, reason: string): void {
    if (this.#closed || this.#gone.has(node)) return;
    if (this.#self === DIRECTORY_NODE) {
      this.#senders.get(node)?.close();
      this.#remove(node);
      return this.#handlers.lost(node, reason);
    }
    const peer = this.#peers.get(node);
    // A node that dialled may be lost before the directory's word that it has joined is here.
    const at = peer === undefined
      ? "an address that the directory has not told"
      : formatAddress({ hostname: peer.address, port: peer.port });
    if (node === DIRECTORY_NODE) {
      const message = `Lost the directory's node at ${at}: ${reason}`;
      return this.#handlers.failed(new TdsmError("DirectoryLost", message));
    }
    if (this.#verdicts.has(node)) return;
    const giveUp = () => {
      const message = `Node ${this.#self} cannot reach node ${node} at ${at}, ` +
        `which the directory still counts on: ${reason}`;
      this.#handlers.failed(new TdsmError("PeerUnreachable", message));
    };
    this.#verdicts.set(node, setTimeout(giveUp, PEER_VERDICT_MAX_MS));
  }

  #remove(node: NodeId): void {
    this.#gone.add(node);
    this.#working.delete(node);
    clearTimeout(this.#verdicts.get(node));
    this.#verdicts.delete(node);
    this.#links.delete(node);
    this.#senders.delete(node);
    if (this.#peers.delete(node)) this.#handlers.changed();
  }

  /** Tells that this node is alive, and looks who does not. */
  #beat(): void {
    const quietSince = performance.now() - SILENCE_MAX_MS;
    for (const [node, link] of [...this.#links]) {
      if (this.#self !== DIRECTORY_NODE && node !== DIRECTORY_NODE) continue;
      link.say({ kind: "ping" });
      if (link.heardAt >= quietSince) continue;
      this.#links.delete(node);
      link.close();
      this.#lost(node, `it said nothing for ${SILENCE_MAX_MS} ms`);
    }
  }
}

/** Hears nothing: whoever is refused has nothing more to say. */
const DEAF: LinkHandlers = {
  target: () => undefined,
  message() {},
  sync() {},
  rpc() {},
  control() {},
  ended() {},
};

/** The entries that have a value. */
function defined<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}

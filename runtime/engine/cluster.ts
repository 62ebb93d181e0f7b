/**
 * The nodes that share a region, as one of them sees them: who they are, and a link to each that is
 * needed. The directory's node takes in those who join, and decides who is gone.
 */

import { type Address, formatAddress } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { HANDSHAKES_MAX, HEARTBEAT_MS, PEER_VERDICT_MAX_MS, SILENCE_MAX_MS } from "../limits.ts";
import { type FrameBounds, PROTOCOL_VERSION } from "../protocol/codec.ts";
import type { Control, HelloControl, RefuseControl, WelcomeControl } from "../protocol/control.ts";
import { DIRECTORY_NODE } from "../protocol/home.ts";
import type { GrantMessage, Message, NodeId } from "../protocol/messages.ts";
import { objectionToHello, type Peer, refusal, type RegionSettings } from "./admission.ts";
import { connectToDirectory, listen, shakeHands } from "./handshake.ts";
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
  #handshakes = 0;
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
      const text = error instanceof Error ? error.message : String(error);
      const at = formatAddress(directory);
      const message =
        `Cannot join: what listens at ${at} is no directory of this version (${text})`;
      throw new TdsmError("JoinRefused", message, { operation: "join", cause: error });
    }
  }

  /** Queues a message; {@linkcode flush} sends. Nothing is sent to those who are gone. */
  send(to: NodeId, message: Message, payload?: Uint8Array): void {
    let sender = this.#senders.get(to);
    if (sender === undefined) {
      const peer = this.#peers.get(to);
      if (peer === undefined || this.#closed) return;
      sender = new Sender(this.counters);
      this.#senders.set(to, sender);
      void this.#dial(peer);
    }
    sender.message(message, payload);
    this.#touched.add(sender);
  }

  /** Sends what is queued. */
  flush(): void {
    for (const sender of this.#touched) sender.flush();
    this.#touched.clear();
  }

  /** A node is gone: nothing that it still says counts, and nothing is sent to it. */
  forget(node: NodeId): void {
    this.#senders.get(node)?.close();
    this.#links.get(node)?.close();
    this.#remove(node);
  }

  /** At the directory's node: a node may go, once it has what was sent to it. */
  release(node: NodeId): void {
    void this.#links.get(node)?.closeWhenSent();
    this.#remove(node);
  }

  /** Ends the link to a node that broke the protocol, and tells it why. */
  expel(node: NodeId, reason: string): void {
    const link = this.#links.get(node);
    if (link === undefined) return;
    link.say({ kind: "refuse", code: "ProtocolViolation", reason });
    this.#links.delete(node);
    void link.closeWhenSent();
    this.#lost(node, `it broke the protocol: ${reason}`);
  }

  /** Ends every link and stops listening; at the directory's node, after telling everyone. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    for (const timer of this.#verdicts.values()) clearTimeout(timer);
    this.#listener.close();
    const links = [...this.#links.values()];
    if (this.#self === DIRECTORY_NODE) { for (const link of links) link.say({ kind: "closing" }); }
    await Promise.all(links.map((link) => link.closeWhenSent()));
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

  /** Opens a link on a connection that this node made. */
  #greet(
    connection: Deno.TcpConn,
    hello: HelloControl,
    receive: (control: Control, link: Link) => LinkHandlers,
  ): Promise<Link> {
    return shakeHands((handlers) => {
      const link = this.#open(connection, handlers);
      link.say(hello);
      return link;
    }, receive);
  }

  #open(connection: Deno.TcpConn, handlers: LinkHandlers): Link {
    return new Link(connection, () => this.#bounds, this.counters, handlers);
  }

  /** Makes a link the one to a node: what waits for the node is sent, and what it says is heard. */
  #carry(node: NodeId, link: Link): LinkHandlers {
    let sender = this.#senders.get(node);
    if (sender === undefined) this.#senders.set(node, sender = new Sender(this.counters));
    this.#links.set(node, link);
    void link.carry(sender);
    return {
      target: (grant) => this.#handlers.target(node, grant),
      message: (message) => this.#handlers.message(node, message),
      control: (control) => this.#control(node, control),
      ended: (error) => {
        if (this.#links.get(node) !== link) return;
        this.#links.delete(node);
        this.#lost(node, error === undefined ? "its connection ended" : describe(error));
      },
    };
  }

  /** Connects to a peer that something waits for. */
  async #dial(peer: Peer): Promise<void> {
    const { id, address: hostname, port } = peer;
    try {
      const connection = await Deno.connect({ hostname, port });
      // The peer may have dialled too, and have been faster; or it is gone by now.
      if (this.#links.has(id) || !this.#peers.has(id)) return connection.close();
      await this.#greet(connection, this.#hello(), (control, link) => {
        if (control.kind !== "accept") throw refusal(control, { hostname, port });
        return this.#carry(id, link);
      });
    } catch (error) {
      const crossed = error instanceof TdsmError && error.code === "JoinRefused" && id < this.#self;
      if (!crossed && !this.#links.has(id)) this.#lost(id, describe(error));
    }
  }

  async #acceptAll(): Promise<void> {
    for await (const connection of this.#listener) {
      if (this.#handshakes >= HANDSHAKES_MAX) {
        connection.close();
        continue;
      }
      this.#handshakes++;
      this.#accept(connection).catch((error) => {
        const { hostname, port } = connection.remoteAddr;
        const from = formatAddress({ hostname, port });
        this.#handlers.log(2, `Dropped a connection from ${from}: ${describe(error)}`);
      }).finally(() => this.#handshakes--);
    }
  }

  async #accept(connection: Deno.TcpConn): Promise<void> {
    await shakeHands((handlers) => this.#open(connection, handlers), (control, link) => {
      const refused = this.#objection(control);
      if (refused !== undefined) {
        link.say(refused);
        void link.closeWhenSent();
        throw new TdsmError("JoinRefused", refused.reason);
      }
      const hello = control as HelloControl;
      return hello.node === 0 ? this.#admit(hello, link) : this.#meet(hello.node, link);
    });
  }

  /** Why whoever says this is not let in, or `undefined` when it is. */
  #objection(control: Control): RefuseControl | undefined {
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
      case "refuse":
        return this.#handlers.failed(
          new TdsmError(
            "ProtocolViolation",
            `Node ${from} ended the connection: ${control.reason}`,
          ),
        );
    }
    throw new TdsmError("ProtocolViolation", `${control.kind} from node ${from}`);
  }

  /** A link has ended, or could not be made. The directory decides what that means. */
  #lost(node: NodeId, reason: string): void {
    if (this.#closed || this.#gone.has(node)) return;
    if (this.#self === DIRECTORY_NODE) {
      this.#senders.get(node)?.close();
      this.#remove(node);
      return this.#handlers.lost(node, reason);
    }
    const { address: hostname, port } = this.#peers.get(node)!;
    const at = formatAddress({ hostname, port });
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
      link.say({ kind: "ping", sequence: 0 });
      if (link.heardAt >= quietSince) continue;
      this.#links.delete(node);
      link.close();
      this.#lost(node, `it said nothing for ${SILENCE_MAX_MS} ms`);
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The entries that have a value. */
function defined<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}

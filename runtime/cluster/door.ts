/**
 * Accepts connections: hears what kind of program has connected, and admits it or tells it why not.
 */

import { type Address, formatAddress } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import {
  ACCEPT_QUIET_MS,
  ACCEPT_RETRY_MS,
  HANDSHAKE_MAX_MS,
  HANDSHAKES_ADDRESS_MAX,
  HANDSHAKES_MAX,
  NODES_MAX,
  UNPROVEN_MAX,
} from "../limits.ts";
import { Level, type LogFields } from "../log.ts";
import type { Control, HelloControl, RefuseControl } from "../wire/control.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { ClusterReport, StatusRequestControl } from "../wire/status_control.ts";
import {
  clusterFull,
  connectedAlready,
  objectionToHello,
  objectionToStatus,
  objectionToThread,
  type Peer,
  unreachable,
} from "./admission.ts";
import { DropLog } from "./drop_log.ts";
import { closeNow } from "./handshake.ts";
import type { Link, LinkHandlers } from "./link.ts";
import type { Links } from "./links.ts";
import { Lookers } from "./lookers.ts";
import { joinedFields, Members } from "./members.ts";

/** What the door asks of its node, and reports to it. */
export interface DoorHandlers {
  /** At the directory node: collects the counters of all nodes, and what else is asked for. */
  status(request: StatusRequestControl): Promise<ClusterReport>;
  /**
   * At the directory node: why a node that wants to join cannot be connected to; left out, that is
   * not tried.
   */
  readonly whyUnreachable: ((address: Address) => Promise<string | undefined>) | undefined;
  /** At the directory node: a node has joined. */
  joined(peer: Peer): void;
  /** Something to log. */
  log(level: Level, text: string, fields?: LogFields): void;
}

/** The other side of a connection that is not a node's yet. */
interface Visitor {
  readonly hostname: string;
  readonly port: number;
  /** When it was accepted, by `performance.now()`. */
  readonly arrivedAt: number;
  /** Whether it has shown that it has the key, where this node has one. */
  isProven: boolean;
  /** Whether it has said what it wants; before it has shown its key, whether it may have it. */
  hasSpoken: boolean;
  /** Why this node has ended the connection, if it has. */
  dropped: string | undefined;
  /** Ends the connection. */
  close(): void;
}

/** One node's door. */
export class Door {
  readonly #listener: Deno.TcpListener;
  readonly #members: Members;
  readonly #links: Links;
  readonly #handlers: DoorHandlers;
  /** Those whose handshake goes on, the longest first. */
  readonly #visitors = new Set<Visitor>();
  /** Those that are let in, and have not joined yet. */
  readonly #welcomed = new Map<Link, Visitor>();
  /** What is done when the directory node tells of a node that has connected before that. */
  readonly #early = new Map<NodeId, () => void>();
  /** When this node last failed to accept a connection, by `performance.now()`. */
  #failedAt = -Infinity;
  /** At the directory node: the programs that look at the cluster. */
  readonly #lookers: Lookers<Link>;
  /** Tells of connections that were dropped. */
  readonly #drops: DropLog;

  /**
   * No connection is accepted before {@linkcode Door.open}.
   *
   * @param listener Where others connect; the door closes it.
   * @param members The nodes of the cluster.
   * @param links Takes the connections of nodes that are let in.
   * @param handlers The node.
   */
  constructor(
    listener: Deno.TcpListener,
    members: Members,
    links: Links,
    handlers: DoorHandlers,
  ) {
    this.#listener = listener;
    this.#members = members;
    this.#links = links;
    this.#handlers = handlers;
    this.#lookers = new Lookers({
      open: (link: Link, handlers) => links.carryLooker(link, handlers),
      report: (request) => {
        const asked = handlers.status(request);
        links.flush();
        return asked;
      },
      region: members.region,
    });
    this.#drops = new DropLog((level, text, fields) => handlers.log(level, text, fields));
  }

  /** Accepts connections from here on. */
  open(): void {
    void this.#acceptAll();
  }

  /** Accepts no connection from here on, and ends those that are no node's yet. */
  close(): void {
    this.#listener.close();
    for (const visitor of this.#visitors) visitor.close();
    this.#drops.close();
    this.#lookers.close();
  }

  /** Tells the nodes that are let in, and have not joined yet, how the cluster ends. */
  sayToWelcomed(control: Control): void {
    for (const [link, visitor] of this.#welcomed) {
      link.say(control);
      // Not ended with the other connections: the node is to hear it.
      this.#visitors.delete(visitor);
      void this.#links.drain(link);
    }
  }

  /** The directory node has told of a node, which may have connected before. */
  announced(node: NodeId): void {
    const met = this.#early.get(node);
    this.#early.delete(node);
    met?.();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#links.closed) {
      try {
        const connection = await noted(this.#listener.accept(), true);
        this.#makeRoom(connection.remoteAddr.hostname);
        void this.#accept(connection);
      } catch (error) {
        if (this.#links.closed) return;
        this.#notAccepted(error);
        // A connection whose other side is silent holds what a node at the door could have.
        const since = performance.now() - ACCEPT_RETRY_MS;
        const silent = [...this.#visitors].filter((it) => !it.hasSpoken && it.arrivedAt < since);
        this.#drop(silent, "it said nothing, and others wait");
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  /**
   * Tells, once for a long while, that no connection can be accepted, as for want of file
   * descriptors.
   */
  #notAccepted(error: unknown): void {
    const now = performance.now();
    const isNews = now - this.#failedAt > ACCEPT_QUIET_MS;
    this.#failedAt = now;
    if (!isNews) return;
    this.#handlers.log(
      Level.Warning,
      `Could not accept a connection: ${
        reasonOf(error)
      }. The members of the cluster are served on. ` +
        "If files are short, let this process have more (ulimit -n)",
    );
  }

  /** Makes room for another connection: drops one of the same address, or of all. */
  #makeRoom(hostname: string): void {
    const all = [...this.#visitors];
    const neighbours = all.filter((visitor) => visitor.hostname === hostname);
    const reason = "it said nothing, and others came";
    if (neighbours.length >= HANDSHAKES_ADDRESS_MAX) this.#drop(neighbours, reason);
    else if (all.length >= HANDSHAKES_MAX) this.#drop(all, reason);
    const unproven = all.filter(({ isProven }) => !isProven);
    if (unproven.length >= UNPROVEN_MAX) this.#drop(unproven, reason);
  }

  /**
   * Ends the oldest connection over which nothing was said, or else the oldest, if there is one.
   */
  #drop(visitors: readonly Visitor[], reason: string): void {
    const visitor = visitors.find(({ hasSpoken }) => !hasSpoken) ?? visitors[0];
    if (visitor === undefined) return;
    visitor.dropped = visitor.hasSpoken ? "others came" : reason;
    this.#visitors.delete(visitor);
    visitor.close();
  }

  /** Waits for the first message on a connection and acts on it; never throws. */
  async #accept(connection: Deno.TcpConn): Promise<void> {
    const { hostname, port } = connection.remoteAddr;
    const visitor: Visitor = {
      hostname,
      port,
      arrivedAt: performance.now(),
      isProven: false,
      hasSpoken: false,
      dropped: undefined,
      close: () => closeNow(connection),
    };
    this.#visitors.add(visitor);
    try {
      const stream = await this.#links.demandKey(connection, () => visitor.hasSpoken = true);
      visitor.isProven = true;
      visitor.hasSpoken = false;
      let next: Promise<void> | undefined;
      await this.#links.greet(stream, undefined, (control, link) => {
        visitor.hasSpoken = true;
        next = this.#receive(control, link, visitor);
        // It may fail before it is awaited, a moment later.
        next?.catch(() => {});
      }, (link) => visitor.close = () => link.close());
      await next;
    } catch (error) {
      if (this.#links.closed) return;
      // Where two nodes dial each other, one may see before its first message that its own dial is
      // not needed.
      const silent = error instanceof TdsmError && error.code === "PeerLost";
      const level = silent && visitor.dropped === undefined ? Level.Debug : Level.Warning;
      this.#tell(level, visitor, visitor.dropped ?? reasonOf(error));
    } finally {
      this.#visitors.delete(visitor);
    }
  }

  /**
   * Acts on the first message; the promise, if there is one, resolves when the handshake is over.
   */
  #receive(control: Control, link: Link, visitor: Visitor): Promise<void> | undefined {
    const refused = this.#objection(control);
    if (refused !== undefined) {
      const ended = this.#refuse(link, refused);
      // Two nodes that dial each other refuse one of the two connections, which is no fault; nor is
      // it when a node dials and leaves at once, or when `--status` asks the wrong node.
      const harmless = this.#hasJoined(control) || control.kind === "statusRequest";
      this.#tell(harmless ? Level.Debug : Level.Warning, visitor, refused.reason);
      return ended;
    }
    if (control.kind === "statusRequest") return this.#tellState(link, control);
    if (control.kind === "threadHello") {
      link.say({ kind: "accept", node: this.#members.self });
      this.#links.carryThread(control, link);
      return undefined;
    }
    const hello = control as HelloControl;
    if (hello.node === 0) return this.#admit(hello, link, visitor);
    if (this.#members.get(hello.node) === undefined) {
      return this.#remember(hello.node, link, visitor);
    }
    this.#meet(hello.node, link);
    return undefined;
  }

  /** Refuses a visitor; resolves when the link has ended. */
  #refuse(link: Link, refused: RefuseControl): Promise<void> {
    link.say(refused);
    return this.#links.drain(link);
  }

  #tell(level: Level, { hostname, port }: Visitor, reason: string): void {
    this.#drops.tell(level, formatAddress({ hostname, port }), reason);
  }

  /** Whether a first message comes from a node that is or was a member of this cluster. */
  #hasJoined(control: Control): boolean {
    const members = this.#members;
    return control.kind === "hello" && control.session === members.session &&
      (members.get(control.node) !== undefined || members.isGone(control.node));
  }

  /** Why the other side of a connection is refused; `undefined` when it is let in. */
  #objection(control: Control): RefuseControl | undefined {
    const members = this.#members;
    const { self, session, region, nextId } = members;
    const directory = members.get(DIRECTORY_NODE);
    if (control.kind === "statusRequest") {
      const isFull = control.since !== undefined && this.#lookers.isFull;
      return objectionToStatus(control, { self, directory }, isFull);
    }
    const isLinked = (node: NodeId): boolean => this.#links.get(node) !== undefined;
    if (control.kind === "threadHello") {
      const door = { self, session, directory, isLinked };
      return objectionToThread(control, door, this.#links.threadLinks(control));
    }
    return objectionToHello(control, {
      self,
      session,
      region,
      directory,
      nodes: members.peers.length + 1,
      nextId,
      isGone: (node) => members.isGone(node),
      isLinked,
      isDialled: (node) => this.#links.isDialled(node),
    });
  }

  /** At the directory node: tells a program of the cluster, once or whenever it asks. */
  #tellState(link: Link, request: StatusRequestControl): Promise<void> | undefined {
    if (request.since !== undefined) return void this.#lookers.serve(link, request);
    return this.#links.drain(link, this.#lookers.answer(link, request));
  }

  /**
   * At the directory node: takes a new node in, once it has said something behind the `welcome`. So
   * a connection that ends before costs no id, and no other node hears of it.
   */
  async #admit(hello: HelloControl, link: Link, visitor: Visitor): Promise<void> {
    const members = this.#members;
    const { whyUnreachable } = this.#handlers;
    if (whyUnreachable !== undefined) {
      const refused = await this.#objectionToAddress(hello, link, whyUnreachable);
      if (refused !== undefined) return await this.#refuse(link, refused);
    }
    const { session, region, peers } = members;
    const peer = members.offer(hello, link.remoteAddress);
    link.say({ kind: "welcome", node: peer.id, session, ...region, peers });
    this.#welcomed.set(link, visitor);
    let admitted = false;
    try {
      await this.#links.hear(link, (message, payload) => {
        const nodes = members.peers.length + 1;
        if (nodes >= NODES_MAX) return void this.#refuse(link, clusterFull(nodes));
        admitted = true;
        this.#join(peer, hello, link, peers)?.received(message, payload);
      });
    } finally {
      this.#welcomed.delete(link);
      if (!admitted) members.withdraw(peer);
    }
  }

  /**
   * Why other nodes could not connect to a new node: as soon as one of them had something to say to
   * it, one of the two would end. The new node says nothing meanwhile.
   */
  async #objectionToAddress(
    hello: HelloControl,
    link: Link,
    whyUnreachable: NonNullable<DoorHandlers["whyUnreachable"]>,
  ): Promise<RefuseControl | undefined> {
    const ended = Promise.withResolvers<never>();
    link.hear({
      target: () => undefined,
      received({ kind }) {
        throw new TdsmError("ProtocolViolation", `${kind} before the answer`);
      },
      ended: (error) => ended.reject(error ?? new TdsmError("PeerLost", "it did not wait")),
    });
    const { address: hostname, port } = Members.reached(hello, link.remoteAddress);
    const address = { hostname, port };
    const why = await Promise.race([whyUnreachable(address), ended.promise]);
    return why === undefined ? undefined : unreachable(address, why);
  }

  /** At the directory node: a new node has joined. Returns what takes its messages. */
  #join(
    peer: Peer,
    hello: HelloControl,
    link: Link,
    welcomed: readonly Peer[],
  ): LinkHandlers | undefined {
    const members = this.#members;
    const { id, address: hostname, port } = peer;
    for (const other of members.peers) {
      if (!welcomed.some((known) => known.id === other.id)) {
        link.say({ kind: "peerJoined", ...other });
      }
    }
    members.admit(peer, hello);
    this.#links.sayToAll({ kind: "peerJoined", ...peer });
    const at = formatAddress({ hostname, port });
    this.#handlers.log(Level.Info, `Node ${id} has joined from ${at}`, joinedFields(peer));
    this.#handlers.joined(peer);
    const handlers = this.#links.carry(id, link);
    const gone = welcomed.map(({ id: node }) => node).filter((node) => members.isGone(node));
    // A node with a rank waits for the ids of all ranks, of which some may have come and gone.
    if (hello.rank !== undefined) gone.push(...members.goneEarly);
    for (const node of new Set(gone)) this.#links.to(id)?.send({ kind: "peerLost", node });
    return handlers;
  }

  /** Accepts the connection of a peer that has dialled. */
  #meet(node: NodeId, link: Link): void {
    link.say({ kind: "accept", node: this.#members.self });
    this.#links.carry(node, link);
  }

  /**
   * The directory node has not told of a node that wants to meet this one, which may be another
   * than it says. So once the word is there, this node connects to the address that the directory
   * node has told, and the other knows that it will, as where two nodes dial each other at once.
   */
  #remember(node: NodeId, link: Link, visitor: Visitor): Promise<void> | undefined {
    const { latest, self } = this.#members;
    const reason = `the directory has not told of node ${node} yet`;
    this.#tell(Level.Debug, visitor, reason);
    // Of a node whose id is the lower one the connection counts, so its word is waited for.
    if (node < self) return this.#wait(node, link, reason);
    // Only so many nodes can have joined that this one has not heard of.
    if (node <= latest + NODES_MAX) this.#early.set(node, () => this.#links.to(node));
    return this.#refuse(link, { kind: "refuse", code: "JoinRefused", reason });
  }

  /** Waits for the directory's word on a node, and meets it then. */
  async #wait(node: NodeId, link: Link, reason: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new TdsmError("JoinRefused", reason)), HANDSHAKE_MAX_MS);
    this.#early.set(node, resolve);
    link.hear({
      target: () => undefined,
      received({ kind }) {
        throw new TdsmError("ProtocolViolation", `${kind} before the handshake`);
      },
      ended: (error) => reject(error ?? new TdsmError("PeerLost", "it did not wait to be known")),
    });
    try {
      await promise;
      if (this.#links.get(node) === undefined) return this.#meet(node, link);
      await this.#refuse(link, connectedAlready());
    } finally {
      clearTimeout(timer);
      if (this.#early.get(node) === resolve) this.#early.delete(node);
      if (this.#links.get(node) !== link) link.close();
    }
  }
}

/**
 * The connections of one node to the others: made when there is something to say, and kept until the
 * node is gone. What is to be sent to a node waits here while there is no connection yet.
 */

import { reasonOf, TdsmError } from "../errors.ts";
import { crc32c } from "../wire/crc32c.ts";
import type { Control, HelloControl } from "../wire/control.ts";
import type { PeerMessage } from "../wire/peer_message.ts";
import type { GrantMessage, NodeId } from "../protocol/coherence/messages.ts";
import { type Peer, refusal } from "./admission.ts";
import { connectToPeer, shakeHands } from "./handshake.ts";
import { Link } from "./link.ts";
import type { Members } from "./members.ts";
import { type LinkCounters, Sender, type Sum } from "./sender.ts";

/** Who hears what other nodes say. What it has to say to that is sent before it hears the next. */
export interface PeerHandlers {
  /** Where a grant's bytes go; `undefined` to let them pass unseen. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined;
  /** A message; `payload` is what a remote call carries. */
  received(from: NodeId, message: PeerMessage, payload: Uint8Array): void;
  /** The connection to a node has ended, or could not be made. */
  lost(node: NodeId, reason: string): void;
}

/** One node's connections. */
export class Links {
  /** What was sent and received on all of them. */
  readonly counters: LinkCounters;
  readonly #members: Members;
  readonly #hello: () => HelloControl;
  readonly #handlers: PeerHandlers;
  readonly #sum: Sum;
  /** What waits to be sent to each node; there before the link is. */
  readonly #senders = new Map<NodeId, Sender>();
  readonly #links = new Map<NodeId, Link>();
  /** Links that are nobody's yet. */
  readonly #greeted = new Set<Link>();
  /** The ends of the links that drain. */
  readonly #draining = new Set<Promise<void>>();
  /** Those that something was queued in since the last flush. */
  readonly #touched = new Set<Sender>();
  /** Those that something was sent from since the last {@linkcode sayAlive}. */
  readonly #active = new Set<Sender>();
  #closed = false;

  /**
   * @param members Who can be connected to.
   * @param counters Where what is sent and received is counted.
   * @param hello What this node says first where it connects.
   * @param handlers Who hears what the others say.
   * @param sum Sums up what follows a frame.
   */
  constructor(
    members: Members,
    counters: LinkCounters,
    hello: () => HelloControl,
    handlers: PeerHandlers,
    sum: Sum = crc32c,
  ) {
    this.#members = members;
    this.counters = counters;
    this.#hello = hello;
    this.#handlers = handlers;
    this.#sum = sum;
  }

  /** Whether this node takes no part any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The nodes to which there is a connection. */
  get nodes(): NodeId[] {
    return [...this.#links.keys()];
  }

  /** The connection to a node. */
  get(node: NodeId): Link | undefined {
    return this.#links.get(node);
  }

  /** Whether this node has connected to a node, or begun to. */
  isDialled(node: NodeId): boolean {
    return this.#senders.has(node);
  }

  /** The queue to a node, which is to be filled now; `undefined` when the node is not here. */
  to(node: NodeId): Sender | undefined {
    let sender = this.#senders.get(node);
    if (sender === undefined) {
      const peer = this.#members.get(node);
      if (peer === undefined || this.#closed) return undefined;
      sender = this.#newSender();
      this.#senders.set(node, sender);
      void this.#dial(peer);
    }
    this.#touched.add(sender);
    return sender;
  }

  /** A queue, which sums up what follows its frames if the directory wants that. */
  #newSender(): Sender {
    return new Sender(this.counters, this.#members.region.checksums ? this.#sum : undefined);
  }

  /** Sends what is queued. */
  flush(): void {
    if (this.#touched.size === 0) return;
    for (const sender of this.#touched) {
      sender.flush();
      this.#active.add(sender);
    }
    this.#touched.clear();
  }

  /**
   * Opens a link on a connection, and waits for the other side's first word.
   *
   * @param connection The connection; it is closed when the node is.
   * @param hello What this side says first, where it made the connection.
   * @param receive Takes the first word; opens the link, drains it, or throws.
   * @throws What `receive` throws, or a `TdsmError` that says why there was no first word.
   */
  async greet(
    connection: Deno.TcpConn,
    hello: HelloControl | undefined,
    receive: (control: Control, link: Link) => void,
  ): Promise<void> {
    if (this.#closed) return connection.close();
    let link: Link | undefined;
    try {
      await shakeHands((handlers) => {
        const bounds = () => this.#members.bounds;
        link = new Link(connection, bounds, this.counters, handlers, this.#sum);
        this.#greeted.add(link);
        if (hello !== undefined) link.say(hello);
        return link;
      }, receive);
    } finally {
      if (link !== undefined) this.#greeted.delete(link);
    }
  }

  /**
   * Makes a link the one to a node: what waits for the node is sent, and what the node says is heard.
   * A link that has ended meanwhile stays nobody's.
   */
  carry(node: NodeId, link: Link): void {
    const handlers = this.#handlers;
    const sender = this.#senders.get(node) ?? this.#newSender();
    const opened = link.open({
      target: (grant) => handlers.target(node, grant),
      received: (message, payload) => {
        handlers.received(node, message, payload);
        this.flush();
      },
      ended: (error) => {
        // This node has ended it, and knows.
        if (this.#links.get(node) !== link) return;
        this.#links.delete(node);
        handlers.lost(node, error === undefined ? "its connection ended" : reasonOf(error));
        this.flush();
      },
    }, sender);
    if (!opened) return;
    this.#greeted.delete(link);
    this.#senders.set(node, sender);
    this.#links.set(node, link);
  }

  /** Connects to a node that something waits for. */
  async #dial({ id, address: hostname, port }: Peer): Promise<void> {
    try {
      const connection = await connectToPeer({ hostname, port });
      // The peer may have dialled too, and have been faster; or it is gone by now.
      const needless = (): boolean => this.#links.has(id) || this.#members.get(id) === undefined;
      if (needless()) return connection.close();
      await this.greet(connection, this.#hello(), (control, link) => {
        if (control.kind !== "accept") throw refusal(control, { hostname, port });
        if (needless()) throw new TdsmError("JoinRefused", `node ${id} is not waited for any more`);
        this.carry(id, link);
      });
    } catch (error) {
      const crossed = error instanceof TdsmError && error.code === "JoinRefused" &&
        id < this.#members.self;
      if (!crossed && !this.#links.has(id)) this.#handlers.lost(id, reasonOf(error));
    }
  }

  /**
   * Ends the connection to a node, if there is one. The node is not heard any more.
   *
   * @param node The node.
   * @param state What becomes of the link: `draining`, and the node has what was queued until now, or
   * `ended` at once.
   * @param queue Whether what waits for the node waits on, for a later connection.
   */
  end(node: NodeId, state: "draining" | "ended", queue: "keep" | "forget"): void {
    const link = this.#links.get(node);
    this.#links.delete(node);
    if (queue === "forget") {
      if (state === "ended") this.#senders.get(node)?.close();
      this.#senders.delete(node);
    }
    if (link === undefined) return;
    if (state === "draining") this.drain(link);
    else link.close();
  }

  /** Says something to those who were told nothing since this was last called. */
  sayAlive(): void {
    for (const [node, link] of this.#links) {
      if (!this.#active.has(this.#senders.get(node)!)) link.say({ kind: "ping" });
    }
    this.#active.clear();
  }

  /** The nodes that have said nothing since a time, by `performance.now()`. */
  silentSince(time: number): NodeId[] {
    return this.nodes.filter((node) => this.#links.get(node)!.heardAt < time);
  }

  /** Tells every node to which there is a connection, at once. */
  sayToAll(control: Control): void {
    for (const link of this.#links.values()) link.say(control);
  }

  /** Ends a link once `last` has settled and what was queued is sent; the end of all waits for that. */
  drain(link: Link, last?: Promise<void>): void {
    const draining = link.drain(last).finally(() => this.#draining.delete(draining));
    this.#draining.add(draining);
  }

  /**
   * Ends every connection, and begins none from here on.
   *
   * @param state What becomes of the links: `draining`, or `ended` at once.
   * @returns Resolves when all have ended.
   */
  async close(state: "draining" | "ended"): Promise<void> {
    this.#closed = true;
    for (const link of this.#greeted) link.close();
    for (const node of this.nodes) this.end(node, state, "keep");
    await Promise.all(this.#draining);
  }
}

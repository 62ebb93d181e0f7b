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

/** What is told of what other nodes say. The answers to a message are sent before the next is told. */
export interface PeerHandlers {
  /** Where a grant's bytes go; `undefined` to let them pass unseen. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined;
  /** A message; `payload` is what a remote call carries. */
  received(from: NodeId, message: PeerMessage, payload: Uint8Array): void;
  /** The connection to a node has ended, or could not be made. */
  lost(node: NodeId, reason: string): void;
}

/** What this node has to do with another: there as soon as there is something to say. */
interface Line {
  /** What waits to be sent. */
  readonly sender: Sender;
  /**
   * The connection, from its handshake on. Without it the other node is being dialled; or the
   * connection has ended, and it is up to the directory node what becomes of the other node.
   */
  link: Link | undefined;
  /** Whether something was sent since the last {@linkcode Links.sayAlive}. */
  active: boolean;
}

/** One node's connections. */
export class Links {
  /** What was sent and received on all of them. */
  readonly counters: LinkCounters;
  readonly #members: Members;
  readonly #hello: () => HelloControl;
  readonly #handlers: PeerHandlers;
  readonly #sum: Sum;
  readonly #lines = new Map<NodeId, Line>();
  /** Links of which it is not known yet whose they are. */
  readonly #greeted = new Set<Link>();
  /** The ends of the links that drain. */
  readonly #draining = new Set<Promise<void>>();
  /** The lines on which something was queued since the last flush. */
  readonly #touched = new Set<Line>();
  #closed = false;

  /**
   * @param members The nodes that can be connected to.
   * @param counters Where what is sent and received is counted.
   * @param hello What this node says first where it connects.
   * @param handlers What is told of what the other nodes say.
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

  /** The connection to a node. */
  get(node: NodeId): Link | undefined {
    return this.#lines.get(node)?.link;
  }

  /** Whether this node has connected to a node, or begun to. */
  isDialled(node: NodeId): boolean {
    return this.#lines.has(node);
  }

  /** The queue to a node, which is to be filled now; `undefined` when the node is not here. */
  to(node: NodeId): Sender | undefined {
    let line = this.#lines.get(node);
    if (line === undefined) {
      const peer = this.#members.get(node);
      if (peer === undefined || this.#closed) return undefined;
      this.#lines.set(node, line = this.#newLine());
      void this.#dial(peer);
    }
    this.#touched.add(line);
    return line.sender;
  }

  /** A line, whose sender sums up what follows its frames if the directory node wants that. */
  #newLine(): Line {
    const sum = this.#members.region.checksums ? this.#sum : undefined;
    return { sender: new Sender(this.counters, sum), link: undefined, active: false };
  }

  /** Sends what is queued. */
  flush(): void {
    if (this.#touched.size === 0) return;
    for (const line of this.#touched) {
      line.sender.flush();
      line.active = true;
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
   * A link that has ended meanwhile is not used.
   */
  carry(node: NodeId, link: Link): void {
    const handlers = this.#handlers;
    const line = this.#lines.get(node) ?? this.#newLine();
    const opened = link.open({
      target: (grant) => handlers.target(node, grant),
      received: (message, payload) => {
        handlers.received(node, message, payload);
        this.flush();
      },
      ended: (error) => {
        // This node has ended it, and knows.
        if (line.link !== link) return;
        line.link = undefined;
        handlers.lost(node, error === undefined ? "its connection ended" : reasonOf(error));
        this.flush();
      },
    }, line.sender);
    if (!opened) return;
    this.#greeted.delete(link);
    this.#lines.set(node, line);
    line.link = link;
  }

  /** Connects to a node that something waits for. */
  async #dial({ id, address: hostname, port }: Peer): Promise<void> {
    try {
      const connection = await connectToPeer({ hostname, port });
      // The peer may have dialled too, and have been faster; or it is gone by now.
      const needless = (): boolean =>
        this.get(id) !== undefined || this.#members.get(id) === undefined;
      if (needless()) return connection.close();
      await this.greet(connection, this.#hello(), (control, link) => {
        if (control.kind !== "accept") throw refusal(control, { hostname, port });
        if (needless()) throw new TdsmError("JoinRefused", `node ${id} is not waited for any more`);
        this.carry(id, link);
      });
    } catch (error) {
      const crossed = error instanceof TdsmError && error.code === "JoinRefused" &&
        id < this.#members.self;
      if (!crossed && this.get(id) === undefined) this.#handlers.lost(id, reasonOf(error));
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
    const line = this.#lines.get(node);
    if (line === undefined) return;
    if (queue === "forget") {
      this.#lines.delete(node);
      if (state === "ended") line.sender.close();
    }
    const { link } = line;
    line.link = undefined;
    if (link === undefined) return;
    if (state === "draining") this.drain(link);
    else link.close();
  }

  /** Says something to the nodes that were told nothing since this was last called. */
  sayAlive(): void {
    for (const line of this.#lines.values()) {
      if (!line.active) line.link?.say({ kind: "ping" });
      line.active = false;
    }
  }

  /** The nodes that have said nothing since a time, by `performance.now()`. */
  silentSince(time: number): NodeId[] {
    return [...this.#lines].filter(([, { link }]) => link !== undefined && link.heardAt < time)
      .map(([node]) => node);
  }

  /** Tells every node to which there is a connection, at once. */
  sayToAll(control: Control): void {
    for (const { link } of this.#lines.values()) link?.say(control);
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
    for (const node of this.#lines.keys()) this.end(node, state, "keep");
    await Promise.all(this.#draining);
  }
}

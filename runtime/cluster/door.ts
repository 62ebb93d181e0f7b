/**
 * Accepts connections: hears what kind of program has connected, and admits it or tells it why not.
 */

import { formatAddress } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { ACCEPT_RETRY_MS, HANDSHAKES_MAX } from "../limits.ts";
import { Level } from "../log.ts";
import type { Control, HelloControl, RefuseControl } from "../wire/control.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { NodeStatusControl } from "../wire/status_control.ts";
import { objectionToHello, objectionToStatus, type Peer } from "./admission.ts";
import type { Link } from "./link.ts";
import type { Links } from "./links.ts";
import type { Members } from "./members.ts";

/** What the door asks of its node, and reports to it. */
export interface DoorHandlers {
  /** At the directory node: collects the counters of all nodes. */
  status(): Promise<NodeStatusControl[]>;
  /** At the directory node: a node has joined. */
  joined(peer: Peer): void;
  /** Something to log. */
  log(level: Level, text: string): void;
}

/** One node's door. */
export class Door {
  readonly #listener: Deno.TcpListener;
  readonly #members: Members;
  readonly #links: Links;
  readonly #handlers: DoorHandlers;

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
  }

  /** Accepts connections from here on. */
  open(): void {
    void this.#acceptAll();
  }

  /** Accepts no connection from here on. Called once the links are closed. */
  close(): void {
    this.#listener.close();
  }

  async #acceptAll(): Promise<void> {
    const handshakes = new Set<Promise<void>>();
    while (!this.#links.closed) {
      try {
        const connection = await this.#listener.accept();
        const handshake = this.#accept(connection).finally(() => handshakes.delete(handshake));
        handshakes.add(handshake);
        // Further connections wait in the listener's backlog.
        if (handshakes.size >= HANDSHAKES_MAX) await Promise.race(handshakes);
      } catch (error) {
        if (this.#links.closed) return;
        this.#handlers.log(Level.Warning, `Could not accept a connection: ${reasonOf(error)}`);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  /** Waits for the first message on a connection and acts on it; never throws. */
  async #accept(connection: Deno.TcpConn): Promise<void> {
    const { hostname, port } = connection.remoteAddr;
    const dropped = (level: Level, reason: string): void => {
      const from = formatAddress({ hostname, port });
      this.#handlers.log(level, `Dropped a connection from ${from}: ${reason}`);
    };
    try {
      await this.#links.greet(connection, undefined, (control, link) => {
        const refused = this.#objection(control);
        if (refused !== undefined) {
          link.say(refused);
          this.#links.drain(link);
          // Two nodes that dial each other refuse one of the two connections, which is no fault; nor is
          // it when `--status` asks the wrong node.
          const harmless = this.#isMember(control) || control.kind === "statusRequest";
          return dropped(harmless ? Level.Debug : Level.Warning, refused.reason);
        }
        if (control.kind === "statusRequest") return this.#links.drain(link, this.#report(link));
        const hello = control as HelloControl;
        return hello.node === 0 ? this.#admit(hello, link) : this.#meet(hello.node, link);
      });
    } catch (error) {
      if (this.#links.closed) return;
      // Where two nodes dial each other, one may see before its first message that its own dial is not needed.
      const silent = error instanceof TdsmError && error.code === "PeerLost";
      dropped(silent ? Level.Debug : Level.Warning, reasonOf(error));
    }
  }

  #isMember(control: Control): boolean {
    return control.kind === "hello" && control.session === this.#members.session &&
      this.#members.get(control.node) !== undefined;
  }

  /** Why the other side of a connection is refused; `undefined` when it is let in. */
  #objection(control: Control): RefuseControl | undefined {
    const members = this.#members;
    const { self, session, region, nextId } = members;
    const directory = members.get(DIRECTORY_NODE);
    if (control.kind === "statusRequest") return objectionToStatus(control, { self, directory });
    return objectionToHello(control, {
      self,
      session,
      region,
      directory,
      nodes: members.peers.length + 1,
      nextId,
      isGone: (node) => members.isGone(node),
      isLinked: (node) => this.#links.get(node) !== undefined,
      isDialled: (node) => this.#links.isDialled(node),
    });
  }

  /** At the directory node: answers `--status`. */
  async #report(link: Link): Promise<void> {
    const asked = this.#handlers.status();
    this.#links.flush();
    const statuses = await asked;
    const { size, pageSize, compression } = this.#members.region;
    const nodes = statuses.length;
    link.say({ kind: "clusterStatus", size, pageSize, compression, nodes });
    for (const status of statuses) link.say(status);
  }

  /** At the directory node: takes a new node in. */
  #admit(hello: HelloControl, link: Link): void {
    const { session, region, peers } = this.#members;
    const peer = this.#members.admit(hello, link.remoteAddress);
    link.say({ kind: "welcome", node: peer.id, session, ...region, peers });
    this.#links.sayToAll({ kind: "peerJoined", ...peer });
    const { id, address: hostname, port } = peer;
    this.#handlers.log(
      Level.Info,
      `Node ${id} has joined from ${formatAddress({ hostname, port })}`,
    );
    this.#handlers.joined(peer);
    this.#links.carry(id, link);
  }

  /** Accepts the connection of a peer that has dialled. */
  #meet(node: NodeId, link: Link): void {
    link.say({ kind: "accept", node: this.#members.self });
    this.#links.carry(node, link);
  }
}

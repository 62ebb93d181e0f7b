/**
 * The nodes that share a region, as one of them sees them: joins, sends, and looks who is gone. Who
 * there is stands in `members.ts`, connections in `links.ts`, and who may come in is up to `door.ts`.
 */

import type { Address } from "../address.ts";
import { TdsmError } from "../errors.ts";
import {
  HEARTBEAT_MS,
  PEER_VERDICT_LAST_MS,
  PEER_VERDICT_MAX_MS,
  SILENCE_MAX_MS,
} from "../limits.ts";
import { type Encoding, PROTOCOL_VERSION } from "../wire/page_frames.ts";
import type { HelloControl, WelcomeControl } from "../wire/control.ts";
import type { EngineMessage, PeerMessage } from "../wire/peer_message.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import {
  notADirectory,
  objectionToLoopback,
  type Peer,
  refusal,
  type RegionSettings,
} from "./admission.ts";
import { Door, type DoorHandlers } from "./door.ts";
import { connectToDirectory } from "./handshake.ts";
import { Links, type PeerHandlers } from "./links.ts";
import { Members } from "./members.ts";
import type { LinkCounters, Sum } from "./sender.ts";

/** What a cluster must know of its own node. */
export interface ClusterOptions {
  readonly address: string;
  readonly port: number;
  /** Whether the node only serves, so that nobody need wait for it to finish. */
  readonly serving: boolean;
  /** The runtime's release, for people. */
  readonly release: string;
  /** Sums up what follows a frame; without it that is done in TypeScript. */
  readonly sum?: Sum;
}

/** Who is told of what happens. `lost` is called at the directory's node alone. */
export interface ClusterHandlers extends Omit<PeerHandlers, "received">, DoorHandlers {
  /** A message that is not about the cluster itself; `payload` is what a remote call carries. */
  received(from: NodeId, message: EngineMessage, payload: Uint8Array): void;
  /** Peers came or went. */
  changed(): void;
  /** The directory's node closes the cluster. */
  closing(): void;
  /** This node cannot go on. */
  failed(error: TdsmError): void;
}

/** The cluster, as one node sees it. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #handlers: ClusterHandlers;
  readonly #members = new Members();
  readonly #links: Links;
  readonly #door: Door;
  /** When to give up waiting for the directory's word on a node that cannot be reached. */
  readonly #verdicts = new Map<NodeId, ReturnType<typeof setTimeout>>();
  /** How the connection to each node ended that could not be reached. */
  readonly #reasons = new Map<NodeId, string>();
  #heartbeat: ReturnType<typeof setInterval> | undefined;

  /**
   * Listens; {@linkcode host} or {@linkcode join} comes next.
   *
   * @throws {TdsmError} `ListenFailed`.
   */
  constructor(options: ClusterOptions, handlers: ClusterHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#links = new Links(this.#members, () => this.#hello(), {
      ...handlers,
      received: (from, message, payload) => this.#received(from, message, payload),
      lost: (node, reason) => this.#lost(node, reason),
    }, options.sum);
    const { address: hostname, port } = options;
    this.#door = new Door({ hostname, port }, this.#members, this.#links, {
      ...handlers,
      joined: (peer) => {
        handlers.joined(peer);
        handlers.changed();
      },
    });
  }

  /** What was sent and received. */
  get counters(): LinkCounters {
    return this.#links.counters;
  }

  /** This node's id; 0 before it has one. */
  get self(): NodeId {
    return this.#members.self;
  }

  /** Where this node listens. */
  get address(): Address {
    return this.#door.address;
  }

  /** Every other node, in order of joining. */
  get peers(): Peer[] {
    return this.#members.peers;
  }

  /** At the directory's node: the other nodes that have work of their own to finish. */
  get working(): NodeId[] {
    return this.#members.working;
  }

  /** Whether a node was here and is not any more. */
  isGone(node: NodeId): boolean {
    return this.#members.isGone(node);
  }

  /** Why a node could not be reached any more; `undefined` where this node does not know. */
  whyLost(node: NodeId): string | undefined {
    return this.#reasons.get(node);
  }

  /** Whether a node is one of the cluster now. */
  isPresent(node: NodeId): boolean {
    return this.#members.get(node) !== undefined;
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
      await this.#links.greet(connection, hello, (control, link) => {
        if (control.kind !== "welcome") throw refusal(control, directory);
        this.#welcome(control, directory);
        welcomed(control);
        return this.#links.carry(DIRECTORY_NODE, link);
      });
    } catch (error) {
      if (error instanceof TdsmError && error.operation !== undefined) throw error;
      throw notADirectory(directory, error);
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

  /**
   * Queues a message; {@linkcode flush} sends. Nothing is sent to those who are gone.
   *
   * @param to The other node.
   * @param message The message.
   * @param payload The bytes of its pages, or what a remote call carries.
   * @param encoding How page bytes are packed.
   */
  send(to: NodeId, message: PeerMessage, payload?: Uint8Array, encoding?: Encoding): void {
    this.#links.to(to)?.send(message, payload, encoding);
  }

  /** Sends what is queued. What is queued while a handler runs is sent behind it. */
  flush(): void {
    this.#links.flush();
  }

  /** A node is gone: nothing that it still says counts, and nothing is sent to it. */
  forget(node: NodeId): void {
    this.#links.drop(node);
    this.#remove(node);
  }

  /** At the directory's node: a node may go, once it has what was sent to it. */
  release(node: NodeId): void {
    this.#links.release(node);
    this.#remove(node);
  }

  /** Ends the link to a node that broke the protocol, and tells it why. */
  expel(node: NodeId, reason: string): void {
    const link = this.#links.get(node);
    if (link === undefined) return;
    link.say({ kind: "refuse", code: "ProtocolViolation", reason });
    this.#links.dismiss(node);
    this.#lost(node, `it broke the protocol: ${reason}`);
  }

  /** Ends every link and stops listening; at the directory's node, after telling everyone. */
  async close(): Promise<void> {
    if (!this.#stop()) return;
    if (this.#members.isDirectory) this.#links.sayToAll({ kind: "closing" });
    await this.#links.close();
  }

  /** Ends every link at once, for a node that cannot go on: the others need not wait for it. */
  abort(): void {
    if (this.#stop()) this.#links.abort();
  }

  /** Neither takes part nor lets in; `false` when that was so already. */
  #stop(): boolean {
    if (this.#links.closed) return false;
    this.#links.stop();
    this.#door.close();
    clearInterval(this.#heartbeat);
    for (const timer of this.#verdicts.values()) clearTimeout(timer);
    return true;
  }

  #begin(self: NodeId, session: bigint, region: RegionSettings): void {
    this.#members.begin(self, session, region);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#door.open();
  }

  #welcome(control: WelcomeControl, { hostname: address, port }: Address): void {
    for (const peer of control.peers) this.#members.add(peer);
    this.#members.add({ id: DIRECTORY_NODE, address, port });
    this.#begin(control.node, control.session, control);
  }

  #hello(): HelloControl {
    const { self: node, session } = this.#members;
    const { serving, release } = this.#options;
    const { hostname: address, port } = this.address;
    const protocolVersion = PROTOCOL_VERSION;
    return { kind: "hello", protocolVersion, session, node, address, port, serving, release };
  }

  /** Acts on what is about the cluster itself; the rest is the engine's. */
  #received(from: NodeId, message: PeerMessage, payload: Uint8Array): void {
    const fromDirectory = from === DIRECTORY_NODE;
    switch (message.kind) {
      case "ping":
        return;
      case "peerJoined":
        if (!fromDirectory) break;
        this.#members.add(message);
        this.#handlers.log(3, `Node ${message.id} has joined`);
        return this.#handlers.changed();
      case "closing":
        if (!fromDirectory) break;
        return this.#handlers.closing();
      case "refuse":
        // Only that node is lost to the directory, not the cluster.
        if (this.#members.isDirectory) break;
        return this.#handlers.failed(
          new TdsmError(
            message.code === "FrameCorrupted" ? message.code : "ProtocolViolation",
            `Node ${from} ended the connection: ${message.reason}`,
          ),
        );
      case "hello":
      case "welcome":
      case "accept":
      case "statusRequest":
      case "clusterStatus":
      case "nodeStatus":
        // Said only before two nodes know each other.
        break;
      default:
        return this.#handlers.received(from, message, payload);
    }
    const reason = message.kind === "refuse" ? `: ${message.reason}` : "";
    throw new TdsmError("ProtocolViolation", `${message.kind} from node ${from}${reason}`);
  }

  /** A link has ended, or could not be made. The directory decides what that means. */
  #lost(node: NodeId, reason: string): void {
    if (this.#links.closed || this.isGone(node)) return;
    // What came first is the cause; that it cannot be connected to anew follows from it.
    if (!this.#reasons.has(node)) this.#reasons.set(node, reason);
    if (this.#members.isDirectory) {
      this.forget(node);
      this.#handlers.lost(node, reason);
      return this.flush();
    }
    const at = this.#members.at(node);
    if (node === DIRECTORY_NODE) {
      const message = `Lost the directory's node at ${at}: ${reason}`;
      return this.#handlers.failed(new TdsmError("DirectoryLost", message));
    }
    if (this.#verdicts.has(node)) return;
    const giveUp = () => {
      const message = `Node ${this.self} cannot reach node ${node} at ${at}, ` +
        `which the directory still counts on: ${reason}`;
      this.#handlers.failed(new TdsmError("PeerUnreachable", message));
    };
    // Where only the connection between two is broken, both wait. One of them is to survive.
    const waitMs = this.self > node ? PEER_VERDICT_MAX_MS : PEER_VERDICT_LAST_MS;
    this.#verdicts.set(node, setTimeout(giveUp, waitMs));
  }

  #remove(node: NodeId): void {
    clearTimeout(this.#verdicts.get(node));
    this.#verdicts.delete(node);
    if (this.#members.remove(node)) this.#handlers.changed();
  }

  /** Tells that this node is alive, and looks who does not. */
  #beat(): void {
    this.#links.sayAlive();
    for (const node of this.#links.silentSince(performance.now() - SILENCE_MAX_MS)) {
      this.#links.cut(node);
      this.#lost(node, `it said nothing for ${SILENCE_MAX_MS} ms`);
    }
  }
}

/** The entries that have a value. */
function defined<T extends object>(object: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}

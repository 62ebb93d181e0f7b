/**
 * The cluster, as one of its nodes sees it: joins, sends, and finds out which nodes are lost.
 * `members.ts` has the list of nodes, `links.ts` their connections; `door.ts` admits new nodes.
 */

import type { Poller } from "../../ffi/poller.ts";
import type { Address } from "../address.ts";
import { TdsmError } from "../errors.ts";
import {
  BEAT_LATE_MS,
  HANDSHAKE_MAX_MS,
  HEARTBEAT_MS,
  JOIN_RETRY_MAX_MS,
  JOIN_RETRY_MIN_MS,
  LEASE_MS,
  LOSSES_REMEMBERED_MAX,
  NODES_MAX,
  PEER_VERDICT_LAST_MS,
  PEER_VERDICT_MAX_MS,
  SILENCE_MAX_MS,
} from "../limits.ts";
import { Level, type LogFields } from "../log.ts";
import { type Encoding, PROTOCOL_VERSION } from "../wire/layout.ts";
import type { AbortControl, HelloControl, WelcomeControl } from "../wire/control.ts";
import type { RegionSettings } from "../wire/region_settings.ts";
import { type EngineMessage, isPageMessage, type PeerMessage } from "../wire/peer_message.ts";
import type { ClusterReport, StatusRequestControl } from "../wire/status_control.ts";
import type { SyncReply, SyncRequest } from "../protocol/sync/messages.ts";
import type { Place } from "../rendezvous/rendezvous.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import { Lease } from "../protocol/coherence/lease.ts";
import { DIRECTORY_NODE, type GrantMessage, type NodeId } from "../protocol/coherence/messages.ts";
import {
  atNoneOf,
  isOfOthers,
  keyRefused,
  notADirectory,
  objectionToLoopback,
  type Peer,
  refusal,
} from "./admission.ts";
import { Door } from "./door.ts";
import { connectToDirectory, isPassing, secure, shakeHands, tryMaxMs } from "./handshake.ts";
import { Link } from "./link.ts";
import { Links, type Vitals } from "./links.ts";
import { joinedFields, Members } from "./members.ts";
import { type LinkCounters, newCounters, type Sum } from "./sender.ts";
import { proveKey, type Secret } from "../secure/handshake.ts";

/** What {@linkcode Cluster} must know of its own node. */
export interface ClusterOptions {
  /** Where the node listens; once there is a cluster, the cluster closes this listener. */
  readonly listener: Deno.TcpListener;
  /** Whether the node only serves, so that the directory node need not wait for it to finish. */
  readonly serving: boolean;
  /** The runtime's release, for people. */
  readonly release: string;
  /** The node's place, where a launcher gives places. */
  readonly place?: Place | undefined;
  /** Computes checksums of the bytes behind frames; TypeScript does so where this is left out. */
  readonly sum?: Sum;
  /**
   * At the directory node: why a node that wants to join cannot be connected to; left out, that is
   * not tried.
   */
  readonly whyUnreachable?: (address: Address) => Promise<string | undefined>;
  /**
   * Where else the directory may be than where it is looked for first, in this order: programs of
   * others are passed over, which a key tells apart.
   */
  readonly otherDirectories?: readonly Address[];
  /** The key of the cluster; without one, each program that reaches the node may join. */
  readonly secret?: Secret | undefined;
  /**
   * What the thread sleeps in, and what moves the bytes between nodes that know each other; where
   * this is left out, Deno does.
   */
  readonly poller?: Poller | undefined;
  /** A clock that counts suspension too, in milliseconds; left out, `awakeMs`, which need not. */
  readonly clock?: () => number;
}

/** A member of a cluster; the cluster reports its events here. */
export interface Member {
  /** What acts on messages that are not about the cluster itself. */
  readonly engine: {
    /** Where to write a grant's bytes; `undefined` to skip them. */
    target(from: NodeId, grant: GrantMessage): Uint8Array | undefined;
    /** A message; `payload` is what a remote call carries. */
    received(from: NodeId, message: EngineMessage, payload: Uint8Array): void;
    /** At the directory node: a request on the link that a thread of a node has for itself. */
    threadAsked(from: NodeId, thread: number, request: SyncRequest): void;
    /** At the directory node: that link has ended, behind all that it has brought. */
    threadEnded(from: NodeId, thread: number): void;
  };
  /** The directory node has seen the end of the link of a thread of this node. */
  threadGone(thread: number): void;
  /** At the directory node: collects the counters of all nodes. */
  status(request: StatusRequestControl): Promise<ClusterReport>;
  /** A node has joined; at its start a node knows those that had joined before. */
  joined(peer: Peer): void;
  /** At the directory node: a node went away without leaving. */
  lost(node: NodeId, reason: string): void;
  /** What pings say of this node. */
  vitals(): Vitals;
  /** Another node has said how it is. */
  pinged(from: NodeId, vitals: Vitals): void;
  /** The directory node has heard this node: until then, by the cluster's clock, its pages hold. */
  leased(untilMs: number): void;
  /** A second has passed. */
  beat(): void;
  /** Peers came or went. */
  changed(): void;
  /** The directory node closes the cluster. */
  closing(): void;
  /** This node cannot go on; `byOther` says that another one has failed, and ended the cluster. */
  fail(error: TdsmError, byOther?: boolean): void;
  /** Something to log. */
  log(level: Level, text: string, fields?: LogFields): void;
}

/** JavaScript's clock, in milliseconds; on Linux it stands still while the machine is suspended. */
const awakeMs = (): number => performance.now();

/** The cluster, as one node sees it. It exists once the node has joined. */
export class Cluster<Node extends Member = Member> {
  /** This node, which is told of what happens. */
  readonly node: Node;
  /** Where this node listens. */
  readonly address: Address;
  readonly #options: ClusterOptions;
  readonly #members: Members;
  readonly #links: Links;
  readonly #door: Door;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  readonly #clock: () => number;
  /** How long this node may go on; the directory node needs no lease. */
  readonly #lease: Lease | undefined;
  /** When this node last had its beat, by `performance.now()`. */
  #beatAt = performance.now();
  /** Timers: when to give up waiting for the verdict on a node that cannot be reached. */
  readonly #verdicts = new Map<NodeId, ReturnType<typeof setTimeout>>();
  /** How the connection to each node that could not be reached has ended. */
  readonly #reasons = new Map<NodeId, string>();
  /** Resolves when the directory node has admitted this node, or this node has failed. */
  readonly #admitted: PromiseWithResolvers<void> = Promise.withResolvers();
  #isAdmitted = false;
  /** Resolves when every link has ended, once this node leaves or closes. */
  #ended: Promise<void> | undefined;

  private constructor(
    options: ClusterOptions,
    members: Members,
    counters: LinkCounters,
    lease: Lease | undefined,
    open: (cluster: Cluster) => Node,
  ) {
    const { listener, sum, secret, poller, clock = awakeMs } = options;
    this.#options = options;
    this.#clock = clock;
    this.#lease = lease;
    this.#members = members;
    this.address = listener.addr;
    this.#links = new Links(
      members,
      counters,
      () => helloOf(options, members),
      {
        target: (from, grant) => this.node.engine.target(from, grant),
        received: this.#received,
        vitals: () => this.node.vitals(),
        pinging: (node, number) => {
          if (node === DIRECTORY_NODE) this.#lease?.pinged(number, clock());
        },
        delayed: (node, reason) => {
          const at = this.#members.at(node);
          const text = `No connection to node ${node} at ${at} yet: ${reason}. Trying on`;
          this.node.log(Level.Warning, text);
        },
        lost: (node, reason, closed) => this.#lost(node, reason, closed),
        threadSaid: (node, thread, message) => {
          if (message.kind !== "sync") {
            const reason = `${message.kind} on the link of thread ${thread}`;
            throw new TdsmError("ProtocolViolation", reason);
          }
          this.node.engine.threadAsked(node, thread, message);
        },
        threadGone: (node, thread) => {
          this.node.engine.threadEnded(node, thread);
          this.#links.to(node)?.send({ kind: "threadGone", thread });
        },
      },
      sum,
      secret,
      poller,
    );
    this.#door = new Door(listener, members, this.#links, {
      status: (request) => this.node.status(request),
      whyUnreachable: options.whyUnreachable,
      joined: (peer) => {
        this.node.joined(peer);
        this.node.changed();
      },
      log: (level, text, fields) => this.node.log(level, text, fields),
    });
    this.node = open(this);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#door.open();
  }

  /**
   * Begins a cluster, as its directory node.
   *
   * @param options This node.
   * @param region The settings that the directory node decides for all nodes.
   * @param open Makes the node, which is a member of the cluster from here on.
   * @returns The node.
   */
  static host<Node extends Member>(
    options: ClusterOptions,
    region: RegionSettings,
    open: (cluster: Cluster, region: RegionSettings) => Node,
  ): Node {
    const random = crypto.getRandomValues(new BigUint64Array(1));
    const members = new Members(DIRECTORY_NODE, random[0]! || 1n, region, options.place);
    const counters = newCounters();
    const cluster = new Cluster(options, members, counters, undefined, (it) => open(it, region));
    return cluster.node;
  }

  /**
   * Joins the cluster of a directory.
   *
   * @param options This node.
   * @param first Where the directory is, or may be where `options` name others.
   * @param wanted The settings that the directory node must have decided, or else the node does not
   * join.
   * @param timeoutMs How long to try to reach the directory node, in milliseconds; 0 is one try.
   * @param open Makes the node as soon as it has joined, before any other message arrives.
   * @returns The node.
   * @throws {TdsmError} `NoDirectory`, or why the directory node refuses this node; or what `open`
   * throws.
   */
  static async join<Node extends Member>(
    options: ClusterOptions,
    first: Address,
    wanted: Partial<RegionSettings>,
    timeoutMs: number,
    open: (cluster: Cluster, region: RegionSettings) => Node,
  ): Promise<Node> {
    const giveUpAt = performance.now() + tryMaxMs(timeoutMs);
    const leftMs = (): number => Math.max(1, Math.ceil(giveUpAt - performance.now()));
    const { clock = awakeMs, otherDirectories = [] } = options;
    const directories = [first, ...otherDirectories];
    const isOnly = directories.length === 1;
    /** Waits before the next round of several addresses. */
    const next = async (tries: number, error: unknown): Promise<void> => {
      if (tries % directories.length > 0) return;
      const round = tries / directories.length;
      const pauseMs = Math.min(JOIN_RETRY_MIN_MS * 2 ** (round - 1), JOIN_RETRY_MAX_MS);
      if (timeoutMs === 0 || leftMs() <= pauseMs) throw atNoneOf(directories, timeoutMs, error);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    };
    /** How the last handshake failed that another try may do better than. */
    let met: unknown;
    for (let tries = 1;; tries++) {
      const directory = directories[(tries - 1) % directories.length]!;
      let connection: Deno.TcpConn;
      try {
        const maxMs = !isOnly ? 0 : tries === 1 ? timeoutMs : leftMs();
        connection = await connectToDirectory(directory, maxMs);
      } catch (error) {
        if (isOnly) throw met === undefined ? error : notLetIn(directory, met, tries - 1);
        if (error instanceof TdsmError && error.code !== "NoDirectory") throw error;
        await next(tries, met ?? (error as TdsmError).cause);
        continue;
      }
      requireReachable(connection, options.listener, directory);
      const counters = newCounters();
      // The directory node hears from this node at the earliest now.
      const lease = new Lease(LEASE_MS, clock());
      let members: Members | undefined;
      try {
        const keyMaxMs = Math.min(leftMs(), HANDSHAKE_MAX_MS);
        const stream = await secure(connection, options.secret, proveKey, keyMaxMs);
        const cluster = await shakeHands((handlers) => {
          const bounds = () => members?.bounds;
          const link = new Link(stream, bounds, counters, handlers, options.sum);
          const hello = helloOf(options, { self: 0, session: 0n });
          link.say({ ...hello, ...wanted, ...rankOf(options) });
          return link;
        }, (control, link) => {
          if (control.kind !== "welcome") throw refusal(control, directory);
          members = membersOf(control, directory);
          const cluster = new Cluster(options, members, counters, lease, (it) => open(it, control));
          cluster.#links.carry(DIRECTORY_NODE, link);
          // The directory node admits this one when it hears it, and echoes the ping.
          cluster.#links.sayAlive(performance.now());
          return cluster;
        }, timeoutMs === 0 ? HANDSHAKE_MAX_MS : Math.min(leftMs(), HANDSHAKE_MAX_MS));
        await cluster.#admitted.promise;
        return cluster.node as Node;
      } catch (error) {
        if (!isOnly && members === undefined && (mayLetIn(error) || isOfOthers(error))) {
          met = error;
          await next(tries, met);
          continue;
        }
        const pauseMs = Math.min(JOIN_RETRY_MIN_MS * 2 ** (tries - 1), JOIN_RETRY_MAX_MS);
        const mayGoBetter = timeoutMs > 0 && members === undefined && mayLetIn(error);
        if (!mayGoBetter || leftMs() <= pauseMs) throw notLetIn(directory, error, tries);
        met = error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** What was sent and received. */
  get counters(): LinkCounters {
    return this.#links.counters;
  }

  /** This node's id. */
  get self(): NodeId {
    return this.#members.self;
  }

  /** Every other node, in order of their ids. */
  get peers(): Peer[] {
    return this.#members.peers;
  }

  /** At the directory node: whether another node is there, or has been. */
  get hasMet(): boolean {
    return this.#members.latest !== this.self;
  }

  /** At the directory node: the other nodes that have work of their own to finish. */
  get working(): NodeId[] {
    return this.#members.working;
  }

  /** Until when this node may use its pages, by its clock; `Infinity` without a lease. */
  get leasedUntilMs(): number {
    return this.#lease?.endMs ?? Infinity;
  }

  /** Whether a node has been a member and is no longer. */
  isGone(node: NodeId): boolean {
    return this.#members.isGone(node);
  }

  /** Why a node could no longer be reached; `undefined` where this node does not know. */
  whyLost(node: NodeId): string | undefined {
    return this.#reasons.get(node);
  }

  /** Whether a node is a member of the cluster now. */
  isPresent(node: NodeId): boolean {
    return this.#members.get(node) !== undefined;
  }

  /**
   * Queues a message; {@linkcode flush} sends. Nothing is sent to a node that is gone.
   *
   * @param to The other node.
   * @param message The message.
   * @param payload The bytes of its pages, or what a remote call carries.
   * @param encoding How page bytes are packed.
   */
  send(to: NodeId, message: PeerMessage, payload?: Uint8Array, encoding?: Encoding): void {
    this.#links.to(to)?.send(message, payload, encoding);
  }

  /**
   * At the directory node: queues an answer to a thread of another node, by the link that the
   * thread has for itself. Where it has none any more, nobody waits for the answer.
   */
  sendToThread(to: NodeId, thread: number, reply: SyncReply): void {
    this.#links.toThread(to, thread)?.send(reply);
  }

  /**
   * Connects to the directory node for a thread of this node.
   *
   * @param thread This node's number of the thread.
   * @returns The connection, which the caller closes.
   * @throws {TdsmError} Why there is none.
   */
  dialThread(thread: number): Promise<Stream> {
    const { self: node, session } = this.#members;
    const protocolVersion = PROTOCOL_VERSION;
    return this.#links.dialThread({ kind: "threadHello", protocolVersion, session, node, thread });
  }

  /** The page bytes that wait to be sent, or are being sent, straight from where they lie. */
  unsent(): IterableIterator<Uint8Array> {
    return this.#links.unsent();
  }

  /** Another number whenever some of {@linkcode unsent} waits no longer. */
  unsentVersion(): number {
    return this.#links.unsentVersion;
  }

  /** Sends what is queued. What is queued while a handler runs is sent behind it. */
  flush(): void {
    this.#links.flush();
  }

  /** A node is gone: its messages no longer count, and nothing is sent to it. */
  forget(node: NodeId): void {
    this.#links.end(node, "ended", "forget");
    this.#remove(node);
  }

  /** At the directory node: lets a node go, once it has every message that was sent to it. */
  release(node: NodeId): void {
    this.#links.end(node, "draining", "forget");
    this.#remove(node);
  }

  /** Ends the link to a node that broke the protocol, and tells it why. */
  expel(node: NodeId, reason: string): void {
    this.#refuse(node, reason, `it broke the protocol: ${reason}`);
  }

  /** At the directory node: gives up a node that does not do its part, and tells it why. */
  giveUp(node: NodeId, reason: string): void {
    this.#refuse(node, reason, reason);
  }

  #refuse(node: NodeId, reason: string, why: string): void {
    const link = this.#links.get(node);
    if (link === undefined) return;
    link.say({ kind: "refuse", code: "ProtocolViolation", reason });
    this.#links.end(node, "draining", "keep");
    this.#lost(node, why);
  }

  /** Ends every link and stops listening; at the directory node, after telling every node. */
  async close(): Promise<void> {
    if (!this.#links.closed && this.#members.isDirectory) {
      this.#links.sayToAll({ kind: "closing" });
    }
    await this.#end("draining");
  }

  /** Ends the cluster because a node has failed: tells the nodes that do not know of it yet. */
  fail(abort: AbortControl): void {
    if (this.#links.closed) return;
    if (this.#members.isDirectory) {
      this.#links.sayToAll(abort);
      this.#door.sayToWelcomed(abort);
    } else if (abort.node === this.self) this.#links.get(DIRECTORY_NODE)?.say(abort);
    void this.#end("draining");
  }

  /** Ends every link at once, for a node that cannot go on: no other node need wait for it. */
  abort(): void {
    void this.#end("ended");
  }

  /** From here on takes no part in the cluster, and admits no node. */
  #end(links: "draining" | "ended"): Promise<void> {
    this.#admitted.resolve();
    if (this.#ended === undefined) {
      this.#ended = this.#links.close(links);
      this.#door.close();
      clearInterval(this.#heartbeat);
      for (const timer of this.#verdicts.values()) clearTimeout(timer);
    }
    return this.#ended;
  }

  /**
   * Looks at the clock, to be done before anything else is done after a wait: this node may have
   * been stopped meanwhile, and been given up. Then the node is told to fail, and must do nothing
   * else.
   *
   * @returns Whether this node may go on.
   */
  checkLease(): boolean {
    if (this.#lease === undefined || this.#links.closed) return true;
    if (!this.#lease.isOver(this.#clock())) return true;
    this.node.fail(this.leaseOver());
    return false;
  }

  /**
   * What a node fails with whose lease is over.
   *
   * @param engineRuns Whether the node's engine has found that out.
   */
  leaseOver(engineRuns = true): TdsmError {
    const at = this.#members.at(DIRECTORY_NODE);
    const why = engineRuns
      ? `it has answered nothing that was sent in the last ${LEASE_MS} ms. This node was stopped, or ` +
        "is cut off, and"
      : `no answer to anything that was sent in the last ${LEASE_MS} ms was read. The engine of this ` +
        "node does not run, and the node";
    const message = `Lost the directory node at ${at}: ${why} may have been given up`;
    return new TdsmError("DirectoryLost", message);
  }

  /** The directory node has admitted this one. */
  #admit(): void {
    if (this.#isAdmitted) return;
    this.#isAdmitted = true;
    this.#admitted.resolve();
    if (this.#options.poller !== undefined) this.#options.poller.turnDue = true;
  }

  /** Acts on messages about the cluster itself, and passes the rest on to the engine. */
  readonly #received = (from: NodeId, message: PeerMessage, payload: Uint8Array): void => {
    if (!this.checkLease()) return;
    // Nearly all messages are about pages: these are compared with none of the kinds below.
    if (isPageMessage(message)) return this.node.engine.received(from, message, payload);
    const fromDirectory = from === DIRECTORY_NODE;
    switch (message.kind) {
      case "ping":
        if (!this.#links.pinged(from, message)) break;
        if (fromDirectory) {
          this.#admit();
          this.#lease?.answered(message.echo);
          if (this.#lease !== undefined) this.node.leased(this.#lease.endMs);
        }
        return this.node.pinged(from, message);
      case "peerJoined":
        if (!fromDirectory) break;
        this.#members.add(message);
        // Before anything that the node says is taken.
        this.node.joined(message);
        this.#door.announced(message.id);
        this.node.log(Level.Info, `Node ${message.id} has joined`, joinedFields(message));
        return this.node.changed();
      case "closing":
        if (!fromDirectory) break;
        return this.node.closing();
      case "threadGone":
        if (!fromDirectory) break;
        return this.node.threadGone(message.thread);
      case "abort":
        // Any node may announce its own failure; only the directory node may announce another's.
        if (!fromDirectory && !(this.#members.isDirectory && message.node === from)) break;
        this.fail(message);
        return this.node.fail(nodeFailed(message), true);
      case "refuse":
        // Only that node is lost to the directory, not the cluster.
        if (this.#members.isDirectory) break;
        return this.node.fail(
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
      case "clusterWaits":
      case "clusterEvents":
      case "threadHello":
        // Said only before two nodes know each other.
        break;
      default:
        return this.node.engine.received(from, message, payload);
    }
    const reason = message.kind === "refuse" ? `: ${message.reason}` : "";
    throw new TdsmError("ProtocolViolation", `${message.kind} from node ${from}${reason}`);
  };

  /** A link has ended, or could not be made. The directory decides what that means. */
  #lost(node: NodeId, reason: string, closed = false): void {
    if (node === DIRECTORY_NODE) this.#admitted.resolve();
    if (this.#links.closed || this.isGone(node)) return;
    // The first reason is the cause. That a new connection fails too only follows from that cause.
    if (!this.#reasons.has(node)) this.#remember(node, reason);
    if (this.#members.isDirectory) {
      this.forget(node);
      this.node.lost(node, reason);
      return this.flush();
    }
    const at = this.#members.at(node);
    if (node === DIRECTORY_NODE) {
      const hint = closed ? `. See what node ${node} printed` : "";
      const message = `Lost the directory node at ${at}: ${reason}${hint}`;
      return this.node.fail(new TdsmError("DirectoryLost", message));
    }
    if (this.#verdicts.has(node)) return;
    const giveUp = () => {
      const message = `Node ${this.self} cannot reach node ${node} at ${at}, ` +
        `which the directory still counts on: ${reason}. Let the two reach each other: ` +
        "open their ports, or give each an --address that the other reaches";
      this.node.fail(new TdsmError("PeerUnreachable", message));
    };
    // Where only the connection between two nodes is broken, both wait for the directory node's
    // verdict. They wait for different times, so that one gives up first and the other survives.
    const waitMs = this.self > node ? PEER_VERDICT_MAX_MS : PEER_VERDICT_LAST_MS;
    this.#verdicts.set(node, setTimeout(giveUp, waitMs));
  }

  #remember(node: NodeId, reason: string): void {
    this.#reasons.set(node, reason);
    const [oldest] = this.#reasons.keys();
    if (this.#reasons.size > LOSSES_REMEMBERED_MAX) this.#reasons.delete(oldest!);
  }

  #remove(node: NodeId): void {
    clearTimeout(this.#verdicts.get(node));
    this.#verdicts.delete(node);
    if (node === DIRECTORY_NODE) this.#admitted.resolve();
    if (this.#members.remove(node)) this.node.changed();
  }

  /** Tells other nodes that this one is alive, and gives up nodes that were silent too long. */
  #beat(): void {
    const now = performance.now();
    const stopped = now - this.#beatAt > BEAT_LATE_MS;
    this.#beatAt = now;
    if (!this.checkLease()) return;
    this.#links.sayAlive(now);
    this.node.beat();
    // What arrived while this node was stopped itself is read only after this.
    if (stopped) this.#links.hearAnew(now);
    const giveUp = (nodes: NodeId[], does: string): void => {
      for (const node of nodes) {
        this.#links.end(node, "ended", "keep");
        this.#lost(node, `it ${does} nothing for ${SILENCE_MAX_MS} ms`);
      }
    };
    giveUp(this.#links.silentSince(now - SILENCE_MAX_MS), "said");
    giveUp(this.#links.standingStill(), "read");
  }
}

/**
 * The error of a cluster that ends because a node has failed.
 *
 * @param abort The node that failed, and why.
 * @returns The error, the same on every node.
 */
export function nodeFailed({ node, reason }: AbortControl): TdsmError {
  const message = `Node ${node} has failed and ended the cluster: ${reason}. ` +
    `See what node ${node} printed`;
  return new TdsmError("NodeFailed", message);
}

/** Whether the directory node may let this one in at another try: it has room again, say. */
function mayLetIn(error: unknown): boolean {
  return isPassing(error) || error instanceof TdsmError && error.code === "LimitExceeded";
}

/** The error of a node that the directory node has not let in, after so many tries. */
function notLetIn(directory: Address, error: unknown, tries: number): TdsmError {
  const refused = keyRefused(directory, error);
  if (refused !== undefined) return refused;
  if (!(error instanceof TdsmError) || error.operation === undefined) {
    return notADirectory(directory, error, tries);
  }
  if (tries === 1) return error;
  const { code, message, operation, cause } = error;
  return new TdsmError(code, `${message}, tried ${tries} times`, { operation, cause });
}

/** A node's first message, which has no id and no session before the node has joined. */
function helloOf(
  { listener, serving, release }: ClusterOptions,
  { self: node, session }: Pick<Members, "self" | "session">,
): HelloControl {
  const { hostname: address, port } = listener.addr;
  const protocolVersion = PROTOCOL_VERSION;
  return { kind: "hello", protocolVersion, session, node, address, port, serving, release };
}

/** The rank by which a node that joins has an id kept for it, where a launcher gives ranks. */
function rankOf({ place }: ClusterOptions): Pick<HelloControl, "rank"> {
  // A cluster has no room for more.
  return place === undefined || place.rank >= NODES_MAX ? {} : { rank: place.rank };
}

/** The members of a cluster, as a node knows them once the directory node has let that node in. */
function membersOf(welcome: WelcomeControl, { hostname: address, port }: Address): Members {
  const members = new Members(welcome.node, welcome.session, welcome);
  for (const peer of welcome.peers) members.add(peer);
  members.add({ id: DIRECTORY_NODE, address, port });
  return members;
}

/** Nodes of other machines must be able to connect to this one. */
function requireReachable(
  connection: Deno.TcpConn,
  listener: Deno.TcpListener,
  directory: Address,
): void {
  const { localAddr, remoteAddr } = connection;
  const ends = { local: localAddr.hostname, remote: remoteAddr.hostname };
  const refused = objectionToLoopback(listener.addr.hostname, ends, directory);
  if (refused === undefined) return;
  connection.close();
  throw refused;
}

/**
 * The connections of one node to the others: made when there is something to say, and kept until
 * the node is gone. What is to be sent to a node waits here while there is no connection yet.
 */

import type { Poller } from "../../ffi/poller.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import {
  DIAL_MAX_MS,
  HANDSHAKE_MAX_MS,
  HEARTBEAT_MS,
  JOIN_RETRY_MAX_MS,
  JOIN_RETRY_MIN_MS,
  QUIET_MAX_MS,
  SILENCE_MAX_MS,
  UNPROVEN_MAX_MS,
} from "../limits.ts";
import { crc32c } from "../wire/crc32c.ts";
import type { Control, HelloControl } from "../wire/control.ts";
import type { PingMessage } from "../wire/ping_frames.ts";
import type { PeerMessage } from "../wire/peer_message.ts";
import type { ThreadHelloControl } from "../wire/thread_control.ts";
import { DIRECTORY_NODE, type GrantMessage, type NodeId } from "../protocol/coherence/messages.ts";
import { type Peer, refusal } from "./admission.ts";
import {
  closeNow,
  connectToPeer,
  introduce,
  isDropped,
  isPassing,
  nextWord,
  secure,
  shakeHands,
} from "./handshake.ts";
import { Link, type LinkHandlers } from "./link.ts";
import type { Members } from "./members.ts";
import { demandKey, proveKey, type Secret } from "../secure/handshake.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import { type LinkCounters, Sender, SendQueues, type Sum } from "./sender.ts";

/** What a ping says of its sender. */
export type Vitals = Pick<PingMessage, "room" | "spare" | "threads">;

/** Gets the messages of other nodes. The answers to one are sent before the next is delivered. */
export interface PeerHandlers {
  /** Where to write a grant's bytes; `undefined` to skip them. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined;
  /** A message; `payload` is what a remote call carries. */
  received(from: NodeId, message: PeerMessage, payload: Uint8Array): void;
  /** What pings say of this node. */
  vitals(): Vitals;
  /** A ping of that number is about to be sent to a node. */
  pinging(node: NodeId, number: number): void;
  /** A connection to a node takes long; why the last try to make it has failed. */
  delayed(node: NodeId, reason: string): void;
  /**
   * The connection to a node has ended, or could not be made; `closed` says whether the other side
   * closed it, as happens when its process ends.
   */
  lost(node: NodeId, reason: string, closed?: boolean): void;
  /** A message on the link that a thread of a node has for itself. */
  threadSaid(node: NodeId, thread: number, message: PeerMessage): void;
  /** That link has ended in order. */
  threadGone(node: NodeId, thread: number): void;
}

/** The queue to what is at the other end of a connection. */
interface Queue {
  /** The queue of messages. */
  readonly sender: Sender;
  /** Whether something was sent since the last {@linkcode Links.sayAlive}. */
  active: boolean;
}

/** The link that a thread of another node has for itself. */
interface ThreadLine extends Queue {
  readonly link: Link;
}

/** The way to another node: its queue and its link. It exists from the first message on. */
interface Line extends Queue {
  /**
   * The connection, from its handshake on. Without a connection the other node is being dialled, or
   * the connection has ended and the directory node decides whether the other node is lost.
   */
  link: Link | undefined;
  /** The last beat before which something was sent, by `performance.now()`, in milliseconds. */
  saidAt: number;
  /** For how many beats in a row the node has taken nothing of what waits for it. */
  stillBeats: number;
  /** The number of the last ping to the node; 0 before the first. */
  pingSent: number;
  /** The number of the last ping from the node; 0 before the first. */
  pingReceived: number;
}

/** One node's connections. */
export class Links {
  /** What was sent and received on all of them. */
  readonly counters: LinkCounters;
  readonly #members: Members;
  readonly #hello: () => HelloControl;
  readonly #handlers: PeerHandlers;
  readonly #sum: Sum;
  readonly #secret: Secret | undefined;
  readonly #poller: Poller | undefined;
  readonly #lines = new Map<NodeId, Line>();
  readonly #queues = new SendQueues();
  /** Links whose other side has not said yet which node it is. */
  readonly #greeted = new Set<Link>();
  /** For each link that drains, a promise of its end. */
  readonly #draining = new Set<Promise<void>>();
  /** The lines on which something was queued since the last flush. */
  readonly #touched = new Set<Queue>();
  /** At the directory node: the links of threads of other nodes, by node and thread. */
  readonly #threads = new Map<NodeId, Map<number, ThreadLine>>();
  /** What ends each pause before a node is dialled again. */
  readonly #pauses = new Set<() => void>();
  #closed = false;

  /**
   * @param members The nodes that can be connected to.
   * @param counters Where what is sent and received is counted.
   * @param hello Returns this node's first message on a connection that it makes.
   * @param handlers Gets the messages of other nodes.
   * @param sum Computes the checksum of the bytes behind a frame.
   * @param secret The key that the other side of every connection must have; without one, anyone
   * may say that it is a node.
   * @param poller What the thread sleeps in, and what moves the bytes between nodes that know each
   * other; without it, Deno does.
   */
  constructor(
    members: Members,
    counters: LinkCounters,
    hello: () => HelloControl,
    handlers: PeerHandlers,
    sum: Sum = crc32c,
    secret?: Secret,
    poller?: Poller,
  ) {
    this.#members = members;
    this.counters = counters;
    this.#hello = hello;
    this.#handlers = handlers;
    this.#sum = sum;
    this.#secret = secret;
    this.#poller = poller;
  }

  /** Whether this node takes no part in the cluster any more. */
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

  /** The queue to a node, to put a message in; `undefined` when the node is no member. */
  to(node: NodeId): Sender | undefined {
    let line = this.#lines.get(node);
    if (line === undefined) {
      const peer = this.#members.get(node);
      if (peer === undefined || this.#closed) return undefined;
      this.#lines.set(node, line = this.#newLine());
      void this.#dial(peer);
      if (this.#poller !== undefined) this.#poller.turnDue = true;
    }
    this.#touched.add(line);
    return line.sender;
  }

  /** The queue to a thread of another node; `undefined` where it has no link of its own. */
  toThread(node: NodeId, thread: number): Sender | undefined {
    const line = this.#threads.get(node)?.get(thread);
    if (line !== undefined) this.#touched.add(line);
    return line?.sender;
  }

  /** How many links of threads there are, and whether one of them is that of a thread. */
  threadLinks(
    { node, thread }: Pick<ThreadHelloControl, "node" | "thread">,
  ): { count: number; isLinked: boolean } {
    const counts = [...this.#threads.values()].map(({ size }) => size);
    return {
      count: counts.reduce((sum, size) => sum + size, 0),
      isLinked: this.#threads.get(node)?.has(thread) === true,
    };
  }

  /** Makes a link the link of a thread of another node, by which it asks past its engine. */
  carryThread({ node, thread }: Pick<ThreadHelloControl, "node" | "thread">, link: Link): void {
    const sender = new Sender(this.counters, undefined, this.#queues);
    const line: ThreadLine = { sender, active: false, link };
    const ofThread: LinkHandlers = {
      target: () => undefined,
      received: (message) => {
        this.#handlers.threadSaid(node, thread, message);
        this.flush();
      },
      ended: (error) => {
        // This node has ended the link itself.
        if (this.#threads.get(node)?.get(thread) !== line) return;
        this.#forgetThread(node, thread);
        if (error === undefined) this.#handlers.threadGone(node, thread);
        else {
          this.end(node, "ended", "keep");
          this.#handlers.lost(node, `the link of its thread ${thread} ended: ${reasonOf(error)}`);
        }
        this.flush();
      },
    };
    const lines = this.#threads.get(node) ?? new Map<number, ThreadLine>();
    this.#threads.set(node, lines.set(thread, line));
    if (!link.open(ofThread, sender, this.#poller)) this.#forgetThread(node, thread);
    this.#greeted.delete(link);
  }

  /**
   * At the directory node: ends the handshake of a program that looks again and again. Its bytes
   * go by the descriptor, as those of nodes do: for reads by Deno the engine would look all the
   * time.
   *
   * @param link The link.
   * @param handlers Gets what the program says.
   * @returns What resolves once all that was said is sent; `undefined` where the link has ended.
   */
  carryLooker(link: Link, handlers: LinkHandlers): (() => Promise<void>) | undefined {
    this.#greeted.delete(link);
    const sender = new Sender(this.counters, undefined, this.#queues);
    const ended = (error: unknown): void => {
      sender.close();
      handlers.ended(error);
    };
    const isOpen = link.open({ ...handlers, ended }, sender, this.#poller);
    return isOpen ? () => sender.drained() : undefined;
  }

  #forgetThread(node: NodeId, thread: number): void {
    const lines = this.#threads.get(node);
    lines?.delete(thread);
    if (lines?.size === 0) this.#threads.delete(node);
  }

  /** Ends the links of a node's threads. */
  #endThreads(node: NodeId): void {
    const lines = this.#threads.get(node);
    this.#threads.delete(node);
    for (const { link } of lines?.values() ?? []) link.close();
  }

  /**
   * A new line, whose sender adds checksums if the directory node has decided so. What is sealed
   * needs none: its tag finds more.
   */
  #newLine(): Line {
    const isSealed = this.#secret?.plain === false;
    const sum = this.#members.region.checksums && !isSealed ? this.#sum : undefined;
    return {
      sender: new Sender(this.counters, sum, this.#queues),
      link: undefined,
      active: false,
      saidAt: performance.now(),
      stillBeats: 0,
      pingSent: 0,
      pingReceived: 0,
    };
  }

  /** The bytes of other memory than the queues' own that wait to be sent, or are being sent. */
  *unsent(): IterableIterator<Uint8Array> {
    for (const { sender } of this.#lines.values()) yield* sender.unsent();
  }

  /** Another number whenever some of {@linkcode Links.unsent} waits no longer. */
  get unsentVersion(): number {
    return this.#queues.unsentVersion;
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
   * Has the side that has connected show that it has the key, where this node has one.
   *
   * @param connection The connection, which is closed where that fails.
   * @param known Called once that side's first message is one that was made with the key.
   * @returns What frames are said on.
   * @throws {TdsmError} Why it is not let in.
   */
  demandKey(connection: Deno.TcpConn, known: () => void): Promise<Stream> {
    const demand = (stream: Stream, secret: Secret) => demandKey(stream, secret, known);
    return secure(connection, this.#secret, demand, UNPROVEN_MAX_MS);
  }

  /**
   * Opens a link on a connection, and waits for the other side's first word.
   *
   * @param connection The connection; it is closed when the node is.
   * @param hello This side's first message, where this side has dialled.
   * @param receive Takes the first word; opens the link, drains it, or throws.
   * @param opened Is told the link at once.
   * @param timeoutMs How long to wait for the first word, in milliseconds.
   * @throws What `receive` throws, or a `TdsmError` that says why there was no first word.
   */
  async greet(
    connection: Stream,
    hello: HelloControl | undefined,
    receive: (control: Control, link: Link) => void,
    opened: (link: Link) => void = () => {},
    timeoutMs: number = HANDSHAKE_MAX_MS,
  ): Promise<void> {
    if (this.#closed) return connection.close();
    await this.#greeting((add) =>
      shakeHands(
        (handlers) => {
          const bounds = () => this.#members.bounds;
          const link = new Link(connection, bounds, this.counters, handlers, this.#sum);
          add(link);
          opened(link);
          if (hello !== undefined) link.say(hello);
          return link;
        },
        receive,
        timeoutMs,
      )
    );
  }

  /**
   * Waits for the next word on a link whose other side is not a node of the cluster yet.
   *
   * @param link The link.
   * @param receive Takes the word: any message, and the bytes that a remote call carries.
   * @throws What `receive` throws, or a `TdsmError` that says why there was no word.
   */
  async hear(
    link: Link,
    receive: (message: PeerMessage, payload: Uint8Array) => void,
  ): Promise<void> {
    await this.#greeting((add) =>
      nextWord((handlers) => {
        add(link);
        link.hear(handlers);
        return link;
      }, receive)
    );
  }

  /** While a greeting goes on, {@linkcode Links.close} ends the links that it adds. */
  async #greeting(greet: (add: (link: Link) => void) => Promise<void>): Promise<void> {
    const links: Link[] = [];
    try {
      await greet((link) => {
        links.push(link);
        this.#greeted.add(link);
      });
    } finally {
      for (const link of links) this.#greeted.delete(link);
    }
  }

  /**
   * Makes a link the link to a node: the queue to the node is sent, and the node's messages are
   * delivered. A link that has ended meanwhile is not used.
   *
   * @returns Takes the messages of the node; `undefined` where the link has ended.
   */
  carry(node: NodeId, link: Link): LinkHandlers | undefined {
    const handlers = this.#handlers;
    const line = this.#lines.get(node) ?? this.#newLine();
    const ofNode: LinkHandlers = {
      target: (grant) => handlers.target(node, grant),
      received: (message, payload) => {
        handlers.received(node, message, payload);
        this.flush();
      },
      ended: (error) => {
        // This node has ended the link itself, so there is nothing to report.
        if (line.link !== link) return;
        line.link = undefined;
        const reason = error === undefined ? "its connection ended" : reasonOf(error);
        handlers.lost(node, reason, error === undefined || isDropped(error));
        this.flush();
      },
    };
    if (!link.open(ofNode, line.sender, this.#poller)) return undefined;
    this.#greeted.delete(link);
    this.#lines.set(node, line);
    line.link = link;
    return ofNode;
  }

  /** Connects to a node for which messages wait; again and again, where a try may go better. */
  async #dial(peer: Peer): Promise<void> {
    const { id } = peer;
    const giveUpAt = performance.now() + DIAL_MAX_MS;
    let tellAt = performance.now() + HANDSHAKE_MAX_MS;
    try {
      for (let pauseMs = JOIN_RETRY_MIN_MS;; pauseMs = Math.min(2 * pauseMs, JOIN_RETRY_MAX_MS)) {
        const failed = await this.#tryToDial(peer, giveUpAt);
        if (failed === undefined || this.#closed) return;
        const now = performance.now();
        if (now + pauseMs >= giveUpAt) throw failed;
        if (now >= tellAt) {
          tellAt = Infinity;
          this.#handlers.delayed(id, reasonOf(failed));
        }
        await this.#pause(pauseMs);
        if (this.#isNeedless(id)) return;
      }
    } catch (error) {
      const crossed = error instanceof TdsmError && error.code === "JoinRefused" &&
        id < this.#members.self;
      if (!crossed && this.get(id) === undefined) this.#handlers.lost(id, reasonOf(error));
    }
  }

  /**
   * Connects to the directory node for a thread of this node.
   *
   * @param hello What the connection says first.
   * @returns The connection, on which nothing was said behind the answer.
   * @throws {TdsmError} Why there is none.
   */
  async dialThread(hello: ThreadHelloControl): Promise<Stream> {
    const { address: hostname, port } = this.#members.get(DIRECTORY_NODE)!;
    const connection = await connectToPeer({ hostname, port });
    const stream = await secure(connection, this.#secret, proveKey);
    try {
      await introduce(stream, hello, { hostname, port });
    } catch (error) {
      closeNow(stream);
      throw error;
    }
    return stream;
  }

  /** Waits for some milliseconds, or until this node takes no part in the cluster any more. */
  async #pause(pauseMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, pauseMs);
    this.#pauses.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#pauses.delete(resolve);
  }

  /** Returns why there is no connection, where another try may go better; throws where not. */
  async #tryToDial({ id, address: hostname, port }: Peer, giveUpAt: number): Promise<unknown> {
    const leftMs = (): number => Math.max(1, Math.ceil(giveUpAt - performance.now()));
    const stepMs = (): number => Math.min(HANDSHAKE_MAX_MS, leftMs());
    let isIntroduced = false;
    try {
      const connection = await connectToPeer({ hostname, port }, stepMs());
      if (this.#isNeedless(id)) return connection.close();
      const stream = await secure(connection, this.#secret, proveKey, stepMs());
      if (this.#isNeedless(id)) return stream.close();
      isIntroduced = true;
      const receive = (control: Control, link: Link): void => {
        if (control.kind !== "accept") throw refusal(control, { hostname, port });
        if (this.#isNeedless(id)) {
          throw new TdsmError("JoinRefused", `node ${id} is not waited for any more`);
        }
        this.carry(id, link);
      };
      await this.greet(stream, this.#hello(), receive, undefined, leftMs());
      return undefined;
    } catch (error) {
      // Once it knows this node, the other one may have sent what is lost with the connection.
      if (isIntroduced ? isDropped(error) : isPassing(error)) return error;
      throw error;
    }
  }

  /** Whether a node need not be dialled any more: it has dialled too, and faster; or it is gone. */
  #isNeedless(node: NodeId): boolean {
    return this.get(node) !== undefined || this.#members.get(node) === undefined || this.#closed;
  }

  /**
   * Ends the connection to a node, if there is one. Messages of the node are ignored from here on.
   *
   * @param node The node.
   * @param state What becomes of the link: `draining` still sends the node what was queued until
   * now, `ended` sends nothing more.
   * @param queue Whether the queue to the node is kept, for a later connection.
   */
  end(node: NodeId, state: "draining" | "ended", queue: "keep" | "forget"): void {
    this.#endThreads(node);
    const line = this.#lines.get(node);
    if (line === undefined) return;
    if (queue === "forget") {
      this.#lines.delete(node);
      if (state === "ended") line.sender.close();
    }
    const { link } = line;
    line.link = undefined;
    if (link === undefined) return;
    if (state === "draining") void this.drain(link);
    else link.close();
  }

  /**
   * Pings the directory node, and each other node that was sent nothing for a while; to be called
   * at each beat.
   *
   * @param now The time, by `performance.now()`, in milliseconds.
   */
  sayAlive(now: number): void {
    for (const [node, line] of this.#lines) {
      if (line.active) line.saidAt = now;
      line.active = false;
      if (node !== DIRECTORY_NODE && now - line.saidAt < QUIET_MAX_MS) continue;
      this.#ping(node, line);
      line.saidAt = now;
    }
  }

  /**
   * A ping has arrived: the next ping to its sender echoes it. The directory node sends that at
   * once.
   *
   * @param node The sender.
   * @param ping The ping.
   * @returns Whether it echoes a ping that was sent, or none.
   */
  pinged(node: NodeId, { sent, echo }: PingMessage): boolean {
    const line = this.#lines.get(node);
    if (line === undefined) return true;
    if (echo > line.pingSent) return false;
    line.pingReceived = sent;
    if (!this.#members.isDirectory) return true;
    this.#ping(node, line);
    line.active = true;
    return true;
  }

  #ping(node: NodeId, line: Line): void {
    if (line.link === undefined) return;
    const sent = ++line.pingSent;
    this.#handlers.pinging(node, sent);
    line.link.say({ kind: "ping", sent, echo: line.pingReceived, ...this.#handlers.vitals() });
  }

  /** Counts every node as heard at a time, by `performance.now()`, in milliseconds. */
  hearAnew(time: number): void {
    for (const { link } of this.#lines.values()) if (link !== undefined) link.heardAt = time;
  }

  /** The nodes from which nothing has arrived since a time of `performance.now()`. */
  silentSince(time: number): NodeId[] {
    return [...this.#lines].filter(([, { link }]) => link !== undefined && link.heardAt < time)
      .map(([node]) => node);
  }

  /**
   * The nodes that have taken nothing of what waits for them for too long. It is counted in beats:
   * time in which this node itself stood still is not theirs.
   *
   * @returns Those that have taken nothing in so many calls in a row; to be called at each beat.
   */
  standingStill(): NodeId[] {
    const since = performance.now() - HEARTBEAT_MS;
    const still: NodeId[] = [];
    for (const [node, line] of this.#lines) {
      const isStill = line.link !== undefined && line.sender.standsStillSince(since);
      line.stillBeats = isStill ? line.stillBeats + 1 : 0;
      if (line.stillBeats * HEARTBEAT_MS >= SILENCE_MAX_MS) still.push(node);
    }
    return still;
  }

  /** Sends a message at once to every node to which there is a connection. */
  sayToAll(control: Control): void {
    for (const { link } of this.#lines.values()) link?.say(control);
  }

  /**
   * Ends a link once `last` has settled and the queue is sent; {@linkcode Links.close} waits for
   * that. Resolves at its end.
   */
  drain(link: Link, last?: Promise<void>): Promise<void> {
    this.#greeted.delete(link);
    const draining = link.drain(last).finally(() => this.#draining.delete(draining));
    this.#draining.add(draining);
    return draining;
  }

  /**
   * Ends every connection, and begins none from here on.
   *
   * @param state What becomes of the links: `draining`, or `ended` at once.
   * @returns Resolves when all have ended.
   */
  async close(state: "draining" | "ended"): Promise<void> {
    this.#closed = true;
    for (const end of this.#pauses) end();
    for (const link of this.#greeted) link.close();
    for (const node of this.#lines.keys()) this.end(node, state, "keep");
    await Promise.all(this.#draining);
  }
}

/**
 * One connection to a peer, as frames. Page bytes go from the socket straight to where the driver
 * wants them; only bytes that came in one read with their frame are copied from the receive buffer.
 *
 * Deno's connection carries the handshake. Where the thread has a poller, the bytes then go by the
 * descriptor beneath the connection, sealed where the nodes share a key: sent and received at once,
 * in the turn in which there is reason to.
 */

import type { Descriptor, Poller, Watcher } from "../../ffi/poller.ts";
import { TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import { LINK_CLOSE_MAX_MS } from "../limits.ts";
import { Encoding, PROTOCOL_VERSION } from "../wire/layout.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import type { FrameBounds } from "../wire/check.ts";
import type { Control } from "../wire/control.ts";
import { crc32c } from "../wire/crc32c.ts";
import { describeFrameReason, isDamage, type Malformed, malformed } from "../wire/reason.ts";
import { type Frame, Framer } from "../wire/framer.ts";
import type { PingMessage } from "../wire/ping_frames.ts";
import { NO_BYTES, type PeerMessage } from "../wire/peer_message.ts";
import type { GrantMessage } from "../protocol/coherence/messages.ts";
import { describePackedReason, unpackPages } from "./compression.ts";
import { type LinkCounters, Sender, type Sum } from "./sender.ts";

/** A link's reports of what it receives, in the order of the bytes. */
export interface LinkHandlers {
  /** Where to write a grant's bytes; `undefined` to skip them. */
  target(grant: GrantMessage): Uint8Array | undefined;
  /** A message; `payload` is of a remote call. The bytes of a grant are where `target` said. */
  received(message: PeerMessage, payload: Uint8Array): void;
  /** The link has ended: by its peer or this side (no error), or by an error. Called once. */
  ended(error: unknown): void;
}

/** How far a link has come. */
type LinkState =
  /** The link awaits the first message of the other side, or is answering it. */
  | "greeting"
  /** The two nodes know each other, and talk. */
  | "open"
  /** The link ignores what arrives, and still sends what was queued. */
  | "draining"
  /** The connection is closed. */
  | "ended";

/** The states that may follow each. */
const MOVES: Readonly<Record<LinkState, readonly LinkState[]>> = {
  greeting: ["open", "draining", "ended"],
  open: ["draining", "ended"],
  draining: ["ended"],
  ended: [],
};

/** A frame, behind which bytes may follow. */
type PayloadFrame = Extract<Frame, { kind: "message" | "rpc" }>;

/** Bytes behind a frame of which some have not arrived yet. */
interface Rest {
  readonly frame: PayloadFrame;
  /** All of them. */
  readonly target: Uint8Array;
  /** How many are there. */
  there: number;
  readonly wanted: Uint8Array | undefined;
}

/**
 * The control messages on which this thread acts at once. What acts on any other may have to wait
 * for something in the event loop; a turn of it for each node that is asked what it has counted is
 * most of what a look would cost the directory node.
 */
const SYNCHRONOUS: ReadonlySet<Control["kind"]> = new Set(["statsRequest", "stats"]);

/** How many unwanted bytes are read, and dropped, at once. */
const DISCARD_BYTES = 16 * 1024;

/** Where unwanted bytes go. */
const unwanted = new Uint8Array(DISCARD_BYTES);

/** A connection to a peer. */
export class Link implements Watcher {
  readonly #bounds: () => FrameBounds | undefined;
  readonly #counters: LinkCounters;
  readonly #connection: Stream;
  readonly #sum: Sum;
  readonly #framer = new Framer();
  /** What sends: until the handshake is done the link's own queue, then the queue to the peer. */
  #sender: Sender;
  #handlers: LinkHandlers;
  /** Resolves when the handshake's queue is empty, and `#sender` writes. */
  #carries: Promise<void> = Promise.resolve();
  #state: LinkState = "greeting";
  /** What the thread sleeps in, if it does, once the link is open. */
  #poller: Poller | undefined;
  /** Whether the bytes are to go by the descriptor, once all that Deno has received is read. */
  #handsOver = false;
  /** What sends, once Deno has nothing left to write. */
  #descriptor: Descriptor | undefined;
  /** Whether it receives, too. */
  #detached = false;
  /** What is missing behind a frame, where the descriptor receives. */
  #rest: Rest | undefined;
  /** Where the descriptor receives: resolves at the other side's end. */
  readonly #otherEnd: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Why this side refuses the other, whatever becomes of the connection after that. */
  #refusal: TdsmError | undefined;
  /** Whether the other side has said something that makes it a node of this version. */
  #known = false;
  /** Resolves when the link has ended. */
  readonly #over: PromiseWithResolvers<void> = Promise.withResolvers();
  /** When something last arrived, by `performance.now()`. */
  heardAt: number = performance.now();

  /**
   * Begins to receive.
   *
   * @param connection The connection; the link closes it.
   * @param bounds Returns the bounds that an arriving frame is checked against; while it returns
   * nothing, only control frames are accepted.
   * @param counters What to count in; may be shared by several links.
   * @param handlers Gets what arrives.
   * @param sum Computes the checksum of the bytes behind a frame, to compare it with the frame's.
   */
  constructor(
    connection: Stream,
    bounds: () => FrameBounds | undefined,
    counters: LinkCounters,
    handlers: LinkHandlers,
    sum: Sum = crc32c,
  ) {
    connection.setNoDelay(true);
    this.#connection = connection;
    this.#bounds = bounds;
    this.#counters = counters;
    this.#handlers = handlers;
    this.#sum = sum;
    this.#sender = new Sender(counters);
    this.#sender.open(connection, (error) => this.#end(error));
    this.#receive().then(() => this.#end(undefined), (error) => this.#end(error));
  }

  /** The other side's address, according to the connection. */
  get remoteAddress(): string {
    return this.#connection.remoteAddr.hostname;
  }

  /** Sends messages about the cluster at once, in one piece where there is room for that. */
  say(...messages: readonly (Control | PingMessage)[]): void {
    for (const message of messages) this.#sender.send(message);
    this.#sender.flush();
  }

  /** While the handshake goes on: hands what arrives from here on to others. */
  hear(handlers: LinkHandlers): void {
    this.#handlers = handlers;
  }

  /**
   * Ends the handshake: the other side is known. A link that has ended meanwhile stays ended.
   *
   * @param handlers Gets what arrives from here on.
   * @param sender The queue to the node, which is sent from here on, behind the messages so far.
   * Without a queue the link sends only what {@linkcode Link.say} is given.
   * @param poller What the thread sleeps in. It moves the bytes from here on; without it, Deno
   * does.
   * @returns Whether the link is open.
   */
  open(handlers: LinkHandlers, sender?: Sender, poller?: Poller): boolean {
    if (!this.#enter("open")) return false;
    this.#handlers = handlers;
    if (sender !== undefined) this.#carry(sender, poller);
    return true;
  }

  /**
   * Ignores what arrives from here on. Ends the link once everything queued is sent and the other
   * side has ended the link too; at the latest when the connection fails or the time for closing is
   * up.
   *
   * @param last Settles when the last message is queued.
   * @returns Resolves when the link has ended.
   */
  async drain(last?: Promise<void>): Promise<void> {
    if (!this.#enter("draining")) return await this.#over.promise;
    if (last !== undefined) await last;
    await this.#finishSending(() => this.#over.promise);
    this.#end(undefined);
  }

  /** Ends the link; nothing more is sent or received. */
  close(): void {
    this.#end(undefined);
  }

  /** The one way from a state to another; nothing happens if it is not in {@linkcode MOVES}. */
  #enter(state: LinkState): boolean {
    const possible = MOVES[this.#state].includes(state);
    if (possible) this.#state = state;
    return possible;
  }

  /** Whether messages that arrive are acted on. */
  get #hears(): boolean {
    return this.#state === "greeting" || this.#state === "open";
  }

  /** Sends the rest of the handshake's queue, then goes on with another queue. */
  #carry(sender: Sender, poller: Poller | undefined): void {
    const said = this.#sender;
    this.#sender = sender;
    this.#poller = poller;
    const { localAddr, remoteAddr } = this.#connection;
    this.#handsOver = poller !== undefined && localAddr !== undefined;
    const failed = (error: unknown): void => this.#end(error);
    this.#carries = said.drained().then(() => {
      if (this.#state === "ended") return sender.close();
      if (poller === undefined || localAddr === undefined) {
        return sender.open(this.#connection, failed, () => this.#turn());
      }
      const seal = this.#connection.handOverSending?.();
      this.#descriptor = poller.take({ localAddr, remoteAddr }, this, seal);
      sender.openDescriptor(this.#descriptor, failed);
    }).catch(failed);
    this.#turn();
  }

  /** Where the thread sleeps in a poller: the event loop has something to go on with. */
  #turn(): void {
    if (this.#poller !== undefined) this.#poller.turnDue = true;
  }

  /** The descriptor has bytes, or room for some. */
  ready(bytes: boolean, room: boolean): void {
    try {
      if (room) this.#sender.goOn();
      if (!bytes || !this.#detached) return;
      const descriptor = this.#descriptor!;
      do {
        if (this.#state === "ended") return;
        this.#receiveNow(descriptor);
      } while (descriptor.holds);
    } catch (error) {
      this.#end(error);
    }
  }

  /** Takes what has arrived, in one call: the rest of what is under way, and what is behind it. */
  #receiveNow(descriptor: Descriptor): void {
    if (!this.#hears) return this.#drop(descriptor);
    const framer = this.#framer;
    const rest = this.#rest;
    const { space } = framer;
    const received = rest === undefined
      ? descriptor.receive(space)
      : descriptor.receive(rest.target.subarray(rest.there), space);
    if (received === undefined) return;
    if (received === 0) return this.#otherEnded(rest !== undefined);
    this.heardAt = performance.now();
    this.#counters.bytesReceived += received;
    let rejected: Promise<void> | undefined;
    if (rest === undefined) framer.filled(received);
    else {
      const missing = rest.target.length - rest.there;
      rest.there += Math.min(received, missing);
      if (received < missing) return;
      framer.filled(received - missing);
      this.#rest = undefined;
      rejected = this.#arrived(rest.frame, rest.target, rest.wanted);
    }
    rejected ??= this.#dispatch(framer);
    if (rejected === undefined) return;
    rejected.catch((error) => this.#end(error));
    this.#turn();
  }

  /** Takes bytes that nobody acts on. */
  #drop(descriptor: Descriptor): void {
    if (descriptor.receive(unwanted) === 0) this.#otherEnded(false);
  }

  /** The other side has ended; `within` says whether inside of a frame. */
  #otherEnded(within: boolean): void {
    this.#otherEnd.resolve();
    this.#turn();
    if (within) throw new TdsmError("ProtocolViolation", "ended inside of a frame");
    // The other side may still read why it is refused.
    if (this.#refusal === undefined) this.#end(undefined);
    else this.#descriptor!.endReceiving();
  }

  /**
   * Sends the queue, shuts down this direction, and waits a bounded time for the other side to end.
   * To close at once would be wrong: a socket that is closed with unread bytes sends a reset, and a
   * reset destroys what the other side has not read yet, most likely the last message.
   */
  async #finishSending(otherEnds: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LINK_CLOSE_MAX_MS);
    const finish = async (): Promise<void> => {
      await this.#carries;
      await this.#sender.drained();
      if (this.#state === "ended") return;
      await noted(this.#connection.closeWrite());
      await otherEnds();
    };
    // A connection that fails has ended.
    finish().then(resolve, resolve);
    await promise;
    clearTimeout(timer);
  }

  #end(error: unknown): void {
    if (!this.#enter("ended")) return;
    this.#sender.close();
    this.#descriptor?.close();
    this.#otherEnd.resolve();
    this.#turn();
    try {
      this.#connection.close();
    } catch {
      // The connection is closed already.
    }
    this.#over.resolve();
    this.#handlers.ended(this.#refusal ?? error);
  }

  async #receive(): Promise<void> {
    const framer = this.#framer;
    while (this.#hears) {
      if (this.#handsOver && !this.#connection.hasUnread) {
        await this.#carries;
        return await this.#receiveByDescriptor();
      }
      const received = await this.#read(framer.space);
      if (received === null) return;
      if (!this.#hears) break;
      this.heardAt = performance.now();
      this.#counters.bytesReceived += received;
      framer.filled(received);
      const more = this.#dispatch(framer);
      if (more !== undefined) await more;
    }
    await this.#discard();
  }

  /** Has Deno receive. The next bytes may be there already, which wakes no epoll. */
  #read(bytes: Uint8Array): Promise<number | null> {
    return noted(this.#connection.read(bytes));
  }

  /** Receives by the descriptor from here on. Resolves when the link has ended. */
  async #receiveByDescriptor(): Promise<void> {
    if (this.#state !== "ended") {
      this.#detached = true;
      this.#connection.handOverReceiving?.();
      this.#descriptor?.detach();
    }
    await this.#over.promise;
  }

  /** Takes every frame that is complete; a promise when page bytes are still to come. */
  #dispatch(framer: Framer): Promise<void> | undefined {
    while (this.#hears) {
      const frame = framer.next(this.#bounds());
      switch (frame.kind) {
        case "need":
          return undefined;
        case "malformed":
          return this.#reject(frame);
        case "sync":
          this.#counters.messagesReceived++;
          this.#handlers.received(frame.message, NO_BYTES);
          break;
        case "ping":
          this.#known = true;
          this.#handlers.received(frame.message, NO_BYTES);
          break;
        case "control":
          this.#known = true;
          if (!SYNCHRONOUS.has(frame.control.kind)) this.#turn();
          this.#handlers.received(frame.control, NO_BYTES);
          break;
        case "message":
        case "rpc": {
          this.#counters.messagesReceived++;
          if (frame.payloadBytes === 0 && frame.payloadChecksum === undefined) {
            this.#handlers.received(frame.message, NO_BYTES);
            break;
          }
          const wanted = this.#wanted(frame);
          const target = wanted ?? new Uint8Array(frame.payloadBytes);
          const there = framer.takePayload(target);
          if (there < target.length) {
            if (!this.#detached) return this.#finish(frame, target, there, wanted);
            this.#rest = { frame, target, there, wanted };
            return undefined;
          }
          const rejected = this.#arrived(frame, target, wanted);
          if (rejected !== undefined) return rejected;
          break;
        }
        default:
          frame satisfies never;
      }
    }
    return undefined;
  }

  /** Ends the link over a malformed frame. A peer whose bytes began like a node's is told why. */
  #reject({ reason, detail }: Malformed): Promise<never> {
    const other = reason === "BadVersion";
    if (this.#known && (other || reason === "BadMagic" || reason === "KeyExpected")) {
      return this.#reject(malformed("HeaderChecksumMismatch", detail));
    }
    if (reason === "KeyExpected") {
      const text = "it has a key, and this node has none: give this node the same one, " +
        "with --key-file or TDSM_KEY";
      return this.#refuse(new TdsmError("KeyMissing", text));
    }
    const what = other ? `${detail}, this is ${PROTOCOL_VERSION}` : detail;
    const text = describeFrameReason(reason, isDamage(reason) ? undefined : what);
    const code = other
      ? "VersionMismatch"
      : isDamage(reason)
      ? "FrameCorrupted"
      : "ProtocolViolation";
    const error = new TdsmError(code, text);
    return reason === "BadMagic" ? Promise.reject(error) : this.#refuse(error);
  }

  /** Ends the link over an error, and tells the other side. */
  async #refuse(error: TdsmError): Promise<never> {
    this.#refusal = error;
    this.#enter("draining");
    this.say({ kind: "refuse", code: error.code, reason: error.message });
    await this.#finishSending(() => this.#discard());
    throw error;
  }

  /** Reads until the other side ends, and drops what it reads. */
  async #discard(): Promise<void> {
    if (this.#detached) return await this.#otherEnd.promise;
    const bytes = new Uint8Array(DISCARD_BYTES);
    while (this.#state !== "ended" && await this.#read(bytes) !== null);
  }

  /** A promise when the bytes behind a frame are not those that were sent. */
  #damaged(expected: number | undefined, bytes: Uint8Array): Promise<never> | undefined {
    if (expected === undefined || this.#sum(bytes) === expected) return undefined;
    return this.#reject(malformed("PayloadChecksumMismatch", expected));
  }

  /** Where arriving bytes go directly: the alias, for pages that are not packed. */
  #wanted(frame: PayloadFrame): Uint8Array | undefined {
    const straight = frame.kind === "message" && frame.encoding === Encoding.Raw;
    return straight ? this.#handlers.target(frame.message as GrantMessage) : undefined;
  }

  /** Acts on a frame whose following bytes are all there; a promise when those bytes are wrong. */
  #arrived(
    frame: PayloadFrame,
    bytes: Uint8Array,
    wanted: Uint8Array | undefined,
  ): Promise<never> | undefined {
    if (frame.kind === "rpc") {
      const damaged = this.#damaged(frame.payloadChecksum, bytes);
      if (damaged === undefined) this.#handlers.received(frame.message, bytes);
      return damaged;
    }
    const grant = frame.message as GrantMessage;
    const packed = frame.encoding === Encoding.Lz4;
    const target = packed ? this.#handlers.target(grant) : wanted;
    // Bytes of an unwanted grant may have changed while they were sent, so their checksum may be
    // wrong.
    if (target !== undefined) {
      const damaged = this.#damaged(frame.payloadChecksum, bytes);
      if (damaged !== undefined) return damaged;
      if (packed) {
        const wrong = unpackPages(bytes, this.#bounds()!.pageSize, grant.count, target);
        if (wrong !== undefined) {
          return this.#refuse(new TdsmError("ProtocolViolation", describePackedReason(wrong)));
        }
      }
    }
    this.#handlers.received(grant, NO_BYTES);
    return undefined;
  }

  /** Reads the rest of the bytes behind a frame to where they belong. */
  async #finish(
    frame: PayloadFrame,
    target: Uint8Array,
    there: number,
    wanted: Uint8Array | undefined,
  ): Promise<void> {
    if (await this.#fill(target, there)) await this.#arrived(frame, target, wanted);
  }

  /**
   * Reads the missing bytes behind a frame; `false` when the link has ended meanwhile. The receive
   * buffer held only bytes of this frame, so no other frame waits to be dispatched.
   */
  async #fill(target: Uint8Array, there: number): Promise<boolean> {
    while (there < target.length) {
      const received = await this.#read(target.subarray(there));
      if (!this.#hears) return false;
      if (received === null) throw new TdsmError("ProtocolViolation", "ended inside of a frame");
      this.heardAt = performance.now();
      this.#counters.bytesReceived += received;
      there += received;
    }
    return true;
  }
}

/**
 * One connection to a peer, as frames. Page bytes go from the socket straight to where the driver
 * wants them; what came in one read with its frame is copied from the receive buffer.
 */

import { TdsmError } from "../errors.ts";
import { LINK_CLOSE_MAX_MS } from "../limits.ts";
import { Encoding, PROTOCOL_VERSION } from "../wire/layout.ts";
import type { FrameBounds } from "../wire/check.ts";
import type { Control } from "../wire/control.ts";
import { crc32c } from "../wire/crc32c.ts";
import { describeFrameReason, isDamage, type Malformed, malformed } from "../wire/reason.ts";
import { type Frame, Framer } from "../wire/framer.ts";
import { NO_BYTES, type PeerMessage } from "../wire/peer_message.ts";
import type { GrantMessage } from "../protocol/coherence/messages.ts";
import { describePackedReason, unpackPages } from "./compression.ts";
import { type LinkCounters, Sender, type Sum } from "./sender.ts";

/** What a link tells of what it receives. All are called in the order of the bytes. */
export interface LinkHandlers {
  /** Where a grant's bytes go; `undefined` to let them pass unseen. */
  target(grant: GrantMessage): Uint8Array | undefined;
  /** A message; `payload` is what a remote call carries. The bytes of a grant are where `target` said. */
  received(message: PeerMessage, payload: Uint8Array): void;
  /** The link has ended: by its peer (no error), by an error, or by this side. Called once. */
  ended(error: unknown): void;
}

/** How far a link has come. */
type LinkState =
  /** The first word of the other side is awaited, or being answered. */
  | "greeting"
  /** The two nodes know each other, and talk. */
  | "open"
  /** Nothing is heard any more; what was queued is still sent. */
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

/** A frame that something may follow. */
type PayloadFrame = Extract<Frame, { kind: "message" | "rpc" }>;

/** How much is read at once of what is not wanted. */
const DISCARD_BYTES = 16 * 1024;

/** A connection to a peer. */
export class Link {
  readonly #bounds: () => FrameBounds | undefined;
  readonly #counters: LinkCounters;
  readonly #connection: Deno.TcpConn;
  readonly #sum: Sum;
  /** What sends: at first for the handshake alone, then what the peer's messages wait in. */
  #sender: Sender;
  #handlers: LinkHandlers;
  /** Resolves when `#sender` is the one that writes. */
  #carries: Promise<void> = Promise.resolve();
  #state: LinkState = "greeting";
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
   * @param bounds What frames are checked against, as it is when they arrive; control frames alone
   * are taken while there is nothing.
   * @param counters What to count in; may be shared by several links.
   * @param handlers What is told of what arrives.
   * @param sum Sums up what follows a frame, to compare it with what the frame says.
   */
  constructor(
    connection: Deno.TcpConn,
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

  /** The other side's address, as the connection has it. */
  get remoteAddress(): string {
    return this.#connection.remoteAddr.hostname;
  }

  /** Sends a control message at once. */
  say(control: Control): void {
    this.#sender.send(control);
    this.#sender.flush();
  }

  /**
   * The other side is known. A link that has ended meanwhile stays ended.
   *
   * @param handlers What is told of what arrives from here on.
   * @param sender What is sent from here on, behind what was said so far: the queue to the node. Without
   * it there is nothing to send but what is said.
   * @returns Whether the link is open.
   */
  open(handlers: LinkHandlers, sender?: Sender): boolean {
    if (!this.#enter("open")) return false;
    this.#handlers = handlers;
    if (sender !== undefined) this.#carry(sender);
    return true;
  }

  /**
   * Hears nothing from here on, and ends the link once the other side has everything that was queued
   * and has ended the link too, or cannot, or takes too long.
   *
   * @param last What is still to be said, and settles when that is queued.
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

  /** The one way from a state to another; where that is none of {@linkcode MOVES}, nothing happens. */
  #enter(state: LinkState): boolean {
    const possible = MOVES[this.#state].includes(state);
    if (possible) this.#state = state;
    return possible;
  }

  /** Whether what arrives is heard. */
  get #hears(): boolean {
    return this.#state === "greeting" || this.#state === "open";
  }

  /** Sends what was said, and then what waits in another queue. */
  #carry(sender: Sender): void {
    const said = this.#sender;
    this.#sender = sender;
    this.#carries = said.drained().then(() => {
      if (this.#state === "ended") sender.close();
      else sender.open(this.#connection, (error) => this.#end(error));
    });
  }

  /**
   * Sends what was queued, says that nothing follows, and waits for the other side to end; in time
   * even if it does not. A socket that is closed while bytes of it are unread is reset, and a reset
   * takes from the other side what it has not read yet: the last word, most likely.
   */
  async #finishSending(otherEnds: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LINK_CLOSE_MAX_MS);
    const finish = async (): Promise<void> => {
      await this.#carries;
      await this.#sender.drained();
      if (this.#state === "ended") return;
      await this.#connection.closeWrite();
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
    try {
      this.#connection.close();
    } catch {
      // It is closed already; that is what was wanted.
    }
    this.#over.resolve();
    this.#handlers.ended(this.#refusal ?? error);
  }

  async #receive(): Promise<void> {
    const framer = new Framer();
    while (this.#hears) {
      const received = await this.#connection.read(framer.space);
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
        case "control":
          this.#known = true;
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
          if (there < target.length) return this.#finish(frame, target, there, wanted);
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

  /** Ends over a frame that is none. A peer that at least began like a node is told why. */
  #reject({ reason, detail }: Malformed): Promise<never> {
    const other = reason === "BadVersion";
    if (this.#known && (other || reason === "BadMagic")) {
      return this.#reject(malformed("HeaderChecksumMismatch", detail));
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

  /** Ends over an error, and tells the other side. */
  async #refuse(error: TdsmError): Promise<never> {
    this.#refusal = error;
    this.#enter("draining");
    this.say({ kind: "refuse", code: error.code, reason: error.message });
    await this.#finishSending(() => this.#discard());
    throw error;
  }

  /** Reads until the other side ends, and takes nothing of it. */
  async #discard(): Promise<void> {
    const bytes = new Uint8Array(DISCARD_BYTES);
    while (this.#state !== "ended" && await this.#connection.read(bytes) !== null);
  }

  /** A promise when the bytes behind a frame are not those that were sent. */
  #damaged(expected: number | undefined, bytes: Uint8Array): Promise<never> | undefined {
    if (expected === undefined || this.#sum(bytes) === expected) return undefined;
    return this.#reject(malformed("PayloadChecksumMismatch", expected));
  }

  /** Where bytes go as they come: those of pages, unless they are packed. */
  #wanted(frame: PayloadFrame): Uint8Array | undefined {
    const straight = frame.kind === "message" && frame.encoding === Encoding.Raw;
    return straight ? this.#handlers.target(frame.message as GrantMessage) : undefined;
  }

  /** All that follows a frame is there; a promise when it is not what it should be. */
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
    // What is not wanted may have changed while it was sent.
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

  /** Reads the rest of what follows a frame to where it belongs. */
  async #finish(
    frame: PayloadFrame,
    target: Uint8Array,
    there: number,
    wanted: Uint8Array | undefined,
  ): Promise<void> {
    if (await this.#fill(target, there)) await this.#arrived(frame, target, wanted);
  }

  /**
   * Reads what is missing of the bytes behind a frame; `false` when the link is heard no more.
   * All that was buffered behind the frame were its bytes, so there is nothing else to dispatch.
   */
  async #fill(target: Uint8Array, there: number): Promise<boolean> {
    while (there < target.length) {
      const received = await this.#connection.read(target.subarray(there));
      if (!this.#hears) return false;
      if (received === null) throw new TdsmError("ProtocolViolation", "ended inside of a frame");
      this.heardAt = performance.now();
      this.#counters.bytesReceived += received;
      there += received;
    }
    return true;
  }
}

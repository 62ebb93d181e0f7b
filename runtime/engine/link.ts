/**
 * One connection to a peer, as frames. Page bytes go from the socket straight to where the driver
 * wants them; what came in one read with its frame is copied from the receive buffer.
 */

import { TdsmError } from "../errors.ts";
import type { FrameBounds, Malformed } from "../protocol/codec.ts";
import type { Control } from "../protocol/control.ts";
import { describeFrameReason, Framer } from "../protocol/framer.ts";
import type { GrantMessage, Message } from "../protocol/messages.ts";
import { type LinkCounters, Sender } from "./sender.ts";

/** Who is told of what a link receives. All are called in the order of the bytes. */
export interface LinkHandlers {
  /** Where a grant's bytes go; `undefined` to let them pass unseen. */
  target(grant: GrantMessage): Uint8Array | undefined;
  /** A message has arrived, and its bytes with it. */
  message(message: Message): void;
  /** A control message has arrived. */
  control(control: Control): void;
  /** The link has ended: by its peer (no error), by an error, or by {@linkcode Link.close}. Called once. */
  ended(error: unknown): void;
}

/** A connection to a peer. */
export class Link {
  readonly #bounds: () => FrameBounds;
  readonly #counters: LinkCounters;
  readonly #connection: Deno.TcpConn;
  /** What sends: at first for the handshake alone, then what the peer's messages wait in. */
  #sender: Sender;
  #handlers: LinkHandlers;
  #ended = false;
  /** When something last arrived, by `performance.now()`. */
  heardAt: number = performance.now();

  /**
   * Begins to receive.
   *
   * @param connection The connection; the link closes it.
   * @param bounds What frames are checked against, as it is when they arrive.
   * @param counters What to count in; may be shared by several links.
   * @param handlers Who hears what arrives.
   */
  constructor(
    connection: Deno.TcpConn,
    bounds: () => FrameBounds,
    counters: LinkCounters,
    handlers: LinkHandlers,
  ) {
    connection.setNoDelay(true);
    this.#connection = connection;
    this.#bounds = bounds;
    this.#counters = counters;
    this.#handlers = handlers;
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
    this.#sender.control(control);
    this.#sender.flush();
  }

  /** From here on these are told. */
  hand(handlers: LinkHandlers): void {
    this.#handlers = handlers;
  }

  /** From here on this is sent: first what was said, then what waits in `sender` for the peer. */
  async carry(sender: Sender): Promise<void> {
    const said = this.#sender;
    this.#sender = sender;
    await said.drained();
    if (this.#ended) sender.close();
    else sender.open(this.#connection, (error) => this.#end(error));
  }

  /** Ends the link once everything that was queued is on its way, or cannot be. */
  async closeWhenSent(): Promise<void> {
    await this.#sender.drained();
    this.#end(undefined);
  }

  /** Ends the link; nothing more is sent or received. */
  close(): void {
    this.#end(undefined);
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#sender.close();
    try {
      this.#connection.close();
    } catch {
      // It is closed already; that is what was wanted.
    }
    this.#handlers.ended(error);
  }

  async #receive(): Promise<void> {
    const framer = new Framer();
    while (!this.#ended) {
      const received = await this.#connection.read(framer.space);
      if (received === null || this.#ended) return;
      this.heardAt = performance.now();
      this.#counters.bytesReceived += received;
      framer.filled(received);
      const more = this.#dispatch(framer);
      if (more !== undefined) await more;
    }
  }

  /** Takes every frame that is complete; a promise when page bytes are still to come. */
  #dispatch(framer: Framer): Promise<void> | undefined {
    while (!this.#ended) {
      const frame = framer.next(this.#bounds());
      switch (frame.kind) {
        case "need":
          return undefined;
        case "malformed":
          return this.#reject(frame);
        case "control":
          this.#handlers.control(frame.control);
          break;
        case "message": {
          this.#counters.messagesReceived++;
          const { message, payloadBytes } = frame;
          if (payloadBytes > 0) {
            const target = this.#handlers.target(message as GrantMessage) ??
              new Uint8Array(payloadBytes);
            const there = framer.takePayload(target);
            if (there < payloadBytes) {
              return this.#finish(message, target, there);
            }
          }
          this.#handlers.message(message);
        }
      }
    }
    return undefined;
  }

  /** Ends over a frame that is none. Whoever at least began like a node is told why. */
  async #reject({ reason, detail }: Malformed): Promise<never> {
    const code = reason === "BadVersion" ? "VersionMismatch" : "ProtocolViolation";
    const text = describeFrameReason(reason, detail);
    if (reason !== "BadMagic") {
      this.say({ kind: "refuse", code, reason: text });
      await this.#sender.drained();
    }
    throw new TdsmError(code, text);
  }

  /** Reads the rest of a grant's bytes to where they belong. */
  async #finish(message: Message, target: Uint8Array, there: number): Promise<void> {
    while (there < target.length) {
      const received = await this.#connection.read(target.subarray(there));
      if (this.#ended) return;
      if (received === null) throw new TdsmError("ProtocolViolation", "ended inside of a page");
      this.heardAt = performance.now();
      this.#counters.bytesReceived += received;
      there += received;
    }
    // Whatever was buffered behind the frame were its bytes, so there is nothing left to dispatch.
    this.#handlers.message(message);
  }
}

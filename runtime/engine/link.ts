/**
 * One connection to a peer, as frames. Page bytes go from the socket straight to where the driver
 * wants them; what came in one read with its frame is copied from the receive buffer.
 */

import { TdsmError } from "../errors.ts";
import { LINK_CLOSE_MAX_MS } from "../limits.ts";
import { Encoding, type FrameBounds, type Malformed, PROTOCOL_VERSION } from "../protocol/codec.ts";
import type { Control } from "../protocol/control.ts";
import { describeFrameReason, Framer } from "../protocol/framer.ts";
import type { GrantMessage, Message } from "../protocol/messages.ts";
import { describePackedReason, unpackPages } from "./compression.ts";
import type { RpcMessage } from "../protocol/rpc_codec.ts";
import type { SyncMessage } from "../protocol/sync_messages.ts";
import { type LinkCounters, Sender } from "./sender.ts";

/** Who is told of what a link receives. All are called in the order of the bytes. */
export interface LinkHandlers {
  /** Where a grant's bytes go; `undefined` to let them pass unseen. */
  target(grant: GrantMessage): Uint8Array | undefined;
  /** A message has arrived, and its bytes with it. */
  message(message: Message): void;
  /** A message about a semaphore, a barrier or a mutex has arrived. */
  sync(message: SyncMessage): void;
  /** A message of a remote call has arrived, with what it carries. */
  rpc(message: RpcMessage, payload: Uint8Array): void;
  /** A control message has arrived. */
  control(control: Control): void;
  /** The link has ended: by its peer (no error), by an error, or by {@linkcode Link.close}. Called once. */
  ended(error: unknown): void;
}

/** How much is read at once of what nobody wants. */
const DISCARD_BYTES = 16 * 1024;

/** A connection to a peer. */
export class Link {
  readonly #bounds: () => FrameBounds;
  readonly #counters: LinkCounters;
  readonly #connection: Deno.TcpConn;
  /** What sends: at first for the handshake alone, then what the peer's messages wait in. */
  #sender: Sender;
  #handlers: LinkHandlers;
  /** Resolves when `#sender` is the one that writes. */
  #carries: Promise<void> = Promise.resolve();
  #ended = false;
  /** Resolves when the link has ended. */
  readonly #over: PromiseWithResolvers<void> = Promise.withResolvers();
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
  carry(sender: Sender): void {
    const said = this.#sender;
    this.#sender = sender;
    this.#carries = said.drained().then(() => {
      if (this.#ended) sender.close();
      else sender.open(this.#connection, (error) => this.#end(error));
    });
  }

  /**
   * Ends the link once the other side has everything that was queued and has ended it too, or
   * cannot, or takes too long.
   */
  async closeWhenSent(): Promise<void> {
    await this.#finishSending(() => this.#over.promise);
    this.#end(undefined);
  }

  /** Ends the link; nothing more is sent or received. */
  close(): void {
    this.#end(undefined);
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
      if (this.#ended) return;
      await this.#connection.closeWrite();
      await otherEnds();
    };
    // A connection that fails has ended.
    finish().then(resolve, resolve);
    await promise;
    clearTimeout(timer);
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
    this.#over.resolve();
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
        case "sync":
          this.#counters.messagesReceived++;
          this.#handlers.sync(frame.message);
          break;
        case "rpc": {
          this.#counters.messagesReceived++;
          const payload = new Uint8Array(frame.payloadBytes);
          const there = framer.takePayload(payload);
          if (there < payload.length) return this.#finishRpc(frame.message, payload, there);
          this.#handlers.rpc(frame.message, payload);
          break;
        }
        case "control":
          this.#handlers.control(frame.control);
          break;
        case "message": {
          this.#counters.messagesReceived++;
          const { message, payloadBytes, encoding } = frame;
          if (payloadBytes === 0) {
            this.#handlers.message(message);
            break;
          }
          const grant = message as GrantMessage;
          const target = (encoding === Encoding.Raw ? this.#handlers.target(grant) : undefined) ??
            new Uint8Array(payloadBytes);
          const there = framer.takePayload(target);
          if (there < payloadBytes) return this.#finish(grant, encoding, target, there);
          const rejected = this.#arrived(grant, encoding, target);
          if (rejected !== undefined) return rejected;
        }
      }
    }
    return undefined;
  }

  /** Ends over a frame that is none. Whoever at least began like a node is told why. */
  #reject({ reason, detail }: Malformed): Promise<never> {
    const other = reason === "BadVersion";
    const what = other ? `${detail}, this is ${PROTOCOL_VERSION}` : detail;
    const code = other ? "VersionMismatch" : "ProtocolViolation";
    const error = new TdsmError(code, describeFrameReason(reason, what));
    return reason === "BadMagic" ? Promise.reject(error) : this.#refuse(error);
  }

  /** Ends over an error, and tells the other side. */
  async #refuse(error: TdsmError): Promise<never> {
    this.say({ kind: "refuse", code: error.code, reason: error.message });
    await this.#finishSending(() => this.#discard());
    throw error;
  }

  /** Reads until the other side ends, and takes nothing of it. */
  async #discard(): Promise<void> {
    const bytes = new Uint8Array(DISCARD_BYTES);
    while (!this.#ended && await this.#connection.read(bytes) !== null);
  }

  /** All of a grant's bytes are there; a promise when they are not what they should be. */
  #arrived(grant: GrantMessage, encoding: Encoding, bytes: Uint8Array): Promise<never> | undefined {
    if (encoding === Encoding.Lz4) {
      const target = this.#handlers.target(grant);
      if (target !== undefined) {
        const wrong = unpackPages(bytes, this.#bounds().pageSize, grant.count, target);
        if (wrong !== undefined) {
          return this.#refuse(new TdsmError("ProtocolViolation", describePackedReason(wrong)));
        }
      }
    }
    this.#handlers.message(grant);
    return undefined;
  }

  /** Reads the rest of a grant's bytes to where they belong. */
  async #finish(
    grant: GrantMessage,
    encoding: Encoding,
    target: Uint8Array,
    there: number,
  ): Promise<void> {
    if (await this.#fill(target, there)) await this.#arrived(grant, encoding, target);
  }

  /** Reads the rest of what a remote call carries. */
  async #finishRpc(message: RpcMessage, payload: Uint8Array, there: number): Promise<void> {
    if (await this.#fill(payload, there)) this.#handlers.rpc(message, payload);
  }

  /**
   * Reads what is missing of the bytes behind a frame; `false` when the link has ended meanwhile.
   * All that was buffered behind the frame were its bytes, so there is nothing else to dispatch.
   */
  async #fill(target: Uint8Array, there: number): Promise<boolean> {
    while (there < target.length) {
      const received = await this.#connection.read(target.subarray(there));
      if (this.#ended) return false;
      if (received === null) throw new TdsmError("ProtocolViolation", "ended inside of a frame");
      this.heardAt = performance.now();
      this.#counters.bytesReceived += received;
      there += received;
    }
    return true;
  }
}

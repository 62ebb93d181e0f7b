/**
 * A connection whose bytes are sealed: to a link it looks like any other. Here they are as long as
 * Deno moves them; then the state of both directions goes to the descriptor beneath.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import { SEAL_OVERHEAD_BYTES, SEAL_RECORD_MAX_BYTES } from "../../ffi/abi.ts";
import type { TransportKeys } from "../../ffi/noise.ts";
import { endedInside, LinkSeal, sealedBytes, SealState } from "../../ffi/seal.ts";
import { TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import { SEAL_BATCH_BYTES, SEAL_FIRST_MAX_BYTES } from "../limits.ts";

/** What a link needs of a connection. */
export type Stream =
  & Pick<
    Deno.TcpConn,
    "read" | "write" | "close" | "closeWrite" | "setNoDelay" | "remoteAddr"
  >
  & {
    /**
     * This side's address, by which the descriptor beneath is found; there is none before that may
     * be used.
     */
    readonly localAddr?: Deno.NetAddr | undefined;
    /** Whether bytes have been received that were not read yet. */
    readonly hasUnread?: boolean;
    /**
     * What is sent goes by the descriptor beneath from here on. Nothing must be being written.
     *
     * @returns How it is sealed, and what is received there is opened; nothing where it is in the
     * clear.
     */
    handOverSending?(): LinkSeal | undefined;
    /** The same for what is received. Nothing must be unread, or being read. */
    handOverReceiving?(): void;
  };

/** How a connection is sealed. */
export interface Sealing {
  readonly library: TdsmLibrary;
  /** Those that the handshake has yielded; they are wiped. */
  readonly keys: TransportKeys;
  /** How, as the library numbers it. */
  readonly suite: number;
  /**
   * Whether only the first record of each direction is sealed, and the rest travels in the clear.
   */
  readonly plain: boolean;
  /**
   * Whether the other side has shown by the handshake that it has the key now. Otherwise its first
   * record shows that, and is short.
   */
  readonly proven: boolean;
}

/** The bytes that are received in one go, once the other side has shown that it has the key. */
const RECEIVE_BYTES: number = SEAL_BATCH_BYTES + 2 * SEAL_OVERHEAD_BYTES;

/** A connection whose bytes are sealed. */
export class SealedConnection implements Stream {
  readonly #connection: Stream;
  readonly #sends: SealState;
  readonly #receives: SealState;
  readonly #plain: boolean;
  /** What is to be sent, sealed; made when the first bytes are. */
  #out: Uint8Array<ArrayBuffer> | undefined;
  #hasSent = false;
  /**
   * What has arrived sealed, from `#start` to `#end`. Small at first where anyone can send a first
   * record.
   */
  #received: Uint8Array<ArrayBuffer>;
  #start = 0;
  #end = 0;
  /** What was opened and not read yet, from `#opened` to `#carried`. */
  #plainBytes: Uint8Array<ArrayBuffer>;
  #opened = 0;
  #carried = 0;
  #hasReceived = false;
  /** How the descriptor beneath goes on. */
  #handedOver: LinkSeal | undefined;

  /**
   * @param connection The connection, on which the handshake is done.
   * @param sealing How to seal.
   */
  constructor(connection: Stream, { library, keys, suite, plain, proven }: Sealing) {
    this.#connection = connection;
    this.#received = new Uint8Array(proven ? RECEIVE_BYTES : SEAL_FIRST_MAX_BYTES);
    this.#plainBytes = new Uint8Array(this.#received.length);
    this.#plain = plain;
    this.#sends = new SealState(library, suite, keys.send);
    this.#receives = new SealState(library, suite, keys.receive);
    keys.send.fill(0);
    keys.receive.fill(0);
  }

  /** The other side's address. */
  get remoteAddr(): Deno.NetAddr {
    return this.#connection.remoteAddr;
  }

  /** This side's address; in the clear, once both sides have said what is sealed. */
  get localAddr(): Deno.NetAddr | undefined {
    const isSealed = this.#plain && !(this.#hasSent && this.#hasReceived);
    return isSealed ? undefined : this.#connection.localAddr;
  }

  /** Whether something was opened, or came with the first record, that was not read yet. */
  get hasUnread(): boolean {
    // A record that is whole and was not opened is one that the next read fails by.
    const waiting = this.#plain ? 1 : this.#receives.needed;
    return this.#opened < this.#carried || this.#end - this.#start >= waiting;
  }

  /** What is sent goes by the descriptor beneath from here on; in the clear, if so agreed. */
  handOverSending(): LinkSeal | undefined {
    if (this.#plain) return undefined;
    this.#handedOver = new LinkSeal();
    this.#handedOver.goOn("sends", this.#sends);
    this.#out = undefined;
    return this.#handedOver;
  }

  /** So does what is received; nothing of it must be unread. */
  handOverReceiving(): void {
    const arrived = this.#received.subarray(this.#start, this.#end);
    this.#handedOver?.goOn("receives", this.#receives, arrived);
    this.#received = this.#plainBytes = new Uint8Array(0);
    this.#start = this.#end = 0;
  }

  /** Whether small writes are sent at once. */
  setNoDelay(noDelay?: boolean): void {
    this.#connection.setNoDelay(noDelay);
  }

  /**
   * Seals bytes and sends them.
   *
   * @param bytes The bytes; they may change meanwhile.
   * @returns How many were sent, maybe not all.
   */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#plain && this.#hasSent) return await noted(this.#connection.write(bytes));
    this.#hasSent = true;
    // In the clear, only one record is one.
    const part = bytes.subarray(0, this.#plain ? SEAL_RECORD_MAX_BYTES : SEAL_BATCH_BYTES);
    // The buffer is the sender's for one write at a time, as the numbers of records are.
    const out = this.#out ??= new Uint8Array(sealedBytes(SEAL_BATCH_BYTES));
    const size = this.#sends.seal(part, out);
    for (let sent = 0; sent < size;) {
      sent += await noted(this.#connection.write(out.subarray(sent, size)));
    }
    if (this.#plain) this.#out = undefined;
    return part.length;
  }

  /** Receives the first record, which shows that the other side has the key now. */
  async receiveFirst(): Promise<void> {
    if (await this.#receive()) return;
    throw new TdsmError("PeerLost", "the other side closed the connection");
  }

  /**
   * Receives bytes that the other side has sealed.
   *
   * @param target Where to put them.
   * @returns How many, at least 1; `null` where the other side has ended.
   * @throws {TdsmError} `FrameCorrupted` where what arrives is not what the other side has sealed.
   */
  async read(target: Uint8Array): Promise<number | null> {
    if (this.#opened === this.#carried) {
      if (this.#plain && this.#hasReceived) return await this.#readPlain(target);
      if (!await this.#receive()) return null;
    }
    const bytes = Math.min(target.length, this.#carried - this.#opened);
    target.set(this.#plainBytes.subarray(this.#opened, this.#opened + bytes));
    this.#opened += bytes;
    return bytes;
  }

  /**
   * Receives until a record is whole, and opens it; `false` where the other side has ended before.
   */
  async #receive(): Promise<boolean> {
    for (;;) {
      if (this.#open()) return true;
      const count = await noted(this.#connection.read(this.#received.subarray(this.#end)));
      if (count === null) {
        if (this.#end === this.#start) return false;
        throw endedInside();
      }
      this.#end += count;
    }
  }

  /** Opens what is whole; makes room for more where nothing is. */
  #open(): boolean {
    for (;;) {
      const { needed } = this.#receives;
      if (needed > this.#received.length) {
        throw new TdsmError("ProtocolViolation", "its first record is too long");
      }
      // Behind the first record bytes may follow that are not sealed.
      const last = this.#plain ? Math.min(this.#start + needed, this.#end) : this.#end;
      const sealed = this.#received.subarray(this.#start, last);
      this.#carried = this.#receives.open(sealed, this.#plainBytes);
      this.#opened = 0;
      const { taken } = this.#receives;
      this.#start += taken;
      if (this.#carried > 0) break;
      if (taken > 0) continue;
      this.#received.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      return false;
    }
    if (!this.#hasReceived) this.#grow();
    this.#hasReceived = true;
    return true;
  }

  /** Gives the other side, which has the key, the room that it needs. */
  #grow(): void {
    if (this.#plain || this.#received.length === RECEIVE_BYTES) return;
    const received = new Uint8Array(RECEIVE_BYTES);
    received.set(this.#received.subarray(this.#start, this.#end));
    this.#end -= this.#start;
    this.#start = 0;
    this.#received = received;
    const plainBytes = new Uint8Array(RECEIVE_BYTES);
    plainBytes.set(this.#plainBytes.subarray(0, this.#carried));
    this.#plainBytes = plainBytes;
  }

  /** Reads what is not sealed: at first what came in one go with the first record. */
  async #readPlain(target: Uint8Array): Promise<number | null> {
    const waiting = this.#received.subarray(this.#start, this.#end);
    if (waiting.length === 0) return await noted(this.#connection.read(target));
    const bytes = Math.min(target.length, waiting.length);
    target.set(waiting.subarray(0, bytes));
    this.#start += bytes;
    return bytes;
  }

  /** Ends this direction once everything is sent. */
  closeWrite(): Promise<void> {
    return noted(this.#connection.closeWrite());
  }

  /** Ends the connection. */
  close(): void {
    this.#connection.close();
  }
}

/**
 * The queue to one peer: frames gathered in batches, page bytes straight from the alias. One write
 * is under way at a time, so messages leave in the order of the calls. The queue can be filled
 * before there is a connection. Deno's connection writes one piece after the other, in its own
 * time; the descriptor beneath it takes as many as there is room for in one call, at once.
 */

import {
  CONTROL_MAX_BYTES,
  HEARTBEAT_MS,
  LINK_QUEUE_MAX_BYTES,
  SEND_BATCH_BYTES,
  SEND_COPY_MAX_BYTES,
  SEND_ENTRY_BYTES,
} from "../limits.ts";
import { type Descriptor, PIECES_MAX } from "../../ffi/poller.ts";
import { TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import { encodeMessage } from "../wire/page_frames.ts";
import { Encoding, FRAME_HEADER_BYTES, MESSAGE_MAX_BYTES } from "../wire/layout.ts";
import { encodeControl } from "../wire/control.ts";
import { isPageMessage, NO_BYTES, type PeerMessage } from "../wire/peer_message.ts";
import { encodePing } from "../wire/ping_frames.ts";
import { encodeRpc, RPC_FRAME_MAX_BYTES } from "../wire/rpc_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../wire/sync_frames.ts";

/** What the links of a node have counted together. */
export interface LinkCounters {
  messagesSent: number;
  messagesReceived: number;
  bytesSent: number;
  bytesReceived: number;
}

/** Nothing was sent or received yet. */
export function newCounters(): LinkCounters {
  return { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };
}

interface Segment {
  readonly bytes: Uint8Array;
  /** What the queue holds of memory for the bytes. */
  readonly heldBytes: number;
  /** The batch that the bytes are in, to be reused; page bytes are in none. */
  readonly batch?: Uint8Array<ArrayBuffer>;
}

/** Computes the checksum of the bytes behind a frame, as `crc32c` does. */
export type Sum = (bytes: Uint8Array) => number;

/**
 * The queues to all peers of a node: the memory that they hold together is bounded. Page bytes that
 * wait in the alias are the region's, and a large cluster whose nodes all read has gigabytes of
 * them under way.
 */
export class SendQueues {
  /** The queues in which something waits, or has waited, and that are not closed. */
  readonly #open = new Set<Sender>();
  #heldBytes = 0;
  #unsentVersion = 0;

  /** Another number whenever a payload is {@linkcode Sender.unsent} no longer. */
  get unsentVersion(): number {
    return this.#unsentVersion;
  }

  /** A queue holds so many bytes more. */
  add(sender: Sender, bytes: number): void {
    this.#open.add(sender);
    this.#heldBytes += bytes;
    if (this.#heldBytes > LINK_QUEUE_MAX_BYTES) this.#worst().overflow();
  }

  /**
   * A queue holds so many bytes less.
   *
   * @param bytes How many.
   * @param hasPayload Whether a payload may be among them.
   */
  remove(bytes: number, hasPayload: boolean): void {
    this.#heldBytes -= bytes;
    if (hasPayload) this.#unsentVersion++;
  }

  /** A queue is closed, which has held so many bytes. */
  close(sender: Sender, bytes: number): void {
    this.remove(bytes, true);
    this.#open.delete(sender);
  }

  /** The longest queue of those that stand still, or else of all. */
  #worst(): Sender {
    const since = performance.now() - HEARTBEAT_MS;
    const still = [...this.#open].filter((sender) => sender.standsStillSince(since));
    const worst = still.length === 0 ? [...this.#open] : still;
    return worst.reduce((a, b) => b.heldBytes > a.heldBytes ? b : a);
  }
}

/** What a queue is written to. */
type Writer = Pick<Deno.Conn, "write">;

/** The queue to one peer. */
export class Sender {
  readonly #counters: LinkCounters;
  readonly #sum: Sum | undefined;
  #failed: (error: unknown) => void = () => {};
  #begun: () => void = () => {};
  #connection: Writer | undefined;
  #descriptor: Descriptor | undefined;
  /** The write that is under way. */
  #current: Segment | undefined;
  /** The next writes, oldest first; `#batch` follows them. */
  #segments: Segment[] = [];
  /** How many bytes of the first of them the descriptor has taken. */
  #taken = 0;
  #batch = new Uint8Array(SEND_BATCH_BYTES);
  #used = 0;
  #spare: Uint8Array<ArrayBuffer> | undefined = new Uint8Array(SEND_BATCH_BYTES);
  readonly #queues: SendQueues;
  #heldBytes = 0;
  /** When something was last written, or began to wait for that, by `performance.now()`. */
  #sentAt = 0;
  /** Whether a write is under way, or what is queued waits for room. */
  #writing = false;
  #drained: Promise<void> = Promise.resolve();
  /** With a descriptor: resolved once nothing waits for room. */
  #empty: PromiseWithResolvers<void> | undefined;
  #closed = false;
  /** Set once the queue has outgrown its bound. */
  #overflow: TdsmError | undefined;

  /**
   * @param counters Where what is sent is counted.
   * @param sum Computes checksums of page bytes and the payloads of remote calls; without it these
   * have none.
   * @param queues The queues that are bounded together with this one.
   */
  constructor(counters: LinkCounters, sum?: Sum, queues: SendQueues = new SendQueues()) {
    this.#counters = counters;
    this.#sum = sum;
    this.#queues = queues;
  }

  /** How much memory the queue holds, in bytes. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether something waits, and nothing was written since a time of `performance.now()`. */
  standsStillSince(time: number): boolean {
    return this.#writing && this.#sentAt < time;
  }

  /**
   * Starts to write to a connection; what was queued before goes first.
   *
   * @param connection The connection.
   * @param failed Called once, when a write fails or the queue outgrows its bound.
   * @param begun Called with each write, which goes on in the event loop.
   */
  open(
    connection: Writer,
    failed: (error: unknown) => void,
    begun: () => void = () => {},
  ): void {
    this.#connection = connection;
    this.#begun = begun;
    this.#failed = failed;
    if (this.#overflow !== undefined) return failed(this.#overflow);
    this.flush();
  }

  /**
   * Writes by a descriptor from here on; what was queued before goes first.
   *
   * @param descriptor The descriptor. {@linkcode Sender.goOn} is to be called when it has room.
   * @param failed As for {@linkcode Sender.open}; not called from within a call of the sender.
   */
  openDescriptor(descriptor: Descriptor, failed: (error: unknown) => void): void {
    this.#descriptor = descriptor;
    this.#failed = failed;
    if (this.#overflow !== undefined) return failed(this.#overflow);
    this.flush();
  }

  /** Forgets everything; nothing is written from here on. */
  close(): void {
    this.#closed = true;
    this.#empty?.resolve();
    const held = this.#heldBytes;
    this.#heldBytes = 0;
    this.#current = undefined;
    this.#segments = [];
    this.#used = 0;
    this.#queues.close(this, held);
  }

  /**
   * Queues a message, and behind it the bytes that belong to it.
   *
   * @param message The message.
   * @param payload The bytes of its pages, which are part of the region unless they are packed, or
   * the arguments or the result of a remote call; they must not change until sent.
   * @param encoding How page bytes are packed.
   */
  send(
    message: PeerMessage,
    payload: Uint8Array = NO_BYTES,
    encoding: Encoding = Encoding.Raw,
  ): void {
    if (this.#closed) return;
    this.#frame(message, payload, encoding);
    const { length } = payload;
    if (length === 0) return;
    const isOfRegion = encoding === Encoding.Raw && isPageMessage(message);
    this.#bytes(payload, isOfRegion ? SEND_ENTRY_BYTES : length);
  }

  /** Puts the frame of a message into the batch: the one place that knows how each is encoded. */
  #frame(message: PeerMessage, payload: Uint8Array, encoding: Encoding): void {
    const { length } = payload;
    if (isPageMessage(message)) {
      this.#room(MESSAGE_MAX_BYTES);
      this.#counters.messagesSent++;
      const sum = this.#sumOf(payload);
      return this.#count(encodeMessage(message, length, this.#batch, this.#used, encoding, sum));
    }
    switch (message.kind) {
      case "sync":
      case "syncReply":
      case "gather":
        this.#room(SYNC_MAX_BYTES);
        this.#count(encodeSync(message, this.#batch, this.#used));
        break;
      case "rpcCall":
      case "rpcAnswer":
        this.#room(RPC_FRAME_MAX_BYTES);
        this.#count(encodeRpc(message, length, this.#batch, this.#used, this.#sumOf(payload)));
        break;
      // The statistics count messages about pages, and these are about the cluster.
      case "ping":
        this.#room(FRAME_HEADER_BYTES);
        return this.#count(encodePing(message, this.#batch, this.#used));
      default:
        this.#room(CONTROL_MAX_BYTES);
        return this.#count(encodeControl(message, this.#batch, this.#used));
    }
    this.#counters.messagesSent++;
  }

  /** The checksum of the bytes behind a frame, if there are any and the cluster uses checksums. */
  #sumOf(payload: Uint8Array): number | undefined {
    return payload.length === 0 ? undefined : this.#sum?.(payload);
  }

  /** Resolves when everything that was queued is written, or the connection has failed. */
  async drained(): Promise<void> {
    this.flush();
    await (this.#descriptor === undefined ? this.#drained : this.#empty?.promise);
  }

  /** The payloads that wait to be sent, or are being sent, straight from where they lie. */
  *unsent(): IterableIterator<Uint8Array> {
    if (this.#current !== undefined && this.#current.batch === undefined) yield this.#current.bytes;
    for (const { bytes, batch } of this.#segments) if (batch === undefined) yield bytes;
  }

  /** Starts to write what is queued, unless that is under way. */
  flush(): void {
    if (this.#writing) return;
    if (this.#descriptor !== undefined) return this.#flushTo(this.#descriptor);
    if (this.#connection === undefined || this.#closed) return;
    if (this.#segments.length === 0 && this.#used === 0) return;
    this.#writing = true;
    this.#sentAt = performance.now();
    this.#drained = this.#drain(this.#connection).catch((error) => {
      if (!this.#closed) this.#failed(error);
    });
  }

  /** The descriptor has room again. */
  goOn(): void {
    if (this.#descriptor !== undefined && this.#writing) this.#flushTo(this.#descriptor);
  }

  /** Writes as much of what is queued as there is room for. */
  #flushTo(descriptor: Descriptor): void {
    const isEmpty = this.#segments.length === 0 && this.#used === 0;
    if (this.#closed || (isEmpty && descriptor.unsentBytes === 0)) return;
    try {
      const began = this.#writing;
      this.#writing = !this.#sendTo(descriptor);
      if (this.#writing && !began) this.#empty ??= Promise.withResolvers();
      if (this.#writing !== began) descriptor.awaitRoom(this.#writing);
    } catch (error) {
      // Nothing more can be written; the caller may be in the middle of a step.
      this.#descriptor = undefined;
      queueMicrotask(() => {
        if (!this.#closed) this.#failed(error);
      });
      descriptor.needsTurn();
    }
    if (this.#writing && this.#descriptor !== undefined) return;
    if (this.#empty === undefined) return;
    this.#empty.resolve();
    this.#empty = undefined;
    descriptor.needsTurn();
  }

  /** Sends what is queued; `false` when there is no room for all of it. */
  #sendTo(descriptor: Descriptor): boolean {
    if (this.#segments.length === 0 && this.#used > 0) return this.#sendBatch(descriptor);
    this.#seal();
    return this.#sendSegments(descriptor);
  }

  /** The same where nothing but the batch is queued, as mostly: the batch is filled anew then. */
  #sendBatch(descriptor: Descriptor): boolean {
    const used = this.#used;
    const before = descriptor.unsentBytes;
    const sent = descriptor.sendFirst(this.#batch, used);
    const after = descriptor.unsentBytes;
    if (sent > 0 || after < before) this.#sentAt = performance.now();
    if (sent === used) {
      this.#used = 0;
      this.#heldBytes -= used;
      this.#queues.remove(used, false);
      return after === 0;
    }
    this.#seal();
    this.#taken = sent;
    return sent > 0 && after === 0 && this.#sendSegments(descriptor);
  }

  #sendSegments(descriptor: Descriptor): boolean {
    const segments = this.#segments;
    const piece = (index: number): Uint8Array => {
      const { bytes } = segments[index]!;
      return index === 0 && this.#taken > 0 ? bytes.subarray(this.#taken) : bytes;
    };
    do {
      const before = descriptor.unsentBytes;
      const count = Math.min(segments.length, PIECES_MAX);
      const sent = descriptor.send(count, piece, segments.length > count);
      const after = descriptor.unsentBytes;
      if (sent > 0 || after < before) this.#sentAt = performance.now();
      if (sent === 0 && count > 0) return false;
      this.#taken += sent;
      while (segments.length > 0 && this.#taken >= segments[0]!.bytes.length) {
        const { bytes, heldBytes, batch } = segments.shift()!;
        this.#taken -= bytes.length;
        this.#heldBytes -= heldBytes;
        this.#queues.remove(heldBytes, batch === undefined);
        this.#spare ??= batch;
      }
      if (after > 0) return false;
    } while (segments.length > 0);
    return true;
  }

  /** Queues a payload; unless it is copied, the queue holds so many bytes of memory for it. */
  #bytes(source: Uint8Array, heldBytes: number): void {
    if (source.length <= SEND_COPY_MAX_BYTES) {
      this.#room(source.length);
      this.#batch.set(source, this.#used);
      this.#count(source.length);
    } else {
      this.#seal();
      this.#push({ bytes: source, heldBytes });
      this.#queued(source.length, heldBytes);
    }
  }

  async #drain(connection: Writer): Promise<void> {
    while (!this.#closed) {
      if (this.#segments.length === 0) this.#seal();
      const segment = this.#current = this.#segments.shift();
      if (segment === undefined) break;
      const { bytes, heldBytes, batch } = segment;
      for (let sent = 0; sent < bytes.length;) {
        const write = noted(connection.write(sent === 0 ? bytes : bytes.subarray(sent)));
        this.#begun();
        sent += await write;
        this.#sentAt = performance.now();
      }
      if (this.#closed) break;
      this.#heldBytes -= heldBytes;
      this.#queues.remove(heldBytes, batch === undefined);
      this.#spare ??= batch;
    }
    // In the same turn of the event loop that found the queue empty: a frame queued in between
    // would never be written.
    this.#writing = false;
  }

  /** Ends the batch that is being filled and begins another. */
  #seal(): void {
    if (this.#used === 0) return;
    const bytes = this.#batch.subarray(0, this.#used);
    this.#push({ bytes, heldBytes: bytes.length, batch: this.#batch });
    this.#batch = this.#spare ?? new Uint8Array(SEND_BATCH_BYTES);
    this.#spare = undefined;
    this.#used = 0;
  }

  /** Queues a write. Mostly there is one at a time, and an empty list makes room for many. */
  #push(segment: Segment): void {
    if (this.#segments.length === 0) this.#segments = [segment];
    else this.#segments.push(segment);
  }

  /** Makes room in the batch. */
  #room(bytes: number): void {
    if (this.#used + bytes > this.#batch.length) this.#seal();
  }

  /** Takes note of bytes that were put into the batch. */
  #count(bytes: number): void {
    this.#used += bytes;
    this.#queued(bytes, bytes);
  }

  #queued(bytes: number, heldBytes: number): void {
    this.#counters.bytesSent += bytes;
    if (this.#closed) return;
    this.#heldBytes += heldBytes;
    this.#queues.add(this, heldBytes);
  }

  /** Ends the queue: of all queues, which have outgrown their bound, this is the worst. */
  overflow(): void {
    const overflow = this.#overflow = new TdsmError(
      "LimitExceeded",
      `it does not read: more than ${LINK_QUEUE_MAX_BYTES} bytes wait to be sent, ` +
        `${this.#heldBytes} of them to this node`,
    );
    this.close();
    // Not at once: the caller is in the middle of a step whose output must be done in order.
    if (this.#connection === undefined && this.#descriptor === undefined) return;
    queueMicrotask(() => this.#failed(overflow));
    this.#descriptor?.needsTurn();
    this.#begun();
  }
}

/**
 * One sleep for all that a thread waits for, and the bytes of connections by the descriptors
 * beneath them. Deno makes the connections, and carries what two nodes say before they know each
 * other.
 */

import { TdsmError } from "../runtime/errors.ts";
import {
  LINK_BYTES,
  LINK_READY,
  LINK_ROOM,
  READY_FAULTS,
  READY_KICKED,
  READY_LOOP,
  READY_OVER,
  READY_SEEN,
  READY_SIGNALS,
  READY_TAKEN,
  statusError,
  THREAD_TIMES,
} from "./abi.ts";
import type { TdsmLibrary } from "./library.ts";
import type { NativeRegion } from "./native.ts";
import { cString } from "./native_values.ts";
import { endedInside, type LinkSeal, notAuthentic } from "./seal.ts";

/** What a call answers where nothing has arrived, or where there is no room: EAGAIN. */
const AGAIN = -11;
/**
 * What it answers where a record is not as it was sealed, EBADMSG, and where the record's end is
 * missing, EPROTO.
 */
const NOT_AUTHENTIC = -74;
const CUT_OFF = -71;
/** The most links that one sleep tells of, and the most pieces that one call sends. */
const READY_MAX = 64;
/** The most pieces of memory that {@linkcode Descriptor.send} takes. */
export const PIECES_MAX = 64;
/** The `u32` words of a piece: the lower and upper half of its address, and of its length. */
const PIECE_WORDS = 4;
const READY_WORDS = LINK_READY.size / 4;
const UPPER_HALF = 2 ** 32;
const NS_PER_US = 1000;

/** What a link is told. */
export interface Watcher {
  /**
   * Something has happened on the connection.
   *
   * @param bytes Bytes have arrived, or the other side has ended.
   * @param room There is room for bytes to send.
   */
  ready(bytes: boolean, room: boolean): void;
}

/**
 * How a look ended: something was seen, it left the cores to other threads, or its time was over.
 */
export type LookEnd = "seen" | "taken" | "over";

/** What ended a {@linkcode Poller.wait}. */
export interface Happened {
  /** Faults can be read. */
  readonly faults: boolean;
  /** Anything else than a matter of the event loop. */
  readonly any: boolean;
}

/** What a thread has spent its time on since it began, in microseconds. */
export interface ThreadTimes {
  /** In {@linkcode Poller.wait}, looking instead of sleeping. */
  readonly lookedUs: number;
  /** On a core, which looking is, too. */
  readonly ranUs: number;
  /** Waiting for a core, while it could run; 0 where the kernel does not count that. */
  readonly waitedUs: number;
}

const NOTHING: Happened = { faults: false, any: false };
const OTHER: Happened = { faults: false, any: true };
const FAULTS: Happened = { faults: true, any: true };

/** What one thread sleeps on: a region's faults and kicks, its links, and its own event loop. */
export class Poller implements Disposable {
  /**
   * Whether something was begun that goes on in the event loop of this thread: a promise, a
   * connection. Set by the code that begins it; the thread then returns to the event loop before it
   * sleeps again.
   */
  turnDue = false;
  /** Whether the last {@linkcode Poller.wait} ended by what the event loop has to do. */
  loopReady = false;
  /** Whether bytes were sent by a link since this was last set to `false`. */
  hasSent = false;
  /** How the look of the last {@linkcode Poller.wait} ended; `undefined` where there was none. */
  look: LookEnd | undefined;
  /** Is told that a signal has come, in the {@linkcode Poller.wait} that it ended. */
  #signalled: () => void = () => {};
  readonly #symbols: TdsmLibrary["symbols"];
  readonly #epoll: number;
  /** The epoll that Deno's event loop of this thread sleeps in. */
  readonly #loop: number;
  readonly #ready = new Int32Array(READY_MAX * READY_WORDS);
  readonly #watchers = new Map<number, Watcher>();

  /** Programs open one. */
  protected constructor(library: TdsmLibrary, epoll: number, loop: number) {
    this.#symbols = library.symbols;
    this.#epoll = epoll;
    this.#loop = loop;
  }

  /**
   * Opens a poller for this thread.
   *
   * @param library The library.
   * @param listener A listener that this thread has opened: what watches it is this thread's event
   * loop.
   * @returns The poller; `undefined` where the event loop is not found, as where there is no /proc.
   * @throws {TdsmError} Where descriptors are used up.
   */
  static open(library: TdsmLibrary, listener: Deno.TcpListener): Poller | undefined {
    const { symbols } = library;
    const epoll = symbols.tdsm_links_open();
    if (epoll < 0) throw statusError("open an epoll", epoll, symbols.tdsm_last_errno());
    const { hostname, port } = listener.addr;
    const loop = symbols.tdsm_links_loop(epoll, cString(hostname), port);
    if (loop >= 0) return new this(library, epoll, loop);
    symbols.tdsm_links_close(epoll);
    return undefined;
  }

  /**
   * From here on a region's faults and kicks end the sleep.
   *
   * @param region The region, which may be closed before the poller.
   * @throws {TdsmError} If the region is closed.
   */
  watch(region: NativeRegion): void {
    this.#region("watch a region", region, 1);
  }

  /**
   * From here on faults do not end the sleep: another thread takes them.
   *
   * @param region A region that is watched.
   * @throws {TdsmError} If the region is closed.
   */
  leaveFaults(region: NativeRegion): void {
    this.#region("leave the faults of a region", region, 0);
  }

  #region(operation: string, { handle }: NativeRegion, faults: number): void {
    const result = this.#symbols.tdsm_links_region(this.#epoll, handle, faults);
    if (result < 0) throw statusError(operation, result, this.#symbols.tdsm_last_errno());
  }

  /**
   * From here on signals end the sleep: see `Signals`.
   *
   * @param watch Watches them by an epoll.
   * @param signalled Is told that some have come.
   */
  watchSignals(watch: (epoll: number) => void, signalled: () => void): void {
    watch(this.#epoll);
    this.#signalled = signalled;
  }

  /**
   * Sleeps until something happens, and tells the links that it concerns. The whole thread sleeps;
   * what its event loop has to do ends the sleep, except a timer that is due.
   *
   * @param timeoutUs How long at most, in microseconds, below 2^31; 0 does not sleep.
   * @param lookUs How much of that to look again and again instead of sleeping, in microseconds,
   * unless more threads go on wanting a core than there are cores.
   * @returns What has happened.
   * @throws {TdsmError} If the kernel fails.
   */
  wait(timeoutUs: number, lookUs = 0): Happened {
    const ready = this.#ready;
    const result = this.block(ready, timeoutUs, lookUs);
    if (result < 0) throw statusError("wait", result, this.#symbols.tdsm_last_errno());
    this.look = lookEnd(result);
    this.loopReady = (result & READY_LOOP) !== 0;
    if (result === 0) return NOTHING;
    if ((result & READY_SIGNALS) !== 0) this.#signalled();
    const links = result & (READY_FAULTS - 1);
    for (let index = 0; index < links; index++) {
      const bits = ready[index * READY_WORDS + 1]!;
      // One that was told before may have ended this one.
      const watcher = this.#watchers.get(ready[index * READY_WORDS]!);
      watcher?.ready((bits & LINK_BYTES) !== 0, (bits & LINK_ROOM) !== 0);
    }
    if ((result & READY_FAULTS) !== 0) return FAULTS;
    return links > 0 || (result & READY_KICKED) !== 0 ? OTHER : NOTHING;
  }

  /**
   * The call in which the thread looks and sleeps; a positive result says what has happened. An
   * engine that is watched has one of its own (`runtime/engine/watched_poller.ts`).
   */
  block(ready: Int32Array<ArrayBuffer>, timeoutUs: number, lookUs: number): number {
    return this.#symbols.tdsm_links_wait(this.#epoll, ready, READY_MAX, timeoutUs, lookUs);
  }

  /** What this thread has spent its time on. */
  times(): ThreadTimes {
    const times = new BigUint64Array(THREAD_TIMES.size / BigUint64Array.BYTES_PER_ELEMENT);
    this.#symbols.tdsm_links_times(times);
    const us = ({ offset }: { offset: number }): number =>
      Number(times[offset / BigUint64Array.BYTES_PER_ELEMENT]!) / NS_PER_US;
    const { looked_ns, ran_ns, waited_ns } = THREAD_TIMES.fields;
    return { lookedUs: us(looked_ns), ranUs: us(ran_ns), waitedUs: us(waited_ns) };
  }

  /**
   * Sends by the descriptor beneath a connection from here on. Deno must have nothing left to
   * write.
   *
   * @param connection The two addresses of a connection that is to stay open as long as the
   * descriptor is used.
   * @param watcher Is told what happens.
   * @param seal How the bytes are sealed and opened; left out where they go as they are.
   * @returns The descriptor.
   * @throws {TdsmError} If it is not found, or the kernel has no memory left.
   */
  take(
    { localAddr: near, remoteAddr: far }: Pick<Deno.TcpConn, "localAddr" | "remoteAddr">,
    watcher: Watcher,
    seal?: LinkSeal,
  ): Descriptor {
    const [symbols, epoll] = [this.#symbols, this.#epoll];
    const fd = symbols.tdsm_link_find(
      cString(near.hostname),
      near.port,
      cString(far.hostname),
      far.port,
    );
    if (fd < 0) throw statusError("find the descriptor of a connection", fd, 0);
    const result = symbols.tdsm_link_add(epoll, fd);
    if (result < 0) throw statusError("watch a connection", result, symbols.tdsm_last_errno());
    this.#watchers.set(fd, watcher);
    return new Descriptor(symbols, epoll, fd, seal, {
      detach: () => symbols.tdsm_link_detach(this.#loop, fd),
      removed: () => this.#watchers.delete(fd),
      turn: () => this.turnDue = true,
      sent: () => this.hasSent = true,
    });
  }

  /**
   * Lends another thread a descriptor of a connection, which from here on neither this thread nor
   * its event loop reads.
   *
   * @param connection The two addresses of a connection that Deno has nothing left to do on.
   * @returns The descriptor, at least 3, which is to be given up by `ThreadDescriptor.close`.
   * @throws {TdsmError} If the connection is not found, or descriptors are used up.
   */
  lend(
    { localAddr: near, remoteAddr: far }: Pick<Deno.TcpConn, "localAddr" | "remoteAddr">,
  ): number {
    const symbols = this.#symbols;
    const fd = symbols.tdsm_link_find(
      cString(near.hostname),
      near.port,
      cString(far.hostname),
      far.port,
    );
    if (fd < 0) throw statusError("find the descriptor of a connection", fd, 0);
    symbols.tdsm_link_detach(this.#loop, fd);
    const lent = symbols.tdsm_thread_link_lend(fd);
    if (lent < 0) throw statusError("lend a descriptor", lent, symbols.tdsm_last_errno());
    return lent;
  }

  /** Closes it. Every descriptor must have been given up. */
  [Symbol.dispose](): void {
    this.#symbols.tdsm_links_close(this.#epoll);
  }
}

function lookEnd(result: number): LookEnd | undefined {
  if ((result & READY_SEEN) !== 0) return "seen";
  if ((result & READY_TAKEN) !== 0) return "taken";
  return (result & READY_OVER) !== 0 ? "over" : undefined;
}

/** What a descriptor needs of its poller. */
interface PollerOf {
  /** Takes the connection from the event loop. */
  detach(): void;
  removed(): void;
  turn(): void;
  sent(): void;
}

/** The address of the first byte of each buffer that was sent from. */
const addresses = new WeakMap<ArrayBufferLike, number>();

function addressOf({ buffer, byteOffset }: Uint8Array): number {
  let address = addresses.get(buffer);
  if (address === undefined) {
    address = Number(Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(new Uint8Array(buffer as ArrayBuffer)),
    ));
    addresses.set(buffer, address);
  }
  return address + byteOffset;
}

/** Pieces of memory that are sent as one: one call's. */
const pieces = new Uint32Array(PIECES_MAX * PIECE_WORDS);

/** A word takes the lower half of an address by itself. */
function putPiece(index: number, bytes: Uint8Array, length: number): void {
  const address = addressOf(bytes);
  const at = index * PIECE_WORDS;
  pieces[at] = address;
  pieces[at + 1] = address / UPPER_HALF;
  pieces[at + 2] = length;
  pieces[at + 3] = 0;
}

/** The bytes of one connection. */
export class Descriptor {
  readonly #symbols: TdsmLibrary["symbols"];
  readonly #epoll: number;
  readonly #fd: number;
  readonly #seal: LinkSeal | undefined;
  readonly #poller: PollerOf;
  #interest = 0;

  /** A poller makes it. */
  constructor(
    symbols: TdsmLibrary["symbols"],
    epoll: number,
    fd: number,
    seal: LinkSeal | undefined,
    poller: PollerOf,
  ) {
    this.#symbols = symbols;
    this.#epoll = epoll;
    this.#fd = fd;
    this.#seal = seal;
    this.#poller = poller;
  }

  /**
   * Whether {@linkcode Descriptor.receive} is to be called again, though the link is told of
   * nothing: what has arrived was taken from the kernel, and not handed over for want of room.
   */
  get holds(): boolean {
    return this.#seal?.holds ?? false;
  }

  /** How many bytes {@linkcode Descriptor.send} has taken, and sends with the next call. */
  get unsentBytes(): number {
    return this.#seal?.unsentBytes ?? 0;
  }

  /**
   * The event loop of this thread is to have a turn soon: something was begun that goes on there.
   */
  needsTurn(): void {
    this.#poller.turn();
  }

  /** Receives by the descriptor, too, from here on. Deno must not be reading. */
  detach(): void {
    this.#poller.detach();
    this.#watch(this.#interest | LINK_BYTES);
  }

  /** Nothing more is received: the other side has ended. */
  endReceiving(): void {
    this.#watch(this.#interest & ~LINK_BYTES);
  }

  /**
   * Says whether to be told of room for bytes to send.
   *
   * @param wanted Whether.
   */
  awaitRoom(wanted: boolean): void {
    this.#watch(wanted ? this.#interest | LINK_ROOM : this.#interest & ~LINK_ROOM);
  }

  #watch(interest: number): void {
    if (interest === this.#interest) return;
    const result = this.#symbols.tdsm_link_watch(this.#epoll, this.#fd, interest);
    if (result < 0) {
      throw statusError("watch a connection", result, this.#symbols.tdsm_last_errno());
    }
    this.#interest = interest;
  }

  /**
   * Takes bytes that have arrived, without blocking.
   *
   * @param first Where they go first.
   * @param second Where they go when `first` is full.
   * @returns How many; 0 at the other side's end; `undefined` where none have arrived.
   * @throws {TdsmError} `PeerLost` if the connection has failed, `FrameCorrupted` where what
   * arrives is not what the other side has sealed, `ProtocolViolation` where its end is missing.
   */
  receive(first: Uint8Array, second?: Uint8Array): number | undefined {
    const fd = this.#fd;
    const seal = this.#seal;
    const one = first as Uint8Array<ArrayBuffer>;
    const two = (second ?? null) as Uint8Array<ArrayBuffer> | null;
    const secondLength = two === null ? 0 : two.length;
    const result = seal === undefined
      ? this.#symbols.tdsm_link_receive(fd, one, one.length, two, secondLength)
      : this.#symbols.tdsm_sealed_receive(seal.memory, fd, one, one.length, two, secondLength);
    if (result >= 0) return result;
    if (result === AGAIN) return undefined;
    if (result === NOT_AUTHENTIC) throw notAuthentic();
    if (result === CUT_OFF) throw endedInside();
    throw connectionError(-result);
  }

  /**
   * Sends bytes, without blocking.
   *
   * @param count How many pieces, at most {@linkcode PIECES_MAX}; 0 sends what is still unsent.
   * @param piece Returns a piece by its index.
   * @param more Whether there are more bytes to send right behind these.
   * @returns How many bytes of all pieces together are taken; 0 where there is no room.
   * @throws {TdsmError} `PeerLost` if the connection has failed.
   */
  send(count: number, piece: (index: number) => Uint8Array, more: boolean): number {
    for (let index = 0; index < count; index++) {
      const bytes = piece(index);
      putPiece(index, bytes, bytes.length);
    }
    return this.#send(count, more);
  }

  /**
   * Sends the first bytes of some memory, without blocking.
   *
   * @param bytes The memory.
   * @param length How many of its bytes, at least one.
   * @returns How many are taken; 0 where there is no room.
   * @throws {TdsmError} `PeerLost` if the connection has failed.
   */
  sendFirst(bytes: Uint8Array, length: number): number {
    putPiece(0, bytes, length);
    return this.#send(1, false);
  }

  #send(count: number, more: boolean): number {
    this.#poller.sent();
    const fd = this.#fd;
    const seal = this.#seal;
    const behind = more ? 1 : 0;
    const result = seal === undefined
      ? this.#symbols.tdsm_link_send(fd, pieces, count, behind)
      : this.#symbols.tdsm_sealed_send(seal.memory, fd, pieces, count, behind);
    if (result >= 0) return result;
    if (result === AGAIN) return 0;
    throw connectionError(-result);
  }

  /** Gives the descriptor up, before its connection is closed. */
  close(): void {
    this.#poller.removed();
    this.#symbols.tdsm_link_remove(this.#epoll, this.#fd);
  }
}

/** How connections fail, as Deno says it. */
const CONNECTION_TEXTS: Readonly<Record<number, string>> = {
  32: "Broken pipe",
  103: "Software caused connection abort",
  104: "Connection reset by peer",
  110: "Connection timed out",
  113: "No route to host",
};

function connectionError(errno: number): TdsmError {
  const text = CONNECTION_TEXTS[errno] ?? "The connection failed";
  return new TdsmError("PeerLost", `${text} (os error ${errno})`, { errno });
}

/** A link, and the other side of its connection, which is the test's. */

import { assertEquals } from "@std/assert";
import { encodeMessage } from "../../runtime/wire/page_frames.ts";
import { Encoding, MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import type { FrameBounds } from "../../runtime/wire/check.ts";
import {
  Content,
  type GrantMessage,
  type Message,
} from "../../runtime/protocol/coherence/messages.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import type { PeerMessage } from "../../runtime/wire/peer_message.ts";
import { packPages } from "../../runtime/cluster/page_packer.ts";
import { Link, type LinkHandlers } from "../../runtime/cluster/link.ts";
import { newCounters, Sender } from "../../runtime/cluster/sender.ts";
import { KEY_BYTES, SEAL_FIRST_MAX_BYTES } from "../../runtime/limits.ts";
import { SealedConnection, type Stream } from "../../runtime/secure/sealed_connection.ts";
import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { Poller } from "../../ffi/poller.ts";
import { suitesOf } from "../../ffi/seal.ts";
import { controlFrame, PING } from "./raw_peer.ts";

/** Bytes of a page. */
export const PAGE = 4096;
/** The bounds that frames are checked against. */
export const BOUNDS: FrameBounds = { pageCount: 64, pageSize: PAGE, runPages: 32 };

/**
 * What moves the bytes of a link: Deno, or the thread's own poller, by the descriptor beneath;
 * sealed or as they are.
 */
const WAYS = ["Deno", "sealed, Deno", "descriptor", "sealed descriptor"] as const;
export type Way = typeof WAYS[number];

/** What a test needs of the other side's connection. */
export type RawPeer = Pick<Deno.Conn, "read" | "write" | "closeWrite" | "close">;

/** Opens a link whose bytes go in one of the ways; `greeted` says whether they do so already. */
export type OpenBench = (greeted?: boolean) => Promise<LinkBench>;

/**
 * Registers a test for each way in which bytes move.
 *
 * @param name What is tested.
 * @param test The test.
 * @param options Options of the test.
 */
export function eachWay(
  name: string,
  test: (open: OpenBench) => Promise<void>,
  options: Partial<Deno.TestDefinition> = {},
): void {
  for (const way of WAYS) {
    const fn = (): Promise<void> => test((greeted = true) => LinkBench.open(way, greeted));
    Deno.test({ ...options, name: `${name} (${way})`, fn });
  }
}

/** A link, and the raw connection of its other side. */
export class LinkBench implements AsyncDisposable {
  readonly heard: PeerMessage[] = [];
  readonly alias = new Uint8Array(BOUNDS.pageCount * PAGE);
  readonly counters = newCounters();
  readonly ended = Promise.withResolvers<unknown>();
  readonly link: Link;
  /** The other side. In the sealed ways, what is written in one go is sealed in one go. */
  readonly raw: RawPeer;
  /** Whether the bytes of a grant are wanted. */
  wants: (grant: GrantMessage) => boolean = () => true;
  /** Called with each message, before it counts as heard. */
  onMessage: (message: PeerMessage) => void = () => {};
  ends = 0;
  /** What moves the bytes of a link that is opened, unless Deno does. */
  readonly poller: Poller | undefined;
  readonly #library: TdsmLibrary | undefined;
  readonly #listener: Deno.TcpListener;
  #disposed = false;
  #wake: () => void = () => {};

  private constructor(listener: Deno.TcpListener, way: Way, near: Deno.TcpConn, far: Deno.TcpConn) {
    this.#listener = listener;
    this.#library = way === "Deno" ? undefined : openLibrary();
    const isSealed = way.startsWith("sealed");
    const [one, other] = isSealed ? sealBoth(this.#library!, near, far) : [near, far];
    this.raw = isSealed ? withShortFirst(other) : other;
    this.link = new Link(one, () => BOUNDS, this.counters, this.handlers());
    if (this.#library === undefined || way.endsWith("Deno")) return;
    this.poller = Poller.open(this.#library, listener);
    if (this.poller === undefined) throw new Error("The event loop was not found");
    const { poller } = this;
    const look = (): void => {
      if (this.#disposed) return;
      poller.wait(0);
      setImmediate(look);
    };
    look();
  }

  static async open(way: Way = "Deno", greeted = true): Promise<LinkBench> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = listener.addr;
    const [near, far] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
    far.setNoDelay(true);
    const bench = new LinkBench(listener, way, near, far);
    if (bench.poller !== undefined && greeted) await bench.#greet();
    return bench;
  }

  /** Has the link opened by the first word that it hears, as links are. */
  async #greet(): Promise<void> {
    const { onMessage } = this;
    this.onMessage = () => {
      this.link.open(this.handlers(), new Sender(this.counters), this.poller);
    };
    await writeAll(this.raw, controlFrame(PING));
    await this.hears(1);
    this.onMessage = onMessage;
    this.heard.length = 0;
    Object.assign(this.counters, newCounters());
  }

  handlers(): LinkHandlers {
    return {
      target: (grant) => {
        if (!this.wants(grant)) return undefined;
        return this.alias.subarray(grant.first * PAGE, (grant.first + grant.count) * PAGE);
      },
      received: (message) => {
        this.onMessage(message);
        this.heard.push(message);
        this.#wake();
      },
      ended: (error) => {
        this.ends++;
        this.ended.resolve(error);
        this.#wake();
      },
    };
  }

  /** Resolves when so many messages were heard; fails when the link ended before. */
  async hears(count: number): Promise<void> {
    while (this.heard.length < count) {
      assertEquals(this.ends, 0, "the link ended");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Resolves when so many bytes have arrived, be they whole messages or not. */
  async receives(bytes: number): Promise<void> {
    while (this.counters.bytesReceived < bytes) {
      assertEquals(this.ends, 0, "the link ended");
      await new Promise((go) => setTimeout(go, 0));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.close();
    await this.ended.promise;
    this.#disposed = true;
    this.poller?.[Symbol.dispose]();
    this.#library?.[Symbol.dispose]();
    this.#listener.close();
    try {
      this.raw.close();
    } catch {
      // The test has closed it.
    }
  }
}

/**
 * Seals both ends of a connection, as after a handshake.
 *
 * @param library The library.
 * @param near One end.
 * @param far The other.
 * @param suite How to seal; where it is left out, by the fastest that this machine does.
 * @param plain Whether only what each end says first is sealed.
 * @returns The two ends.
 */
export function sealBoth(
  library: TdsmLibrary,
  near: Stream,
  far: Stream,
  suite: number = suitesOf(library) & -suitesOf(library),
  plain: boolean = false,
): [near: SealedConnection, far: SealedConnection] {
  // A connection clears the keys that it is given.
  const key = (byte: number): Uint8Array<ArrayBuffer> => new Uint8Array(KEY_BYTES).fill(byte);
  const seal = (stream: Stream, send: number, receive: number): SealedConnection => {
    const keys = { send: key(send), receive: key(receive) };
    return new SealedConnection(stream, { library, suite, plain, keys, proven: false });
  };
  return [seal(near, 1, 2), seal(far, 2, 1)];
}

/** Has no first record be longer than the first may be. */
function withShortFirst(peer: RawPeer): RawPeer {
  let isFirst = true;
  return {
    read: (bytes) => peer.read(bytes),
    write(bytes) {
      const part = isFirst ? bytes.subarray(0, SEAL_FIRST_MAX_BYTES / 2) : bytes;
      isFirst = false;
      return peer.write(part);
    },
    closeWrite: () => peer.closeWrite(),
    close: () => peer.close(),
  };
}

/** Writes all of some bytes. */
export async function writeAll(
  connection: Pick<RawPeer, "write">,
  bytes: Uint8Array,
): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await connection.write(bytes.subarray(sent));
  }
}

/** Reads until the link ends its side, and then ends this side too, which the link waits for. */
export async function readAndEnd(connection: RawPeer): Promise<Uint8Array> {
  const chunks: number[] = [];
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) {
      await connection.closeWrite();
      return Uint8Array.from(chunks);
    }
    chunks.push(...buffer.subarray(0, count));
  }
}

/** A message with a number, by which it is told from others. */
export function request(number: number): Message {
  return { kind: "request", access: Access.Read, first: 1, count: 1, request: number };
}

/** A message that page bytes follow. */
export function grant(first: number, count: number): GrantMessage {
  return {
    kind: "grant",
    access: Access.Write,
    content: Content.Data,
    first,
    count,
    request: first,
    invalidated: [2, 3],
    lostNode: 0,
  };
}

/** Bytes in which no page is like another. */
export function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 13 + seed + (index >> 8)) & 0xff);
}

/**
 * Makes a frame with the bytes that follow it.
 *
 * @param message The message.
 * @param payload The bytes behind it.
 * @param encoding How these bytes are packed.
 * @param payloadChecksum The checksum of these bytes; where it is left out, they have none.
 * @returns The bytes.
 */
export function frame(
  message: Message,
  payload: Uint8Array = new Uint8Array(0),
  encoding: Encoding = Encoding.Raw,
  payloadChecksum?: number,
): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_MAX_BYTES + payload.length);
  const size = encodeMessage(message, payload.length, bytes, 0, encoding, payloadChecksum);
  bytes.set(payload, size);
  return bytes.slice(0, size + payload.length);
}

/** Puts bytes behind each other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** A run of pages of which one is zeros and one is noise, and how it is sent. */
export function makePacked(count: number): { pages: Uint8Array; payload: Uint8Array } {
  const pages = new Uint8Array(count * PAGE);
  for (let page = 1; page < count; page++) {
    pages.set(pattern(64, page), page * PAGE);
    pages.set(pattern(64, page), page * PAGE + 1000);
  }
  crypto.getRandomValues(pages.subarray(pages.length - PAGE));
  const target = new Uint8Array(pages.length);
  return { pages, payload: target.slice(0, packPages(pages, PAGE, target)!) };
}

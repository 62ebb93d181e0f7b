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
import { newCounters } from "../../runtime/cluster/sender.ts";

/** Bytes of a page. */
export const PAGE = 4096;
/** The bounds that frames are checked against. */
export const BOUNDS: FrameBounds = { pageCount: 64, pageSize: PAGE, runPages: 32 };

/** A link, and the raw connection of its other side. */
export class LinkBench implements AsyncDisposable {
  readonly heard: PeerMessage[] = [];
  readonly alias = new Uint8Array(BOUNDS.pageCount * PAGE);
  readonly counters = newCounters();
  readonly ended = Promise.withResolvers<unknown>();
  readonly link: Link;
  readonly raw: Deno.TcpConn;
  /** Whether the bytes of a grant are wanted. */
  wants: (grant: GrantMessage) => boolean = () => true;
  /** Called with each message, before it counts as heard. */
  onMessage: (message: PeerMessage) => void = () => {};
  ends = 0;
  #wake: () => void = () => {};

  private constructor(near: Deno.TcpConn, far: Deno.TcpConn) {
    this.raw = far;
    this.link = new Link(near, () => BOUNDS, this.counters, this.handlers());
  }

  static async open(): Promise<LinkBench> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = listener.addr;
    const [near, far] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
    far.setNoDelay(true);
    return new LinkBench(near, far);
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
    while (this.counters.bytesReceived < bytes) await new Promise((go) => setTimeout(go, 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.close();
    await this.ended.promise;
    this.raw.close();
  }
}

/** Writes all of some bytes. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await connection.write(bytes.subarray(sent));
  }
}

/** Reads until the link ends its side, and then ends this side too, which the link waits for. */
export async function readAndEnd(connection: Deno.Conn): Promise<Uint8Array> {
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

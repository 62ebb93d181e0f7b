/** A TCP proxy that stops passing bytes on, or says something itself, when a test wants it. */

import { writeAll } from "../support/link_bench.ts";
import { TcpProxy, type Way } from "./tcp_proxy.ts";

/** Passes every byte on to a node, until it is told otherwise. */
export class StallingProxy extends TcpProxy {
  /** The connections to the node. */
  readonly #far = new Set<Deno.Conn>();
  #stalled = false;
  readonly #disposed = Promise.withResolvers<void>();

  /** From here on nothing gets through, not even the end of a connection. */
  stall(): void {
    this.#stalled = true;
  }

  /** Says to the node, on every connection, what no other node says. */
  async disturb(): Promise<void> {
    for (const connection of this.#far) await writeAll(connection, new Uint8Array(64).fill(0xff));
  }

  protected override async pass(from: Deno.Conn, to: Deno.Conn, way: Way): Promise<void> {
    if (way === "there") this.#far.add(to);
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const count = await from.read(buffer);
      if (this.#stalled) return await this.#disposed.promise;
      if (count === null) return await to.closeWrite();
      await writeAll(to, buffer.subarray(0, count));
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.resolve();
    await super[Symbol.asyncDispose]();
  }
}

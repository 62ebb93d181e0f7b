/** A TCP proxy that stops passing bytes on, or says something itself, when a test wants it. */

/** Passes every byte on to a node, until it is told otherwise. */
export class StallingProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #target: Deno.ConnectOptions;
  readonly #connections = new Set<Deno.Conn>();
  /** The connections to the node. */
  readonly #far = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  #stalled = false;
  readonly #disposed = Promise.withResolvers<void>();

  /** @param target Where to pass on to. */
  constructor(target: Deno.ConnectOptions) {
    this.#target = target;
    this.#run(this.#accept());
  }

  /** Where it listens, as `host:port`. */
  get at(): string {
    const { hostname, port } = this.#listener.addr;
    return `${hostname}:${port}`;
  }

  /** From here on nothing gets through, not even the end of a connection. */
  stall(): void {
    this.#stalled = true;
  }

  /** Says to the node, on every connection, what no other node says. */
  async disturb(): Promise<void> {
    for (const connection of this.#far) await connection.write(new Uint8Array(64).fill(0xff));
  }

  #run(work: Promise<void>): void {
    const running = work.catch(() => {}).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #accept(): Promise<void> {
    for await (const near of this.#listener) {
      const far = await Deno.connect(this.#target);
      this.#far.add(far);
      for (const connection of [near, far]) {
        connection.setNoDelay(true);
        this.#connections.add(connection);
      }
      this.#run(this.#pass(near, far));
      this.#run(this.#pass(far, near));
    }
  }

  async #pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const count = await from.read(buffer);
      if (this.#stalled) return await this.#disposed.promise;
      if (count === null) return await to.closeWrite();
      for (let done = 0; done < count;) done += await to.write(buffer.subarray(done, count));
    }
  }

  /** Ends every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.resolve();
    this.#listener.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // It has ended.
      }
    }
    await Promise.all(this.#running);
  }
}

/** A TCP proxy in front of a node: what it passes on is for the classes that extend it to say. */

/** The side that connects to the proxy says bytes there, and the node answers back. */
export type Way = "there" | "back";

/** Listens, and connects to a node for each connection. */
export abstract class TcpProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #target: Deno.ConnectOptions;
  readonly #connections = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();

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

  /** Passes on what one side of a connection says to the other, until it says no more. */
  protected abstract pass(from: Deno.Conn, to: Deno.Conn, way: Way): Promise<void>;

  /** Waits for the work on a connection at the end, however the connection has ended. */
  #run(work: Promise<void>): void {
    const running = work.catch(() => {}).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #accept(): Promise<void> {
    for await (const near of this.#listener) {
      this.#connections.add(near);
      const far = await Deno.connect(this.#target);
      this.#connections.add(far);
      near.setNoDelay(true);
      far.setNoDelay(true);
      this.#run(this.pass(near, far, "there"));
      this.#run(this.pass(far, near, "back"));
    }
  }

  /** Ends every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
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

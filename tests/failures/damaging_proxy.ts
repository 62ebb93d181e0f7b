/** A TCP proxy that damages what it passes on, once, at a place that a test chooses. */

/** What is done to the bytes. */
export type DamageKind = "flip" | "drop" | "repeat" | "cut";

/** One damage to one connection. */
export interface Damage {
  readonly kind: DamageKind;
  /** The damaged direction: the bytes of the side that connects, or the answers to it. */
  readonly way: "there" | "back";
  /** How many bytes pass unharmed before the damage. */
  readonly after: number;
  /** Of a flip the bit, from 0 to 7; otherwise how many bytes, at least 1. */
  readonly amount: number;
}

const CHUNK_BYTES = 64 * 1024;

/**
 * Listens, and passes every byte on to a node; damages only the first connection that gets so far.
 */
export class DamagingProxy implements AsyncDisposable {
  /** Whether the damage is done. */
  done = false;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #target: Deno.ConnectOptions;
  readonly #damage: Damage;
  readonly #connections = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();

  /**
   * @param target Where to pass on to.
   * @param damage What to do to it.
   */
  constructor(target: Deno.ConnectOptions, damage: Damage) {
    this.#target = target;
    this.#damage = damage;
    this.#run(this.#accept());
  }

  /** Where it listens, as `host:port`. */
  get at(): string {
    const { hostname, port } = this.#listener.addr;
    return `${hostname}:${port}`;
  }

  /** Ends the work on a connection, however the connection has ended. */
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
      this.#run(this.#pass(near, far, "there"));
      this.#run(this.#pass(far, near, "back"));
    }
  }

  async #pass(from: Deno.Conn, to: Deno.Conn, way: Damage["way"]): Promise<void> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    let passed = 0;
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) return await to.closeWrite();
      let bytes = buffer.subarray(0, count);
      const at = this.#damage.after - passed;
      passed += count;
      const here = !this.done && way === this.#damage.way && at < count;
      if (here) {
        this.done = true;
        if (this.#damage.kind === "cut") {
          await writeAll(to, bytes.subarray(0, at));
          from.close();
          return to.close();
        }
        bytes = damaged(bytes, at, this.#damage);
      }
      await writeAll(to, bytes);
    }
  }

  /** Ends every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // It was cut.
      }
    }
    await Promise.all(this.#running);
  }
}

function damaged(bytes: Uint8Array<ArrayBuffer>, at: number, damage: Damage): typeof bytes {
  const end = Math.min(at + damage.amount, bytes.length);
  switch (damage.kind) {
    case "flip":
      bytes[at]! ^= 1 << damage.amount;
      return bytes;
    case "drop":
      return joined(bytes.subarray(0, at), bytes.subarray(end));
    case "repeat":
      return joined(bytes.subarray(0, end), bytes.subarray(at));
    case "cut":
      return bytes.subarray(0, at);
  }
}

function joined(one: Uint8Array, two: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

/**
 * A network without sockets: what a connection brings is known beforehand, what it is given is
 * kept, and everything happens within the microtasks of one turn.
 */

import { assert } from "@std/assert";

/** How a connection goes on after its last byte. */
export type Ending = "end" | "reset" | "silence";

/** What a peer sends on a connection, and how it ends it. */
export interface Script {
  /** The bytes of each read at most; a read may get less. */
  readonly pieces: readonly Uint8Array[];
  readonly ending: Ending;
}

const ADDRESS: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 40_000 };

/** A connection whose other side follows a script. */
export class MemoryConnection {
  /** Both ends are on this machine. */
  readonly localAddr: Deno.NetAddr = ADDRESS;
  readonly remoteAddr: Deno.NetAddr = ADDRESS;
  /** What this side has written. */
  readonly written: Uint8Array[] = [];
  /** The largest buffer that was read into, in bytes, with all that it is a view of. */
  readBytesMax = 0;
  /** Whether this side has closed it. */
  closed = false;
  readonly #pieces: Uint8Array[];
  readonly #ending: Ending;
  readonly #over: PromiseWithResolvers<null> = Promise.withResolvers();

  /** @param script What the other side does. */
  constructor({ pieces, ending }: Script) {
    this.#pieces = [...pieces];
    this.#ending = ending;
    // No read need be under way when it is closed.
    this.#over.promise.catch(() => {});
  }

  setNoDelay(): void {}

  read(buffer: Uint8Array): Promise<number | null> {
    assert(buffer.length > 0, "reads into nothing");
    this.readBytesMax = Math.max(this.readBytesMax, buffer.buffer.byteLength);
    if (this.closed) return Promise.reject(new Deno.errors.BadResource("closed"));
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      const bytes = Math.min(piece.length, buffer.length);
      buffer.set(piece.subarray(0, bytes));
      if (bytes < piece.length) this.#pieces.unshift(piece.subarray(bytes));
      return Promise.resolve(bytes);
    }
    if (this.#ending === "end") return Promise.resolve(null);
    if (this.#ending === "reset") return Promise.reject(new Deno.errors.ConnectionReset("reset"));
    return this.#over.promise;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.closed) return Promise.reject(new Deno.errors.BadResource("closed"));
    this.written.push(bytes.slice());
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    return this.closed ? Promise.reject(new Deno.errors.BadResource("closed")) : Promise.resolve();
  }

  close(): void {
    if (this.closed) throw new Deno.errors.BadResource("closed");
    this.closed = true;
    this.#over.reject(new Deno.errors.Interrupted("closed"));
  }
}

/** Takes the place of Deno's network: one connection comes in, or is there to be made. */
export class MemoryNetwork implements Disposable {
  readonly #connection: MemoryConnection;
  readonly #incoming: boolean;
  readonly #real = { listen: Deno.listen, connect: Deno.connect };
  readonly #closed: PromiseWithResolvers<never> = Promise.withResolvers();

  /**
   * @param connection The only connection.
   * @param incoming Whether a listener accepts it; otherwise a call of `Deno.connect` gets it.
   */
  constructor(connection: MemoryConnection, incoming: boolean) {
    this.#connection = connection;
    this.#incoming = incoming;
    this.#closed.promise.catch(() => {});
    Object.assign(Deno, { listen: () => this.#listener(), connect: () => this.#connect() });
  }

  #listener(): unknown {
    let waiting = this.#incoming;
    return {
      addr: ADDRESS,
      accept: (): Promise<unknown> => {
        if (!waiting) return this.#closed.promise;
        waiting = false;
        return Promise.resolve(this.#connection);
      },
      close: () => this.#closed.reject(new Deno.errors.BadResource("closed")),
    };
  }

  /** Other peers, that a message may have named, are not there. */
  #connect(): Promise<unknown> {
    const used = this.#incoming || this.#connection.readBytesMax > 0;
    if (used) return Promise.reject(new Deno.errors.ConnectionRefused("nobody is there"));
    return Promise.resolve(this.#connection);
  }

  /** Gives Deno its network back. */
  [Symbol.dispose](): void {
    Object.assign(Deno, this.#real);
  }
}

/**
 * Lets everything happen that waits for nothing outside of this thread.
 *
 * @param done Whether what is waited for has happened.
 * @param turns How many microtasks that may take.
 * @returns Whether it has.
 */
export async function settle(done: () => boolean, turns: number): Promise<boolean> {
  for (; turns > 0 && !done(); turns--) await Promise.resolve();
  return done();
}

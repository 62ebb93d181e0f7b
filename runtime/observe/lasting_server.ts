/**
 * An HTTP server that listens anew whenever Deno's fails, as it does at a connection for which
 * there is no file descriptor: a node must not end over that, nor what shows a cluster. All
 * connections end with Deno's server, so the descriptors of clients that ask for nothing are free
 * again.
 */

import type { Address } from "../address.ts";
import { reasonOf } from "../errors.ts";
import { noted } from "../event_loop.ts";
import { ACCEPT_QUIET_MS, ACCEPT_RETRY_MS } from "../limits.ts";

/** What a server does. */
export interface Served {
  /** Answers a request. */
  readonly answer: (request: Request) => Response | Promise<Response>;
  /** Answers one at which {@linkcode Served.answer} has failed. */
  readonly failed: (error: unknown) => Response;
  /** Is told, once for a long while, why nothing is served for a moment. */
  readonly interrupted: (reason: string) => void;
}

/** A server that lasts until it is closed. */
export class LastingServer implements AsyncDisposable {
  /** Where it listens. */
  readonly address: Address;
  /** Resolves when it is closed, and nothing is under way. */
  readonly finished: Promise<void>;
  readonly #hostname: string;
  readonly #served: Served;
  /** Ends Deno's server; `shutdown` would wait for a client that does not read its answer. */
  #end = new AbortController();
  #isClosed = false;
  #interruptedAt = -Infinity;

  /**
   * Begins to listen.
   *
   * @param address Where; port 0 takes any free one.
   * @param served What it does.
   * @throws What `Deno.serve` throws.
   */
  constructor({ hostname, port }: Address, served: Served) {
    this.#hostname = hostname;
    this.#served = served;
    const server = this.#listen(port);
    this.address = server.addr;
    this.finished = this.#serveOn(server);
  }

  #listen(port: number): Deno.HttpServer<Deno.NetAddr> {
    this.#end = new AbortController();
    return Deno.serve({
      hostname: this.#hostname,
      port,
      signal: this.#end.signal,
      onListen: () => {},
      onError: this.#served.failed,
    }, (request) => noted(Promise.resolve(this.#served.answer(request))));
  }

  async #serveOn(first: Deno.HttpServer): Promise<void> {
    let server: Deno.HttpServer | undefined = first;
    while (!this.#isClosed) {
      try {
        server ??= this.#listen(this.address.port);
        await noted(server.finished, true);
      } catch (error) {
        server = undefined;
        this.#end.abort();
        this.#tellInterrupted(error);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  #tellInterrupted(error: unknown): void {
    const now = performance.now();
    const isNews = now - this.#interruptedAt > ACCEPT_QUIET_MS;
    this.#interruptedAt = now;
    if (isNews) this.#served.interrupted(reasonOf(error));
  }

  /** Ends it, and every answer that is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#end.abort();
    await this.finished;
  }
}

/**
 * An HTTP server that lasts until it is closed, and takes no more descriptors than its bounds say:
 * a stranger's connections must not keep peers out, nor scrapers for longer than a moment.
 * Connections are accepted and read here, since Deno's servers have no bound of them: that of
 * `Deno.serve` ends, and that of `node:http` falls silent, where there is no descriptor for the
 * next. HTTP is what `node:http` makes of them. Its own time-outs are not used, because they run by
 * timers that the engine does not see (`timers.ts`).
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Address } from "../address.ts";
import { reasonOf } from "../errors.ts";
import { noted } from "../event_loop.ts";
import {
  ACCEPT_QUIET_MS,
  ACCEPT_RETRY_MS,
  HTTP_CONNECTIONS_MAX,
  HTTP_HEAD_MAX_MS,
  HTTP_IDLE_MAX_MS,
  HTTP_READ_BYTES,
} from "../limits.ts";

/** The part of a `Request` by which it is answered. */
export interface Asked {
  /** Its method. */
  readonly method: string;
  /** Its URL; no valid one where the request names none. */
  readonly url: string;
  /** Its headers. */
  readonly headers: Pick<Headers, "get">;
}

/** What a {@linkcode Response} says. */
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** What a server does. */
export interface Served {
  /** Answers a request; of the answer to HEAD only the head is sent. */
  readonly answer: (request: Asked) => Response | Promise<Response>;
  /** Answers one at which {@linkcode Served.answer} has failed. */
  readonly failed: (error: unknown) => Response;
  /** Is told, once for a long while, why some connections are not served, and what to do. */
  readonly interrupted: (reason: string) => void;
}

/** The bounds of a server. */
export interface HttpBounds {
  /** How many connections it has at one time. */
  readonly connections: number;
  /** How long a new connection may take to send the head of a request, in milliseconds. */
  readonly headMs: number;
  /** How long it may take to read an answer, and then to ask again, in milliseconds. */
  readonly idleMs: number;
}

const BOUNDS: HttpBounds = {
  connections: HTTP_CONNECTIONS_MAX,
  headMs: HTTP_HEAD_MAX_MS,
  idleMs: HTTP_IDLE_MAX_MS,
};

/** An HTTP server. */
export class HttpServer implements AsyncDisposable {
  /** Where it listens. */
  readonly address: Address;
  /** Resolves when it is closed, and accepts no connection any more. */
  readonly finished: Promise<void>;
  readonly #listener: Deno.TcpListener;
  readonly #served: Served;
  readonly #bounds: HttpBounds;
  /** The connections, each with the timer that ends it. */
  readonly #connections = new Map<Duplex, ReturnType<typeof setTimeout>>();
  /** Those, the oldest first, that have not asked for anything yet. */
  readonly #silent = new Set<Duplex>();
  #isClosed = false;
  #interruptedAt = -Infinity;

  /**
   * Begins to listen.
   *
   * @param address Where; port 0 takes any free one.
   * @param served What it does.
   * @param bounds Its bounds; those of limits.ts where none are given.
   * @throws What `Deno.listen` throws.
   */
  constructor({ hostname, port }: Address, served: Served, bounds = BOUNDS) {
    this.#listener = Deno.listen({ hostname, port });
    this.address = this.#listener.addr;
    this.#served = served;
    this.#bounds = bounds;
    this.finished = this.#serve();
  }

  async #serve(): Promise<void> {
    // On demand: Deno takes some 30 ms to load its copy of Node.
    const [{ createServer }, { Duplex }] = await noted(
      Promise.all([import("node:http"), import("node:stream")]),
    );
    const options = { keepAliveTimeout: 0 };
    const http = createServer(options, (asked, answer) => void this.#answer(asked, answer));
    // A server that does not listen would end each connection after one answer.
    Object.defineProperty(http, "listening", { value: true });
    while (!this.#isClosed) {
      try {
        const connection = await noted(this.#listener.accept(), true);
        this.#take(connection, http, Duplex);
      } catch (error) {
        if (this.#isClosed) return;
        // What clients hold that ask for nothing is missing for peers.
        this.#endConnections();
        const remedy = "If files are short, let this process have more (ulimit -n)";
        this.#tellInterrupted(`${reasonOf(error)}. ${remedy}`);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  #take(connection: Deno.TcpConn, http: Server, NodeDuplex: typeof Duplex): void {
    const { connections, headMs } = this.#bounds;
    if (this.#connections.size >= connections) {
      const remedy = "Find out what opens so many, and keeps them";
      this.#tellInterrupted(`there are ${connections} already. ${remedy}`);
      const [oldest] = this.#silent;
      if (oldest === undefined) return connection.close();
      oldest.destroy();
    }
    const stream = streamOf(connection, NodeDuplex);
    this.#silent.add(stream);
    this.#endAfter(stream, headMs);
    stream.once("close", () => {
      clearTimeout(this.#connections.get(stream));
      this.#connections.delete(stream);
      this.#silent.delete(stream);
    });
    http.emit("connection", stream);
  }

  /** Ends a connection in some time, instead of when it was to end before. */
  #endAfter(stream: Duplex, timeMs: number): void {
    clearTimeout(this.#connections.get(stream));
    this.#connections.set(stream, setTimeout(() => stream.destroy(), timeMs));
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const stream: Duplex = asked.socket;
    this.#silent.delete(stream);
    const awaitNext = (): void => {
      if (!stream.destroyed) this.#endAfter(stream, this.#bounds.idleMs);
    };
    awaitNext();
    answer.once("finish", awaitNext);
    const { status, headers, body } = await noted(this.#respond(requestOf(asked)));
    answer.statusCode = status;
    for (const [name, value] of headers) answer.setHeader(name, value);
    answer.end(body);
  }

  async #respond(request: Asked): Promise<Answer> {
    let response: Response;
    try {
      response = await this.#served.answer(request);
    } catch (error) {
      response = this.#served.failed(error);
    }
    const { status, headers } = response;
    return { status, headers, body: await response.text() };
  }

  #tellInterrupted(reason: string): void {
    const now = performance.now();
    const isNews = now - this.#interruptedAt > ACCEPT_QUIET_MS;
    this.#interruptedAt = now;
    if (isNews) this.#served.interrupted(reason);
  }

  #endConnections(): void {
    for (const stream of this.#connections.keys()) stream.destroy();
  }

  /** Ends it, and every answer that is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    this.#endConnections();
    await this.finished;
  }
}

/** A connection as a stream of Node's. */
function streamOf(connection: Deno.TcpConn, NodeDuplex: typeof Duplex): Duplex {
  const stream: Duplex = new NodeDuplex({
    async read() {
      const bytes = new Uint8Array(HTTP_READ_BYTES);
      try {
        // It may be under way until the connection ends.
        const count = await noted(connection.read(bytes), true);
        stream.push(count === null ? null : bytes.subarray(0, count));
      } catch {
        stream.destroy();
      }
    },
    async write(bytes: Uint8Array, _encoding, done) {
      try {
        for (let sent = 0; sent < bytes.length;) {
          sent += await noted(connection.write(bytes.subarray(sent)));
        }
        done();
      } catch {
        stream.destroy();
      }
    },
    final(done) {
      done();
      stream.destroy();
    },
    destroy(error, done) {
      connection.close();
      done(error);
    },
  });
  return stream;
}

function requestOf({ method = "", url = "", headers }: IncomingMessage): Asked {
  return {
    method,
    // A proxy asks for a whole URL, which may name another host than the header does.
    url: url.startsWith("/") ? `http://${headers.host}${url}` : url,
    headers: {
      get(name) {
        const value = headers[name.toLowerCase()];
        return typeof value === "string" ? value : value?.join(", ") ?? null;
      },
    },
  };
}

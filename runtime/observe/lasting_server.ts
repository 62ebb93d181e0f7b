/**
 * A small HTTP server for those who look: it answers requests without a body, one a connection.
 * Deno's own has no bound of its connections, and ends at one for which there is no file
 * descriptor: a node must not end over clients that ask for nothing, nor what shows a cluster. Here
 * the one that has waited longest makes room for the next.
 */

import type { Address } from "../address.ts";
import { reasonOf } from "../errors.ts";
import { noted } from "../event_loop.ts";
import {
  ACCEPT_QUIET_MS,
  ACCEPT_RETRY_MS,
  REQUEST_HEAD_MAX_BYTES,
  SERVED_CONNECTIONS_MAX,
} from "../limits.ts";

/** What a server does. */
export interface Served {
  /** Answers a request. */
  readonly answer: (request: Request) => Response | Promise<Response>;
  /** Answers one at which {@linkcode Served.answer} has failed. */
  readonly failed: (error: unknown) => Response;
  /** Is told, once for a long while, why nothing is served for a moment. */
  readonly interrupted: (reason: string) => void;
}

/** A client. */
interface Client {
  readonly connection: Deno.TcpConn;
  /** Whether its request is there, and is being answered. */
  hasAsked: boolean;
}

/** A server that lasts until it is closed. */
export class LastingServer implements AsyncDisposable {
  /** Where it listens. */
  readonly address: Address;
  /** Resolves when it is closed, and nothing is under way. */
  readonly finished: Promise<void>;
  readonly #listener: Deno.TcpListener;
  readonly #served: Served;
  /** In the order in which they came. */
  readonly #clients = new Map<Client, Promise<void>>();
  #isClosed = false;
  #interruptedAt = -Infinity;

  /**
   * Begins to listen.
   *
   * @param address Where; port 0 takes any free one.
   * @param served What it does.
   * @throws What `Deno.listen` throws.
   */
  constructor({ hostname, port }: Address, served: Served) {
    this.#served = served;
    this.#listener = Deno.listen({ hostname, port });
    this.address = this.#listener.addr;
    this.finished = this.#acceptAll();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const connection = await noted(this.#listener.accept(), true);
        if (this.#clients.size >= SERVED_CONNECTIONS_MAX) this.#drop();
        const client = { connection, hasAsked: false };
        this.#clients.set(client, this.#serve(client));
      } catch (error) {
        if (this.#isClosed) break;
        this.#tellInterrupted(error);
        // What clients hold that ask for nothing is free again.
        for (const client of this.#clients.keys()) if (!client.hasAsked) close(client);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
    await Promise.all(this.#clients.values());
  }

  /** Drops the client that has asked for nothing for the longest time; if all have, the first. */
  #drop(): void {
    const clients = [...this.#clients.keys()];
    const oldest = clients.find(({ hasAsked }) => !hasAsked) ?? clients[0]!;
    this.#clients.delete(oldest);
    close(oldest);
  }

  /** Answers one request; a client that goes away meanwhile is none of the server's business. */
  async #serve(client: Client): Promise<void> {
    try {
      const head = await readHead(client.connection);
      client.hasAsked = true;
      if (head !== undefined) {
        const bytes = await noted(this.#answer(head));
        for (let sent = 0; sent < bytes.length;) {
          sent += await noted(client.connection.write(bytes.subarray(sent)), true);
        }
      }
    } catch {
      // It has gone, or was dropped.
    }
    close(client);
    this.#clients.delete(client);
  }

  async #answer(head: string): Promise<Uint8Array> {
    const request = requestOf(head);
    if (request === undefined) return bytesOf(new Response("No request\n", { status: 400 }));
    try {
      return await bytesOf(await this.#served.answer(request));
    } catch (error) {
      return bytesOf(this.#served.failed(error));
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
    if (!this.#isClosed) this.#listener.close();
    this.#isClosed = true;
    for (const client of this.#clients.keys()) close(client);
    await this.finished;
  }
}

function close({ connection }: Client): void {
  try {
    connection.close();
  } catch {
    // It was closed before.
  }
}

/** Reads the lines of a request; `undefined` where the client ends before, or says too much. */
async function readHead(connection: Deno.TcpConn): Promise<string | undefined> {
  const bytes = new Uint8Array(REQUEST_HEAD_MAX_BYTES);
  for (let length = 0; length < bytes.length;) {
    const read = await noted(connection.read(bytes.subarray(length)), true);
    if (read === null) return undefined;
    length += read;
    const text = new TextDecoder("latin1").decode(bytes.subarray(0, length));
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) return text.slice(0, end);
  }
  return undefined;
}

/** The request that its lines make; `undefined` where they are none. */
function requestOf(head: string): Request | undefined {
  const [first = "", ...lines] = head.split("\r\n");
  const [, method, target] = /^([A-Z]+) (\/\S*) HTTP\/1\.[01]$/.exec(first) ?? [];
  try {
    const headers = new Headers(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
    );
    // The host is looked at by what answers; here any makes a URL of the path.
    const url = `http://${headers.get("host") ?? "localhost"}${target}`;
    return method === undefined ? undefined : new Request(url, { method, headers });
  } catch {
    return undefined;
  }
}

/** The bytes of an answer, behind which the connection ends. */
async function bytesOf(response: Response): Promise<Uint8Array> {
  const body = await response.bytes();
  const lines = [`HTTP/1.1 ${response.status} ${response.statusText}`];
  for (const [name, value] of response.headers) lines.push(`${name}: ${value}`);
  // An answer to HEAD has none, whatever a GET would have: its length is not told.
  if (body.length > 0) lines.push(`content-length: ${body.length}`);
  const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\nconnection: close\r\n\r\n`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

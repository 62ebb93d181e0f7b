/**
 * Serves a node's metrics by HTTP, on the engine's thread: a program that computes or blocks does
 * not hinder it, and what it reads is written by that very thread.
 */

import { type Address, formatAddress, hostOf, isLoopback, namesThisMachine } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { exposition, EXPOSITION_TYPE, type Metric } from "../observe/exposition.ts";
import type { NewHistogram } from "../observe/engine_metrics.ts";
import { Histogram } from "../observe/histogram.ts";
import { type Asked, HttpServer } from "../observe/http_server.ts";
import { netPermission } from "../settings/permissions.ts";

/** Where metrics are, on the server. */
export const METRICS_PATH = "/metrics";

const OPERATION = "serve metrics";

/** Serves metrics. */
export class MetricsServer implements AsyncDisposable {
  /** Where it listens. */
  readonly address: Address;
  /** Makes the histograms in which durations are counted. */
  readonly newHistogram: NewHistogram = () => new Histogram();
  readonly #hostname: string;
  readonly #server: HttpServer;
  #read: (() => Iterable<Metric>) | undefined;
  #interrupted: ((reason: string) => void) | undefined;

  private constructor(address: Address) {
    this.#hostname = address.hostname;
    this.#server = new HttpServer(address, {
      answer: (request) => this.#answer(request),
      failed: (error) => new Response(`${reasonOf(error)}\n`, { status: 500 }),
      interrupted: (reason) => this.#interrupted?.(reason),
    });
    this.address = this.#server.address;
  }

  /**
   * Begins to listen; there are metrics once {@linkcode MetricsServer.serve} is called.
   *
   * @param address Where; port 0 takes any free one.
   * @returns The server.
   * @throws {TdsmError} `ListenFailed` when the port is taken or the address is not of this
   * machine, `PermissionMissing` without the permission for it.
   */
  static open({ hostname, port }: Address): MetricsServer {
    try {
      return new MetricsServer({ hostname, port });
    } catch (cause) {
      const address = { hostname, port };
      if (cause instanceof Deno.errors.NotCapable) throw netPermission(address, [address], cause);
      const why = cause instanceof Deno.errors.AddrInUse
        ? "another program listens there, maybe another node. " +
          "Choose another port with --metrics, or 0 for any free one"
        : `${reasonOf(cause)}. Name a port, or HOST:PORT of this machine, with --metrics`;
      const message = `Cannot ${OPERATION} at ${formatAddress(address)}: ${why}`;
      throw new TdsmError("ListenFailed", message, { operation: OPERATION, cause });
    }
  }

  /**
   * From here on there are metrics.
   *
   * @param read Reads them.
   * @param interrupted Is told why not every connection for them is served.
   */
  serve(read: () => Iterable<Metric>, interrupted?: (reason: string) => void): void {
    this.#read = read;
    this.#interrupted = interrupted;
  }

  #answer({ method, url, headers: asked }: Asked): Response {
    const host = hostOf(asked.get("host"));
    if (host === undefined) return new Response("The request names no host\n", { status: 400 });
    if (isLoopback(this.address.hostname) && !namesThisMachine(host, this.#hostname)) {
      const line = `Metrics are only at http://${formatAddress(this.address)}${METRICS_PATH}\n`;
      return new Response(line, { status: 403 });
    }
    if (URL.parse(url)?.pathname !== METRICS_PATH) {
      return new Response(`Metrics are at ${METRICS_PATH}\n`, { status: 404 });
    }
    if (method !== "GET" && method !== "HEAD") {
      return new Response("Use GET\n", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    if (this.#read === undefined) return new Response("The node is joining\n", { status: 503 });
    const headers = { "content-type": EXPOSITION_TYPE };
    return new Response(exposition(this.#read()), { headers });
  }

  /** Ends it, and every answer that is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

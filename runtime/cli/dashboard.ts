/**
 * `--dashboard`: a page for browsers that shows a cluster. It looks at the cluster as `--status`
 * does, and is no node of it.
 */

import { formatAddress, isWildcard } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { Level, writeLog } from "../log.ts";
import { PAGE_SIZE_MIN_BYTES, REGION_MAX_BYTES } from "../limits.ts";
import { type Asked, HttpServer } from "../observe/http_server.ts";
import { type Access, accessAt, objectionTo, say, SECURITY_HEADERS } from "./dashboard_access.ts";
import { type Feed, readRun } from "./dashboard_feed.ts";
import type { DashboardAddress } from "./dashboard_flag.ts";

const OPERATION = "serve the dashboard";

/** The files of the page, made when the checkout was built. */
interface PageFiles {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

/** A dashboard that is served. */
export interface Dashboard extends AsyncDisposable {
  /**
   * The address to open in a browser, with the token if there is one; `HOST` stands for a name of
   * this machine where the dashboard listens at all of them.
   */
  readonly url: string;
  /** Resolves when it is served no longer. */
  readonly finished: Promise<void>;
}

/**
 * Serves a dashboard.
 *
 * @param at Where.
 * @param feed What it shows.
 * @returns The dashboard.
 * @throws {TdsmError} `ListenFailed` when the port is taken, `PermissionMissing`, or
 *   `LibraryNotFound` in a checkout that is not built.
 */
export async function serveDashboard(at: DashboardAddress, feed: Feed): Promise<Dashboard> {
  const files = await loadPage();
  let access: Access = { ...at, token: undefined };
  const server = listen(at, (request) => answer(request, access, feed, files));
  access = accessAt(at.hostname, server.address.port);
  const { port, token } = access;
  const hostname = isWildcard(at.hostname) ? "HOST" : at.hostname;
  const query = token === undefined ? "" : `?token=${token}`;
  return {
    finished: server.finished,
    url: `http://${formatAddress({ hostname, port })}/${query}`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      feed[Symbol.dispose]();
    },
  };
}

function listen(
  { hostname, port }: DashboardAddress,
  answer: (request: Asked) => Promise<Response>,
): HttpServer {
  const address = formatAddress({ hostname, port });
  try {
    return new HttpServer({ hostname, port }, { answer, failed, interrupted });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) {
      const message = `Cannot ${OPERATION}: it needs --allow-net=${address}`;
      throw new TdsmError("PermissionMissing", message, { operation: OPERATION, cause });
    }
    const why = cause instanceof Deno.errors.AddrInUse
      ? "the port is taken, maybe by another dashboard. Name another one"
      : `${reasonOf(cause)}. Name another address`;
    const message = `Cannot ${OPERATION} at ${address}: ${why} with --dashboard [HOST:]PORT`;
    throw new TdsmError("ListenFailed", message, { operation: OPERATION, cause });
  }
}

/** Browsers connect anew by themselves. */
function interrupted(reason: string): void {
  writeLog(Level.Warning, `Not every connection of the dashboard is served: ${reason}`);
}

/** A request that could not be answered is a bug, and must not end the node. */
function failed(error: unknown): Response {
  const text = `The dashboard failed: ${reasonOf(error)}`;
  writeLog(Level.Error, text);
  return say(500, text);
}

async function answer(
  request: Asked,
  access: Access,
  feed: Feed,
  { html, script, style }: PageFiles,
): Promise<Response> {
  const objection = await objectionTo(request, access);
  if (objection !== undefined) return objection;
  const { pathname, searchParams } = new URL(request.url);
  switch (pathname) {
    case "/":
      return file(html, "text/html");
    case "/page.js":
      return file(script, "text/javascript");
    case "/style.css":
      return file(style, "text/css");
    case "/snapshot": {
      const run = readRun(searchParams, REGION_MAX_BYTES / PAGE_SIZE_MIN_BYTES);
      if (run === "wrong") return say(400, "first and count must be pages of the region");
      const snapshot = feed.snapshot(run);
      if (snapshot === undefined) return say(503, "Too many browsers ask at one time");
      return file(JSON.stringify(await snapshot), "application/json");
    }
    default:
      return say(404, "The dashboard has one page, at /");
  }
}

function file(text: string, type: string): Response {
  return new Response(text, {
    headers: { ...SECURITY_HEADERS, "content-type": `${type}; charset=utf-8` },
  });
}

async function loadPage(): Promise<PageFiles> {
  try {
    return (await import("../dashboard/page.bundle.js")).default;
  } catch (cause) {
    const message = `Cannot ${OPERATION}: this checkout is not built. Run \`./tdsm build\``;
    throw new TdsmError("LibraryNotFound", message, { operation: OPERATION, cause });
  }
}

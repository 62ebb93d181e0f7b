/**
 * Which requests the dashboard answers. On loopback those that name this machine by a name that no
 * other machine can have: a page from elsewhere may have its own name lead here, and would read the
 * answer otherwise. Beyond loopback those that have the token.
 */

import { hostOf, isLoopback, namesThisMachine } from "../address.ts";
import type { Asked } from "../observe/http_server.ts";

/** Where a dashboard listens, and what it asks of browsers. */
export interface Access {
  /** The host name or IP address on which it listens. */
  readonly hostname: string;
  /** The TCP port. */
  readonly port: number;
  /** The token that browsers must have; `undefined` where only this machine reaches the port. */
  readonly token: string | undefined;
}

/** What every answer says: nothing of the page comes from elsewhere, or goes there. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

/**
 * Makes a token.
 *
 * @returns 32 hexadecimal digits.
 */
export function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(16)).toHex();
}

/**
 * The access to a dashboard that listens at an address.
 *
 * @param hostname The host name or IP address.
 * @param port The TCP port.
 * @returns The access, with a new token where other machines may reach the port.
 */
export function accessAt(hostname: string, port: number): Access {
  const isLocal = isLoopback(hostname) || hostname === "localhost";
  return { hostname, port, token: isLocal ? undefined : newToken() };
}

/**
 * Whether a request may not be answered.
 *
 * @param request The request.
 * @param access What is asked of it.
 * @returns The answer that refuses it, or lets the browser keep the token; `undefined` where the
 *   request may be answered.
 */
export async function objectionTo(
  request: Asked,
  access: Access,
): Promise<Response | undefined> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return say(405, "The dashboard only shows: use GET");
  }
  const { token, port } = access;
  // Any program that reaches the port can send any text as the host.
  const url = URL.parse(request.url);
  const host = hostOf(request.headers.get("host"));
  if (url === null || host === undefined) return say(400, "The request names no host");
  if (token === undefined) {
    // The request line may name another host than the header does; the URL has that one.
    const isAsked = [host, url.hostname].every((name) => namesThisMachine(name, access.hostname));
    if (isAsked) return undefined;
    return say(403, `This dashboard answers only at http://127.0.0.1:${port}/`);
  }
  const cookie = `tdsm-${port}=`;
  const given = url.searchParams.get("token");
  if (given !== null && await isSame(given, token)) {
    // From here on the token stands in no address, so in no history and on no screen. `Lax`, since
    // the address may be opened from another site: a terminal in a browser.
    return new Response(null, {
      status: 303,
      headers: {
        ...SECURITY_HEADERS,
        location: "/",
        "set-cookie": `${cookie}${token}; Path=/; HttpOnly; SameSite=Lax`,
      },
    });
  }
  const kept = request.headers.get("cookie")?.split("; ").find((pair) => pair.startsWith(cookie));
  if (kept !== undefined && await isSame(kept.slice(cookie.length), token)) return undefined;
  return say(401, "The dashboard needs its token: open the address that it has printed");
}

/**
 * An answer of one line.
 *
 * @param status The HTTP status.
 * @param line The line, without its end.
 * @returns The answer.
 */
export function say(status: number, line: string): Response {
  const headers = { ...SECURITY_HEADERS, "content-type": "text/plain; charset=utf-8" };
  return new Response(`${line}\n`, { status, headers });
}

/** Compares texts in a time that does not tell how much of them is alike. */
async function isSame(one: string, other: string): Promise<boolean> {
  const hash = async (text: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const [first, second] = await Promise.all([hash(one), hash(other)]);
  return first.every((byte, index) => byte === second[index]);
}

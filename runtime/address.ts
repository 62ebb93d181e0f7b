/** Addresses as people write them: `host`, `host:port`, `[::1]:9634`. */

/** The largest port that TCP has. */
export const PORT_MAX = 65_535;

/** Where a node can be reached. */
export interface Address {
  /** A host name or an IP address; an IPv6 address without brackets. */
  readonly hostname: string;
  /** The TCP port. */
  readonly port: number;
}

/**
 * Reads a host name or an IP address, as a listener takes it: no port, and no brackets needed.
 *
 * @param text The host.
 * @returns The same, an IPv6 address without brackets.
 * @throws {RangeError} If `text` is no host; the message says what is allowed.
 */
export function parseHostname(text: string): string {
  const hostname = /^\[([^\[\]]*)\]$/.exec(text)?.[1] ?? text;
  const isIpv6 = /^[\da-f:.]+(?:%\w+)?$/i.test(hostname) && hostname.split(":").length > 2;
  if (!isIpv6 && !(hostname === text && /^[\w.-]+$/.test(hostname))) {
    throw new RangeError("must be a host name or an IP address");
  }
  return hostname;
}

/**
 * Reads an address with or without a port.
 *
 * @param text `host`, `host:port`, `[IPv6]:port`, `[IPv6]` or a bare IPv6 address.
 * @param defaultPort The port where `text` names none.
 * @returns The address.
 * @throws {RangeError} If `text` is no address; the message says what is allowed.
 */
export function parseAddress(text: string, defaultPort: number): Address {
  const match = /^(\[[^\[\]]*\]|[^:]*):(\d+)$/.exec(text);
  try {
    const hostname = parseHostname(match?.[1] ?? text);
    const port = match === null ? defaultPort : Number(match[2]);
    if (port >= 1 && port <= PORT_MAX) return { hostname, port };
  } catch {
    // Either half of the text can be wrong; one message tells of both.
  }
  throw new RangeError(`must be HOST or HOST:PORT with a port from 1 to ${PORT_MAX}`);
}

/**
 * Writes an address so that {@linkcode parseAddress} reads the same.
 *
 * @param address The address.
 * @returns `host:port`, with brackets around an IPv6 address.
 */
export function formatAddress({ hostname, port }: Address): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Whether an address stands for every one of its machine: a node may listen there, and nobody reach
 * it.
 *
 * @param hostname An IP address.
 * @returns Whether it is that of all interfaces.
 */
export function isWildcard(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

/** The names that stand for this machine alone, wherever they are asked for. */
const LOCAL_NAMES: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Reads the host of an HTTP request's Host header, which is a host with or without a port.
 *
 * @param header The header; null where there is none.
 * @returns The host in small letters, an IPv6 address in brackets; `undefined` where the header is
 *   anything else.
 */
export function hostOf(header: string | null): string | undefined {
  const parts = /^([\w.-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?$/i.exec(header ?? "");
  const [, host, port = "0"] = parts ?? [];
  return Number(port) > PORT_MAX ? undefined : host?.toLowerCase();
}

/**
 * Whether a browser that asks for a host can mean this machine alone. A page from elsewhere may
 * have its own name lead here, and would read the answer otherwise.
 *
 * @param host The host, as {@linkcode hostOf} has it.
 * @param hostname Where the server listens, on loopback.
 * @returns Whether the host is that, or another name of loopback.
 */
export function namesThisMachine(host: string, hostname: string): boolean {
  return LOCAL_NAMES.includes(host) || host === hostname.toLowerCase();
}

/**
 * Whether an address is of this machine alone.
 *
 * @param hostname An IP address.
 * @returns Whether it is a loopback address.
 */
export function isLoopback(hostname: string): boolean {
  return hostname === "::1" || /^(?:::ffff:)?127\./.test(hostname);
}

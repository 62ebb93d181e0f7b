/**
 * How two nodes get to know each other: the first frame each way on a new connection.
 */

import { type Address, formatAddress, isWildcard } from "../address.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import {
  CONTROL_MAX_BYTES,
  HANDSHAKE_MAX_MS,
  JOIN_RETRY_MAX_MS,
  JOIN_RETRY_MIN_MS,
  REACH_MAX_MS,
} from "../limits.ts";
import type { Secret } from "../secure/handshake.ts";
import type { SealedConnection, Stream } from "../secure/sealed_connection.ts";
import { type Control, encodeControl, isControl } from "../wire/control.ts";
import { Framer } from "../wire/framer.ts";
import type { PeerMessage } from "../wire/peer_message.ts";
import { refusal } from "./admission.ts";
import type { Link, LinkHandlers } from "./link.ts";

/**
 * Opens a link and waits for the other side's first word.
 *
 * @param greet Makes the link, and sends this side's first message if this side has dialled.
 * @param receive Takes the first word; opens the link, drains it, or throws.
 * @param timeoutMs How long to wait for the first word, in milliseconds.
 * @returns What `receive` returns.
 * @throws What `receive` throws, or a `TdsmError` that says why there was no first word.
 */
export function shakeHands<Result>(
  greet: (handlers: LinkHandlers) => Link,
  receive: (control: Control, link: Link) => Result,
  timeoutMs: number = HANDSHAKE_MAX_MS,
): Promise<Result> {
  return nextWord(greet, (message, _, link) => {
    if (isControl(message)) return receive(message, link);
    throw new TdsmError("ProtocolViolation", `${message.kind} before the handshake`);
  }, timeoutMs);
}

/**
 * The same for a word that may be any message.
 *
 * @param greet Makes the link, or has one that there is hand over what it receives.
 * @param receive Takes the message, and the bytes that a remote call carries.
 * @param timeoutMs How long to wait for it, in milliseconds.
 * @returns What `receive` returns.
 * @throws As {@linkcode shakeHands}.
 */
export function nextWord<Result>(
  greet: (handlers: LinkHandlers) => Link,
  receive: (message: PeerMessage, payload: Uint8Array, link: Link) => Result,
  timeoutMs: number = HANDSHAKE_MAX_MS,
): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const link: Link = greet({
    target: () => undefined,
    received(message, payload) {
      clearTimeout(timer);
      try {
        resolve(receive(message, payload, link));
      } catch (error) {
        // The link ends by it, and may have other handlers by now.
        reject(error);
        throw error;
      }
    },
    ended(error) {
      clearTimeout(timer);
      reject(error ?? new TdsmError("PeerLost", "the other side closed the connection"));
    },
  });
  const timer = setTimeout(() => {
    reject(new TdsmError("TimedOut", `no answer within ${timeoutMs} ms`));
    link.close();
  }, timeoutMs);
  return promise;
}

/**
 * Says the first message of a connection on which no link is made, and waits for the answer.
 *
 * @param connection The connection. It is not closed where that fails.
 * @param hello The message.
 * @param address Where the other side is.
 * @param timeoutMs How long to wait for the answer, in milliseconds.
 * @throws {TdsmError} Where it is refused, or there is no answer; `TimedOut`.
 */
export async function introduce(
  connection: Stream,
  hello: Control,
  address: Address,
  timeoutMs: number = HANDSHAKE_MAX_MS,
): Promise<void> {
  const bytes = new Uint8Array(CONTROL_MAX_BYTES);
  const timer = setTimeout(() => closeNow(connection), timeoutMs);
  try {
    connection.setNoDelay(true);
    const size = encodeControl(hello, bytes, 0);
    for (let sent = 0; sent < size;) {
      sent += await noted(connection.write(bytes.subarray(sent, size)));
    }
    const framer = new Framer();
    for (;;) {
      const frame = framer.next(undefined);
      if (frame.kind === "control") {
        if (frame.control.kind !== "accept") throw refusal(frame.control, address, hello.kind);
        return;
      }
      if (frame.kind !== "need") throw new TdsmError("ProtocolViolation", "no answer to it");
      const received = await noted(connection.read(framer.space));
      if (received === null) {
        throw new TdsmError("PeerLost", "the other side closed the connection");
      }
      framer.filled(received);
    }
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Has both sides of a connection show that they have the key, before anything else is said.
 *
 * @param connection The connection, which is closed where that fails.
 * @param secret The key; without one the connection is used as it is.
 * @param shake This side's part: `proveKey` or `demandKey`.
 * @param timeoutMs How long that may take, in milliseconds.
 * @returns What frames are said on.
 * @throws {TdsmError} `TimedOut`, or what `shake` throws.
 */
export async function secure(
  connection: Deno.TcpConn,
  secret: Secret | undefined,
  shake: (connection: Stream, secret: Secret) => Promise<SealedConnection>,
  timeoutMs: number = HANDSHAKE_MAX_MS,
): Promise<Stream> {
  if (secret === undefined) return connection;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    closeNow(connection);
  }, timeoutMs);
  try {
    return await shake(connection, secret);
  } catch (error) {
    closeNow(connection);
    if (!isLate) throw error;
    throw new TdsmError("TimedOut", `the handshake was not done within ${timeoutMs} ms`);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ends a connection, which may have ended.
 *
 * @param connection The connection.
 */
export function closeNow(connection: Pick<Deno.TcpConn, "close">): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}

/**
 * Whether a handshake failed since the other side ended the connection without a word, as a node
 * does at whose door too many stand.
 *
 * @param error How it failed.
 * @returns Whether it did so.
 */
export function isDropped(error: unknown): boolean {
  if (error instanceof TdsmError) return error.code === "PeerLost";
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.BrokenPipe;
}

/**
 * Whether a connection may be made at another try, since this one was dropped, or took too long.
 *
 * @param error How this one failed.
 * @returns Whether another try may go better.
 */
export function isPassing(error: unknown): boolean {
  return isDropped(error) || error instanceof TdsmError && error.code === "TimedOut";
}

/**
 * Connects to a node that is not the directory node. Such a node listens before it is announced, so
 * a refused connection is final.
 *
 * @param address Where that node listens.
 * @param timeoutMs How long to try, in milliseconds.
 * @returns The connection.
 * @throws {TdsmError} `PermissionMissing`, or `TimedOut`.
 */
export async function connectToPeer(
  address: Address,
  timeoutMs: number = HANDSHAKE_MAX_MS,
): Promise<Deno.TcpConn> {
  if (!mayUseNet(address)) throw netPermission(address);
  return await connectWithin(address, timeoutMs);
}

/**
 * Why a node that wants to join cannot be connected to.
 *
 * @param address Where that node says that it listens.
 * @param timeoutMs How long to try, in milliseconds.
 * @returns The reason; `undefined` where a connection could be made, or where that cannot be told
 * for want of a permission, of file descriptors or of a name.
 */
export async function whyUnreachable(
  address: Address,
  timeoutMs: number = REACH_MAX_MS,
): Promise<string | undefined> {
  if (!mayUseNet(address)) return undefined;
  try {
    (await connectWithin(address, timeoutMs)).close();
  } catch (error) {
    const reason = reasonOf(error);
    const isTold = error instanceof TdsmError || UNREACHABLE.test(reason);
    if (isTold) return reason;
  }
  return undefined;
}

/** ENETUNREACH, ETIMEDOUT, ECONNREFUSED and EHOSTUNREACH. */
const UNREACHABLE = /\(os error (?:101|110|111|113)\)/;

async function connectWithin(address: Address, timeoutMs: number): Promise<Deno.TcpConn> {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(new TdsmError("TimedOut", `no connection within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await noted(Deno.connect({ ...address, signal: controller.signal }));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * How long one try to reach a directory node may take. A time-out of 0 is for one try, and that try
 * takes the time that it needs.
 *
 * @param timeoutMs How long to try, in milliseconds.
 * @returns The bound of a try that begins now, in milliseconds.
 */
export function tryMaxMs(timeoutMs: number): number {
  return timeoutMs === 0 ? HANDSHAKE_MAX_MS : timeoutMs;
}

/**
 * Connects to a directory node, again and again until it is there or the time is up.
 *
 * @param address Where the directory node should listen.
 * @param timeoutMs How long to try, in milliseconds; 0 is one try.
 * @returns The connection.
 * @throws {TdsmError} `NoDirectory` when the time is up.
 */
export async function connectToDirectory(
  address: Address,
  timeoutMs: number,
): Promise<Deno.TcpConn> {
  const giveUpAt = performance.now() + timeoutMs;
  let leftMs = tryMaxMs(timeoutMs);
  for (let pauseMs = JOIN_RETRY_MIN_MS;; pauseMs = Math.min(2 * pauseMs, JOIN_RETRY_MAX_MS)) {
    try {
      return await connectWithin(address, Math.max(Math.ceil(leftMs), 1));
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw netPermission(address, [address], cause);
      if (performance.now() + pauseMs >= giveUpAt) throw noDirectory(address, timeoutMs, cause);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    leftMs = giveUpAt - performance.now();
  }
}

function noDirectory(address: Address, timeoutMs: number, cause: unknown): TdsmError {
  const reason = reasonOf(cause);
  const tried = timeoutMs === 0 ? "at the first try" : `within ${timeoutMs} ms`;
  return new TdsmError(
    "NoDirectory",
    `Cannot join: no directory at ${formatAddress(address)} ${tried} (${reason}). ` +
      `Start one there with --directory, name another with --directory-address, ` +
      `or wait longer with --join-timeout`,
    { operation: "join", cause },
  );
}

/**
 * Listens for other nodes on the first port that is free.
 *
 * @param hostname The address to bind to.
 * @param ports The ports, one at least.
 * @param hosting Whether this node hosts a directory.
 * @returns The listener.
 * @throws {TdsmError} As {@linkcode listen}, of the last port where all are taken.
 */
export function listenAtFirst(
  hostname: string,
  ports: readonly number[],
  hosting: boolean,
): Deno.TcpListener {
  for (const port of ports.slice(0, -1)) {
    try {
      return listen(hostname, port, hosting);
    } catch (error) {
      const isTaken = error instanceof TdsmError && error.cause instanceof Deno.errors.AddrInUse;
      if (!isTaken) throw error;
    }
  }
  return listen(hostname, ports.at(-1)!, hosting);
}

/**
 * Listens for other nodes.
 *
 * @param hostname The address to bind to.
 * @param port The port; 0 for any free one.
 * @param hosting Whether this node hosts a directory: a taken port then likely has another
 *   directory.
 * @returns The listener.
 * @throws {TdsmError} `ListenFailed` when the port is taken or the address not of this machine.
 */
export function listen(hostname: string, port: number, hosting = false): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    const address = { hostname, port };
    if (cause instanceof Deno.errors.NotCapable) throw netPermission(address, [address], cause);
    const where = formatAddress(address);
    const reached = isWildcard(hostname) ? formatAddress({ hostname: "127.0.0.1", port }) : where;
    const join = hosting
      ? `If a directory is there, join it with --directory-address ${reached}. Otherwise stop`
      : "Stop";
    const why = cause instanceof Deno.errors.AddrInUse
      ? `the port is in use. ${join} what uses it, or name another with --port (0 takes any free one)`
      : `${
        cause instanceof Error ? cause.message : cause
      }. Name an address of this machine with --address`;
    throw new TdsmError("ListenFailed", `Cannot listen at ${where}: ${why}`, {
      operation: "listen",
      cause,
    });
  }
}

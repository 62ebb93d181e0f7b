/**
 * `--status`: asks the directory node for the state of its cluster, without joining. This needs
 * only the network, neither the library nor a right to userfaultfd.
 */

import { type Address, formatAddress, isWildcard } from "../address.ts";
import { keyRefused, refusal } from "../cluster/admission.ts";
import { connectToPeer, secure, shakeHands, tryMaxMs } from "../cluster/handshake.ts";
import { Link, type LinkHandlers } from "../cluster/link.ts";
import { newCounters } from "../cluster/sender.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { printable } from "../printable.ts";
import { HANDSHAKE_MAX_MS } from "../limits.ts";
import { proveKey, type Secret } from "../secure/handshake.ts";
import type { Stream } from "../secure/sealed_connection.ts";
import { WIDTH_MAX } from "../settings/help.ts";
import { formatSize, roughSize } from "../size.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import type { Counters, NamedPages, NodeStatusControl } from "../wire/status_control.ts";
import { type Paint, plain } from "./paint.ts";
import { formatTable } from "./table.ts";

/** One node, as the directory node knows it. */
export interface NodeStatus {
  /** Its id. */
  readonly id: number;
  /** The host name or IP address by which it is reached. */
  readonly address: string;
  /** The TCP port on which it listens. */
  readonly port: number;
  /** The node's counters, as in `node.stats()`; `null` if the node did not answer in time. */
  readonly stats: Counters | null;
  /**
   * How many pages of each named allocation have moved to the node; `null` if the node did not
   * answer in time.
   */
  readonly moves: readonly number[] | null;
}

/** A cluster. */
export interface ClusterStatus {
  /** The region's size, in bytes. */
  readonly size: number;
  /** The page size, in bytes. */
  readonly pageSize: number;
  /** Whether pages are compressed on the wire. */
  readonly compression: boolean;
  /** The oldest allocations that have a name, each with its pages. */
  readonly allocations: readonly NamedPages[];
  /** Its nodes, in order of their ids; the first hosts the directory. */
  readonly nodes: readonly NodeStatus[];
}

const OPERATION = "get the status";

/**
 * Asks the directory node for the state of its cluster.
 *
 * @param directory Where it listens.
 * @param timeoutMs How long to try, in milliseconds; no longer than {@linkcode HANDSHAKE_MAX_MS}.
 * @param secret The key of the cluster, if it has one.
 * @returns The state.
 * @throws {TdsmError} `NoDirectory` when nothing listens there, or why there is no answer.
 */
export async function fetchStatus(
  directory: Address,
  timeoutMs: number = HANDSHAKE_MAX_MS,
  secret?: Secret,
): Promise<ClusterStatus> {
  const mostMs = Math.min(tryMaxMs(timeoutMs), HANDSHAKE_MAX_MS);
  const giveUpAt = performance.now() + mostMs;
  const connection = await connect(directory, mostMs);
  try {
    const leftMs = Math.max(1, Math.ceil(giveUpAt - performance.now()));
    const stream = await secure(connection, secret, proveKey, leftMs);
    return await receive(stream, directory, giveUpAt);
  } catch (error) {
    throw statusError(directory, error);
  }
}

/**
 * Says why a directory node does not tell of its cluster.
 *
 * @param directory Where it listens.
 * @param error What has happened.
 * @returns The error for the user.
 */
export function statusError(directory: Address, error: unknown): TdsmError {
  const refused = keyRefused(directory, error, OPERATION);
  if (refused !== undefined) return refused;
  if (error instanceof TdsmError && error.operation !== undefined) return error;
  const code = error instanceof TdsmError ? error.code : "ProtocolViolation";
  const message = `Cannot ${OPERATION}: what listens at ${formatAddress(directory)} does not ` +
    `answer like a directory of this release: ${reasonOf(error)}. ` +
    "Name a directory with --directory-address";
  return new TdsmError(code, message, { operation: OPERATION, cause: error });
}

/**
 * Connects to a directory node.
 *
 * @param directory Where it listens.
 * @param timeoutMs How long to try, in milliseconds.
 * @returns The connection.
 * @throws {TdsmError} `NoDirectory` when nothing listens there.
 */
export async function connect(directory: Address, timeoutMs: number): Promise<Deno.TcpConn> {
  try {
    return await connectToPeer(directory, timeoutMs);
  } catch (cause) {
    if (cause instanceof TdsmError && cause.code === "PermissionMissing") throw cause;
    const at = formatAddress(directory);
    const message = `Cannot ${OPERATION}: no directory at ${at} (${reasonOf(cause)}). ` +
      `Name another with --directory-address`;
    throw new TdsmError("NoDirectory", message, { operation: OPERATION, cause });
  }
}

async function receive(
  connection: Stream,
  directory: Address,
  giveUpAt: number,
): Promise<ClusterStatus> {
  const leftMs = (): number => Math.max(1, Math.ceil(giveUpAt - performance.now()));
  const done = Promise.withResolvers<ClusterStatus>();
  // Until the handshake is done, errors reject the promise of the handshake instead.
  done.promise.catch(() => {});
  const link = await shakeHands((handlers) => {
    const link = new Link(connection, () => undefined, newCounters(), handlers);
    link.say({ kind: "statusRequest", protocolVersion: PROTOCOL_VERSION });
    return link;
  }, (control, link) => {
    if (control.kind !== "clusterStatus") throw refusal(control, directory, OPERATION);
    const { size, pageSize, compression, nodes, named: allocations = [] } = control;
    link.open(listen(nodes, directory, (statuses) => {
      done.resolve({ size, pageSize, compression, allocations, nodes: statuses });
    }, done.reject));
    return link;
  }, leftMs());
  const timer = setTimeout(() => {
    done.reject(new TdsmError("TimedOut", "the answer was not whole in time"));
  }, leftMs());
  try {
    return await done.promise;
  } finally {
    clearTimeout(timer);
    link.close();
  }
}

/** Receives the status of each node. */
function listen(
  nodes: number,
  directory: Address,
  complete: (statuses: NodeStatus[]) => void,
  failed: (error: unknown) => void,
): LinkHandlers {
  const statuses: NodeStatus[] = [];
  return {
    target: () => undefined,
    received(message) {
      if (message.kind !== "nodeStatus") {
        throw new TdsmError("ProtocolViolation", `${message.kind} instead of a node's status`);
      }
      if (statuses.push(statusOf(message, directory)) === nodes) complete(statuses);
    },
    ended: (error) => failed(error ?? new TdsmError("PeerLost", "it closed the connection")),
  };
}

function statusOf(
  { id, address, port, counters, moves }: NodeStatusControl,
  directory: Address,
): NodeStatus {
  // A directory node that listens on every interface knows no address of its own; the address by
  // which it has just been reached is one.
  const reached = isWildcard(address) ? directory.hostname : address;
  const silent = counters === undefined;
  return {
    id,
    address: reached,
    port,
    stats: counters ?? null,
    moves: silent ? null : moves ?? [],
  };
}

/** A column: its name, which counter it shows, and whether that counts bytes. */
type Column = readonly [title: string, counter: string, bytes?: true];

/** What each node keeps. */
const HELD_COLUMNS: readonly Column[] = [
  ["CHUNKS", "homeChunks"],
  ["SHARED", "pagesShared"],
  ["EXCLUSIVE", "pagesExclusive"],
  ["DEAD", "pagesDead"],
  ["OFFLOADED", "pagesOffloaded"],
  ["MEMORY", "memoryBytes", true],
  ["LIMIT", "memoryLimitBytes", true],
];
/** What each node has done, in a table of its own. */
const MOVED_COLUMNS: readonly Column[] = [
  ["FAULTS", "faults"],
  ["PAGES IN", "pagesReceived"],
  ["PAGES OUT", "pagesSent"],
  ["BYTES IN", "bytesReceived", true],
  ["BYTES OUT", "bytesSent", true],
  ["MESSAGES IN", "messagesReceived"],
  ["OUT", "messagesSent"],
];

/**
 * Formats the state of a cluster for people.
 *
 * @param status The state.
 * @param paint Colours pieces of text.
 * @returns Lines, each with a line end.
 */
export function formatStatus(
  status: ClusterStatus,
  paint: Paint = plain,
): string {
  const { size, pageSize, compression, nodes } = status;
  const region = `Region of ${formatSize(size)} in pages of ${formatSize(pageSize)}, ` +
    `${compression ? "" : "not "}compressed on the wire`;
  const held = tableOf(
    nodes,
    HELD_COLUMNS,
    paint,
    ({ address, port }) => formatAddress({ hostname: address, port }),
  );
  const moved = tableOf(nodes, MOVED_COLUMNS, paint);
  return `${region}\n\n${held}\n${moved}${formatAllocations(status, paint)}`;
}

/** How many allocations are shown for people; `--json` has all that are told. */
const ALLOCATIONS_SHOWN = 10;
/** The longest name that is shown whole. */
const NAME_SHOWN = 40;

/** The allocations whose pages have moved most, each with the nodes that they moved to. */
function formatAllocations({ allocations, nodes }: ClusterStatus, paint: Paint): string {
  const rows = allocations.map(({ name, count }, index) => {
    const byNode = nodes.map(({ id, moves }) => ({ id, moves: moves?.[index] ?? 0 }))
      .filter(({ moves }) => moves > 0)
      .sort((one, other) => other.moves - one.moves);
    return { name, count, byNode, sum: byNode.reduce((sum, { moves }) => sum + moves, 0) };
  }).filter(({ sum }) => sum > 0).sort((one, other) => other.sum - one.sum);
  if (rows.length === 0) return "";
  const shown = rows.slice(0, ALLOCATIONS_SHOWN).map(({ name, count, byNode, sum }) => {
    const most = byNode.slice(0, 3).map(({ id, moves }) => `${id}: ${moves}`).join(", ");
    const text = printable(name);
    const short = text.length > NAME_SHOWN ? `${text.slice(0, NAME_SHOWN - 1)}…` : text;
    return [short, String(count), String(sum), byNode.length > 3 ? `${most}, …` : most];
  });
  const titles = ["ALLOCATION", "PAGES", "PAGE MOVES", "BY NODE"];
  return `\n${
    formatTable([titles, ...shown], {
      left: [0, 3],
      width: WIDTH_MAX,
      paint: (line, row) => row === 0 ? paint(line, "bold") : line,
    })
  }`;
}

/** A row of counters for each node, with its address where that is asked for. */
function tableOf(
  nodes: readonly NodeStatus[],
  columns: readonly Column[],
  paint: Paint,
  addressOf?: (node: NodeStatus) => string,
): string {
  const rows = nodes.map((node) => [
    String(node.id),
    ...(addressOf === undefined ? [] : [addressOf(node)]),
    ...columns.map(([, counter, bytes]) => {
      const count = node.stats?.[counter];
      return count === undefined ? "-" : bytes ? roughSize(count) : String(count);
    }),
  ]);
  const addresses = addressOf === undefined ? [] : ["ADDRESS"];
  const titles = ["NODE", ...addresses, ...columns.map(([title]) => title)];
  return formatTable([titles, ...rows], {
    left: addressOf === undefined ? [] : [1],
    width: WIDTH_MAX,
    paint(line, row) {
      if (row === 0) return paint(line, "bold");
      // A node that did not answer in time has no counters to show.
      return nodes[row - 1]!.stats === null ? paint(line, "dim") : line;
    },
  });
}

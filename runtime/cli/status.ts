/** `--status`: the state of a cluster, for people and as JSON. */

import { type Address, formatAddress } from "../address.ts";
import { tryMaxMs } from "../cluster/handshake.ts";
import { HANDSHAKE_MAX_MS } from "../limits.ts";
import { printable } from "../printable.ts";
import { WIDTH_MAX } from "../settings/help.ts";
import { formatSize, roughSize } from "../size.ts";
import type { Counters, NamedPages } from "../wire/status_control.ts";
import { lookOnce, type LookOptions, reachedAt, type Seen, type SeenNode } from "./look.ts";
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

/**
 * Asks the directory node for the state of its cluster.
 *
 * @param options The cluster.
 * @param timeoutMs How long to try, in milliseconds; no longer than {@linkcode HANDSHAKE_MAX_MS}.
 * @returns The state.
 * @throws {TdsmError} `NoDirectory` when nothing listens there, or why there is no answer.
 */
export async function fetchStatus(
  options: LookOptions,
  timeoutMs: number = HANDSHAKE_MAX_MS,
): Promise<ClusterStatus> {
  const mostMs = Math.min(tryMaxMs(timeoutMs), HANDSHAKE_MAX_MS);
  return statusOf(await lookOnce(options, mostMs), options.directory);
}

/**
 * The state of a cluster that was looked at.
 *
 * @param seen What was seen.
 * @param directory Where its directory listens.
 * @returns The state.
 */
export function statusOf({ cluster, nodes }: Seen, directory: Address): ClusterStatus {
  const { size, pageSize, compression, named: allocations = [] } = cluster;
  const statuses = nodes.map((node) => nodeStatusOf(node, directory));
  return { size, pageSize, compression, allocations, nodes: statuses };
}

function nodeStatusOf(node: SeenNode, directory: Address): NodeStatus {
  const { id, counters, moves } = node;
  const { hostname: address, port } = reachedAt(node, directory);
  const isSilent = counters === undefined;
  return { id, address, port, stats: counters ?? null, moves: isSilent ? null : moves ?? [] };
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

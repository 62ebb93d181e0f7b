/** `--status --watch`: what the nodes of a cluster do, once a second, what moves most on top. */

import { isFought } from "../dashboard/model.ts";
import { STATUS_WATCH_MS } from "../limits.ts";
import { printable } from "../printable.ts";
import { formatSize, roughSize } from "../size.ts";
import type { Paint, Style } from "./paint.ts";
import type { ClusterStatus, NodeStatus } from "./status.ts";
import { formatTable } from "./table.ts";

/** The state of a cluster at one time. */
export interface Look {
  readonly status: ClusterStatus;
  /** When it was told, by `performance.now`, in milliseconds. */
  readonly atMs: number;
}

/** Where looks are shown. */
export interface Screen {
  /** The columns and rows of a terminal; elsewhere there is room for all. */
  size(): { readonly columns: number; readonly rows: number } | undefined;
  /** Colours pieces of text. */
  readonly paint: Paint;
  /** Writes a text. */
  write(text: string): Promise<void>;
}

/** A column: its title, the counter whose rate it shows, and whether that counts bytes. */
type Column = readonly [title: string, counter: string, bytes?: true];

const COLUMNS: readonly Column[] = [
  ["FAULTS", "faults"],
  ["PAGES IN", "pagesReceived"],
  ["OUT", "pagesSent"],
  ["TAKEN", "pagesInvalidated"],
  ["BYTES IN", "bytesReceived", true],
  ["OUT", "bytesSent", true],
  ["MESSAGES", "messagesSent"],
];
/** The counters whose rates together say how much moves at a node. */
const MOVES = ["pagesReceived", "pagesSent", "pagesInvalidated"];
/** How many allocations are shown. */
const ALLOCATIONS_SHOWN = 5;
/** The longest name that is shown whole. */
const NAME_SHOWN = 30;
/** A node whose pages take more than this share of its limit is marked. */
const FULL_SHARE = 0.9;
/** Cuts a line off where the terminal ends, and gives it its looks. */
type DrawLine = (line: string, style?: Style) => string;

/** The lines about the cluster, the empty one behind these, and the titles of the table. */
const HEAD_LINES = 3;

const SECOND_MS = 1000;
const NOT_KNOWN = "-";

/** Moves the cursor home, ends a line without what stood there, and clears what is below. */
const [HOME, LINE_END, BELOW] = ["\x1b[H", "\x1b[K", "\x1b[J"];

/**
 * Formats what has happened between two looks.
 *
 * @param last The look before; `undefined` at the first, when no rate is known.
 * @param now The look.
 * @param screen Where it is shown.
 * @returns Lines, each with its end: as many as there is room for.
 */
export function formatWatch(
  last: Look | undefined,
  now: Look,
  screen: Pick<Screen, "size" | "paint">,
): string {
  const { status: { size, nodes } } = now;
  const rates = new Rates(last, now);
  const room = screen.size();
  const draw: DrawLine = (line, style) => {
    // A line that is longer would take two; what clears the rest would clear the last column.
    const shown = room === undefined ? line : line.slice(0, Math.max(0, room.columns - 1));
    return style === undefined ? shown : screen.paint(shown, style);
  };
  const known = nodes.filter(({ stats }) => stats !== null);
  const sum = (counter: string) =>
    known.reduce((all, node) => all + (rates.of(node, counter) ?? 0), 0);
  const moving = last === undefined
    ? "measuring"
    : `${rounded(sum("pagesReceived"))} pages/s, ${roughSize(Math.round(sum("bytesSent")))}/s`;
  const head = `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}, region of ${
    formatSize(size)
  }: ${moving}`;
  const allocations = allocationLines(last, now, draw);
  const rows = room === undefined
    ? Infinity
    : Math.max(1, room.rows - HEAD_LINES - allocations.length - 1);
  const lines = [draw(head, "bold"), "", ...nodeLines(now, rates, rows, draw), ...allocations];
  const shown = room === undefined ? lines : lines.slice(0, Math.max(1, room.rows - 1));
  return shown.map((line) => `${line}\n`).join("");
}

/** The rates of counters between two looks, a second. */
class Rates {
  readonly #last: ReadonlyMap<number, NodeStatus>;
  readonly #seconds: number;

  constructor(last: Look | undefined, now: Look) {
    this.#last = new Map(last?.status.nodes.map((node) => [node.id, node]));
    this.#seconds = last === undefined ? 0 : (now.atMs - last.atMs) / SECOND_MS;
  }

  /** The rate of a node's counter; `undefined` where it is not known. */
  of({ id, stats }: NodeStatus, counter: string): number | undefined {
    const before = this.#last.get(id)?.stats?.[counter];
    const after = stats?.[counter];
    if (before === undefined || after === undefined || this.#seconds <= 0) return undefined;
    return (after - before) / this.#seconds;
  }

  /** How much moves at a node; less than nothing where that is not known. */
  moves(node: NodeStatus): number {
    return MOVES.reduce((sum, counter) => sum + (this.of(node, counter) ?? -1), 0);
  }
}

function nodeLines(
  { status: { nodes } }: Look,
  rates: Rates,
  rowsMax: number,
  draw: DrawLine,
): string[] {
  const sorted = nodes.toSorted((one, other) =>
    rates.moves(other) - rates.moves(one) || one.id - other.id
  );
  const shown = sorted.length <= rowsMax ? sorted : sorted.slice(0, Math.max(rowsMax - 1, 1));
  const rows = shown.map((node) => [
    String(node.id),
    ...COLUMNS.map(([, counter, bytes]) => {
      const rate = rates.of(node, counter);
      if (rate === undefined) return NOT_KNOWN;
      return bytes ? roughSize(Math.round(rate)) : rounded(rate);
    }),
    node.stats === null ? NOT_KNOWN : roughSize(node.stats.memoryBytes ?? 0),
  ]);
  const titles = ["NODE", ...COLUMNS.map(([title]) => title), "MEMORY"];
  const most = Math.max(...shown.map((node) => rates.moves(node)));
  const styleOf = (node: NodeStatus): Style | undefined => {
    const { stats } = node;
    if (stats === null) return "red";
    if ((stats.memoryBytes ?? 0) > FULL_SHARE * (stats.memoryLimitBytes ?? Infinity)) return "red";
    const moves = rates.moves(node);
    if (moves <= 0) return "dim";
    return moves > most / 2 ? "yellow" : undefined;
  };
  const table = formatTable([titles, ...rows], {
    paint: (line, row) => draw(line, row === 0 ? "bold" : styleOf(shown[row - 1]!)),
  });
  const left = sorted.length - shown.length;
  return [...table.trimEnd().split("\n"), ...(left > 0 ? [draw(`… and ${left} more nodes`)] : [])];
}

/** The allocations whose pages move most, each with the nodes that they move to. */
function allocationLines(last: Look | undefined, now: Look, draw: DrawLine): string[] {
  if (last === undefined) return [];
  const seconds = (now.atMs - last.atMs) / SECOND_MS;
  // By its name, since its place in the list may change.
  const placeBefore = new Map(last.status.allocations.map(({ name }, index) => [name, index]));
  const movesBefore = new Map(last.status.nodes.map(({ id, moves }) => [id, moves]));
  const rows = now.status.allocations.map(({ name, count }, index) => {
    const place = placeBefore.get(name);
    const byNode = now.status.nodes.flatMap(({ id, moves }) => {
      const before = movesBefore.get(id);
      // Of what was not told before nobody knows how much of it is new.
      if (moves === null || !before || place === undefined) return [];
      return [{ node: id, perSecond: ((moves[index] ?? 0) - (before[place] ?? 0)) / seconds }];
    }).filter(({ perSecond }) => perSecond > 0)
      .sort((one, other) => other.perSecond - one.perSecond);
    return { name, count, byNode, sum: byNode.reduce((sum, { perSecond }) => sum + perSecond, 0) };
  }).filter(({ sum }) => sum > 0).sort((one, other) => other.sum - one.sum)
    .slice(0, ALLOCATIONS_SHOWN);
  if (rows.length === 0) return [];
  const cells = rows.map(({ name, count, byNode, sum }) => {
    const text = printable(name);
    const short = text.length > NAME_SHOWN ? `${text.slice(0, NAME_SHOWN - 1)}…` : text;
    const most = byNode.slice(0, 3)
      .map(({ node, perSecond }) => `${node}: ${rounded(perSecond)}`).join(", ");
    return [short, String(count), rounded(sum), byNode.length > 3 ? `${most}, …` : most];
  });
  const titles = ["ALLOCATION", "PAGES", "MOVES", "TO NODE"];
  const table = formatTable([titles, ...cells], {
    left: [0, 3],
    paint(line, row) {
      if (row === 0) return draw(line, "bold");
      return draw(line, isFought(rows[row - 1]!) ? "yellow" : undefined);
    },
  });
  return ["", ...table.trimEnd().split("\n")];
}

/** A rate for people: below 10 with a digit behind the point. */
function rounded(rate: number): string {
  return rate > 0 && rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
}

/**
 * Looks again and again, until a look fails or nobody reads what is written.
 *
 * @param look Asks for the state of the cluster.
 * @param screen Where each look is shown.
 * @param json Whether each look is a line of JSON instead, with its time.
 * @param everyMs How often, in milliseconds.
 * @throws {TdsmError} Why a look failed.
 */
export async function watch(
  look: () => Promise<ClusterStatus>,
  screen: Screen,
  json: boolean,
  everyMs: number = STATUS_WATCH_MS,
): Promise<void> {
  let last: Look | undefined;
  for (;;) {
    const begunMs = performance.now();
    const status = await look();
    const now = { status, atMs: performance.now() };
    const isTerminal = screen.size() !== undefined;
    const lines = json
      ? `${JSON.stringify({ time: new Date().toISOString(), ...status })}\n`
      : formatWatch(last, now, screen);
    try {
      await screen.write(isTerminal && !json ? drawn(lines, last === undefined) : lines);
    } catch (error) {
      // As with `| head`.
      if (error instanceof Deno.errors.BrokenPipe) return;
      throw error;
    }
    last = now;
    const leftMs = begunMs + everyMs - performance.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, leftMs)));
  }
}

/** Draws lines over those that stand on the terminal; the first time it is cleared. */
function drawn(lines: string, isFirst: boolean): string {
  const over = lines.replaceAll("\n", `${LINE_END}\n`);
  return `${HOME}${isFirst ? BELOW : ""}${over}${BELOW}`;
}

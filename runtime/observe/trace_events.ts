/**
 * The events of a trace as Perfetto reads them: Chrome's trace event format, a JSON array with one
 * event a line. The array needs no end, so a file whose node has died can be read, too.
 */

/** The tracks of a node, each the first of some lanes: Perfetto shows each lane as a thread. */
export const Track = {
  /** What the engine's thread does. */
  Engine: { first: 1, lanes: 1, name: "engine" },
  /** The faults that threads wait for. */
  Faults: { first: 100, lanes: 300, name: "faults" },
  /** What threads wait for at the directory node. */
  Waits: { first: 400, lanes: 200, name: "waits" },
  /** Calls of other nodes' procedures. */
  Calls: { first: 600, lanes: 100, name: "calls" },
  /** Calls of other nodes that the program serves. */
  Services: { first: 700, lanes: 100, name: "serves" },
  /** At a home: the transactions that it keeps in order. */
  Transactions: { first: 800, lanes: 200, name: "transactions at home" },
} as const;
/** One of {@linkcode Track}. */
export type Track = typeof Track[keyof typeof Track];

/** The numbers of threads are those of lanes, and of another thousand for each node. */
const THREADS_A_NODE = 1000;

/**
 * The time that a trace counts from, in microseconds since 1970: with a later one than 1970 a
 * double tells parts of a microsecond apart.
 */
export const TRACE_EPOCH_US: number = Date.UTC(2026, 0, 1) * 1000;

/** The first line of a file. */
export const TRACE_BEGIN = "[\n";
/** The last lines of a file that is whole, behind an event without a comma. */
export const TRACE_END = "\n]\n";

/** Writes a time, in microseconds since {@linkcode TRACE_EPOCH_US}. */
function time(us: number): number {
  return Math.round(us * 10) / 10;
}

/** The beginning of an event: its phase, where it is, and when. */
function begin(phase: string, node: number, lane: number, us: number): string {
  return `{"ph":"${phase}","pid":${node},"tid":${node * THREADS_A_NODE + lane},"ts":${time(us)}`;
}

/**
 * Writes a span of time.
 *
 * @param node The node.
 * @param lane The lane.
 * @param us When it begins.
 * @param durationUs How long it lasts.
 * @param name What it is; without quotes and backslashes.
 * @param args More of it: the inside of a JSON object.
 * @returns One line, without its end.
 */
export function span(
  node: number,
  lane: number,
  us: number,
  durationUs: number,
  name: string,
  args = "",
): string {
  // The rounded end less the rounded begin, so that what is nested stays nested.
  const dur = time(time(us + durationUs) - time(us));
  return `${begin("X", node, lane, us)},"dur":${dur},"name":"${name}","args":{${args}}}`;
}

/**
 * Writes something that takes no time.
 *
 * @param node The node.
 * @param lane The lane.
 * @param us When it is.
 * @param name What it is; without quotes and backslashes.
 * @param args More of it: the inside of a JSON object.
 * @returns One line, without its end.
 */
export function instant(node: number, lane: number, us: number, name: string, args = ""): string {
  return `${begin("i", node, lane, us)},"s":"t","name":"${name}","args":{${args}}}`;
}

/**
 * Writes an end of an arrow, from a message's sending to its arrival at another node.
 *
 * @param phase Whether it begins or ends here.
 * @param node The node.
 * @param lane The lane, on which a span goes on.
 * @param us When.
 * @param name The kind of message, the same at both ends.
 * @param id Tells the message from others of its kind.
 * @returns One line, without its end.
 */
export function arrow(
  phase: "begin" | "end",
  node: number,
  lane: number,
  us: number,
  name: string,
  id: number,
): string {
  const way = phase === "begin" ? "" : ',"bp":"e"';
  const head = begin(phase === "begin" ? "s" : "f", node, lane, us);
  return `${head}${way},"cat":"message","name":"${name}","id":${id}}`;
}

/**
 * Writes a number that changes.
 *
 * @param node The node.
 * @param us When it is so.
 * @param name What it counts.
 * @param value It.
 * @returns One line, without its end.
 */
export function counter(node: number, us: number, name: string, value: number): string {
  return `${begin("C", node, 0, us)},"name":"${name}","args":{"count":${value}}}`;
}

/**
 * Names a node.
 *
 * @param node The node.
 * @param name Its name; any text.
 * @returns One line, without its end.
 */
export function nodeName(node: number, name: string): string {
  const args = JSON.stringify({ name });
  const order =
    `{"ph":"M","pid":${node},"name":"process_sort_index","args":{"sort_index":${node}}}`;
  return `${order},\n{"ph":"M","pid":${node},"name":"process_name","args":${args}}`;
}

/**
 * Names a lane.
 *
 * @param node The node.
 * @param track The track.
 * @param lane Which of its lanes.
 * @returns One line, without its end.
 */
export function laneName(node: number, track: Track, lane: number): string {
  const tid = node * THREADS_A_NODE + track.first + lane;
  const name = lane === 0 ? track.name : `${track.name} ${lane + 1}`;
  const head = `{"ph":"M","pid":${node},"tid":${tid}`;
  const order = `${head},"name":"thread_sort_index","args":{"sort_index":${track.first + lane}}}`;
  return `${order},\n${head},"name":"thread_name","args":{"name":"${name}"}}`;
}

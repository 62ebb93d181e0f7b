/**
 * Checks traces as Perfetto takes them: Chrome's trace event format, as a JSON array. Spans of one
 * thread are nested, and every arrow leads from a span to a span.
 */

/** One event. */
export interface TraceEvent {
  readonly ph: string;
  readonly pid: number;
  readonly tid?: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly name: string;
  readonly cat?: string;
  readonly id?: number;
  readonly bp?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** The fields that each phase has, beside its process and its name. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  X: ["tid", "ts", "dur", "args"],
  i: ["tid", "ts", "s", "args"],
  s: ["tid", "ts", "cat", "id"],
  f: ["tid", "ts", "bp", "cat", "id"],
  C: ["tid", "ts", "args"],
  M: ["args"],
};

/**
 * Reads a trace.
 *
 * @param text The file's text.
 * @returns Its events.
 * @throws {Error} What is wrong.
 */
export function parseTrace(text: string): TraceEvent[] {
  const events = JSON.parse(text) as TraceEvent[];
  for (const event of events) {
    const wrong = (why: string): Error => new Error(`${JSON.stringify(event)}: ${why}`);
    const fields = FIELDS[event.ph];
    if (fields === undefined) throw wrong("no such phase");
    if (!Number.isInteger(event.pid) || typeof event.name !== "string") throw wrong("no event");
    const lacks = fields.find((name) => !(name in event));
    if (lacks !== undefined) throw wrong(`no ${lacks}`);
    if (fields.includes("ts") && !Number.isFinite(event.ts)) throw wrong("no time");
    if (event.ph === "X" && !(event.dur! >= 0)) throw wrong("no duration");
    if (event.ph === "M" && event.tid === undefined && !event.name.startsWith("process_")) {
      throw wrong("of no thread");
    }
  }
  checkNesting(events);
  return events;
}

/** By thread, in order of time; of events at one time, in the order of the file. */
function byThread(events: readonly TraceEvent[]): Map<number, TraceEvent[]> {
  const timed = events.filter(({ tid, ts, ph }) =>
    tid !== undefined && ts !== undefined && ph !== "C"
  );
  const threads = Map.groupBy(timed, ({ tid }) => tid!);
  return new Map(
    [...threads].map(([tid, own]) => [tid, own.toSorted((a, b) => a.ts! - b.ts!)]),
  );
}

/** How far a sum of two rounded times may be off, in microseconds. */
const ROUNDING_US = 0.01;

function checkNesting(events: readonly TraceEvent[]): void {
  for (const [tid, own] of byThread(events)) {
    const open: TraceEvent[] = [];
    for (const event of own) {
      const ended = (span: TraceEvent): boolean =>
        span.ts! + span.dur! < event.ts! - ROUNDING_US ||
        (span.ts! + span.dur! <= event.ts! + ROUNDING_US && event.ph === "X" && event.dur! > 0);
      while (open.length > 0 && ended(open.at(-1)!)) open.pop();
      const around = open.at(-1);
      if (event.ph === "s" || event.ph === "f") {
        if (around === undefined) throw new Error(`thread ${tid}: an arrow outside of any span`);
        continue;
      }
      if (event.ph !== "X") continue;
      const end = event.ts! + event.dur!;
      if (around !== undefined && end > around.ts! + around.dur! + ROUNDING_US) {
        throw new Error(
          `thread ${tid}: ${JSON.stringify(event)} does not end within ${JSON.stringify(around)}`,
        );
      }
      open.push(event);
    }
  }
}

/**
 * Finds the arrows of a trace that have both ends.
 *
 * @param events The events.
 * @returns The two ends of each.
 */
export function arrowsOf(
  events: readonly TraceEvent[],
): { from: TraceEvent; to: TraceEvent }[] {
  const keyOf = ({ name, id }: TraceEvent): string => `${name} ${id}`;
  const begun = new Map(
    events.filter(({ ph }) => ph === "s").map((event) => [keyOf(event), event]),
  );
  return events.filter(({ ph }) => ph === "f").flatMap((to) => {
    const from = begun.get(keyOf(to));
    return from === undefined ? [] : [{ from, to }];
  });
}

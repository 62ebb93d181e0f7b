/** The rows of the floors, to be measured in turn with whatever is compared with them. */

import { PAGE_SIZE_DEFAULT_BYTES, RUN_MAX_PAGES } from "../runtime/limits.ts";
import type { Context, OpenFamily, Row } from "./family.ts";
import { cpuTimeUs } from "./machine.ts";

/** Single misses in a round. */
const MISSES = 100;
/** Round trips in a round. */
const PINGS = 100;
/** How long a round of turns at a word goes on, in milliseconds. */
const FLAG_MS = 100;
/** Fresh pages that are written in a round. */
const FRESH_PAGES = 8_192;
/** Single misses by whose messages the owner's time is divided. */
const SERVED_MISSES = 4_000;
/** The smallest request. */
const REQUEST_BYTES = 32;
/** The silence before a single miss, in milliseconds. */
export const SILENCE_MS = 1_000;

/** A floor in microseconds. */
function floor<Id extends string>(id: Id, title: string) {
  return { id, title, unit: "us", floor: true } as const satisfies Row;
}

/** The floors. */
export const FLOORS = {
  blocking: floor("floor-blocking", "floor: miss, blocking"),
  spinning: floor("floor-spinning", "floor: miss, spinning"),
  silence: floor("floor-silence", "floor: miss after a second of silence, blocking"),
  flag: floor("floor-flag", "floor: two programs alternate on one word, a turn"),
  fresh: floor("floor-first-touch", "floor: first write of a plain memory file, for each page"),
  message: floor(
    "floor-message",
    "floor: processor time a message, of a process that serves pages",
  ),
  scanRead: {
    ...floor("floor-scan-read", `floor: read scan, blocking, ${RUN_MAX_PAGES} pages a request`),
    unit: "MB/s",
  },
  scanWrite: {
    ...floor("floor-scan-write", `floor: write scan, blocking, ${RUN_MAX_PAGES} pages a request`),
    unit: "MB/s",
  },
  denoPolling: floor("tcp-deno-polling", "TCP ping-pong, Deno, polling"),
  denoAsleep: floor("tcp-deno-asleep", "TCP ping-pong, Deno, asleep"),
  zigSpinning: floor("tcp-zig-spinning", "TCP ping-pong, Zig, spinning"),
  zigBlocking: floor("tcp-zig-blocking", "TCP ping-pong, Zig, blocking"),
  denoPollingPage: floor("tcp-deno-polling-4k", "TCP ping-pong, Deno, polling, 4 KiB back"),
  denoAsleepPage: floor("tcp-deno-asleep-4k", "TCP ping-pong, Deno, asleep, 4 KiB back"),
  zigSpinningPage: floor("tcp-zig-spinning-4k", "TCP ping-pong, Zig, spinning, 4 KiB back"),
  zigBlockingPage: floor("tcp-zig-blocking-4k", "TCP ping-pong, Zig, blocking, 4 KiB back"),
} as const satisfies Record<string, Row>;

/**
 * How rounds of the floors are taken.
 *
 * @param context The run.
 * @param scanPages The pages of a scan.
 * @returns For each floor by its id; none is started before its first round.
 */
export function floorRounds(context: Context, scanPages = 16_384): OpenFamily["take"] {
  const scan = async (write: boolean): Promise<number[]> => {
    const floor = await context.floor();
    const { bytes, us } = await floor.scan("blocking", RUN_MAX_PAGES, scanPages, {
      write,
      memory: "kept",
    });
    return [bytes / us];
  };
  const native = (how: "blocking" | "spinning", back: number) => async () =>
    (await context.floor()).ping(how, REQUEST_BYTES, back, PINGS);
  const deno = (how: "asleep" | "polling", back: number) => async () =>
    (await context.ping(how)).ping(REQUEST_BYTES, back, PINGS);
  return {
    [FLOORS.blocking.id]: async () => (await context.floor()).miss("blocking", MISSES, "kept"),
    [FLOORS.spinning.id]: async () => (await context.floor()).miss("spinning", MISSES, "kept"),
    [FLOORS.silence.id]: async () => (await context.floor()).missAfterSilence(1, SILENCE_MS),
    [FLOORS.flag.id]: async () => (await context.floor()).flag(FLAG_MS),
    [FLOORS.fresh.id]: async () => [await (await context.floor()).fresh(FRESH_PAGES)],
    [FLOORS.message.id]: async () => {
      const floor = await context.floor();
      const before = cpuTimeUs(floor.ownerPid);
      await floor.miss("blocking", SERVED_MISSES, "kept");
      // A request came, and an answer went.
      return [(cpuTimeUs(floor.ownerPid) - before) / (2 * SERVED_MISSES)];
    },
    [FLOORS.scanRead.id]: () => scan(false),
    [FLOORS.scanWrite.id]: () => scan(true),
    [FLOORS.denoPolling.id]: deno("polling", REQUEST_BYTES),
    [FLOORS.denoAsleep.id]: deno("asleep", REQUEST_BYTES),
    [FLOORS.zigSpinning.id]: native("spinning", REQUEST_BYTES),
    [FLOORS.zigBlocking.id]: native("blocking", REQUEST_BYTES),
    [FLOORS.denoPollingPage.id]: deno("polling", PAGE_SIZE_DEFAULT_BYTES),
    [FLOORS.denoAsleepPage.id]: deno("asleep", PAGE_SIZE_DEFAULT_BYTES),
    [FLOORS.zigSpinningPage.id]: native("spinning", PAGE_SIZE_DEFAULT_BYTES),
    [FLOORS.zigBlockingPage.id]: native("blocking", PAGE_SIZE_DEFAULT_BYTES),
  };
}

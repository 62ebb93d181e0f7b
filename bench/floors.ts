/** The rows of the floors, to be measured in turn with whatever is compared with them. */

import { PAGE_SIZE_DEFAULT_BYTES, RUN_MAX_PAGES } from "../runtime/limits.ts";
import type { Context, OpenFamily, Row } from "./family.ts";

/** Single misses in a round. */
const MISSES = 100;
/** Round trips in a round. */
const PINGS = 100;
/** The smallest request. */
const REQUEST_BYTES = 32;
/** The silence before a single miss, in milliseconds. */
export const SILENCE_MS = 1_000;

/** The floors. */
export const FLOORS = {
  blocking: { id: "floor-blocking", title: "floor: miss, blocking", unit: "us" },
  spinning: { id: "floor-spinning", title: "floor: miss, spinning", unit: "us" },
  silence: { id: "floor-silence", title: "floor: miss after a second of silence", unit: "us" },
  scanRead: {
    id: "floor-scan-read",
    title: `floor: read scan, blocking, ${RUN_MAX_PAGES} pages a request`,
    unit: "MB/s",
  },
  scanWrite: {
    id: "floor-scan-write",
    title: `floor: write scan, blocking, ${RUN_MAX_PAGES} pages a request`,
    unit: "MB/s",
  },
  denoPolling: { id: "tcp-deno-polling", title: "TCP ping-pong, Deno, polling", unit: "us" },
  denoAsleep: { id: "tcp-deno-asleep", title: "TCP ping-pong, Deno, asleep", unit: "us" },
  zigSpinning: { id: "tcp-zig-spinning", title: "TCP ping-pong, Zig, spinning", unit: "us" },
  zigBlocking: { id: "tcp-zig-blocking", title: "TCP ping-pong, Zig, blocking", unit: "us" },
  denoPollingPage: {
    id: "tcp-deno-polling-4k",
    title: "TCP ping-pong, Deno, polling, 4 KiB back",
    unit: "us",
  },
  denoAsleepPage: {
    id: "tcp-deno-asleep-4k",
    title: "TCP ping-pong, Deno, asleep, 4 KiB back",
    unit: "us",
  },
  zigSpinningPage: {
    id: "tcp-zig-spinning-4k",
    title: "TCP ping-pong, Zig, spinning, 4 KiB back",
    unit: "us",
  },
  zigBlockingPage: {
    id: "tcp-zig-blocking-4k",
    title: "TCP ping-pong, Zig, blocking, 4 KiB back",
    unit: "us",
  },
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

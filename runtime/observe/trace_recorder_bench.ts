/**
 * What it costs to record an event of a trace and to make the file's bytes of it, in processor time
 * of this process: run `./tdsm deno run -A runtime/observe/trace_recorder_bench.ts`.
 */

import process from "node:process";
import { TRACE_WRITE_EVENTS } from "../limits.ts";
import { Content } from "../protocol/coherence/messages.ts";
import { Access, PageState } from "../protocol/coherence/page.ts";
import { TraceRecorder } from "./trace_recorder.ts";

const MISSES = 20_000;
const ROUNDS = 5;
const encoder = new TextEncoder();

/** The processor time of this process, in microseconds. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The events of a miss, again and again; returns how many there were, and what they took. */
function record(): { events: number; us: number; bytes: number } {
  const recorder = new TraceRecorder(2, "node 2", () => {}, TRACE_WRITE_EVENTS);
  const nowUs = (): number => performance.now() * 1000;
  const count = 1;
  const access = Access.Read;
  let [events, bytes] = [0, 0];
  const take = (): void => {
    const lines = recorder.take();
    events += lines.length;
    bytes += encoder.encode(lines.join(",\n")).length;
  };
  const begun = cpuUs();
  for (let request = 1; request <= MISSES; request++) {
    const first = request % 10_000;
    recorder.waited(5, 12, nowUs());
    recorder.stepBegins({ kind: "fault", page: first, access }, PageState.Invalid, nowUs());
    recorder.sent(1, { kind: "request", access, first, count, request }, nowUs());
    recorder.stepEnds(nowUs());
    recorder.waited(5, 12, nowUs());
    const message = {
      kind: "grant",
      access,
      content: Content.Data,
      first,
      count,
      request,
      invalidated: [],
      lostNode: 0,
    } as const;
    recorder.stepBegins({ kind: "message", from: 1, message }, undefined, nowUs());
    recorder.operated({ kind: "install", first, count, writable: false }, nowUs());
    recorder.stepEnds(nowUs());
    if (recorder.waiting >= TRACE_WRITE_EVENTS) take();
  }
  take();
  return { events, us: cpuUs() - begun, bytes };
}

for (let round = 0; round < ROUNDS; round++) {
  const { events, us, bytes } = record();
  const each = (us / events).toFixed(2);
  console.log(`${events} events, ${each} us each, ${Math.round(bytes / events)} bytes each`);
}

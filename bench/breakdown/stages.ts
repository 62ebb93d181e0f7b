/** How long the stages of misses take. */

import type { Miss } from "./chain.ts";

/** The stages of a miss, in order. Together they are the whole of it. */
export const STAGES = [
  "fault → a waiting thread leaves ppoll",
  "→ engine has read the fault",
  "engine → sendto of the request",
  "sendto of the request",
  "→ owner's epoll_wait returns",
  "→ owner's recvfrom returns",
  "owner → page operation or sendto",
  "UFFDIO_WRITEPROTECT",
  "→ sendto of the page",
  "sendto of the page",
  "→ asker's epoll_wait returns",
  "→ asker's recvfrom returns",
  "engine → UFFDIO_CONTINUE",
  "UFFDIO_CONTINUE → thread is woken",
  "→ thread has a core",
  "into and out of the fault",
] as const;

/** Microseconds of each stage, in the order of {@linkcode STAGES}. */
export type StageTimes = readonly number[];

/**
 * Cuts a miss into its stages. What a miss did not do took no time: a busy engine does not wait in
 * ppoll, and a native one not in epoll_wait.
 *
 * @param miss The miss.
 * @param accessUs How long the thread found its access to take, in microseconds.
 * @returns Microseconds a stage; their sum is `accessUs`.
 */
export function stages(miss: Miss, accessUs: number): StageTimes {
  const { request, answer, protect } = miss;
  const noticed = miss.noticed ?? miss.fault;
  const requestReady = miss.requestReady ?? miss.requestThere;
  const answerReady = miss.answerReady ?? miss.answerThere;
  // What is sent may be there before the call that sends it has returned.
  const requestSent = Math.min(request.end, requestReady);
  const answerSent = Math.min(answer.end, answerReady);
  const served = protect?.begin ?? answer.begin;
  const moments = [
    miss.fault,
    noticed,
    miss.read,
    request.begin,
    requestSent,
    requestReady,
    miss.requestThere,
    served,
    protect?.end ?? served,
    answer.begin,
    answerSent,
    answerReady,
    miss.answerThere,
    miss.install,
    miss.woken,
    miss.running,
  ];
  const times = moments.slice(1).map((moment, index) => (moment - moments[index]!) / 1000);
  return [...times, accessUs - (miss.running - miss.fault) / 1000];
}

/** One stage of many misses. */
export interface Stage {
  readonly name: string;
  /** Microseconds. */
  readonly p50: number;
  readonly p90: number;
  /** Its share of the time of the nine tenths of all misses that were fastest, 0 to 1. */
  readonly share: number;
}

/** Many misses. */
export interface Breakdown {
  readonly stages: readonly Stage[];
  /** The whole miss. */
  readonly p50: number;
  readonly p90: number;
  readonly misses: number;
}

/**
 * Sums up misses.
 *
 * @param times The stages of each miss; at least one miss.
 * @returns Their medians and shares.
 * @throws {RangeError} When there is none.
 */
export function sumUp(times: readonly StageTimes[]): Breakdown {
  if (times.length === 0) throw new RangeError("No miss was recorded from its fault to its end");
  const whole = (stages: StageTimes): number => stages.reduce((sum, us) => sum + us, 0);
  const totals = times.map(whole);
  const p90 = quantile(totals, 0.9);
  const usual = times.filter((_, index) => totals[index]! <= p90);
  const time = usual.reduce((sum, stages) => sum + whole(stages), 0);
  return {
    stages: STAGES.map((name, stage) => {
      const us = times.map((stages) => stages[stage]!);
      const share = usual.reduce((sum, stages) => sum + stages[stage]!, 0) / time;
      return { name, p50: quantile(us, 0.5), p90: quantile(us, 0.9), share };
    }),
    p50: quantile(totals, 0.5),
    p90,
    misses: times.length,
  };
}

/**
 * The value that a share of all values does not exceed.
 *
 * @param values At least one.
 * @param share 0 to 1.
 * @returns The value.
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)]!;
}

/** The ports of a directory that nobody tells the others: made from the number of a job. */

import type { Address } from "../address.ts";

/** Ports below those that systems give to sockets that ask for any. */
const PORT_FIRST = 20_000;
const PORT_COUNT = 12_000;
/** How many ports a step has, each tried where those before it are taken. */
const PORTS = 8;
/** How far apart the ports of the steps of a job are, counted in steps. */
const STEP_STRIDE = 101;

/**
 * The ports on which the directory of a step of a job may listen, in the order in which they are
 * tried. Jobs that run one after the other have none in common, nor have the steps of a job.
 *
 * @param job The number of the job.
 * @param step The number of the step in the job.
 * @returns The ports.
 */
export function portsOf(job: number, step: number): [number, ...number[]] {
  const blocks = PORT_COUNT / PORTS;
  const first = PORT_FIRST + ((job + step * STEP_STRIDE) % blocks) * PORTS;
  return [first, ...Array.from({ length: PORTS - 1 }, (_, index) => first + 1 + index)];
}

/**
 * The addresses of one machine at some ports.
 *
 * @param hostname The machine.
 * @param ports The ports.
 * @returns The addresses, in the order of the ports.
 */
export function addressesAt(
  hostname: string,
  [first, ...others]: readonly [number, ...number[]],
): [Address, ...Address[]] {
  const at = (port: number): Address => ({ hostname, port });
  return [at(first), ...others.map(at)];
}

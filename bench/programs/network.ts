/** What the simulator assumes of nodes and the network between them. */

/** What things cost. */
export interface Network {
  readonly name: string;
  /** From a message leaving a node until it is at another, in microseconds. */
  readonly latencyUs: number;
  /** What a node can send, in bytes a microsecond; `Infinity` where the wire costs nothing. */
  readonly bytesPerUs: number;
  /** What an engine works for each thing that it takes, and for each message that it sends. */
  readonly engineUs: number;
  /** What it works in addition for each page that it sends or receives. */
  readonly pageUs: number;
}

/** What a remote read miss of two hops and a sequential scan take. */
export interface MissCosts {
  /** A miss of a single page, the median in microseconds. */
  readonly missUs: number;
  /** A page of a scan with long runs, in microseconds. */
  readonly scanPageUs: number;
}

/**
 * What an engine works for a fault, a message, or a message that it sends, in microseconds, where
 * nobody says otherwise: mostly system calls. An assumption, as it cannot be told from the latency
 * by looking at misses; a miss of two hops has five of these.
 */
export const ENGINE_US = 4;
const MISS_ENGINE_STEPS = 5;
const LATENCY_MIN_US = 0.5;

/**
 * The networks to predict for: this machine's loopback as it was measured, and two others, whose
 * engines work as fast as here.
 *
 * @param costs What was measured over loopback; what is not the engines' work is latency.
 * @param engineUs What an engine works for each input, and for each message that it sends.
 * @returns The loopback first.
 */
export function networks(
  { missUs, scanPageUs }: MissCosts,
  engineUs: number = ENGINE_US,
): Network[] {
  const pageUs = scanPageUs / 2;
  const rest = (missUs - MISS_ENGINE_STEPS * engineUs - scanPageUs) / 2;
  const engine = { engineUs, pageUs };
  return [
    {
      name: "loopback",
      latencyUs: Math.max(rest, LATENCY_MIN_US),
      bytesPerUs: Infinity,
      ...engine,
    },
    { name: "RDMA-class, 100 Gbit/s", latencyUs: 10, bytesPerUs: 12_500, ...engine },
    { name: "Ethernet, 10 Gbit/s", latencyUs: 50, bytesPerUs: 1_250, ...engine },
  ];
}

/**
 * Says what is assumed.
 *
 * @param network The assumptions.
 * @returns A line.
 */
export function describeNetwork(network: Network): string {
  const { name, latencyUs, bytesPerUs, engineUs, pageUs } = network;
  const wire = bytesPerUs === Infinity ? "bytes cost nothing on the wire" : `${bytesPerUs} B/us`;
  return `${name}: latency ${latencyUs.toFixed(1)} us one way, ${wire}; an engine works ` +
    `${engineUs.toFixed(1)} us for each input and each message out, ` +
    `and ${pageUs.toFixed(2)} us for each page in or out`;
}

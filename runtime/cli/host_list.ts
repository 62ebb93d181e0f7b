/** The machines on which a launcher starts nodes: the value of `--hosts`. */

import { isLoopback, isWildcard } from "../address.ts";
import { NODES_MAX } from "../limits.ts";
import { refused } from "../settings/flags.ts";

/** A machine on which nodes are to run. */
export interface LaunchHost {
  /** What `ssh` is to connect to: a name or an address, maybe behind a user and an @. */
  readonly destination: string;
  /** The name or address alone, by which other nodes reach the machine. */
  readonly hostname: string;
  /** How many nodes. */
  readonly nodes: number;
}

/**
 * `[USER@]HOST[:NODES]`; an IPv6 address stands in brackets. No part begins with a dash, and no
 * label of a name is empty.
 */
const HOST = /^(?:([\w.][\w.-]*)@)?(\[[0-9A-Fa-f:.%\w]+\]|\w[\w-]*(?:\.[\w-]+)*\.?)(?::(\d+))?$/;

/** What machines call themselves in `/etc/hosts`. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  "localhost",
  "localhost.localdomain",
  "localhost4",
  "localhost4.localdomain4",
  "localhost6",
  "localhost6.localdomain6",
  "ip6-localhost",
  "ip6-loopback",
]);

/**
 * Reads a list of machines.
 *
 * @param text The list: `a,b:2,user@10.0.0.3,[fe80::1]:4`.
 * @returns The machines, in the order of the list; one may be there more than once.
 * @throws {TdsmError} `InvalidOption`: what is wrong with it.
 */
export function parseHosts(text: string | undefined): [LaunchHost, ...LaunchHost[]] {
  const hosts = (text ?? "").split(",").map((entry) => {
    const [, user, name, count = "1"] = HOST.exec(entry.trim()) ?? [];
    const nodes = Number(count);
    if (name === undefined || nodes < 1) {
      const what = `${JSON.stringify(entry)} of --hosts`;
      throw refused(`Cannot use ${what}: machines are named as a,b:2 or user@10.0.0.3:4`);
    }
    const hostname = name.replace(/^\[(.*)\]$/, "$1");
    return { destination: user === undefined ? hostname : `${user}@${hostname}`, hostname, nodes };
  });
  const total = hosts.reduce((sum, { nodes }) => sum + nodes, 0);
  if (total > NODES_MAX) {
    throw refused(`Cannot use --hosts with ${total} nodes: a cluster has at most ${NODES_MAX}`);
  }
  requireReachable(hosts);
  return hosts as [LaunchHost, ...LaunchHost[]];
}

/** Whether a name is one that every machine has for itself. */
function isOwnName({ hostname }: LaunchHost): boolean {
  const name = canonical(hostname);
  const isMapped = /^::ffff:(?:7f[0-9a-f]{2}:|0:0$)/.test(name);
  return OWN_NAMES.has(name) || name.endsWith(".localhost") || isLoopback(name) ||
    isWildcard(name) || isMapped;
}

/** A name in small letters; an address as addresses are mostly written: `127.0.0.1` for `127.1`. */
function canonical(hostname: string): string {
  // A zone is no part of a URL, nor is the dot at the end of a name that is whole.
  const name = hostname.replace(/%.*$/, "").replace(/\.$/, "");
  const url = URL.parse(`http://${name.includes(":") ? `[${name}]` : name}`);
  return (url?.hostname ?? name.toLowerCase()).replace(/^\[(.*)\]$/, "$1");
}

/**
 * Whether nodes are all on one machine, so that they need not listen where others reach them.
 *
 * @param hosts The machines.
 * @returns Whether they are one.
 */
export function isOneMachine(hosts: readonly LaunchHost[]): boolean {
  return new Set(hosts.map(({ hostname }) => hostname)).size === 1 || hosts.every(isOwnName);
}

/** Refuses names by which each machine reaches itself, beside others. */
function requireReachable(hosts: readonly LaunchHost[]): void {
  const own = hosts.find(isOwnName);
  if (own === undefined || isOneMachine(hosts)) return;
  throw refused(
    `Cannot use ${own.hostname} of --hosts beside other machines: they would take themselves for ` +
      "it. Give the name by which they reach it",
  );
}

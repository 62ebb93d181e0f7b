/**
 * The settings of a node: as a program gives them, and as the runtime uses them once they are
 * checked.
 */

import type { Address } from "../address.ts";
import type { KeySource } from "./key_text.ts";
import type { RendezvousChoice } from "./rendezvous_choice.ts";

/**
 * The settings that a program gives its node. Settings that the program leaves out come from flags,
 * the environment or the defaults. The directory node decides the settings marked "For all nodes":
 * another node may give the same value, and cannot join with a different one.
 *
 * @example Begin a cluster with a region of a gibibyte
 * ```ts
 * import { join, type NodeOptions } from "@tdsm/runtime";
 *
 * const options: NodeOptions = { directory: true, port: 0, size: "1GiB" };
 * await using node = await join(options);
 * console.log(node.size);
 * ```
 */
export interface NodeOptions {
  /** Whether this node hosts the directory; one node does. */
  readonly directory?: boolean | undefined;
  /** The directory to join: `host` or `host:port`, an IPv6 address with a port as `[::1]:9634`. */
  readonly directoryAddress?: string | undefined;
  /**
   * How this node finds the directory: `"flags"` by `directory` and `directoryAddress` alone;
   * `"slurm"`, `"pmi"` and `"openmpi"` as these launchers tell; `"file:PATH"` by a file that all
   * nodes see, and `"etcd:http://HOST:2379/PREFIX"` by a record in etcd, where the first one hosts;
   * `"dns:NAME:PORT"` by the name of the machine that hosts.
   * Default: `"auto"`, by the launcher that has started the node, where one is seen, and else by
   * flags.
   */
  readonly rendezvous?: string | undefined;
  /** The host name or IP address on which this node listens and by which others reach it. */
  readonly address?: string | undefined;
  /** The TCP port on which this node listens; 0 takes any free one. */
  readonly port?: number | undefined;
  /** Whether this node only serves calls of others: its `main` is not executed. */
  readonly rpcServer?: boolean | undefined;
  /**
   * The key that every node of the cluster must have: 32 bytes, or these in base64. Without a key
   * each program that reaches the port of a node may join, so beyond this machine one is demanded.
   */
  readonly key?: Uint8Array | string | undefined;
  /** Whether a node without a key may be reached from other machines: then anyone may join. */
  readonly insecure?: boolean | undefined;
  /**
   * Whether nodes with a key send frames in the clear once each has shown that it has the key,
   * where both ends of a connection say so: for networks on which nobody can listen or change what
   * is sent.
   */
  readonly plain?: boolean | undefined;
  /** How many nodes take part: `run` executes its `main` once nodes 1 to this one have joined. */
  readonly nodes?: number | undefined;
  /** Whether page bytes are compressed on the wire. For all nodes. */
  readonly compression?: boolean | undefined;
  /** Whether page bytes have a checksum on the wire. For all nodes. */
  readonly checksums?: boolean | undefined;
  /** The size of the region: bytes, or text such as `"64MiB"`. For all nodes. */
  readonly size?: number | string | undefined;
  /** The size of a page: bytes, or text such as `"4KiB"`, a power of two. For all nodes. */
  readonly pageSize?: number | string | undefined;
  /**
   * The most memory that the node takes for pages: bytes, text such as `"2GiB"`, or a share of what
   * the machine and the process's cgroup have, `"80%"`. Default: 80 %, and no more than all but 128
   * MiB.
   */
  readonly memoryLimit?: number | string | undefined;
  /**
   * How much is logged: 0 nothing, 1 errors, 2 warnings, 3 joins and leaves, 4 pages, 5 messages.
   */
  readonly logLevel?: number | undefined;
  /** The same for semaphores and barriers. */
  readonly semLogLevel?: number | undefined;
  /**
   * How lines of the log are written where the program has not configured LogTape: as `"text"`, or
   * as `"json"`, an object each with its time, level, node and topic, and fields of what happens to
   * nodes. Default: `"text"`.
   */
  readonly logFormat?: "text" | "json" | undefined;
  /**
   * Where the node serves metrics for Prometheus, by HTTP: a port of 127.0.0.1, or text such as
   * `"0.0.0.0:9464"`; port 0 takes any free one. Of nodes that a launcher has started, that of rank
   * R serves them R ports further. With `"otel"` Deno's OpenTelemetry exports them instead.
   * Default: nowhere, and nothing is measured.
   */
  readonly metrics?: number | string | undefined;
  /**
   * Where the node writes a trace of its faults, transactions, messages, waits and calls, for
   * Perfetto: a path, into which the node's id is put, `"trace.json"` as `trace.2.json`. Default:
   * nowhere, and nothing is recorded.
   */
  readonly trace?: string | undefined;
  /** How long the node tries to reach the directory, in milliseconds; 0 is one try. */
  readonly joinTimeoutMs?: number | undefined;
  /**
   * How long the engine looks for an answer at most before it sleeps, in microseconds; 0 is never.
   */
  readonly pollTimeUs?: number | undefined;
  /**
   * Whether the engine's thread is in a real-time class, so that it is given a core at once also
   * where programs compute on every core: with `"auto"` as long as they keep it waiting for one,
   * and the kernel permits it; `"on"` demands it. An engine that uses all of a core leaves the
   * class until it sleeps again. Default: `"auto"`.
   */
  readonly realtime?: "auto" | "on" | "off" | undefined;
  /**
   * The longest that a node keeps a new page for a waiting thread, in microseconds. For all nodes.
   */
  readonly holdTimeUs?: number | undefined;
  /** The most pages that one miss fetches. For all nodes. */
  readonly runPages?: number | undefined;
  /** Whether pages that nodes read and write in turn are handed over at the read. For all nodes. */
  readonly migration?: boolean | undefined;
  /**
   * How pages get their homes, the nodes that keep their order, by chunks of 128: each page at the
   * directory node (`"directory"`); a chunk at the node that is the first to need a page of it
   * (`"first-touch"`); the former as long as no more than three nodes are there, then the latter
   * (`"auto"`, the default); chunk by chunk at another node in turn (`"spread"`). For all nodes.
   */
  readonly homes?: "auto" | "directory" | "first-touch" | "spread" | undefined;
  /** Whether the node fetches what a walk through memory will need next, before it gets there. */
  readonly readAhead?: boolean | undefined;
  /**
   * What `run` does when its main fails: `"abort"` ends the whole cluster, `"leave"` only leaves
   * it. Default: `"abort"`. `join` has no main: see `node.abort`.
   */
  readonly onError?: "abort" | "leave" | undefined;
  /**
   * Whether SIGINT, SIGTERM and SIGHUP have the node leave in good order before they end the
   * process. Default: true under `run`, false under `join`, where signals are the program's own.
   */
  readonly signals?: boolean | undefined;
  /**
   * Whether `Atomics.wait`, `waitAsync` and `notify` of the thread that joins work across nodes for
   * words of the region. Default: true. Without, use `node.futex` for such words, and never
   * `Atomics`.
   */
  readonly atomics?: boolean | undefined;
  /** The path of `libtdsm.so`, where it is not in its usual place. */
  readonly library?: string | undefined;
}

/** A bound of memory: bytes, or a share in percent of the memory that the process may use. */
export type MemoryLimit = { readonly bytes: number } | { readonly percent: number };

/**
 * Every setting of a node, resolved and checked, in the units of {@linkcode NodeOptions}. A setting
 * that the directory node decides is `undefined` on a joining node that did not ask for a value.
 */
export interface Settings {
  /** Whether this node hosts the directory. */
  readonly directory: boolean;
  /** The directory to join; `undefined` on the node that hosts it. */
  readonly directoryAddress: Address | undefined;
  /**
   * How the node finds the directory. Unless by flags, `directory`, `directoryAddress` and what the
   * directory node decides are not known before it has found it.
   */
  readonly rendezvous: RendezvousChoice;
  /** Where this node listens. */
  readonly address: string;
  /** The port on which it listens; 0 takes any free one. */
  readonly port: number;
  /** Whether somebody has named the port, be it 0. */
  readonly isPortGiven: boolean;
  /** Whether this node only serves calls. */
  readonly rpcServer: boolean;
  /** The key of the cluster, or the file that has it; `undefined` where there is none. */
  readonly key: KeySource | undefined;
  /** Whether a node without a key may be reached from other machines. */
  readonly insecure: boolean;
  /** Whether frames may travel in the clear though there is a key. */
  readonly plain: boolean;
  /** How many nodes `run` waits for before it executes `main`, this one included. */
  readonly nodes: number;
  /** Whether page bytes are compressed. */
  readonly compression: boolean | undefined;
  /** Whether page bytes have a checksum on the wire. */
  readonly checksums: boolean | undefined;
  /** The region's size in bytes. */
  readonly size: number | undefined;
  /** The page size in bytes. */
  readonly pageSize: number | undefined;
  /** The most memory that the node takes for pages; `undefined` is up to what the machine has. */
  readonly memoryLimit: MemoryLimit | undefined;
  /** How much is logged, 0 to 5. */
  readonly logLevel: number;
  /** How much is logged of semaphores and barriers, 0 to 5. */
  readonly semLogLevel: number;
  /** How lines of the log are written. */
  readonly logFormat: "text" | "json";
  /** Where metrics are served, or that OpenTelemetry exports them; `undefined` for nowhere. */
  readonly metrics: Address | "otel" | undefined;
  /** Where a trace is written, but for the node's id; `undefined` for nowhere. */
  readonly trace: string | undefined;
  /** How long the node tries to reach the directory, in milliseconds; 0 is one try. */
  readonly joinTimeoutMs: number;
  /** How long the engine looks for an answer at most before it sleeps, in microseconds. */
  readonly pollTimeUs: number;
  /** Whether the engine's thread is in a real-time class. */
  readonly realtime: "auto" | "on" | "off";
  /**
   * The longest that the node keeps a new page for a thread that waited for it, in microseconds.
   */
  readonly holdTimeUs: number | undefined;
  /** The most pages that one miss fetches. */
  readonly runPages: number | undefined;
  /** Whether pages that nodes read and write in turn are handed over at the read. */
  readonly migration: boolean | undefined;
  /** How pages get their homes. */
  readonly homes: "auto" | "directory" | "first-touch" | "spread" | undefined;
  /** Whether the node fetches what a walk will need next. */
  readonly readAhead: boolean;
  /** What `run` does when its main fails. */
  readonly onError: "abort" | "leave";
  /** Whether signals have the node leave; `undefined` is up to `run` and `join`. */
  readonly signals: boolean | undefined;
  /** Whether `Atomics` of the thread that joins are made to wait across nodes. */
  readonly atomics: boolean;
  /** The path of `libtdsm.so`; `undefined` looks in the usual places. */
  readonly library: string | undefined;
}

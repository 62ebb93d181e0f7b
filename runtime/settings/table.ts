/**
 * The table of all settings: from it come the flags, the environment variables, the checks of
 * values, the text of `--help` and the page of the documentation.
 */

import { type Address, parseAddress, parseHostname, PORT_MAX } from "../address.ts";
import type { MemoryLimit, Settings } from "./types.ts";
import {
  ADDRESS_MAX_BYTES,
  DIRECTORY_PORT_DEFAULT,
  HOLD_TIME_DEFAULT_US,
  HOLD_TIME_MAX_US,
  JOIN_TIMEOUT_DEFAULT_MS,
  JOIN_TIMEOUT_MAX_MS,
  MEMORY_RESERVE_BYTES,
  MEMORY_SHARE_DEFAULT_PERCENT,
  NODES_MAX,
  PAGE_SIZE_DEFAULT_BYTES,
  PAGE_SIZE_MAX_BYTES,
  PAGE_SIZE_MIN_BYTES,
  POLL_TIME_DEFAULT_US,
  POLL_TIME_MAX_US,
  REGION_DEFAULT_BYTES,
  REGION_MAX_BYTES,
  RUN_MAX_PAGES,
} from "../limits.ts";
import { Level } from "../log.ts";
import { keyOf, keyOption, type KeySource } from "./key_text.ts";
import { parseRendezvous } from "./rendezvous_choice.ts";
import { formatSize, parseSize } from "../size.ts";

/** The name of a setting, as an option. */
export type SettingName = Exclude<keyof Settings, "isPortGiven">;

/** How values of one kind are read. Both readers throw a RangeError that says what is allowed. */
export interface Kind<Value> {
  /** What stands for the value in `--help`; none where the flag alone says it all. */
  readonly placeholder: string | undefined;
  /** Reads what a flag or an environment variable has. */
  fromText(text: string): Value;
  /** Reads what a flag has, where that is something else. */
  fromFlag?(text: string): Value;
  /** Reads what the program gave as an option. */
  fromOption(value: unknown): Value;
}

/** One row of the table. */
export interface Setting<Value> {
  /** Environment variables; the first is the one to use, the others are read too. */
  readonly environment: readonly string[];
  /** The flag, without its dashes. */
  readonly flag: string;
  /** How values are read. */
  readonly kind: Kind<NonNullable<Value>>;
  /** The value where no source has one. */
  readonly default: Value;
  /** The default in words, where it is not a plain value. */
  readonly defaultText?: string;
  /** What the setting does, in one line. */
  readonly help: string;
  /** Whether no message may show the value. */
  readonly isSecret?: boolean;
  /**
   * Whether the directory node decides it for all nodes. One that asks for another value cannot
   * join.
   */
  readonly ofCluster?: boolean;
}

/**
 * Reads how a switch is set.
 *
 * @param text What a flag or an environment variable has, in letters of either case.
 * @returns Whether it is on; `undefined` where the text says neither.
 */
export function readSwitch(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return true;
  return ["0", "false", "no", "off"].includes(word) ? false : undefined;
}

const SWITCH: Kind<boolean> = {
  placeholder: undefined,
  fromText(text) {
    const isOn = readSwitch(text);
    if (isOn !== undefined) return isOn;
    throw new RangeError("must be 1 or 0, yes or no, true or false, on or off");
  },
  fromOption(value) {
    if (typeof value === "boolean") return value;
    throw new RangeError("must be true or false");
  },
};

/** What is counted by the whole numbers that have a unit, by their placeholders. */
const UNITS: { readonly [placeholder: string]: string } = {
  MS: " of milliseconds",
  US: " of microseconds",
  PAGES: " of pages",
};

/** A whole number from `min` to `max`. */
function integer(placeholder: string, min: number, max: number): Kind<number> {
  const rule = `must be a whole number${UNITS[placeholder] ?? ""} from ${min} to ${max}`;
  const fromOption = (value: unknown): number => {
    if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) {
      return Number(value);
    }
    throw new RangeError(typeof value === "string" ? `${rule}, not a string` : rule);
  };
  const fromText = (text: string): number => fromOption(/^\d+$/.test(text) ? Number(text) : NaN);
  return { placeholder, fromText, fromOption };
}

/** A size in bytes from `min` to `max` that is a multiple of `min`, or a power of two. */
function size(min: number, max: number, powerOfTwo: boolean): Kind<number> {
  const rule = powerOfTwo ? "a power of two" : `a multiple of ${formatSize(min)}`;
  const check = (bytes: number): number => {
    const fits = powerOfTwo ? Number.isInteger(Math.log2(bytes)) : bytes % min === 0;
    if (fits && bytes >= min && bytes <= max) return bytes;
    throw new RangeError(`must be ${rule} from ${formatSize(min)} to ${formatSize(max)}`);
  };
  return {
    placeholder: "SIZE",
    fromText: (text) => check(parseSize(text)),
    fromOption(value) {
      if (typeof value === "string") return check(parseSize(value));
      return check(typeof value === "number" ? value : NaN);
    },
  };
}

/** Reads a bound of memory, such as `2GiB` or `80%`. */
function parseMemoryLimit(text: string): MemoryLimit {
  const share = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim());
  if (share === null && !/^\s*\d+\s*[A-Za-z]*\s*$/.test(text)) {
    throw new RangeError("must be a size such as 2GiB, or a share such as 80%");
  }
  if (share === null) return checkedBytes(parseSize(text));
  const percent = Number(share[1]);
  if (percent > 0 && percent <= 100) return { percent };
  throw new RangeError("must be a share of more than 0% and at most 100%");
}

function checkedBytes(bytes: unknown): MemoryLimit {
  if (Number.isSafeInteger(bytes) && Number(bytes) > 0) return { bytes: Number(bytes) };
  throw new RangeError("must be a whole number of bytes, or text such as 2GiB or 80%");
}

/**
 * A bound of memory. The least that a node can do with depends on its region: the engine knows it.
 */
const MEMORY: Kind<MemoryLimit> = {
  placeholder: "SIZE",
  fromText: parseMemoryLimit,
  fromOption: (value) => typeof value === "string" ? parseMemoryLimit(value) : checkedBytes(value),
};

/** Reads where metrics are served: `9464`, or `HOST:9464`; or that OpenTelemetry gets them. */
function parseMetrics(text: string): Address | "otel" {
  if (text === "otel") return text;
  const [, host, port] = /^(?:(.+):)?(\d+)$/s.exec(text) ?? [];
  const address = checkedPort(Number(port));
  return host === undefined ? address : { ...address, hostname: parseHostname(host) };
}

function checkedPort(port: unknown): Address {
  if (Number.isInteger(port) && Number(port) >= 0 && Number(port) <= PORT_MAX) {
    return { hostname: "127.0.0.1", port: Number(port) };
  }
  throw new RangeError(METRICS_RULE);
}

const METRICS_RULE = `must be a port from 0 to ${PORT_MAX}, HOST:PORT or otel`;

/** Where metrics are served. */
const METRICS: Kind<Address | "otel"> = {
  placeholder: "WHERE",
  fromText: parseMetrics,
  fromOption: (value) => typeof value === "string" ? parseMetrics(value) : checkedPort(value),
};

/** Text that `parse` reads. */
function text<Value>(placeholder: string, parse: (text: string) => Value): Kind<Value> {
  return {
    placeholder,
    fromText: parse,
    fromOption(value) {
      if (typeof value === "string") return parse(value);
      throw new RangeError("must be a string");
    },
  };
}

/** One of a few words. */
function choice<Word extends string>(
  placeholder: string,
  ...words: readonly Word[]
): Kind<Word> {
  return text(placeholder, (given) => {
    const word = words.find((known) => known === given);
    if (word !== undefined) return word;
    throw new RangeError(`must be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`);
  });
}

/** A path; whether there is anything is found when it is opened. */
function parsePath(path: string): string {
  if (path === "" || path.includes("\0")) throw new RangeError("must be a path");
  return path;
}

/** A key. The flag names a file that has it: what a program is started with, all users can see. */
const KEY: Kind<KeySource> = {
  placeholder: "FILE",
  fromText: keyOf,
  fromFlag: (path) => ({ file: parsePath(path) }),
  fromOption: keyOption,
};

/**
 * The address by which other nodes reach this one: each of them is told, so its length has a bound.
 */
function parseOwnAddress(text: string): string {
  const hostname = parseHostname(text);
  if (hostname.length <= ADDRESS_MAX_BYTES) return hostname;
  throw new RangeError(`must have at most ${ADDRESS_MAX_BYTES} characters; an IP address has`);
}

/** 0 is nothing at all. */
const LOG_LEVEL = integer("LEVEL", 0, Level.Trace);

type Table = { readonly [Name in SettingName]: Setting<Settings[Name]> };

const TABLE = {
  directory: {
    environment: ["DIRECTORY"],
    flag: "directory",
    kind: SWITCH,
    default: false,
    defaultText: "on without a directory's address",
    help: "Host the directory",
  },
  directoryAddress: {
    // The second is how the first tDSM spelt it.
    environment: ["DIRECTORY_ADDRESS", "DIRECOTRY_ADDRESS"],
    flag: "directory-address",
    kind: text("HOST[:PORT]", (address) => parseAddress(address, DIRECTORY_PORT_DEFAULT)),
    default: undefined,
    defaultText: `none; the port is ${DIRECTORY_PORT_DEFAULT}`,
    help: "Join the directory at this address",
  },
  rendezvous: {
    environment: ["TDSM_RENDEZVOUS"],
    flag: "rendezvous",
    kind: text("HOW", parseRendezvous),
    default: { kind: "auto" },
    defaultText: "auto",
    help:
      "Find the directory by slurm, pmi, openmpi, file:PATH, etcd:URL/PREFIX, dns:NAME:PORT, flags or auto",
  },
  address: {
    environment: ["ADDRESS"],
    flag: "address",
    kind: text("HOST", parseOwnAddress),
    default: "127.0.0.1",
    help: "Listen here; other nodes reach this one by it",
  },
  port: {
    environment: ["PORT"],
    flag: "port",
    kind: integer("PORT", 0, PORT_MAX),
    default: 0,
    defaultText: `any free one; ${DIRECTORY_PORT_DEFAULT} with the directory`,
    help: "Listen on this TCP port; 0 is any free one",
  },
  rpcServer: {
    environment: ["RPC_SERVER"],
    flag: "rpc-server",
    kind: SWITCH,
    default: false,
    help: "Only serve calls of other nodes, without a main of its own",
  },
  key: {
    environment: ["TDSM_KEY"],
    flag: "key-file",
    kind: KEY,
    default: undefined,
    defaultText: "none",
    isSecret: true,
    help: "Let in only nodes with the same key: 32 bytes in base64, or a file with them",
  },
  insecure: {
    environment: ["INSECURE"],
    flag: "insecure",
    kind: SWITCH,
    default: false,
    help: "Let in anyone, also from other machines, where there is no key",
  },
  plain: {
    environment: ["PLAIN"],
    flag: "plain",
    kind: SWITCH,
    default: false,
    help: "Seal no frames: with a key, only show that nodes have it, where both ends say so",
  },
  nodes: {
    environment: ["NODES"],
    flag: "nodes",
    kind: integer("N", 1, NODES_MAX),
    default: 1,
    help: "Begin main once so many nodes have joined",
  },
  compression: {
    environment: ["COMPRESSION"],
    flag: "compression",
    kind: SWITCH,
    default: false,
    help: "Compress pages on the wire",
    ofCluster: true,
  },
  checksums: {
    environment: ["CHECKSUMS"],
    flag: "checksums",
    kind: SWITCH,
    default: true,
    help: "Check that pages arrive as they were sent",
    ofCluster: true,
  },
  size: {
    environment: ["SIZE"],
    flag: "size",
    kind: size(PAGE_SIZE_MIN_BYTES, REGION_MAX_BYTES, false),
    default: REGION_DEFAULT_BYTES,
    defaultText: formatSize(REGION_DEFAULT_BYTES),
    help: "Size of the region",
    ofCluster: true,
  },
  pageSize: {
    environment: ["PAGE_SIZE"],
    flag: "page-size",
    kind: size(PAGE_SIZE_MIN_BYTES, PAGE_SIZE_MAX_BYTES, true),
    default: PAGE_SIZE_DEFAULT_BYTES,
    defaultText: formatSize(PAGE_SIZE_DEFAULT_BYTES),
    help: "Size of a page",
    ofCluster: true,
  },
  memoryLimit: {
    environment: ["MEMORY_LIMIT"],
    flag: "memory-limit",
    kind: MEMORY,
    default: undefined,
    defaultText: `${MEMORY_SHARE_DEFAULT_PERCENT}%, or all but ` +
      `${formatSize(MEMORY_RESERVE_BYTES)} where that is less`,
    help: "The most memory for pages: a size, or a share of what the machine has, as 80%",
  },
  logLevel: {
    environment: ["LOGLEVEL"],
    flag: "log-level",
    kind: LOG_LEVEL,
    default: Level.Warning,
    help: "Log 0 nothing, 1 errors, 2 warnings, 3 nodes, 4 pages, 5 all",
  },
  semLogLevel: {
    environment: ["SEMLOGLEVEL"],
    flag: "sem-log-level",
    kind: LOG_LEVEL,
    default: Level.Warning,
    help: "The same for semaphores and barriers",
  },
  logFormat: {
    environment: ["TDSM_LOG_FORMAT"],
    flag: "log-format",
    kind: choice("FORMAT", "text", "json"),
    default: "text",
    help: "Write each line of the log as text, or as a JSON object",
  },
  metrics: {
    environment: ["TDSM_METRICS"],
    flag: "metrics",
    kind: METRICS,
    default: undefined,
    defaultText: "none",
    help: "Serve metrics for Prometheus at PORT or HOST:PORT, or hand them to OpenTelemetry: otel",
  },
  trace: {
    environment: ["TDSM_TRACE"],
    flag: "trace",
    kind: text("FILE", parsePath),
    default: undefined,
    defaultText: "none",
    help: "Write a trace for Perfetto to FILE, with the node's id before its ending",
  },
  joinTimeoutMs: {
    environment: ["JOIN_TIMEOUT_MS"],
    flag: "join-timeout",
    kind: integer("MS", 0, JOIN_TIMEOUT_MAX_MS),
    default: JOIN_TIMEOUT_DEFAULT_MS,
    help: "How long to try to join the directory, in milliseconds; 0 is one try",
  },
  pollTimeUs: {
    environment: ["POLL_TIME_US"],
    flag: "poll-time",
    kind: integer("US", 0, POLL_TIME_MAX_US),
    default: POLL_TIME_DEFAULT_US,
    help: "How long the engine looks for an answer before it sleeps, in microseconds; 0 is never",
  },
  realtime: {
    environment: ["TDSM_REALTIME"],
    flag: "realtime",
    kind: choice("WHEN", "auto", "on", "off"),
    default: "auto",
    help: "Give the engine a core before programs that compute: auto (while it waits), on, off",
  },
  holdTimeUs: {
    environment: ["HOLD_TIME_US"],
    flag: "hold-time",
    kind: integer("US", 0, HOLD_TIME_MAX_US),
    default: HOLD_TIME_DEFAULT_US,
    help: "The longest that a new page is kept for a thread that waited for it, in microseconds",
    ofCluster: true,
  },
  runPages: {
    environment: ["RUN_PAGES"],
    flag: "run-pages",
    kind: integer("PAGES", 1, RUN_MAX_PAGES),
    default: RUN_MAX_PAGES,
    help: "The most pages that one miss fetches",
    ofCluster: true,
  },
  migration: {
    environment: ["MIGRATION"],
    flag: "migration",
    kind: SWITCH,
    default: true,
    help: "Hand over at the read what nodes read and write in turn",
    ofCluster: true,
  },
  homes: {
    environment: ["HOMES"],
    flag: "homes",
    kind: choice("PLACEMENT", "auto", "directory", "first-touch", "spread"),
    default: "auto",
    help: "Which nodes keep order for which pages: auto, directory, first-touch, spread",
    ofCluster: true,
  },
  readAhead: {
    environment: ["READ_AHEAD"],
    flag: "read-ahead",
    kind: SWITCH,
    default: true,
    help: "Fetch what a walk through memory will need next, before it gets there",
  },
  onError: {
    environment: ["ON_ERROR"],
    flag: "on-error",
    kind: choice("ACTION", "abort", "leave"),
    default: "abort",
    help: "When the program of run fails: end the cluster (abort), or only leave it (leave)",
  },
  signals: {
    environment: ["SIGNALS"],
    flag: "signals",
    kind: SWITCH,
    default: undefined,
    defaultText: "on under run, off under join",
    help: "Leave in good order at SIGINT, SIGTERM and SIGHUP, before they end the process",
  },
  atomics: {
    environment: ["ATOMICS"],
    flag: "atomics",
    kind: SWITCH,
    default: true,
    help: "Have Atomics.wait, waitAsync and notify wait for words of the region across nodes",
  },
  library: {
    environment: ["TDSM_LIBRARY"],
    flag: "library",
    kind: text("PATH", parsePath),
    default: undefined,
    defaultText: "the one of the package",
    help: "Path of libtdsm.so",
  },
} as const satisfies Table;

/** Every setting of a node, in the order in which `--help` shows them. */
export const SETTINGS: Table = TABLE;

/** The name of a setting that the directory node decides for all nodes. */
export type RegionSettingName = {
  [Name in SettingName]: typeof TABLE[Name] extends { readonly ofCluster: true } ? Name : never;
}[SettingName];

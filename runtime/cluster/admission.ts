/**
 * Who is let into a cluster, and who is not and why.
 */

import { type Address, formatAddress, isLoopback } from "../address.ts";
import { reasonOf, TdsmError, type TdsmErrorCode } from "../errors.ts";
import { NODE_ID_MAX, NODES_MAX } from "../limits.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import type { Control, HelloControl, RefuseControl } from "../wire/control.ts";
import type { StatusRequestControl } from "../wire/status_control.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import { SETTINGS } from "../settings/table.ts";
import { formatSize } from "../size.ts";
import { boundRun, REGION_NAMES, type RegionSettings } from "../wire/region_settings.ts";

/** Another node. */
export interface Peer {
  readonly id: NodeId;
  readonly address: string;
  readonly port: number;
}

/** What there is to know of a cluster when another program connects. */
export interface Doorkeeper {
  readonly self: NodeId;
  readonly session: bigint;
  readonly region: RegionSettings;
  /** The directory node, where that is another. */
  readonly directory: Peer | undefined;
  /** How many nodes there are. */
  readonly nodes: number;
  /** The id that the next node would have. */
  readonly nextId: NodeId;
  isGone(node: NodeId): boolean;
  /** Whether there is a connection to the node. */
  isLinked(node: NodeId): boolean;
  /** Whether this node has begun to connect to the node. */
  isDialled(node: NodeId): boolean;
}

/** The codes that one node may give another as the reason for a refusal. */
const REFUSAL_CODES: readonly TdsmErrorCode[] = [
  "FrameCorrupted",
  "JoinRefused",
  "LimitExceeded",
  "ProtocolViolation",
  "RegionMismatch",
  "VersionMismatch",
];

/**
 * Why the program on the other side of a new connection is not let in.
 *
 * @param control Its first word.
 * @param door What there is to know of the cluster.
 * @returns The answer to give; `undefined` when it is let in.
 */
export function objectionToHello(control: Control, door: Doorkeeper): RefuseControl | undefined {
  if (control.kind !== "hello") {
    return refuse("ProtocolViolation", `${control.kind} instead of hello`);
  }
  if (control.protocolVersion !== PROTOCOL_VERSION) {
    const { protocolVersion, release } = control;
    return otherVersion(`${protocolVersion} (release ${release})`);
  }
  if (control.node === 0) return objectionToJoin(control, door);
  if (control.session !== door.session) return refuse("JoinRefused", "it is of another cluster");
  if (control.node === door.self) return refuse("JoinRefused", "it says that it is this node");
  if (door.isGone(control.node)) return refuse("JoinRefused", "the directory gave that node up");
  // Two that dial each other at once agree without a word: the connection of the lower id counts.
  const crossed = door.isDialled(control.node) && control.node > door.self;
  if (crossed || door.isLinked(control.node)) return refuse("JoinRefused", "connected already");
  // A node that this directory node let in has been connected to it since then.
  if (door.self === DIRECTORY_NODE) return refuse("JoinRefused", `no node ${control.node} joined`);
  return undefined;
}

/**
 * Why a node cannot join that asks for other settings than the directory node has decided: it would
 * run by settings other than those that it was given.
 *
 * @param wanted What it asks for.
 * @param region What the directory node has decided.
 * @returns The first setting with both values; `undefined` where they are alike.
 */
function objectionToSettings(
  wanted: Partial<RegionSettings>,
  region: RegionSettings,
): string | undefined {
  for (const name of REGION_NAMES) {
    let asked = wanted[name];
    if (name === "runPages" && asked !== undefined) {
      asked = boundRun(Number(asked), region.pageSize);
    }
    if (asked === undefined || asked === region[name]) continue;
    return `--${SETTINGS[name].flag} ${show(name, asked)} asked for, the directory node has ` +
      `${show(name, region[name])}. Leave it out, or give both the same`;
  }
  return undefined;
}

/** The value of a setting as people write it. */
function show(name: keyof RegionSettings, value: number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return SETTINGS[name].kind.placeholder === "SIZE" ? formatSize(value) : String(value);
}

function objectionToJoin(
  hello: HelloControl,
  { self, region, directory, nodes, nextId }: Doorkeeper,
): RefuseControl | undefined {
  if (self !== DIRECTORY_NODE) return notDirectory(directory!);
  const reason = objectionToSettings(hello, region);
  if (reason !== undefined) return refuse("RegionMismatch", reason);
  if (nodes >= NODES_MAX || nextId > NODE_ID_MAX) {
    return refuse("LimitExceeded", `the cluster is full: ${nodes} nodes`);
  }
  return undefined;
}

/**
 * Why a program that asks for the state of the cluster is not told.
 *
 * @param request The request.
 * @param door What there is to know of the cluster.
 * @returns The answer to give; `undefined` when it is told.
 */
export function objectionToStatus(
  { protocolVersion }: StatusRequestControl,
  { self, directory }: Pick<Doorkeeper, "self" | "directory">,
): RefuseControl | undefined {
  if (protocolVersion !== PROTOCOL_VERSION) return otherVersion(`${protocolVersion}`);
  return self === DIRECTORY_NODE ? undefined : notDirectory(directory!);
}

/**
 * Why a node cannot join from where it listens: the directory is on another machine, whose nodes
 * cannot reach a loopback address of this one.
 *
 * @param listening The IP address on which the node listens.
 * @param ends The IP addresses of both ends of its connection to the directory.
 * @param directory The directory, as it was named.
 * @returns The error; `undefined` when it can join.
 */
export function objectionToLoopback(
  listening: string,
  { local, remote }: { readonly local: string; readonly remote: string },
  directory: Address,
): TdsmError | undefined {
  // A connection within one machine has the same address at both ends, or stays on loopback.
  if (!isLoopback(listening) || isLoopback(remote) || local === remote) return undefined;
  const message = `Cannot join: the directory at ${formatAddress(directory)} is on another ` +
    `machine, and this node listens at ${listening}, where only its own machine reaches it. ` +
    `Name an address of this machine: --address ${local}`;
  return new TdsmError("InvalidOption", message, { operation: "join" });
}

/**
 * That a node cannot join, because of what came of talking to what listens there.
 *
 * @param address Where it is.
 * @param cause What came of it.
 * @returns The error.
 */
export function notADirectory(address: Address, cause: unknown): TdsmError {
  const code = cause instanceof TdsmError ? cause.code : "JoinRefused";
  const message = `Cannot join: what listens at ${formatAddress(address)} does not answer ` +
    `like a directory of this release: ${reasonOf(cause)}. ` +
    "Name a directory with --directory-address";
  return new TdsmError(code, message, { operation: "join", cause });
}

function otherVersion(theirs: string): RefuseControl {
  const reason = `protocol version ${theirs} asked for, this is ${PROTOCOL_VERSION}: ` +
    "run the same release on every node";
  return refuse("VersionMismatch", reason);
}

function notDirectory({ address: hostname, port }: Peer): RefuseControl {
  const at = formatAddress({ hostname, port });
  return refuse("JoinRefused", `it is not the directory, which is at ${at}`);
}

function refuse(code: TdsmErrorCode, reason: string): RefuseControl {
  return { kind: "refuse", code, reason };
}

/**
 * Why the other side did not let this node in.
 *
 * @param control What it answered.
 * @param address Where it is.
 * @param operation What was wanted.
 * @returns The error.
 */
export function refusal(control: Control, address: Address, operation = "join"): TdsmError {
  if (control.kind !== "refuse") {
    return new TdsmError("ProtocolViolation", `${control.kind} instead of an answer`);
  }
  const code = REFUSAL_CODES.find((known) => known === control.code) ?? "JoinRefused";
  const at = formatAddress(address);
  const message = `Cannot ${operation}: the node at ${at} refuses: ${control.reason}`;
  return new TdsmError(code, message, { operation });
}

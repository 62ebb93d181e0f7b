/**
 * Which programs are let into a cluster, and the reason that a refused one is given.
 */

import { type Address, formatAddress, isLoopback } from "../address.ts";
import { reasonOf, TdsmError, type TdsmErrorCode } from "../errors.ts";
import { LOOKERS_MAX, NODE_ID_MAX, NODES_MAX, THREAD_LINKS_MAX } from "../limits.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import type { Control, HelloControl, RefuseControl } from "../wire/control.ts";
import type { StatusRequestControl } from "../wire/status_control.ts";
import type { ThreadHelloControl } from "../wire/thread_control.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import { SETTINGS } from "../settings/table.ts";
import { formatSize } from "../size.ts";
import {
  boundRun,
  REGION_NAMES,
  type RegionSettings,
  type RegionValue,
} from "../wire/region_settings.ts";

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
  /** The directory node; `undefined` at the directory node itself. */
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
 * @param control The first message of that program.
 * @param door What there is to know of the cluster.
 * @returns The refusal to send; `undefined` when the program is let in.
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
  if (door.isGone(control.node)) return refuse("JoinRefused", "it has left or was given up");
  // Two nodes that dial each other at once need no message to agree: the dial of the lower id
  // counts.
  const crossed = door.isDialled(control.node) && control.node > door.self;
  if (crossed || door.isLinked(control.node)) return connectedAlready();
  // A node that this directory node let in has been connected to it since then.
  if (door.self === DIRECTORY_NODE) return refuse("JoinRefused", `no node ${control.node} joined`);
  return undefined;
}

/**
 * Why a node that asks for other settings than the directory node has decided cannot join: the node
 * would run by settings other than those that it was given.
 *
 * @param wanted The settings that the joining node asks for.
 * @param region The settings that the directory node has decided.
 * @returns The first setting that differs, with both values; `undefined` where all are alike.
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
function show(name: keyof RegionSettings, value: RegionValue): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  const isSize = typeof value === "number" && SETTINGS[name].kind.placeholder === "SIZE";
  return isSize ? formatSize(value) : String(value);
}

function objectionToJoin(
  hello: HelloControl,
  { self, region, directory, nodes, nextId }: Doorkeeper,
): RefuseControl | undefined {
  if (self !== DIRECTORY_NODE) return notDirectory(directory!);
  const reason = objectionToSettings(hello, region);
  if (reason !== undefined) return refuse("RegionMismatch", reason);
  if (nodes >= NODES_MAX || nextId > NODE_ID_MAX) {
    return clusterFull(nodes);
  }
  return undefined;
}

/**
 * Why a program that asks for the state of the cluster is refused.
 *
 * @param request The request.
 * @param door What there is to know of the cluster.
 * @param isFull Whether it wants to look again and again, and as many do as may.
 * @returns The refusal to send; `undefined` when the program gets the state.
 */
export function objectionToStatus(
  { protocolVersion }: StatusRequestControl,
  { self, directory }: Pick<Doorkeeper, "self" | "directory">,
  isFull = false,
): RefuseControl | undefined {
  if (protocolVersion !== PROTOCOL_VERSION) return otherVersion(`${protocolVersion}`);
  if (self !== DIRECTORY_NODE) return notDirectory(directory!);
  return isFull ? refuse("LimitExceeded", `${LOOKERS_MAX} programs look at it already`) : undefined;
}

/**
 * Why the connection of a thread of a node is refused.
 *
 * @param hello Its first message.
 * @param door What there is to know of the cluster.
 * @param threads The links that threads of all nodes have.
 * @param threads.count How many.
 * @param threads.isLinked Whether the thread has one.
 * @returns The refusal to send; `undefined` when it is let in.
 */
export function objectionToThread(
  hello: ThreadHelloControl,
  { self, session, directory, isLinked }: Pick<
    Doorkeeper,
    "self" | "session" | "directory" | "isLinked"
  >,
  threads: { readonly count: number; readonly isLinked: boolean },
): RefuseControl | undefined {
  if (hello.protocolVersion !== PROTOCOL_VERSION) return otherVersion(`${hello.protocolVersion}`);
  if (self !== DIRECTORY_NODE) return notDirectory(directory!);
  if (hello.session !== session) return refuse("JoinRefused", "it is of another cluster");
  if (!isLinked(hello.node)) return refuse("JoinRefused", `no node ${hello.node} is connected`);
  if (threads.isLinked) return connectedAlready();
  if (threads.count >= THREAD_LINKS_MAX) {
    return refuse("LimitExceeded", `there are ${threads.count} links of threads`);
  }
  return undefined;
}

/**
 * Why a node that listens at a loopback address cannot join a directory on another machine: the
 * nodes there cannot reach that address.
 *
 * @param listening The IP address on which the node listens.
 * @param ends The IP addresses of both ends of the node's connection to the directory.
 * @param directory The directory's address, as the user named it.
 * @returns The error; `undefined` when the node can join.
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
 * The error of a node that cannot join because the program at the directory's address is no
 * directory.
 *
 * @param address The directory's address.
 * @param cause How the handshake with that program failed, the last time.
 * @param tries How often it was tried.
 * @returns The error.
 */
export function notADirectory(address: Address, cause: unknown, tries: number): TdsmError {
  const code = cause instanceof TdsmError ? cause.code : "JoinRefused";
  const often = tries === 1 ? "" : `, tried ${tries} times`;
  const longer = tries === 1 ? "" : ", or wait longer with --join-timeout";
  const message = `Cannot join: what listens at ${formatAddress(address)} does not answer ` +
    `like a directory of this release${often}: ${reasonOf(cause)}. ` +
    `Name a directory with --directory-address${longer}`;
  return new TdsmError(code, message, { operation: "join", cause });
}

/**
 * The error of a node whose key is not that of the directory node.
 *
 * @param address The directory's address.
 * @param cause Why the handshake has failed.
 * @param operation What the node wanted: "join".
 * @returns The error; `undefined` where the handshake has failed for another reason than the key.
 */
export function keyRefused(
  address: Address,
  cause: unknown,
  operation = "join",
): TdsmError | undefined {
  if (!(cause instanceof TdsmError)) return undefined;
  const { code, message } = cause;
  if (code !== "KeyMismatch" && code !== "KeyMissing") return undefined;
  const at = formatAddress(address);
  return new TdsmError(code, `Cannot ${operation}: the directory at ${at} says no: ${message}`, {
    operation,
    cause,
  });
}

/**
 * The error of a node that has found its directory at none of the addresses where it may be.
 *
 * @param addresses The addresses, more than one.
 * @param timeoutMs How long it was tried, in milliseconds.
 * @param cause What was met at the last of them.
 * @returns The error.
 */
export function atNoneOf(
  addresses: readonly Address[],
  timeoutMs: number,
  cause: unknown,
): TdsmError {
  const [first, last] = [formatAddress(addresses[0]!), addresses.at(-1)!.port];
  const message = `Cannot join: the directory is at none of ${first} to ${last}, tried for ` +
    `${timeoutMs} ms (${reasonOf(cause)}). See whether node 1 has started, or wait longer with ` +
    "--join-timeout";
  return new TdsmError("NoDirectory", message, { operation: "join", cause });
}

/**
 * Whether the program at one of several addresses is not of the cluster that this node looks for.
 *
 * @param error How the handshake with it has failed.
 * @returns Whether the directory may be at another one of the addresses.
 */
export function isOfOthers(error: unknown): boolean {
  if (!(error instanceof TdsmError)) return true;
  return OTHERS_CODES.includes(error.code);
}

/** How programs answer that are no nodes, or nodes of another cluster. */
const OTHERS_CODES: readonly TdsmErrorCode[] = [
  "JoinRefused",
  "KeyMismatch",
  "KeyMissing",
  "ProtocolViolation",
  "VersionMismatch",
];

function otherVersion(theirs: string): RefuseControl {
  const reason = `protocol version ${theirs} asked for, this is ${PROTOCOL_VERSION}: ` +
    "run the same release on every node";
  return refuse("VersionMismatch", reason);
}

function notDirectory({ address: hostname, port }: Peer): RefuseControl {
  const at = formatAddress({ hostname, port });
  return refuse("JoinRefused", `it is not the directory, which is at ${at}`);
}

/**
 * The refusal where the cluster takes no more nodes.
 *
 * @param nodes How many it has.
 * @returns The refusal to send.
 */
export function clusterFull(nodes: number): RefuseControl {
  return refuse("LimitExceeded", `the cluster is full: ${nodes} nodes`);
}

/**
 * The refusal of a node to which others could not connect.
 *
 * @param address Where it says that it listens.
 * @param why Why the directory node could not connect to it.
 * @returns The refusal to send.
 */
export function unreachable(address: Address, why: string): RefuseControl {
  const at = formatAddress(address);
  const reason =
    `it cannot connect to ${at}, where this node listens: ${why}. Other nodes must reach ` +
    "that port: open it, or name another address or port with --address and --port";
  return refuse("JoinRefused", reason);
}

/**
 * The refusal of a node with which this node has a connection, or is about to have one.
 *
 * @returns The refusal to send.
 */
export function connectedAlready(): RefuseControl {
  return refuse("JoinRefused", "connected already");
}

function refuse(code: TdsmErrorCode, reason: string): RefuseControl {
  return { kind: "refuse", code, reason };
}

/**
 * The error that a refusal of the other side stands for.
 *
 * @param control The answer of the other side.
 * @param address The address of the other side.
 * @param operation The operation that is refused: "join".
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

/**
 * Looks at a cluster, by a connection to its directory node, without joining. This needs only the
 * network, neither the library nor a right to userfaultfd.
 */

import { type Address, formatAddress, isWildcard } from "../address.ts";
import { keyRefused, refusal } from "../cluster/admission.ts";
import { connectToPeer, secure, shakeHands } from "../cluster/handshake.ts";
import { Link, type LinkHandlers } from "../cluster/link.ts";
import { newCounters } from "../cluster/sender.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { EVENTS_MAX, HANDSHAKE_MAX_MS, STATUS_MAX_MS } from "../limits.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import { proveKey, type Secret } from "../secure/handshake.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import type { PeerMessage } from "../wire/peer_message.ts";
import type { PeerAddress } from "../wire/control_fields.ts";
import {
  type ClusterEvent,
  type ClusterStatusControl,
  type ClusterWaitsControl,
  decodeFigures,
  type Figures,
  type NodeStatusControl,
} from "../wire/status_control.ts";

const OPERATION = "get the status";
/** How long an answer may take: the directory node waits that long for a silent node. */
const ANSWER_MAX_MS = STATUS_MAX_MS + HANDSHAKE_MAX_MS;

/** A node, and what it tells of itself: nothing where it did not answer in time. */
export type SeenNode = PeerAddress & Partial<Figures>;

/** What was seen of a cluster at one moment. */
export interface Seen {
  /** What is told of the cluster itself. */
  readonly cluster: ClusterStatusControl;
  /** What is told of each node, in order of their ids. */
  readonly nodes: readonly SeenNode[];
  /** Where threads wait, and which locks are held; nothing in a single look. */
  readonly places: ClusterWaitsControl["places"];
  /** The last events, as many as the directory node remembers; nothing in a single look. */
  readonly events: readonly ClusterEvent[];
}

/**
 * The address by which a node is reached. A directory node that listens on every interface knows no
 * address of its own; the address by which it has just been reached is one.
 *
 * @param node What is told of the node.
 * @param directory Where the directory listens.
 * @returns The address.
 */
export function reachedAt({ address, port }: PeerAddress, directory: Address): Address {
  return { hostname: isWildcard(address) ? directory.hostname : address, port };
}

/** A cluster to look at. */
export interface LookOptions {
  /** Where the directory listens. */
  readonly directory: Address;
  /** The key of the cluster, if it has one. */
  readonly secret?: Secret | undefined;
}

/**
 * Looks at a cluster once.
 *
 * @param options The cluster.
 * @param withinMs How long that may take, in milliseconds.
 * @returns What was seen.
 * @throws {TdsmError} `NoDirectory` when nothing listens there, or why there is no answer.
 */
export async function lookOnce(options: LookOptions, withinMs: number): Promise<Seen> {
  const { connection, seen } = await LookConnection.open(options, withinMs);
  connection[Symbol.dispose]();
  return seen;
}

/** Looks at a cluster again and again, by one connection as long as the connection holds. */
export class ClusterLook implements Disposable {
  readonly #options: LookOptions;
  #connection: LookConnection | undefined;
  #connections = 0;
  #isClosed = false;

  /** @param options The cluster. */
  constructor(options: LookOptions) {
    this.#options = options;
  }

  /** How many connections there have been: what is seen by another one has counted anew. */
  get connections(): number {
    return this.#connections;
  }

  /**
   * Looks. Not to be called before the last call is answered.
   *
   * @param looked The runs of pages whose cells are asked for, at most `LOOK_RUNS_MAX`.
   * @returns What was seen.
   * @throws {TdsmError} `NoDirectory` when nothing listens there, or why there is no answer.
   */
  async look(looked?: readonly PageRun[]): Promise<Seen> {
    if (this.#connection !== undefined) {
      try {
        return await this.#connection.look(looked);
      } catch (error) {
        // The directory node ends a connection over which nobody has asked for long.
        this.#connection = undefined;
        if (!(error instanceof TdsmError) || this.#isClosed) throw error;
      }
    }
    const { connection, seen } = await LookConnection.open(this.#options, ANSWER_MAX_MS, {
      looked,
    });
    this.#connection = connection;
    if (this.#isClosed) connection[Symbol.dispose]();
    this.#connections++;
    return seen;
  }

  /** Ends the connection. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#connection?.[Symbol.dispose]();
  }
}

/** An answer that is not whole yet. */
interface Answer {
  readonly done: PromiseWithResolvers<Seen>;
  cluster: ClusterStatusControl | undefined;
  readonly nodes: SeenNode[];
  places: Seen["places"];
}

/** A connection by which one looks at a cluster. */
class LookConnection implements Disposable {
  readonly #directory: Address;
  /** Whether one looks again and again: then waits and events are told, too. */
  readonly #isKept: boolean;
  #link!: Link;
  #answer: Answer | undefined;
  /** The last events, as many as the directory node remembers. */
  #events: readonly ClusterEvent[] = [];
  #failure: TdsmError | undefined;

  private constructor(directory: Address, isKept: boolean) {
    this.#directory = directory;
    this.#isKept = isKept;
  }

  /**
   * Connects to the directory node, and looks for the first time.
   *
   * @param options The cluster.
   * @param withinMs How long that may take, in milliseconds.
   * @param kept Of a connection by which one will look again: the runs whose cells are asked for.
   * @returns The connection, and what was seen.
   * @throws {TdsmError} `NoDirectory` when nothing listens there, or why there is no answer.
   */
  static async open(
    { directory, secret }: LookOptions,
    withinMs: number,
    kept?: { readonly looked: readonly PageRun[] | undefined },
  ): Promise<{ readonly connection: LookConnection; readonly seen: Seen }> {
    const giveUpAt = performance.now() + withinMs;
    const leftMs = (): number => Math.max(1, Math.ceil(giveUpAt - performance.now()));
    const socket = await connect(directory, Math.min(withinMs, HANDSHAKE_MAX_MS));
    const connection = new LookConnection(directory, kept !== undefined);
    try {
      const maxMs = Math.min(leftMs(), HANDSHAKE_MAX_MS);
      const stream = await secure(socket, secret, proveKey, maxMs);
      const seen = connection.#expect(leftMs());
      await shakeHands((handlers) => {
        const link = new Link(stream, () => undefined, newCounters(), handlers);
        connection.#link = link;
        connection.#ask(kept?.looked);
        return link;
      }, (control, link) => {
        if (control.kind !== "clusterStatus") throw refusal(control, directory, OPERATION);
        link.open(connection.#handlers());
        connection.#receive(control);
      }, leftMs());
      return { connection, seen: await seen };
    } catch (error) {
      connection[Symbol.dispose]();
      throw lookError(directory, error);
    }
  }

  /**
   * Looks once more. Not to be called before the last call is answered.
   *
   * @param looked The runs of pages whose cells are asked for, at most `LOOK_RUNS_MAX`.
   * @returns What was seen.
   * @throws {TdsmError} Why there is no answer. The connection is of no use any more.
   */
  async look(looked: readonly PageRun[] | undefined): Promise<Seen> {
    if (this.#failure !== undefined) throw this.#failure;
    const seen = this.#expect(ANSWER_MAX_MS);
    this.#ask(looked);
    try {
      return await seen;
    } catch (error) {
      this[Symbol.dispose]();
      throw lookError(this.#directory, error);
    }
  }

  /** Ends the connection. */
  [Symbol.dispose](): void {
    this.#fail(new TdsmError("NodeClosed", "nobody looks any more"));
    this.#link?.close();
  }

  #ask(looked: readonly PageRun[] | undefined): void {
    this.#link.say({
      kind: "statusRequest",
      protocolVersion: PROTOCOL_VERSION,
      ...(this.#isKept && { since: this.#events.at(-1)?.number ?? 0 }),
      ...(looked && { looked }),
    });
  }

  /** Awaits an answer, for a bounded time. */
  #expect(withinMs: number): Promise<Seen> {
    const done = Promise.withResolvers<Seen>();
    this.#answer = { done, cluster: undefined, nodes: [], places: [] };
    const late = new TdsmError("TimedOut", "the answer was not whole in time");
    const timer = setTimeout(() => this.#fail(late), withinMs);
    const seen = done.promise.finally(() => clearTimeout(timer));
    // Where the handshake fails, that is told instead.
    seen.catch(() => {});
    return seen;
  }

  #fail(error: TdsmError): void {
    this.#failure ??= error;
    this.#answer?.done.reject(error);
    this.#answer = undefined;
  }

  #handlers(): LinkHandlers {
    return {
      target: () => undefined,
      received: (message) => this.#receive(message),
      ended: (error) => {
        const lost = new TdsmError("PeerLost", "it has closed the connection");
        this.#fail(error instanceof TdsmError ? error : lost);
      },
    };
  }

  #receive(message: PeerMessage): void {
    const answer = this.#answer;
    const unexpected = () =>
      new TdsmError("ProtocolViolation", `${message.kind}, which is not expected`);
    if (answer === undefined) throw unexpected();
    const { cluster, nodes } = answer;
    const nodesLeft = cluster === undefined ? 0 : cluster.nodes - nodes.length;
    if (message.kind === "clusterStatus" && cluster === undefined) answer.cluster = message;
    else if (message.kind === "nodeStatus" && nodesLeft > 0) {
      nodes.push(seenNode(message));
      if (nodesLeft === 1 && !this.#isKept) this.#complete(answer);
    } else if (!this.#isKept) throw unexpected();
    else if (message.kind === "clusterWaits") answer.places = message.places;
    else if (message.kind === "clusterEvents" && cluster !== undefined && nodesLeft === 0) {
      this.#events = [...this.#events, ...message.events].slice(-EVENTS_MAX);
      this.#complete(answer);
    } else throw unexpected();
  }

  #complete({ done, cluster, nodes, places }: Answer): void {
    this.#answer = undefined;
    done.resolve({ cluster: cluster!, nodes, places, events: this.#events });
  }
}

/** What a node tells that the directory node has passed on; figures that are none are none. */
function seenNode({ id, address, port, figures }: NodeStatusControl): SeenNode {
  return { id, address, port, ...(figures && decodeFigures(figures)) };
}

/** Says why a directory node does not tell of its cluster. */
function lookError(directory: Address, error: unknown): TdsmError {
  const refused = keyRefused(directory, error, OPERATION);
  if (refused !== undefined) return refused;
  if (error instanceof TdsmError && error.operation !== undefined) return error;
  const code = error instanceof TdsmError ? error.code : "ProtocolViolation";
  const message = `Cannot ${OPERATION}: what listens at ${formatAddress(directory)} does not ` +
    `answer like a directory of this release: ${reasonOf(error)}. ` +
    "Name a directory with --directory-address";
  return new TdsmError(code, message, { operation: OPERATION, cause: error });
}

/** Connects to a directory node. */
async function connect(directory: Address, timeoutMs: number): Promise<Deno.TcpConn> {
  try {
    return await connectToPeer(directory, timeoutMs);
  } catch (cause) {
    if (cause instanceof TdsmError && cause.code === "PermissionMissing") throw cause;
    const at = formatAddress(directory);
    const message = `Cannot ${OPERATION}: no directory at ${at} (${reasonOf(cause)}). ` +
      `Name another with --directory-address`;
    throw new TdsmError("NoDirectory", message, { operation: OPERATION, cause });
  }
}

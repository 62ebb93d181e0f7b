/**
 * Looks at a cluster again and again, by one connection to its directory node, without joining.
 */

import { type Address, formatAddress, isWildcard } from "../address.ts";
import { refusal } from "../cluster/admission.ts";
import { secure, shakeHands } from "../cluster/handshake.ts";
import { Link, type LinkHandlers } from "../cluster/link.ts";
import { newCounters } from "../cluster/sender.ts";
import { TdsmError } from "../errors.ts";
import { EVENTS_MAX, HANDSHAKE_MAX_MS, STATUS_MAX_MS } from "../limits.ts";
import { proveKey, type Secret } from "../secure/handshake.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import type { PeerMessage } from "../wire/peer_message.ts";
import type {
  ClusterStatusControl,
  NodeStatusControl,
  StatusRequestControl,
} from "../wire/status_control.ts";
import type { ClusterSnapshot, NodeSnapshot, Pages } from "../dashboard/snapshot.ts";
import { cellPages } from "../wire/status_control.ts";
import { connect, statusError } from "./status.ts";

const OPERATION = "get the status";
/** How long an answer may take: the directory node waits that long for a silent node. */
const ANSWER_MAX_MS = STATUS_MAX_MS + HANDSHAKE_MAX_MS;

/** A cluster at one moment, but for what the looker adds. */
export type Seen = Omit<ClusterSnapshot, "kind" | "atMs" | "session">;

/** An answer that is not whole yet. */
interface Answer {
  readonly run: Pages | undefined;
  readonly done: PromiseWithResolvers<Seen>;
  cluster: ClusterStatusControl | undefined;
  readonly nodes: NodeStatusControl[];
  places: ClusterSnapshot["places"];
}

/** A connection by which one looks at a cluster. */
export class ClusterLook implements Disposable {
  readonly #directory: Address;
  #link!: Link;
  #answer: Answer | undefined;
  /** The last events, as many as the directory node remembers. */
  #events: ClusterSnapshot["events"] = [];
  #failure: TdsmError | undefined;

  private constructor(directory: Address) {
    this.#directory = directory;
  }

  /**
   * Connects to the directory node, and looks for the first time.
   *
   * @param directory Where it listens.
   * @param run The pages whose cells are asked for.
   * @param secret The key of the cluster, if it has one.
   * @returns The connection, and what was seen.
   * @throws {TdsmError} `NoDirectory` when nothing listens there, or why there is no answer.
   */
  static async open(
    directory: Address,
    run?: Pages,
    secret?: Secret,
  ): Promise<{ readonly look: ClusterLook; readonly seen: Seen }> {
    const connection = await connect(directory, HANDSHAKE_MAX_MS);
    const look = new ClusterLook(directory);
    try {
      const stream = await secure(connection, secret, proveKey, HANDSHAKE_MAX_MS);
      const seen = look.#expect(run);
      await shakeHands((handlers) => {
        const link = new Link(stream, () => undefined, newCounters(), handlers);
        link.say(requestOf(run, 0));
        return look.#link = link;
      }, (control, link) => {
        if (control.kind !== "clusterStatus") throw refusal(control, directory, OPERATION);
        link.open(look.#handlers());
        look.#receive(control);
      }, ANSWER_MAX_MS);
      return { look, seen: await seen };
    } catch (error) {
      look[Symbol.dispose]();
      throw statusError(directory, error);
    }
  }

  /**
   * Looks once more. Not to be called before the last call is answered.
   *
   * @param run The pages whose cells are asked for.
   * @returns What was seen.
   * @throws {TdsmError} Why there is no answer. The connection is of no use any more.
   */
  async look(run?: Pages): Promise<Seen> {
    if (this.#failure !== undefined) throw this.#failure;
    const seen = this.#expect(run);
    this.#link.say(requestOf(run, this.#events.at(-1)?.number ?? 0));
    try {
      return await seen;
    } catch (error) {
      this[Symbol.dispose]();
      throw statusError(this.#directory, error);
    }
  }

  /** Ends the connection. */
  [Symbol.dispose](): void {
    this.#fail(new TdsmError("NodeClosed", "nobody looks any more"));
    this.#link?.close();
  }

  /** Awaits an answer, for a bounded time. */
  #expect(run: Pages | undefined): Promise<Seen> {
    const done = Promise.withResolvers<Seen>();
    this.#answer = { run, done, cluster: undefined, nodes: [], places: [] };
    const late = new TdsmError("TimedOut", `no whole answer within ${ANSWER_MAX_MS} ms`);
    const timer = setTimeout(() => this.#fail(late), ANSWER_MAX_MS);
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
    const violation = () =>
      new TdsmError("ProtocolViolation", `${message.kind}, which is not expected`);
    if (answer === undefined) throw violation();
    const { cluster, nodes } = answer;
    if (message.kind === "clusterStatus" && cluster === undefined) answer.cluster = message;
    else if (message.kind === "nodeStatus" && nodes.length < (cluster?.nodes ?? 0)) {
      nodes.push(message);
    } else if (message.kind === "clusterWaits") answer.places = message.places;
    else if (message.kind === "clusterEvents" && nodes.length === cluster?.nodes) {
      this.#answer = undefined;
      const { size, pageSize, named = [] } = cluster;
      this.#events = [...this.#events, ...message.events].slice(-EVENTS_MAX);
      answer.done.resolve({
        directory: formatAddress(this.#directory),
        size,
        pageSize,
        allocations: named,
        nodes: nodes.map((node) => this.#snapshot(node)),
        run: answer.run ?? null,
        cellPages: answer.run === undefined ? 0 : cellPages(answer.run.count),
        places: answer.places,
        events: this.#events,
      });
    } else throw violation();
  }

  #snapshot(status: NodeStatusControl): NodeSnapshot {
    const { id, address, port, counters, moves = [], sources = [], waits = [], cells } = status;
    const hostname = isWildcard(address) ? this.#directory.hostname : address;
    return {
      id,
      at: formatAddress({ hostname, port }),
      stats: counters ?? null,
      moves,
      waits,
      sources: sources.map(({ node, pages }) => [node, pages]),
      cells: cells?.some((byte) => byte !== 0) ? cells.toBase64() : null,
    };
  }
}

function requestOf(run: Pages | undefined, since: number): StatusRequestControl {
  return {
    kind: "statusRequest",
    protocolVersion: PROTOCOL_VERSION,
    since,
    ...(run && { run }),
  };
}

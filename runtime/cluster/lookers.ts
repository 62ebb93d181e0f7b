/**
 * Programs that look at a cluster again and again, as a dashboard does: each by a connection to the
 * directory node, where it asks, is answered, and asks anew. None of them is a node.
 */

import { TdsmError } from "../errors.ts";
import { LOOKER_SILENCE_MAX_MS, LOOKERS_MAX } from "../limits.ts";
import type { Control } from "../wire/control.ts";
import type {
  ClusterReport,
  ClusterStatusControl,
  StatusRequestControl,
} from "../wire/status_control.ts";
import type { Link, LinkHandlers } from "./link.ts";
import type { RegionSettings } from "../wire/region_settings.ts";

/** What is needed of the connection to a program. */
export type LookerLink = Pick<Link, "say" | "close">;

/** What lookers ask. */
export interface LookersOptions<Connection> {
  /**
   * Ends the handshake of a connection. Returns what resolves once all that was said is sent, or
   * `undefined` where the connection has ended meanwhile.
   */
  open(link: Connection, handlers: LinkHandlers): (() => Promise<void>) | undefined;
  /** Collects what a program wants to see. */
  report(request: StatusRequestControl): Promise<ClusterReport>;
  /** The settings of the cluster. */
  readonly region: RegionSettings;
}

/** The programs that look at one cluster. */
export class Lookers<Connection extends LookerLink> {
  readonly #options: LookersOptions<Connection>;
  readonly #links = new Set<Connection>();
  #closed = false;

  /** @param options What to answer. */
  constructor(options: LookersOptions<Connection>) {
    this.#options = options;
  }

  /** Whether no more programs may look. */
  get isFull(): boolean {
    return this.#links.size >= LOOKERS_MAX;
  }

  /**
   * Answers a program once.
   *
   * @param link The connection to the program.
   * @param request What it asks.
   */
  async answer(link: Connection, request: StatusRequestControl): Promise<void> {
    const { named, nodes, places, events } = await this.#options.report(request);
    const { size, pageSize, compression } = this.#options.region;
    const cluster: ClusterStatusControl = {
      kind: "clusterStatus",
      size,
      pageSize,
      compression,
      nodes: nodes.length,
      ...(named.length > 0 && { named }),
    };
    const more: readonly Control[] = request.since === undefined
      ? []
      : [{ kind: "clusterWaits", places }, { kind: "clusterEvents", events }];
    link.say(cluster, ...nodes, ...more);
  }

  /**
   * Answers a program, and from then on each time that it asks, until it ends the connection, says
   * nothing or takes no answer for long, or says something else.
   *
   * @param link The connection, whose handshake ends here.
   * @param first What it asks first.
   */
  serve(link: Connection, first: StatusRequestControl): void {
    if (this.#closed) return link.close();
    let isAnswering = false;
    let silence: ReturnType<typeof setTimeout> | undefined;
    /** A program that does not take its answer is silent, too. */
    const awaitWord = (): void => {
      clearTimeout(silence);
      if (this.#links.has(link)) silence = setTimeout(() => link.close(), LOOKER_SILENCE_MAX_MS);
    };
    const answer = async (request: StatusRequestControl): Promise<void> => {
      isAnswering = true;
      awaitWord();
      await this.answer(link, request);
      await sent?.();
      isAnswering = false;
      awaitWord();
    };
    const sent = this.#options.open(link, {
      target: () => undefined,
      received(message) {
        // A program that does not wait for its answer would have answers queue up.
        if (message.kind !== "statusRequest" || isAnswering) {
          throw new TdsmError("ProtocolViolation", `${message.kind} from a program that looks`);
        }
        void answer(message);
      },
      ended: () => {
        clearTimeout(silence);
        this.#links.delete(link);
      },
    });
    if (sent === undefined) return;
    this.#links.add(link);
    void answer(first);
  }

  /** Ends every connection, and takes no other. */
  close(): void {
    this.#closed = true;
    for (const link of [...this.#links]) link.close();
  }
}

/**
 * Sees what becomes of messages, and which corners a schedule gets into, from the messages alone.
 */

import {
  Content,
  type Message,
  type NodeId,
} from "../../../runtime/protocol/coherence/messages.ts";
import { Access, PageState } from "../../../runtime/protocol/coherence/page.ts";
import { type Corner, TIMES } from "./corners.ts";
import { messageName } from "./message_coverage.ts";
import type { SimulatedNode } from "./node.ts";
import type { ProtocolCoverage } from "./protocol_coverage.ts";

interface Asked {
  readonly count: number;
  /** Whether the requester had the page when it asked to write it. */
  readonly upgrade: boolean;
  /** How often its bytes were demanded from a node. */
  forwards: number;
}

/** Counts messages and corners. */
export class Watcher {
  readonly #coverage: ProtocolCoverage;
  readonly #asked = new Map<number, Asked>();

  /** @param coverage Where to count. */
  constructor(coverage: ProtocolCoverage) {
    this.#coverage = coverage;
  }

  /**
   * A message leaves a node.
   *
   * @param from Its sender.
   * @param to The node it is for.
   * @param message What it says.
   */
  sent(from: SimulatedNode, to: NodeId, message: Message): void {
    this.#coverage.messages.count(messageName(message, to), "sent");
    if (message.kind === "request") {
      const { first, count, access, request } = message;
      const upgrade = access === Access.Write && from.engine.state(first) === PageState.Shared;
      this.#asked.set(key(from.id, request), { count, upgrade, forwards: 0 });
    } else if (message.kind === "forward") {
      const { requester, request, access } = message;
      if (requester === from.id && from.directory.isLeaving(to)) this.#reach("leaveTakeover");
      const asked = this.#asked.get(key(requester, request));
      if (asked === undefined || ++asked.forwards === 1) return;
      this.#reach(access === Access.Read ? "resourcedRead" : "resourcedWrite");
    }
  }

  /**
   * A message is for a node that is gone.
   *
   * @param to The node it is for.
   * @param message What it says.
   */
  dropped(to: NodeId, message: Message): void {
    this.#coverage.messages.count(messageName(message, to), "to the gone");
  }

  /**
   * A message is lost with its connection.
   *
   * @param to The node it is for.
   * @param message What it says.
   */
  cut(to: NodeId, message: Message): void {
    this.#coverage.messages.count(messageName(message, to), "cut");
  }

  /**
   * A message arrives, and is about to be taken.
   *
   * @param from The node that sent it.
   * @param to The node that takes it.
   * @param message What it says.
   */
  delivered(from: SimulatedNode, to: SimulatedNode, message: Message): void {
    const name = messageName(message, to.id);
    this.#coverage.messages.count(name, "arrives");
    if (to.status === "leaving") this.#coverage.messages.count(name, "at a leaver");
    if (!from.present) this.#coverage.messages.count(name, "of the gone");
    if (message.kind !== "grant") return;
    const { content, count, request } = message;
    if (content === Content.Data && count > 1) this.#reach("dataRun");
    const asked = this.#asked.get(key(to.id, request));
    if (asked === undefined) return;
    if (count < asked.count) this.#reach("trimmedRun");
    if (asked.upgrade && content === Content.Data) this.#reach("upgradeRace");
  }

  #reach(corner: Corner): void {
    this.#coverage.corners.count(corner, TIMES);
  }
}

/** Node ids are small, and so are the numbers of a schedule's requests. */
function key(node: NodeId, request: number): number {
  return node * 0x1_0000_0000 + request;
}

/**
 * Sees which corners of the protocol a schedule gets into, from the messages alone.
 */

import { Content, type Message, type NodeId } from "../../runtime/protocol/messages.ts";
import { Access, PageState } from "../../runtime/protocol/page.ts";
import type { Coverage } from "./coverage.ts";
import type { SimulatedNode } from "./node.ts";

interface Asked {
  readonly count: number;
  /** Whether the requester had the page when it asked to write it. */
  readonly upgrade: boolean;
  /** How often its bytes were demanded from somebody. */
  forwards: number;
}

/** Counts corners. */
export class Watcher {
  readonly #coverage: Coverage;
  readonly #asked = new Map<string, Asked>();

  /** @param coverage Where to count. */
  constructor(coverage: Coverage) {
    this.#coverage = coverage;
  }

  /**
   * A message leaves a node.
   *
   * @param from Its sender.
   * @param to The node it is for.
   * @param message What it says.
   * @param home The directory's node.
   */
  sent(from: SimulatedNode, to: NodeId, message: Message, home: SimulatedNode): void {
    switch (message.kind) {
      case "request": {
        const { first, count, access, request } = message;
        const upgrade = access === Access.Write && from.engine.state(first) === PageState.Shared;
        this.#asked.set(`${from.id}/${request}`, { count, upgrade, forwards: 0 });
        break;
      }
      case "forward": {
        if (message.requester === home.id && home.directory.isLeaving(to)) {
          this.#coverage.leaveTakeover++;
        }
        const asked = this.#asked.get(`${message.requester}/${message.request}`);
        if (asked === undefined || ++asked.forwards === 1) break;
        if (message.access === Access.Read) this.#coverage.resourcedRead++;
        else this.#coverage.resourcedWrite++;
        break;
      }
      case "acknowledge":
        this.#coverage.invalidated++;
        break;
      case "refused":
        this.#coverage.refused++;
        break;
      default:
        break;
    }
  }

  /**
   * A message arrives, and is about to be taken.
   *
   * @param to Who takes it.
   * @param message What it says.
   */
  delivered(to: SimulatedNode, message: Message): void {
    if (message.kind === "request" && to.directory.busy(message.first)) {
      this.#coverage.queuedRequest++;
    }
    if (message.kind !== "grant") return;
    const { content, count, request } = message;
    if (content === Content.Zero) this.#coverage.zeroGrant++;
    if (content === Content.Kept) this.#coverage.keptGrant++;
    if (content === Content.Data && count > 1) this.#coverage.dataRun++;
    const asked = this.#asked.get(`${to.id}/${request}`);
    if (asked === undefined) return;
    if (count < asked.count) this.#coverage.trimmedRun++;
    if (asked.upgrade && content === Content.Data) this.#coverage.upgradeRace++;
  }
}

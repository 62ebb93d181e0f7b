/**
 * Engines that a test drives message by message: for tests of one exact sequence.
 */

import {
  Coherence,
  type CoherenceOptions,
  type Input,
} from "../../runtime/protocol/coherence/coherence.ts";
import type { Message, NodeId } from "../../runtime/protocol/coherence/messages.ts";
import type { Output } from "../../runtime/protocol/coherence/output.ts";
import type { Access, PageRun, PageState } from "../../runtime/protocol/coherence/page.ts";

/** Engines with links between them, which the test drives. */
export class ScriptedCluster {
  /** The engines, in order of their nodes. */
  readonly engines: Coherence[] = [];
  readonly #options: Partial<CoherenceOptions>;
  readonly #limits: readonly number[];
  readonly #links = new Map<string, Message[]>();
  /** Every message that was sent, as "kind from>to". */
  readonly log: string[] = [];

  /**
   * @param nodes How many nodes, all of which have joined.
   * @param options The protocol's settings.
   * @param limits For each node the most pages that it may keep, where that is not the same for
   *   all.
   */
  constructor(
    nodes: number,
    options: Partial<CoherenceOptions> = {},
    limits: readonly number[] = [],
  ) {
    this.#options = options;
    this.#limits = limits;
    while (this.engines.length < nodes) this.join();
  }

  /** One more node joins, and all others know at once. */
  join(): void {
    const self = this.engines.length + 1;
    const region = { pageCount: 64, runPages: 1, holdTimeUs: 0, ...this.#options };
    const memoryPages = this.#limits[self - 1] ?? this.#options.memoryPages ?? Infinity;
    this.engines.push(new Coherence({ ...region, self, memoryPages }));
    for (let other = 1; other < self; other++) {
      if (other > 1 && this.node(other).directory === undefined) continue;
      this.step(other, { kind: "peerJoined", node: self });
      if (this.node(self).directory !== undefined) {
        this.step(self, { kind: "peerJoined", node: other });
      }
    }
  }

  /** @returns A node's engine. */
  node(id: NodeId): Coherence {
    return this.engines[id - 1]!;
  }

  /** Steps a node's engine, and puts what it sends on its way. */
  step(id: NodeId, input: Input, now = 0): Output {
    const { operations, messages, events } = this.node(id).step(input, now);
    for (const { to, message } of messages) {
      this.log.push(`${message.kind} ${id}>${to}`);
      this.link(id, to).push(message);
    }
    return { operations, messages, events };
  }

  /** @returns What is on its way between two nodes; may be changed. */
  link(from: NodeId, to: NodeId): Message[] {
    const key = `${from}>${to}`;
    const link = this.#links.get(key) ?? [];
    this.#links.set(key, link);
    return link;
  }

  /** A thread of a node faults. */
  fault(id: NodeId, page: number, access: Access): Output {
    return this.step(id, { kind: "fault", page, access });
  }

  /** Delivers the first message between two nodes. */
  deliver(from: NodeId, to: NodeId, now = 0): Output {
    const message = this.link(from, to).shift();
    if (message === undefined) throw new Error(`nothing is on its way from ${from} to ${to}`);
    return this.step(to, { kind: "message", from, message }, now);
  }

  /** Delivers until nothing is under way. */
  flush(): void {
    const nodes = this.engines.map((_, index) => index + 1);
    for (let busy = true; busy;) {
      busy = false;
      for (const id of nodes) {
        while (this.node(id).hasWork) {
          this.step(id, { kind: "work" });
          busy = true;
        }
      }
      for (const from of nodes) {
        for (const to of nodes) {
          while (this.link(from, to).length > 0) {
            this.deliver(from, to);
            busy = true;
          }
        }
      }
    }
  }

  /** The home is to clear pages: memory that was freed is wanted. */
  clear(run: PageRun): void {
    const { directory } = this.node(1);
    directory!.free(run);
    directory!.reuse(run, 0);
  }

  /** The home hears from each node how much room it has. */
  tellRooms(): void {
    for (const [index, { room }] of this.engines.entries()) {
      if (index > 0) this.step(1, { kind: "room", node: index + 1, ...room });
    }
  }

  /** An access, from its fault until nothing is under way; returns the messages that it took. */
  access(id: NodeId, page: number, access: Access): string[] {
    const start = this.log.length;
    this.fault(id, page, access);
    this.flush();
    return this.log.slice(start);
  }

  /** @returns The page's state at each node. */
  states(page: number): PageState[] {
    return this.engines.map((engine) => engine.state(page));
  }
}

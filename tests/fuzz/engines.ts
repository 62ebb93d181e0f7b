/**
 * Throws decoded messages at a live engine: each is well-formed, but the peers that send them keep
 * to no protocol. The engine must never throw: it names a peer that breaks the protocol by an
 * event. Its page operations must stay within the region, and its messages must be encodable.
 */

import { assert } from "@std/assert";
import { decodeFrame, encodeMessage } from "../../runtime/wire/page_frames.ts";
import type { FrameBounds } from "../../runtime/wire/check.ts";
import { MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import { PAGE_MESSAGES } from "../../runtime/wire/page_messages.ts";
import {
  Coherence,
  type CoherenceParts,
  type Input,
} from "../../runtime/protocol/coherence/coherence.ts";
import {
  Content,
  DIRECTORY_NODE,
  type Message,
  type NodeId,
} from "../../runtime/protocol/coherence/messages.ts";
import type { Output } from "../../runtime/protocol/coherence/output.ts";
import { Access, type PageRun } from "../../runtime/protocol/coherence/page.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { pick } from "./mutate.ts";
import type { Target } from "./target.ts";

const BOUNDS: FrameBounds = { pageCount: 24, pageSize: 4096, runPages: 8 };
const HOLD_TIME_US = 100;
const STEPS_MAX = 60;
const NODES: readonly NodeId[] = [1, 2, 3, 4];
const KINDS = Object.keys(PAGE_MESSAGES) as readonly Message["kind"][];

const scratch = new Uint8Array(MESSAGE_MAX_BYTES);

/**
 * The engine.
 *
 * @param parts What it is made of; faulty ones to see that their faults are found.
 * @returns The target.
 */
export function engineTarget(parts?: CoherenceParts): Target {
  return {
    name: "engine",
    weight: 6,
    try(random) {
      const live = new LiveEngine(random, parts);
      for (let steps = random.between(1, STEPS_MAX); steps > 0; steps--) live.step();
      return live.violations === 0 ? "no violation" : "violation";
    },
  };
}

/** An engine among peers that answer it, and each other, as chance will have it. */
class LiveEngine {
  violations = 0;
  readonly #random: Random;
  readonly #self: NodeId;
  readonly #engine: Coherence;
  /** The peers of which nothing more is heard: they were given up. */
  readonly #gone = new Set<NodeId>();
  readonly #joined = new Set<NodeId>();
  /** What the engine has said and no peer has answered. */
  #said: { readonly to: NodeId; readonly message: Message }[] = [];
  #now = 0;

  constructor(random: Random, parts: CoherenceParts | undefined) {
    this.#random = random;
    this.#self = random.chance(60) ? DIRECTORY_NODE : 2;
    this.#engine = new Coherence({
      self: this.#self,
      pageCount: BOUNDS.pageCount,
      runPages: BOUNDS.runPages,
      holdTimeUs: pick([0, HOLD_TIME_US], random),
      migration: random.chance(50),
      readAhead: random.chance(50),
      readAheadMinPages: 2,
      memoryPages: pick([Infinity, 1, 8], random),
      reservePages: pick([0, 1, 4], random),
      placement: pick(["directory", "auto", "first-touch", "spread"], random),
      chunkPages: pick([1, 8, 128], random),
    }, parts);
    for (const node of NODES) {
      if (this.#hearsOfNodes && node !== this.#self) this.#join(node);
    }
  }

  /** Whether the engine is told of each node that joins. */
  get #hearsOfNodes(): boolean {
    return this.#engine.directory !== undefined;
  }

  step(): void {
    this.#now += this.#random.below(HOLD_TIME_US);
    const input = this.#input();
    if (input !== undefined) this.#do(input);
  }

  #join(node: NodeId): void {
    this.#joined.add(node);
    this.#do({ kind: "peerJoined", node });
  }

  #input(): Input | undefined {
    const random = this.#random;
    const page = random.below(BOUNDS.pageCount);
    const access = pick([Access.Read, Access.Write], random);
    const roll = random.below(100);
    if (roll < 20) return { kind: "fault", page, access };
    if (roll < 23) {
      const count = random.between(1, BOUNDS.pageCount - page);
      return { kind: "fetch", first: page, count, access };
    }
    if (roll < 27) return { kind: "tick" };
    if (roll < 30) {
      const awaited = this.#engine.awaitedPages;
      // A driver that says so too early, or of a page that no thread waits for, is wrong and does
      // no harm.
      return { kind: "resumed", page: awaited.length > 0 ? pick(awaited, random) : page };
    }
    if (roll < 31) return random.chance(50) ? { kind: "leave" } : { kind: "idle" };
    if (roll < 33 && this.#self === DIRECTORY_NODE) {
      return this.#free({ first: page, count: BOUNDS.pageCount - page });
    }
    if (roll < 34 && this.#self === DIRECTORY_NODE && random.chance(50)) {
      const pages = random.below(BOUNDS.pageCount);
      return { kind: "room", node: pick(NODES, random), pages, spare: random.below(pages + 1) };
    }
    if (roll < 35 && this.#self === DIRECTORY_NODE) {
      const node = pick(NODES.slice(1), random);
      this.#gone.add(node);
      return { kind: "peerLost", node };
    }
    return roll < 70 ? this.#answer() : this.#anything();
  }

  /** What was allocated is freed, and maybe given to a node anew. */
  #free(run: PageRun): undefined {
    const directory = this.#engine.directory!;
    directory.free(run);
    if (this.#random.chance(50)) directory.reuse(run, pick([0, ...NODES], this.#random));
    else directory.beat();
  }

  /** What a peer might say to something that it was told, more or less. */
  #answer(): Input | undefined {
    const random = this.#random;
    if (this.#said.length === 0) return undefined;
    const [{ to, message }] = this.#said.splice(random.below(this.#said.length), 1) as [
      { to: NodeId; message: Message },
    ];
    const run = "count" in message ? message : this.#run();
    const { first } = run;
    const request = "request" in message ? message.request : 1;
    const count = random.chance(80) ? run.count : random.between(1, run.count);
    const from = random.chance(90) ? to : pick(NODES, random);
    switch (message.kind) {
      case "request":
      case "forward": {
        // The one that is asked grants, or the one that asked says that it has what it wanted.
        const access = random.chance(90) ? message.access : Access.Write;
        return this.#from(from, this.#grant(first, count, request, access));
      }
      case "invalidate":
      case "grant": {
        const lost = random.chance(5);
        return this.#from(from, { kind: "done", first, count: run.count, request, lost });
      }
      case "drop":
      case "offload": {
        const kind = pick(["dropped", "keep"] as const, random);
        return this.#from(from, { kind, first, count });
      }
      case "adopt":
        return this.#from(from, { kind: "request", access: Access.Write, first, count, request });
      case "peerLost":
      case "inquire":
        return this.#from(from, { kind: "peerLostSeen", node: message.node });
      case "locate":
        return this.#from(from, { kind: "located", first, count, node: pick(NODES, random) });
      case "drain":
        return this.#from(from, { kind: "drained", node: message.node });
      case "retire":
        return this.#from(from, { kind: "retired", node: this.#self });
      case "retired":
        return this.#from(from, { kind: "reported", node: message.node });
      case "part":
        return this.#from(from, { kind: "parted" });
      default:
        return this.#anything();
    }
  }

  /** Whatever can be decoded, from any peer that is connected. */
  #anything(): Input | undefined {
    const random = this.#random;
    const { first, count } = this.#run();
    const request = random.chance(90) ? random.between(0, 8) : 0xffff_ffff;
    const access = pick([Access.Read, Access.Write], random);
    const requester = pick(NODES, random);
    const node = requester;
    const invalidated = this.#list();
    const from = pick(NODES, random);
    const kind = pick(KINDS, random);
    const message = ((): Message => {
      switch (kind) {
        case "request":
          return { kind, access, first, count, request };
        case "forward":
          return { kind, access, first, count, requester, request, invalidated };
        case "invalidate":
        case "refused":
          return { kind, first, count, requester, request };
        case "acknowledge":
          return { kind, first, count, request };
        case "grant":
          return this.#grant(first, count, request, access);
        case "done":
          return { kind, first, count, request, lost: random.chance(20) };
        case "peerLost":
        case "peerLostSeen":
        case "retired":
        case "drain":
        case "drained":
        case "inquire":
        case "reported":
          return { kind, node };
        case "drop":
        case "dropped":
        case "keep":
        case "adopt":
        case "clear":
        case "cleared":
        case "locate":
          return { kind, first, count };
        case "offload":
          return { kind, first, count, awaited: random.below(count + 1) };
        case "located":
        case "touched":
          return { kind, first, count, node };
        case "holds":
          return { kind, access, first, count };
        case "leave":
        case "left":
        case "retire":
        case "part":
        case "parted":
          return { kind };
      }
    })();
    return this.#from(from, message);
  }

  #grant(first: number, count: number, request: number, access: Access): Message {
    const content = pick(Object.values(Content), this.#random);
    const lostNode = content === Content.Lost ? pick(NODES, this.#random) : 0;
    const invalidated = this.#random.chance(70) ? [] : this.#list();
    return { kind: "grant", access, content, first, count, request, invalidated, lostNode };
  }

  #run(): { first: number; count: number } {
    const first = this.#random.below(BOUNDS.pageCount);
    const most = Math.min(BOUNDS.runPages, BOUNDS.pageCount - first);
    return { first, count: this.#random.between(1, most) };
  }

  #list(): NodeId[] {
    return Array.from({ length: this.#random.below(4) }, () => pick(NODES, this.#random));
  }

  /** Only of peers that are connected, and not given up, anything is heard. */
  #from(from: NodeId, message: Message): Input | undefined {
    if (from === this.#self || this.#gone.has(from)) return undefined;
    if (this.#hearsOfNodes && !this.#joined.has(from)) return undefined;
    return { kind: "message", from, message };
  }

  #do(input: Input): void {
    const { operations, messages, events } = this.#engine.step(input, this.#now);
    this.#check({ operations, messages, events });
    this.#said.push(...messages);
    const broken = events.filter((event) => event.kind === "violation").map(({ node }) => node);
    for (const event of events) {
      if (event.kind === "peerGone" || event.kind === "nodeLeft") this.#gone.add(event.node);
    }
    for (const node of broken) this.#expel(node);
  }

  /**
   * As the host does: a peer that broke the protocol is heard no more, and at the directory it is
   * lost.
   */
  #expel(node: NodeId): void {
    this.violations++;
    if (node === this.#self) return;
    this.#gone.add(node);
    if (this.#self === DIRECTORY_NODE) this.#do({ kind: "peerLost", node });
  }

  #check({ operations, messages }: Output): void {
    for (const { first, count } of operations) {
      assert(count >= 1 && first >= 0 && first + count <= BOUNDS.pageCount, `${first}+${count}`);
    }
    for (const { to, message } of messages) {
      assert(to !== this.#self, "says something to itself");
      const data = message.kind === "grant" && message.content === Content.Data;
      const payloadBytes = data ? message.count * BOUNDS.pageSize : 0;
      const size = encodeMessage(message, payloadBytes, scratch, 0);
      const decoded = decodeFrame(scratch, 0, size, BOUNDS);
      if (decoded.kind !== "message") throw new Error(`Says what no node takes: ${message.kind}`);
      assert(JSON.stringify(decoded.message) === JSON.stringify(message), "is heard as another");
    }
  }
}

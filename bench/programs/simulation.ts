/**
 * A program on a simulated cluster: the protocol of the runtime, message by message, in simulated
 * time.
 *
 * Each node has one core. Its engine's work comes before its program's, which waits meanwhile; what
 * the engine has to do, it does in order. Messages leave a node one after the other at the speed of
 * its port, and take the same time to any other; nothing waits between ports. A program that faults
 * waits; it does nothing else in the meantime.
 */

import { CONTROL_MAX_BYTES, PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import type { CoherenceOptions, Input } from "../../runtime/protocol/coherence/coherence.ts";
import {
  Content,
  DIRECTORY_NODE,
  type Message,
  type NodeId,
} from "../../runtime/protocol/coherence/messages.ts";
import { BarrierGatherer } from "../../runtime/protocol/sync/barrier_gatherer.ts";
import {
  type BarrierTreeMessage,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../../runtime/protocol/sync/messages.ts";
import { Synchronizer } from "../../runtime/protocol/sync/synchronizer.ts";
import { encodeMessage } from "../../runtime/wire/page_frames.ts";
import { MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import { encodeControl } from "../../runtime/wire/control.ts";
import { encodeSync } from "../../runtime/wire/sync_frames.ts";
import { busiestOf, type Counts, difference, total } from "./report.ts";
import type { Network } from "./network.ts";
import { layOut, type Memory, type Program, type Step, wholeRun } from "./program.ts";
import { SimulatedNode } from "./simulated_node.ts";

/** What is simulated. */
export interface SimulationOptions {
  readonly program: Program;
  readonly nodes: number;
  readonly network: Network;
  /** What a unit of the program's work takes, in microseconds. */
  readonly unitUs: number;
  /** The settings of the protocol. */
  readonly protocol: Omit<CoherenceOptions, "self" | "pageCount">;
  /** Whether the program computes though its steps do not depend on it, to check its result. */
  readonly checked?: boolean;
}

/** How a simulated run went, between its marks. */
export interface SimulatedRun {
  /** How long it took, in microseconds. */
  readonly us: number;
  readonly counts: Counts;
  /** The messages that the busiest node has sent and received, as a ratio to the mean. */
  readonly busiest: number;
  /** The share of that time in which the engine of the directory node worked. */
  readonly homeEngineShare: number;
  /** The share of that time in which the port of the directory node sent. */
  readonly homePortShare: number;
}

/**
 * Simulates a run.
 *
 * @param options What to simulate.
 * @returns How it went.
 * @throws {Error} When the program comes to no end, or computes something wrong.
 */
export function simulate(options: SimulationOptions): SimulatedRun {
  return new Simulation(options).run();
}

/** Page bytes that follow a message. */
function payloadPages(message: Message): number {
  return message.kind === "grant" && message.content === Content.Data ? message.count : 0;
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #timeline = new Timeline();
  readonly #nodes: SimulatedNode[] = [];
  readonly #sync: SimulatedSync;
  readonly #memory: Memory;
  readonly #frame = new Uint8Array(MESSAGE_MAX_BYTES);
  /** Whether what follows from a step is not all planned yet, so that the clock must not move. */
  #stepping = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { program, nodes, protocol } = options;
    const { bytes } = layOut([program]);
    const buffer = new ArrayBuffer(bytes);
    this.#memory = { view: (Type, byteOffset, length) => new Type(buffer, byteOffset, length) };
    for (let self = 1; self <= nodes; self++) {
      const engine = { self, pageCount: bytes / PAGE_SIZE_DEFAULT_BYTES, ...protocol };
      this.#nodes.push(new SimulatedNode(engine, wholeRun(program, this.#context(self - 1))));
    }
    this.#sync = new SimulatedSync({
      nodes: this.#nodes,
      work: (node, action) => this.#work(node, options.network.engineUs, action),
      transmit: (from, to, bytes, arrived) => {
        this.#transmit(from, to, bytes, this.#sendWork(from, 0), arrived);
      },
      resume: (node) => this.#advance(node),
    });
  }

  run(): SimulatedRun {
    // Of others hear the nodes that can be the home of a page.
    const homes = this.#nodes.filter(({ engine }) => engine.directory !== undefined);
    for (const home of homes) {
      for (const { id } of this.#nodes) {
        if (id !== home.id) home.engine.step({ kind: "peerJoined", node: id }, 0);
      }
    }
    for (const node of this.#nodes) this.#timeline.at(0, () => this.#advance(node));
    this.#timeline.run();
    const stuck = this.#nodes.find(({ finished }) => !finished);
    if (stuck !== undefined) throw new Error(`Simulated node ${stuck.id} comes to no end`);
    const { program, checked = false } = this.#options;
    if (checked || program.dependsOnData) program.check(this.#context(0));
    const [begins, ends] = [0, 1].map((index) => this.#nodes.map(({ marks }) => marks[index]!));
    const times = begins!.map(({ atUs }, index) => ends![index]!.atUs - atUs);
    const counts = begins!.map((begin, index) => difference(begin.counts, ends![index]!.counts));
    const us = Math.max(...times);
    const homeShare = (field: "engineWorkUs" | "portWorkUs") =>
      (ends![0]![field] - begins![0]![field]) / us;
    return {
      us,
      counts: total(counts),
      busiest: busiestOf(counts),
      homeEngineShare: homeShare("engineWorkUs"),
      homePortShare: homeShare("portWorkUs"),
    };
  }

  #context(rank: number) {
    const { program, nodes, checked = false } = this.#options;
    const computed = checked || program.dependsOnData;
    return { memory: this.#memory, base: 0, rank, nodes, traced: true, computed };
  }

  /** A node's program goes on, until it has to wait. */
  #advance(node: SimulatedNode): void {
    for (;;) {
      const units = node.touchAll();
      if (units === undefined) return this.#fault(node);
      if (units > 0 && !this.#compute(node, units * this.#options.unitUs)) return;
      const { done, value } = node.steps.next();
      if (done) return void (node.finished = true);
      if (!this.#begin(node, value)) return;
    }
  }

  /** Begins a step; returns whether the program can go on. */
  #begin(node: SimulatedNode, step: Step): boolean {
    switch (step.kind) {
      case "work":
        node.begin(step);
        return true;
      case "mark":
        node.mark(this.#timeline.nowUs);
        return true;
      case "barrier":
        this.#sync.arrive(node, step.name, this.#nodes.length);
        return false;
      case "lock":
        this.#sync.lock(node, step.name);
        return false;
      case "unlock":
        this.#sync.unlock(node, step.name);
        return true;
    }
  }

  /** A program works; returns whether it is done at once, since nothing happens meanwhile. */
  #compute(node: SimulatedNode, us: number): boolean {
    const untilUs = this.#timeline.nowUs + us;
    if (!this.#stepping && this.#timeline.skip(untilUs)) return true;
    const worked = node.engineWorkUs;
    this.#timeline.at(untilUs, () => {
      // What the engine has taken of the core meanwhile is still to be done.
      const lost = node.engineWorkUs - worked;
      if (lost === 0 || this.#compute(node, lost)) this.#advance(node);
    });
    return false;
  }

  #fault(node: SimulatedNode): void {
    const { page, access } = node.missing!;
    this.#input(node, { kind: "fault", page, access }, 0);
  }

  /** An engine is told something, once it is done with what it was told before. */
  #input(node: SimulatedNode, input: Input, pages: number): void {
    const { engineUs, pageUs } = this.#options.network;
    this.#work(node, engineUs + pages * pageUs, () => this.#step(node, input));
  }

  /** An engine works, and does something at the end of it. */
  #work(node: SimulatedNode, us: number, action: () => void): void {
    node.engineWorkUs += us;
    node.engineFreeUs = Math.max(node.engineFreeUs, this.#timeline.nowUs) + us;
    this.#timeline.at(node.engineFreeUs, action);
  }

  #step(node: SimulatedNode, input: Input): void {
    const { engine } = node;
    const { operations, messages, events } = engine.step(input, this.#timeline.nowUs);
    for (const event of events) throw new Error(`Node ${node.id}: ${JSON.stringify(event)}`);
    const woken = node.operate(operations);
    for (const { to, message } of messages) this.#send(node, to, message);
    this.#stepping = true;
    if (woken) this.#advance(node);
    this.#stepping = false;
    // What it was woken for it has done by now, even if it faults there again: holds wait for no
    // more.
    const [resumed] = engine.awaitedPages;
    if (resumed !== undefined) return this.#step(node, { kind: "resumed", page: resumed });
    if (engine.deadline < node.tickAtUs) this.#plan(node, engine.deadline);
  }

  /** Has an engine told the time when it wants to be. */
  #plan(node: SimulatedNode, atUs: number): void {
    node.tickAtUs = atUs;
    this.#timeline.at(Math.max(atUs, this.#timeline.nowUs), () => {
      if (node.tickAtUs !== atUs) return;
      node.tickAtUs = Infinity;
      if (node.engine.deadline <= this.#timeline.nowUs) this.#step(node, { kind: "tick" });
      else if (node.engine.deadline !== Infinity) this.#plan(node, node.engine.deadline);
    });
  }

  #send(node: SimulatedNode, to: NodeId, message: Message): void {
    const pages = payloadPages(message);
    const payload = pages * PAGE_SIZE_DEFAULT_BYTES;
    const bytes = encodeMessage(message, payload, this.#frame, 0) + payload;
    this.#transmit(node, to, bytes, this.#sendWork(node, pages), () => {
      const input: Input = { kind: "message", from: node.id, message };
      this.#input(this.#nodes[to - 1]!, input, pages);
    });
  }

  /** An engine sends a message; returns when the message is ready to leave. */
  #sendWork(node: SimulatedNode, pages: number): number {
    const { engineUs, pageUs } = this.#options.network;
    const us = engineUs + pages * pageUs;
    node.engineWorkUs += us;
    return node.engineFreeUs = Math.max(node.engineFreeUs, this.#timeline.nowUs) + us;
  }

  #transmit(
    from: SimulatedNode,
    to: NodeId,
    bytes: number,
    readyUs: number,
    arrived: () => void,
  ): void {
    if (to === from.id) throw new Error(`Node ${to} sends a message to itself`);
    const { latencyUs, bytesPerUs } = this.#options.network;
    from.messagesSent++;
    from.bytesSent += bytes;
    const us = bytes / bytesPerUs;
    from.portWorkUs += us;
    from.portFreeUs = Math.max(from.portFreeUs, readyUs) + us;
    this.#timeline.at(from.portFreeUs + latencyUs, () => {
      this.#nodes[to - 1]!.messagesReceived++;
      arrived();
    });
  }
}

interface Event {
  readonly atUs: number;
  /** Decides between events of the same moment: what was planned first comes first. */
  readonly order: number;
  readonly action: () => void;
}

/** A clock, and what is to happen. */
export class Timeline {
  /** The time, in microseconds. */
  nowUs = 0;
  /** A heap: no event is before the one at half its index. */
  readonly #heap: Event[] = [];
  #planned = 0;

  /**
   * Plans something.
   *
   * @param atUs When, in microseconds; not before now.
   * @param action What.
   */
  at(atUs: number, action: () => void): void {
    const heap = this.#heap;
    const event = { atUs, order: this.#planned++, action };
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  /**
   * Moves the clock if nothing is to happen until then.
   *
   * @param toUs The time to move to, in microseconds.
   * @returns Whether it has moved.
   */
  skip(toUs: number): boolean {
    const first = this.#heap[0];
    if (first !== undefined && first.atUs <= toUs) return false;
    this.nowUs = toUs;
    return true;
  }

  /** Lets everything happen, until nothing more is planned. */
  run(): void {
    for (let event = this.#take(); event !== undefined; event = this.#take()) {
      this.nowUs = event.atUs;
      event.action();
    }
  }

  #take(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || heap.length === 0) return first;
    let index = 0;
    for (let child = 1; child < heap.length; child = 2 * index + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last!;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

/** What synchronisation needs of the cluster. */
export interface SyncParts {
  /** The nodes, in order of their ids. */
  readonly nodes: readonly SimulatedNode[];
  /** An engine works for an input, and does something at the end of it. */
  work(node: SimulatedNode, action: () => void): void;
  /** Sends so many bytes, and does something when they are there. */
  transmit(from: SimulatedNode, to: NodeId, bytes: number, arrived: () => void): void;
  /** A program that waited goes on. */
  resume(node: SimulatedNode): void;
}

/** What all nodes share beside memory. */
export class SimulatedSync {
  readonly #parts: SyncParts;
  readonly #synchronizer: Synchronizer;
  /** By node; the directory node has none. */
  readonly #gatherers = new Map<NodeId, BarrierGatherer>();
  readonly #frame = new Uint8Array(CONTROL_MAX_BYTES);
  /** What happens when a request is answered, by node and ticket. */
  readonly #waiting = new Map<string, (reply: SyncReply) => void>();

  /** @param parts The cluster. */
  constructor(parts: SyncParts) {
    this.#parts = parts;
    const violation = (node: NodeId, reason: string): never => {
      throw new Error(`Node ${node}: ${reason}`);
    };
    const directory = parts.nodes[DIRECTORY_NODE - 1]!;
    this.#synchronizer = new Synchronizer({
      reply: (to, reply) => this.#reply(to, reply),
      tell: (to, message) => this.#send(directory, to, message),
      violation,
    });
    for (const node of parts.nodes) {
      this.#synchronizer.peerJoined(node.id);
      if (node === directory) continue;
      const gatherer = new BarrierGatherer(
        {
          ask: (request) => this.#send(node, DIRECTORY_NODE, request),
          send: (to, message) => this.#send(node, to, message),
          answer: (reply) => this.#answered(node, reply),
          violation,
        },
        () => this.#waiting.keys().filter((key) => key.startsWith(`${node.id} `)).toArray().length,
      );
      this.#gatherers.set(node.id, gatherer);
    }
  }

  /** A program arrives at a barrier, and goes on when all have. */
  arrive(node: SimulatedNode, name: string, count: number): void {
    const { Arrive: operation } = SyncOperation;
    const request: SyncRequest = { kind: "sync", operation, ticket: node.ticket(), name, count };
    this.#ask(node, request, ({ status }) => {
      if (status !== SyncStatus.Done && status !== SyncStatus.Last) throw unexpected(status);
      this.#parts.resume(node);
    });
  }

  /** A program locks a mutex, and goes on when it has it. */
  lock(node: SimulatedNode, name: string): void {
    const { Lock: operation } = SyncOperation;
    const request: SyncRequest = { kind: "sync", operation, ticket: node.ticket(), name };
    this.#ask(node, request, ({ status, ticket }) => {
      if (status !== SyncStatus.Done) throw unexpected(status);
      node.locks.set(name, ticket);
      this.#parts.resume(node);
    });
  }

  /** A program unlocks a mutex; it does not wait for the answer. */
  unlock(node: SimulatedNode, name: string): void {
    const { Unlock: operation } = SyncOperation;
    const lock = node.locks.get(name)!;
    node.locks.delete(name);
    const request: SyncRequest = { kind: "sync", operation, ticket: node.ticket(), lock };
    this.#ask(node, request, ({ status }) => {
      if (status !== SyncStatus.Done) throw unexpected(status);
    });
  }

  #ask(node: SimulatedNode, request: SyncRequest, answered: (reply: SyncReply) => void): void {
    this.#waiting.set(`${node.id} ${request.ticket}`, answered);
    this.#parts.work(node, () => {
      if (node.id === DIRECTORY_NODE) return this.#synchronizer.request(node.id, request);
      const isArrival = request.operation === SyncOperation.Arrive;
      if (isArrival && this.#gatherers.get(node.id)!.arrive(request)) return;
      this.#send(node, DIRECTORY_NODE, request);
    });
  }

  #send(from: SimulatedNode, to: NodeId, message: SyncMessage | BarrierTreeMessage): void {
    const { nodes, work, transmit } = this.#parts;
    const bytes = message.kind === "barrierTree"
      ? encodeControl(message, this.#frame, 0)
      : encodeSync(message, this.#frame, 0);
    const node = nodes[to - 1]!;
    transmit(from, to, bytes, () => work(node, () => this.#receive(node, from.id, message)));
  }

  #receive(node: SimulatedNode, from: NodeId, message: SyncMessage | BarrierTreeMessage): void {
    const gatherer = this.#gatherers.get(node.id);
    switch (message.kind) {
      case "sync":
        return this.#synchronizer.request(from, message);
      case "syncReply":
        return this.#answered(node, message);
      case "barrierTree":
        return gatherer!.plan(from, message);
      case "gather":
        if (gatherer === undefined) return this.#synchronizer.gather(from, message);
        return gatherer.receive(from, message);
    }
  }

  #reply(to: NodeId, reply: SyncReply): void {
    const { nodes, work } = this.#parts;
    const directory = nodes[DIRECTORY_NODE - 1]!;
    if (to !== DIRECTORY_NODE) return this.#send(directory, to, reply);
    // Not from within the request: its answers to others come first.
    work(directory, () => this.#answered(directory, reply));
  }

  #answered(node: SimulatedNode, reply: SyncReply): void {
    const key = `${node.id} ${reply.ticket}`;
    const answered = this.#waiting.get(key)!;
    this.#waiting.delete(key);
    answered(reply);
  }
}

function unexpected(status: SyncStatus): Error {
  return new Error(`Unexpected status ${status}`);
}

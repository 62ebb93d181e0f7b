/**
 * Drives the protocol of a node: takes faults from the kernel, messages from peers and calls from the
 * program's threads, and does to pages and links what the protocol says.
 *
 * It looks for faults and calls again and again for a while after each event, and only then sleeps in
 * the kernel until there is a fault or a kick (`polling.ts`). Sockets are looked at by Deno's event
 * loop in either case.
 */

import {
  FAULT_FLAGS,
  FAULT_PAGE,
  FAULT_WORDS,
  FAULT_WRITE,
  FAULT_WRITE_PROTECT,
} from "../../ffi/abi.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import { FAULT_BATCH, RUN_MAX_BYTES } from "../limits.ts";
import { nowUs, Polling } from "./polling.ts";
import { Encoding } from "../wire/layout.ts";
import type { Coherence, Input } from "../protocol/coherence/coherence.ts";
import {
  Content,
  type GrantMessage,
  type Message,
  type NodeId,
} from "../protocol/coherence/messages.ts";
import type { EngineEvent, Output, PageOperation } from "../protocol/coherence/output.ts";
import { Access } from "../protocol/coherence/page.ts";
import type { CallServer } from "../ring/calls.ts";
import { packPages } from "../cluster/page_packer.ts";
import type { CallSlots } from "../ring/ring.ts";

/** Where a driver sends messages. */
export interface MessageSink {
  /** Queues a message, with the bytes of its pages, and how they are packed. */
  send(to: NodeId, message: Message, payload?: Uint8Array, encoding?: Encoding): void;
  /** Sends what is queued. */
  flush(): void;
}

/** What a driver is made of. */
export interface DriverParts {
  readonly coherence: Coherence;
  readonly region: NativeRegion;
  readonly sink: MessageSink;
  readonly slots: CallSlots;
  readonly calls: CallServer;
  /** How long to poll after the last event, in microseconds. */
  readonly pollTimeUs: number;
  /** Whether pages are packed where that makes them smaller. */
  readonly compression: boolean;
  /** Told what the protocol has to say. */
  readonly tell: (event: EngineEvent) => void;
  /** Told of what must not happen: the driver has stopped. */
  readonly failed: (error: unknown) => void;
}

/** How a driver spends its time. */
export interface DriverCounters {
  /** Turns of the polling loop. */
  turns: number;
  /** Times that it went to sleep. */
  sleeps: number;
}

/** Runs one node's protocol. */
export class Driver {
  readonly counters: DriverCounters = { turns: 0, sleeps: 0 };
  readonly #parts: DriverParts;
  readonly #alias: Uint8Array;
  /** Where pages are packed, if they are. */
  readonly #packed: Uint8Array<ArrayBuffer> | undefined;
  readonly #faults = new Uint32Array(FAULT_BATCH * FAULT_WORDS);
  readonly #turn = (): void => {
    try {
      this.#poll();
    } catch (error) {
      this.#fail(error);
      // A turn that failed did not get to say when the next one is.
      if (!this.#stopped) setImmediate(this.#turn);
    }
  };
  readonly #polling: Polling;
  /** Whether no turn is scheduled. */
  #asleep = true;
  /** Whether a thread of the pool waits in the kernel. It is left there while the driver polls. */
  #waiting: Promise<void> | undefined;
  #stopped = false;
  /** Whether no step can be done any more. Faults and calls are still taken, to refuse them. */
  #failed = false;
  /** Whether a fault was taken that no step has seen. */
  #unserved = false;
  /** What came from within a step, and waits for its end. */
  readonly #inputs: Input[] = [];
  #stepping = false;
  /** Whether the step under way may have woken a thread of the program. */
  #woke = false;
  #faulted: (() => void) | undefined;

  /** @param parts What to drive, and with what. */
  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#polling = new Polling(parts.pollTimeUs, () => parts.region.yield());
    this.#alias = parts.region.alias();
    if (parts.compression) this.#packed = new Uint8Array(RUN_MAX_BYTES);
  }

  /** Begins to take faults and calls. */
  start(): void {
    this.#wake();
  }

  /** Ends; when it resolves no call into the region is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#parts.region.kick();
    await this.#waiting;
  }

  /** From here on no fault can be served; `faulted` is called when one comes, or has come. */
  refuseFaults(faulted: () => void): void {
    this.#faulted = faulted;
    if (this.#unserved || this.#parts.coherence.cache.isAwaited) faulted();
  }

  /** Where the bytes of a grant go; `undefined` when it was not asked for. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined {
    if (this.#stopped || this.#failed) return undefined;
    const { coherence } = this.#parts;
    return coherence.acceptsData(from, grant) ? this.#bytes(grant.first, grant.count) : undefined;
  }

  /** Something happened. */
  input(input: Input): void {
    if (this.#stopped) return;
    try {
      this.#step(input);
    } catch (error) {
      this.#fail(error);
    }
    this.#wake();
  }

  /** What is left to do is to refuse faults and calls; if that fails too, there is nothing. */
  #fail(error: unknown): void {
    if (this.#failed) this.#stopped = true;
    this.#failed = true;
    this.#parts.failed(error);
  }

  /** Something happened that is not the driver's, but from which calls or messages may follow soon. */
  stayAwake(): void {
    if (!this.#stopped) this.#wake();
  }

  /** Makes sure that a turn comes soon, or is done at once. */
  #wake(atOnce = false): void {
    this.#polling.event();
    if (!this.#asleep || this.#stopped) return;
    this.#asleep = false;
    this.#parts.slots.setAsleep(false);
    if (atOnce) this.#turn();
    else setImmediate(this.#turn);
  }

  /** One turn of the polling loop. */
  #poll(): void {
    if (this.#stopped) return;
    this.counters.turns++;
    const { coherence, calls } = this.#parts;
    let active = this.#takeFaults();
    active = calls.poll() || active;
    const deadline = this.#failed ? Infinity : coherence.deadline;
    if (deadline <= nowUs()) {
      this.#step({ kind: "tick" });
      active = true;
    }
    if (deadline !== Infinity) this.#lookForResumed();
    if (active ? this.#polling.event() : this.#polling.again()) {
      return void setImmediate(this.#turn);
    }
    if (this.#failed || coherence.deadline === Infinity) return this.#sleep();
    this.#parts.region.yield();
    setImmediate(this.#turn);
  }

  /** A demand waits for accesses of this node: tells the protocol of those that have happened. */
  #lookForResumed(): void {
    const { coherence, region } = this.#parts;
    if (!region.countsRuns) return;
    for (const page of coherence.awaitedPages) {
      if (region.resumed(page)) this.#step({ kind: "resumed", page });
    }
  }

  #sleep(): void {
    const { slots, calls, region } = this.#parts;
    slots.setAsleep(true);
    // A call that came before the caller could see that it must kick would wait for ever.
    if (calls.poll()) {
      slots.setAsleep(false);
      setImmediate(this.#turn);
      return;
    }
    this.#asleep = true;
    this.counters.sleeps++;
    this.#waiting ??= region.wait(-1).then(() => {
      this.#waiting = undefined;
      this.#wake(true);
    }, (error) => {
      this.#waiting = undefined;
      if (this.#stopped) return;
      this.#fail(error);
      this.#wake();
    });
  }

  /** Takes what faults there are; whether there were any. */
  #takeFaults(): boolean {
    const count = this.#parts.region.readFaults(this.#faults);
    this.#unserved = count > 0;
    for (let index = 0; index < count; index++) {
      const page = this.#faults[index * FAULT_WORDS + FAULT_PAGE]!;
      const flags = this.#faults[index * FAULT_WORDS + FAULT_FLAGS]!;
      if (this.#faulted !== undefined) this.#faulted();
      const access = (flags & (FAULT_WRITE | FAULT_WRITE_PROTECT)) !== 0
        ? Access.Write
        : Access.Read;
      this.#step({ kind: "fault", page, access });
    }
    if (!this.#failed) this.#unserved = false;
    return count > 0;
  }

  /** Lets the protocol take an input, and does what it says in the order that it must be done. */
  #step(input: Input): void {
    if (this.#stepping) return void this.#inputs.push(input);
    this.#stepping = true;
    try {
      let next: Input | undefined = input;
      // A step's output is valid until the next step, and must be done in its order.
      for (; next !== undefined && !this.#failed; next = this.#inputs.shift()) this.#do(next);
    } finally {
      this.#stepping = false;
    }
  }

  #do(input: Input): void {
    const { coherence, sink, tell } = this.#parts;
    const output: Output = coherence.step(input, nowUs());
    this.#woke = false;
    for (const operation of output.operations) this.#operate(operation);
    for (const { to, message } of output.messages) {
      if (message.kind === "grant" && message.content === Content.Data) this.#grant(to, message);
      else sink.send(to, message);
    }
    if (output.messages.length > 0) sink.flush();
    for (const event of output.events) tell(event);
    // Who was woken may have been given this very core, and would wait until this thread sleeps.
    if (this.#woke) this.#parts.region.yield();
  }

  /** Sends a grant with the bytes of its pages. */
  #grant(to: NodeId, grant: GrantMessage): void {
    const { sink, region: { pageSize } } = this.#parts;
    const packed = this.#packed;
    const pages = this.#bytes(grant.first, grant.count);
    const size = packed === undefined ? undefined : packPages(pages, pageSize, packed);
    if (size === undefined) sink.send(to, grant, pages);
    // A copy, for others are packed before it is sent.
    else sink.send(to, grant, packed!.slice(0, size), Encoding.Lz4);
  }

  #operate(operation: PageOperation): void {
    const { region } = this.#parts;
    const { kind, first, count } = operation;
    this.#woke ||= kind === "install" || kind === "installZero" || kind === "unprotect";
    switch (kind) {
      case "install":
        return region.install(first, count, operation.writable);
      case "installZero":
        return region.install(first, count, true, true);
      case "unprotect":
        return region.unprotect(first, count);
      case "protect":
        return region.protect(first, count);
      case "evict":
        return region.evict(first, count);
      default:
        kind satisfies never;
    }
  }

  #bytes(first: number, count: number): Uint8Array {
    const { pageSize } = this.#parts.region;
    return this.#alias.subarray(first * pageSize, (first + count) * pageSize);
  }
}

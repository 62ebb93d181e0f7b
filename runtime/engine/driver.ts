/**
 * Drives the protocol of a node: takes faults from the kernel, messages from peers and calls from
 * the program's threads, and carries out the page operations and sends that the protocol asks for.
 *
 * With a poller the whole thread sleeps in one call for faults, links and kicks, which may look for
 * news before it sleeps (`polling.ts`); Deno's event loop has a turn where there is something for
 * it. Without a poller the driver polls for a while after each event, Deno's event loop looks at
 * sockets, and a thread of Deno's pool sleeps until there is a fault or a kick.
 */

import {
  FAULT_FLAGS,
  FAULT_PAGE,
  FAULT_WORDS,
  FAULT_WRITE,
  FAULT_WRITE_PROTECT,
} from "../../ffi/abi.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import type { Poller } from "../../ffi/poller.ts";
import { hasOperations, noted, operationSteps } from "../event_loop.ts";
import {
  DISCARD_LOOK_US,
  FAULT_BATCH,
  FAULTS_ASK_US,
  HELD_SLEEP_US,
  LOOP_BUSY_TURNS,
  LOOP_QUEUE_TURNS,
  LOOP_QUIET_TURNS,
  OPERATION_LOOK_US,
  RUN_MAX_BYTES,
  SLEEP_LEAST_US,
  SLEEP_MAX_US,
} from "../limits.ts";
import { type LookFor, Looking, nowUs, Polling } from "./polling.ts";
import type { EngineTimers } from "./timers.ts";
import { Encoding } from "../wire/layout.ts";
import type { Coherence, Input } from "../protocol/coherence/coherence.ts";
import {
  Content,
  type GrantMessage,
  type Message,
  type NodeId,
} from "../protocol/coherence/messages.ts";
import type { EngineEvent, Output, PageOperation } from "../protocol/coherence/output.ts";
import { Access, type PageRun } from "../protocol/coherence/page.ts";
import type { CallServer } from "../ring/calls.ts";
import { Discards } from "./discards.ts";
import type { packPages } from "../cluster/page_packer.ts";
import type { CallSlots } from "../ring/call_slots.ts";

const MS_US = 1000;

/** Where a driver sends messages. */
export interface MessageSink {
  /** Queues a message, with the bytes of its pages, and how they are packed. */
  send(to: NodeId, message: Message, payload?: Uint8Array, encoding?: Encoding): void;
  /** Sends what is queued. */
  flush(): void;
  /** The page bytes that wait to be sent, or are being sent, straight from the alias. */
  unsent(): Iterable<Uint8Array>;
  /** Another number whenever some of {@linkcode MessageSink.unsent} waits no longer. */
  unsentVersion(): number;
}

/** What the thread of a driver sleeps in. */
export interface DriverSleep {
  readonly poller: Pick<
    Poller,
    "turnDue" | "loopReady" | "hasSent" | "look" | "wait" | "watch" | "leaveFaults"
  >;
  /** The timers of this thread, which the driver runs from its start to its end. */
  readonly timers: Pick<EngineTimers, "drive" | "release" | "run" | "nextUs">;
}

/** What a driver is made of. */
export interface DriverParts {
  readonly coherence: Coherence;
  readonly region: NativeRegion;
  readonly sink: MessageSink;
  readonly slots: CallSlots;
  readonly calls: CallServer;
  /** What the thread sleeps in; without it, a thread of Deno's pool sleeps. */
  readonly sleep?: DriverSleep | undefined;
  /** How long to poll after the last event, or to look for news at most, in microseconds. */
  readonly pollTimeUs: number;
  /** Whether pages are packed where that makes them smaller. */
  readonly compression: boolean;
  /** Gets the protocol's events. */
  readonly tell: (event: EngineEvent) => void;
  /** Called first after a wait: fences the region if the node was stopped for long. */
  readonly lookAtClock: () => void;
  /** Called in each turn in which a thread waits to end the process: the node is to leave. */
  readonly exiting: () => void;
  /** Gets the error that has stopped the driver, such as a system call that failed. */
  readonly failed: (error: unknown) => void;
}

/** How a driver spends its time. */
export interface DriverCounters {
  /** Turns of the driver's loop. */
  turns: number;
  /** How often the driver went to sleep. */
  sleeps: number;
}

/** Runs one node's protocol. */
export class Driver {
  readonly counters: DriverCounters = { turns: 0, sleeps: 0 };
  #parts: DriverParts;
  readonly #alias: Uint8Array;
  readonly #discards: Discards;
  /** The buffer for packed pages; only with compression. */
  readonly #packed: Uint8Array<ArrayBuffer> | undefined;
  /** Packs pages, once it is loaded; until then they are sent as they are. */
  #packPages: typeof packPages | undefined;
  /** Resolves when pages can be packed, if they are to be. */
  readonly prepared: Promise<void>;
  readonly #faults = new Uint32Array(FAULT_BATCH * FAULT_WORDS);
  readonly #turn = (): void => {
    try {
      if (this.#parts.sleep === undefined) this.#poll();
      else this.#turns(this.#parts.sleep);
    } catch (error) {
      this.#fail(error);
      // A turn that failed has not scheduled the next one.
      if (!this.#stopped) setImmediate(this.#turn);
    }
  };
  readonly #polling: Polling;
  readonly #looking: Looking;
  /** Whether no turn is scheduled. */
  #asleep = true;
  /** Whether a thread of the pool waits in the kernel. It stays there while the driver polls. */
  #waiting: Promise<void> | undefined;
  /**
   * With a poller: how many turns the event loop had in a row in which there was nothing to do;
   * below 0 where more are to follow before the first sleep.
   */
  #quietTurns = 0;
  /** The {@linkcode operationSteps} at the last look. */
  #operationSteps = 0;
  /** Whether operations were under way when the event loop had its last turn. */
  #awaited = false;
  #toldOfExit = false;
  /** Ends a sleep. */
  #alarm: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  /** Whether the protocol can take no more steps. Faults and calls are taken to refuse them. */
  #failed = false;
  /** Whether faults are the library's, which ends the process at the first. */
  #fenced = false;
  /** Whether a fault was taken after the last step, and so will never be served. */
  #unserved = false;
  /** Inputs that arose within a step, and wait for its end. */
  readonly #inputs: Input[] = [];
  #stepping = false;
  /**
   * Whether a thread of the program may have been woken since the last sleep, or since the step
   * began.
   */
  #woke = false;
  /** With a poller: whether a thread of the program has called since the last sleep began. */
  #called = false;
  /** With a poller: when faults were last asked for that it had not told of. */
  #askedUs = 0;
  #faulted: (() => void) | undefined;

  /** @param parts What to drive, and with what. */
  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#polling = new Polling(parts.pollTimeUs, () => parts.region.yield());
    this.#looking = new Looking(parts.pollTimeUs);
    this.#alias = parts.region.alias();
    this.#discards = new Discards(this.#alias, parts.region.pageSize);
    if (parts.compression) this.#packed = new Uint8Array(RUN_MAX_BYTES);
    this.prepared = this.#prepare();
  }

  async #prepare(): Promise<void> {
    // Loaded on demand, since compiling the package that compresses takes longer than to connect.
    if (this.#packed === undefined) return;
    ({ packPages: this.#packPages } = await noted(import("../cluster/page_packer.ts")));
  }

  /**
   * Sends messages about pages by another sink from here on. Not to be called within a step.
   *
   * @param replace Makes the sink of the one that was used so far.
   * @returns The one that was used so far.
   */
  sendBy(replace: (sink: MessageSink) => MessageSink): MessageSink {
    const { sink } = this.#parts;
    this.#parts = { ...this.#parts, sink: replace(sink) };
    return sink;
  }

  /** Begins to take faults and calls. */
  start(): void {
    this.#parts.sleep?.timers.drive();
    this.#parts.sleep?.poller.watch(this.#parts.region);
    this.#wake();
  }

  /** Ends the driver. Resolves when no call into the region is under way. */
  async stop(): Promise<void> {
    this.#end();
    clearTimeout(this.#alarm);
    this.#parts.region.kick();
    await this.#waiting;
  }

  /** No turn follows. */
  #end(): void {
    this.#stopped = true;
    this.#parts.sleep?.timers.release();
  }

  /** From here on no fault can be served; `faulted` is called when one comes, or has come. */
  refuseFaults(faulted: () => void): void {
    this.#faulted = faulted;
    if (this.#unserved || this.#parts.coherence.cache.isAwaited) return faulted();
    // A fault may have been granted, but not served: the page operation failed. Its thread faults
    // again.
    try {
      this.#parts.region.wake();
    } catch (error) {
      this.#fail(error);
    }
    this.#wake();
  }

  /**
   * The node cannot go on: closes the region to every thread, for good. Only calls are taken from
   * here on.
   *
   * @param message What to print when a thread touches the region, which ends the process.
   * @param exitCode How the process then ends.
   * @param graceMs How long the program may take to end it itself, in milliseconds.
   * @throws {TdsmError} When threads may still see pages: the process must end.
   */
  fence(message: string, exitCode: number, graceMs: number): void {
    const { region, sleep } = this.#parts;
    this.#failed = this.#fenced = true;
    this.needsTurn();
    region.fence(message, exitCode, graceMs);
    sleep?.poller.leaveFaults(region);
  }

  /** Where to write the bytes of a grant; `undefined` when this node has not requested them. */
  target(from: NodeId, grant: GrantMessage): Uint8Array | undefined {
    if (this.#stopped || this.#failed) return undefined;
    const { coherence } = this.#parts;
    if (!coherence.acceptsData(from, grant)) return undefined;
    const { first, count } = grant;
    this.#discards.cancel(grant);
    try {
      this.#parts.region.populate(first, count);
    } catch (error) {
      this.#fail(error);
      this.#wake();
      return undefined;
    }
    return this.#bytes(first, count);
  }

  /** Steps the protocol with an input. */
  input(input: Input): void {
    if (this.#stopped) return;
    try {
      this.#step(input);
    } catch (error) {
      this.#fail(error);
    }
    this.#wake();
  }

  /** After a first error the driver only refuses faults and calls; after a second it stops. */
  #fail(error: unknown): void {
    if (this.#failed) this.#end();
    else {
      // The library may have fenced the region within a step: then the error only follows from
      // that.
      this.#parts.lookAtClock();
      if (this.#fenced) return;
    }
    this.#failed = true;
    this.#parts.failed(error);
    this.needsTurn();
  }

  /** Something was begun that goes on in the event loop. */
  needsTurn(): void {
    if (this.#parts.sleep !== undefined) this.#parts.sleep.poller.turnDue = true;
  }

  /** Keeps polling after an event elsewhere, such as a remote call: more may follow. */
  stayAwake(): void {
    if (!this.#stopped) this.#wake();
  }

  /** Schedules a turn, or takes it at once. */
  #wake(atOnce = false): void {
    if (this.#parts.sleep === undefined) this.#polling.event();
    if (!this.#asleep || this.#stopped) return;
    this.#asleep = false;
    clearTimeout(this.#alarm);
    this.#parts.slots.setAsleep(false);
    if (atOnce) this.#turn();
    else setImmediate(this.#turn);
  }

  /** Acts and sleeps in turn, until the event loop has something to do. */
  #turns({ poller, timers }: DriverSleep): void {
    const awaits = hasOperations();
    if (poller.loopReady) this.#quietTurns = LOOP_BUSY_TURNS - LOOP_QUEUE_TURNS;
    else if (this.#isTurnDue(poller)) this.#quietTurns = Math.min(this.#quietTurns, 0);
    this.#awaited = awaits;
    poller.turnDue = false;
    this.#operationSteps = operationSteps();
    const isQuiet = this.#quietTurns >= LOOP_QUIET_TURNS && !awaits;
    let now = 0;
    let sleepUs = 0;
    while (!this.#stopped) {
      this.#act(sleepUs > 0 ? this.#sleepIn(poller, sleepUs, now) : poller.wait(0).faults);
      now = nowUs();
      // What a timer has begun may go on in the turn of the event loop that follows.
      if (timers.run(now) || this.#isTurnDue(poller) || poller.loopReady) break;
      if (!isQuiet && sleepUs > 0) break;
      sleepUs = this.#sleepUs(now, timers.nextUs(now));
      if (!isQuiet && sleepUs === 0) break;
    }
    if (!isQuiet && this.#quietTurns < LOOP_QUIET_TURNS) this.#quietTurns++;
    if (!this.#stopped) setImmediate(this.#turn);
  }

  /**
   * Whether the event loop has something to go on with, or had since the last look: what it has
   * just begun ends no sleep before it has had its first turn.
   */
  #isTurnDue({ turnDue }: DriverSleep["poller"]): boolean {
    return turnDue || operationSteps() !== this.#operationSteps;
  }

  /**
   * The longest sleep, in microseconds. What the event loop goes on with by itself wakes no epoll;
   * so once it has had something to do, sleeps are none at first, and each may be twice as long as
   * the last.
   */
  #sleepMaxUs(): number {
    const maxUs = this.#awaited ? OPERATION_LOOK_US : SLEEP_MAX_US;
    if (this.#quietTurns >= LOOP_QUIET_TURNS) return maxUs;
    return this.#quietTurns < LOOP_BUSY_TURNS ? 0 : Math.min(2 ** this.#quietTurns, maxUs);
  }

  /**
   * How long the thread may sleep now, in microseconds; says so to the threads that write calls.
   */
  #sleepUs(now: number, timerUs: number): number {
    const { slots } = this.#parts;
    const untilUs = Math.min(this.#wakeAt(HELD_SLEEP_US), timerUs);
    const sleepUs = Math.min(Math.ceil(untilUs - now), this.#sleepMaxUs());
    if (sleepUs <= 0) return 0;
    slots.setAsleep(true);
    // A call written just before the engine said that it sleeps brings no kick, and would wait for
    // ever.
    if (this.#takeCalls() || this.#askForFaults(now)) {
      slots.setAsleep(false);
      return 0;
    }
    this.counters.sleeps++;
    return sleepUs;
  }

  /**
   * Now and then asks for faults, since no epoll tells that the program has closed their
   * descriptor.
   */
  #askForFaults(now: number): boolean {
    if (now - this.#askedUs < FAULTS_ASK_US) return false;
    this.#askedUs = now;
    return this.#takeFaults();
  }

  /** Sleeps from now on, or looks for news before that. Returns whether there are faults. */
  #sleepIn(poller: DriverSleep["poller"], sleepUs: number, now: number): boolean {
    const { calls, slots } = this.#parts;
    // A thread that was woken may wait for this very core.
    const looks = (poller.hasSent || this.#called) && !this.#woke && !calls.hasWoken;
    const lookUs = looks ? this.#looking.nextUs(this.#lookFor(poller)) : 0;
    poller.hasSent = this.#called = false;
    this.#woke = calls.hasWoken = false;
    const { faults, any } = poller.wait(sleepUs, lookUs);
    slots.setAsleep(false);
    if (poller.look !== undefined) this.#looking.looked(poller.look);
    if (any || poller.loopReady || poller.look !== undefined) return faults;
    const lateUs = nowUs() - now - sleepUs;
    // A signal ends a sleep early.
    if (lateUs >= 0) this.#looking.overslept(lateUs);
    return faults;
  }

  #lookFor({ hasSent }: DriverSleep["poller"]): LookFor {
    if (this.#parts.coherence.cache.isAwaited) return "page";
    return hasSent ? "answer" : "call";
  }

  /** One turn of the polling loop. */
  #poll(): void {
    if (this.#stopped) return;
    if (this.#act(true) ? this.#polling.event() : this.#polling.again()) {
      return void setImmediate(this.#turn);
    }
    const wakeAt = this.#wakeAt(0);
    if (wakeAt - nowUs() >= SLEEP_LEAST_US) return this.#sleep(wakeAt);
    this.#parts.region.yield();
    setImmediate(this.#turn);
  }

  /** Does what there is to do. Returns whether there was anything. */
  #act(mayHaveFaults: boolean): boolean {
    this.counters.turns++;
    const { coherence, region, lookAtClock, exiting } = this.#parts;
    if (!this.#failed) lookAtClock();
    if (region.isExiting) exiting();
    if (region.isExiting && !this.#toldOfExit) this.needsTurn();
    this.#toldOfExit = region.isExiting;
    this.#discard();
    let active = mayHaveFaults && this.#takeFaults();
    active = this.#takeCalls() || active;
    const deadline = this.#failed ? Infinity : coherence.deadline;
    if (deadline !== Infinity) {
      if (deadline <= nowUs()) {
        this.#step({ kind: "tick" });
        active = true;
      }
      this.#lookForResumed();
    }
    if (!this.#failed && coherence.hasWork) {
      this.#step({ kind: "work" });
      active = true;
    }
    return active;
  }

  /**
   * When there is something to do even if nothing happens, in microseconds; `Infinity` for never.
   *
   * @param heldUs How long to wait where a page is held for a thread that has not run.
   */
  #wakeAt(heldUs: number): number {
    const { coherence, region } = this.#parts;
    const discardsAt = this.#discards.isEmpty ? Infinity : nowUs() + DISCARD_LOOK_US;
    if (this.#failed) return discardsAt;
    if (coherence.hasWork) return 0;
    const wakeAt = Math.min(coherence.deadline, discardsAt);
    // Whether a thread has run is not told, only looked at.
    if (!region.countsRuns || coherence.awaitedPages.length === 0) return wakeAt;
    return heldUs === 0 ? 0 : Math.min(wakeAt, nowUs() + heldUs);
  }

  /** Where a demand waits for threads of this node, tells the protocol which of them have run. */
  #lookForResumed(): void {
    const { coherence, region } = this.#parts;
    if (!region.countsRuns) return;
    for (const page of coherence.awaitedPages) {
      if (region.resumed(page)) this.#step({ kind: "resumed", page });
    }
  }

  /** Sleeps until something happens, and no longer than to a time, in microseconds. */
  #sleep(wakeAt: number): void {
    const { slots, calls, region } = this.#parts;
    slots.setAsleep(true);
    // A call written just before the engine said that it sleeps brings no kick, and would wait for
    // ever.
    if (calls.poll()) {
      slots.setAsleep(false);
      setImmediate(this.#turn);
      return;
    }
    this.#asleep = true;
    this.counters.sleeps++;
    if (wakeAt !== Infinity) {
      this.#alarm = setTimeout(() => this.#wake(true), (wakeAt - nowUs()) / MS_US);
    }
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

  /** Takes every call that waits. Returns whether there were any. */
  #takeCalls(): boolean {
    const any = this.#parts.calls.poll();
    this.#called ||= any;
    return any;
  }

  /** Takes every fault that waits. Returns whether there were any. */
  #takeFaults(): boolean {
    if (this.#fenced) return false;
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

  /** Steps the protocol with an input, and carries out the output in the order of the contract. */
  #step(input: Input): void {
    if (this.#stepping) return void this.#inputs.push(input);
    this.#stepping = true;
    try {
      let next: Input | undefined = input;
      // A step's output is valid only until the next step, and must be carried out in order.
      for (; next !== undefined && !this.#failed; next = this.#inputs.shift()) {
        this.carryOut(next);
      }
    } finally {
      this.#stepping = false;
    }
  }

  /**
   * Steps the protocol once, at a time, and carries out what it puts out. A driver that is watched
   * has one of its own, as of {@linkcode Driver.operate} (`watched_driver.ts`).
   */
  carryOut(input: Input, now = nowUs()): void {
    const { coherence, sink, tell } = this.#parts;
    const output: Output = coherence.step(input, now);
    if (this.#parts.sleep === undefined) this.#woke = false;
    // By index: what iterators cost is most of such a loop, before V8 has compiled it.
    const { operations, messages } = output;
    for (let index = 0; index < operations.length; index++) this.operate(operations[index]!);
    for (let index = 0; index < messages.length; index++) {
      const { to, message } = messages[index]!;
      if (message.kind === "grant" && message.content === Content.Data) this.#grant(to, message);
      else sink.send(to, message);
    }
    if (messages.length > 0) sink.flush();
    this.#discard();
    for (const event of output.events) tell(event);
    if (output.events.length > 0) this.needsTurn();
    // The kernel may have placed the woken thread on this very core, where it would wait until this
    // thread sleeps. With a poller that is soon.
    if (this.#woke && this.#parts.sleep === undefined) this.#parts.region.yield();
  }

  /** Sends a grant with the bytes of its pages. */
  #grant(to: NodeId, grant: GrantMessage): void {
    const { sink, region: { pageSize } } = this.#parts;
    const packed = this.#packed;
    const pages = this.#bytes(grant.first, grant.count);
    const size = packed && this.#packPages?.(pages, pageSize, packed);
    if (size === undefined) sink.send(to, grant, pages);
    // A copy, because the buffer is packed again before the bytes of this grant are sent.
    else sink.send(to, grant, packed!.slice(0, size), Encoding.Lz4);
  }

  /** Carries out a page operation. */
  operate(operation: PageOperation): void {
    const { region } = this.#parts;
    const { kind, first, count } = operation;
    switch (kind) {
      case "install":
        this.#discards.cancel(operation);
        this.#woke = true;
        return region.install(first, count, operation.writable);
      case "installZero":
        this.#discards.cancel(operation);
        this.#woke = true;
        return region.install(first, count, true, true);
      case "unprotect":
        this.#woke = true;
        return region.unprotect(first, count);
      case "protect":
        return region.protect(first, count);
      case "evict":
        return region.evict(first, count);
      case "discard":
        return this.#discards.add({ first, count });
      default:
        kind satisfies never;
    }
  }

  /** Gives back the memory of pages whose bytes do not wait to be sent. */
  #discard(): void {
    const { sink, region } = this.#parts;
    if (this.#discards.isEmpty) return;
    const version = sink.unsentVersion();
    if (!this.#discards.isDue(version)) return;
    const discard = ({ first, count }: PageRun): void => region.release(first, count);
    this.#discards.carryOut(sink.unsent(), version, discard);
  }

  #bytes(first: number, count: number): Uint8Array {
    const { pageSize } = this.#parts.region;
    return this.#alias.subarray(first * pageSize, (first + count) * pageSize);
  }
}

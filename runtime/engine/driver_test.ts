import { assert, assertEquals, assertMatch } from "@std/assert";
import { FAULT_WORDS, FAULT_WRITE } from "../../ffi/abi.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import type { Happened, LookEnd } from "../../ffi/poller.ts";
import { Coherence, type CoherenceOptions } from "../protocol/coherence/coherence.ts";
import {
  Content,
  type GrantMessage,
  type Message,
  type NodeId,
} from "../protocol/coherence/messages.ts";
import type { EngineEvent } from "../protocol/coherence/output.ts";
import { Access } from "../protocol/coherence/page.ts";
import { Encoding } from "../wire/layout.ts";
import { EngineClient } from "../ring/client.ts";
import { answerWith, Call, CallServer } from "../ring/calls.ts";
import { unpackPages } from "../cluster/compression.ts";
import { noted } from "../event_loop.ts";
import { Driver } from "./driver.ts";
import {
  LOOP_BUSY_TURNS,
  LOOP_QUEUE_TURNS,
  LOOP_QUIET_TURNS,
  OPERATION_LOOK_US,
  SLEEP_MAX_US,
} from "../limits.ts";
import { CallSlots } from "../ring/call_slots.ts";

const PAGE = 4096;
const PAGES = 16;

/** A region without a kernel: faults are the test's, and page operations are written down. */
class FakeRegion {
  readonly pageSize = PAGE;
  readonly countsRuns = true;
  /** The pages whose waiters have run since. */
  readonly ran = new Set<number>();
  readonly bytes = new Uint8Array(PAGES * PAGE);
  /** The faults to be read, as page and flags. */
  readonly faults: [page: number, flags: number][] = [];
  /** The faults that were read, and that no page operation has ended: their threads stand there. */
  readonly standing: [page: number, flags: number][] = [];
  readonly #log: string[];
  /** What the next page operation, or read of faults, fails with. */
  failure: Error | undefined;
  waits = 0;
  closed = false;
  #kicked = false;
  #waiting: (() => void) | undefined;

  constructor(log: string[]) {
    this.#log = log;
  }

  alias(): Uint8Array {
    return this.bytes;
  }

  fault(page: number, flags = 0): void {
    this.faults.push([page, flags]);
    this.#waiting?.();
  }

  readFaults(out: Uint32Array): number {
    assert(!this.closed, "the region is closed");
    const taken = this.faults.splice(0, out.length / FAULT_WORDS);
    this.standing.push(...taken);
    for (const [index, [page, flags]] of taken.entries()) {
      out[index * FAULT_WORDS] = page;
      out[index * FAULT_WORDS + 1] = flags;
    }
    return taken.length;
  }

  async wait(): Promise<number> {
    assert(!this.closed, "the region is closed");
    this.waits++;
    while (!this.#kicked && this.faults.length === 0) {
      // A timer keeps the event loop, as the call into the library does.
      const timer = setTimeout(() => {}, 60_000);
      await new Promise<void>((resolve) => this.#waiting = resolve);
      clearTimeout(timer);
    }
    this.#waiting = undefined;
    this.#kicked = false;
    return 0;
  }

  kick(): void {
    assert(!this.closed, "the region is closed");
    this.#kicked = true;
    this.#waiting?.();
  }

  takeKick(): boolean {
    const kicked = this.#kicked;
    this.#kicked = false;
    return kicked;
  }

  yield(): void {}

  wake(): void {
    for (const fault of this.standing.splice(0)) this.fault(...fault);
  }

  resumed(page: number): boolean {
    return this.ran.has(page);
  }

  install(first: number, count: number, writable: boolean, zero = false): void {
    this.#operate(`install ${first}+${count}${writable ? " writable" : ""}${zero ? " zero" : ""}`);
    const served = this.standing.filter(([page]) => page >= first && page < first + count);
    for (const fault of served) this.standing.splice(this.standing.indexOf(fault), 1);
  }

  unprotect(first: number, count: number): void {
    this.#operate(`unprotect ${first}+${count}`);
  }

  protect(first: number, count: number): void {
    this.#operate(`protect ${first}+${count}`);
  }

  release(first: number, count: number): void {
    this.#operate(`release ${first}+${count}`);
  }

  populate(first: number, count: number): void {
    this.#operate(`populate ${first}+${count}`);
  }

  evict(first: number, count: number): void {
    this.#operate(`evict ${first}+${count}`);
  }

  fence(message: string, exitCode: number, graceMs: number): void {
    this.#operate(`fence ${exitCode} ${graceMs} ${message}`);
  }

  #operate(text: string): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    this.#log.push(text);
  }
}

/**
 * How the engine's thread sleeps: a thread of Deno's pool does, or the thread itself in its poller.
 */
type Way = "pool" | "poller";
let way: Way = "pool";

/** Registers a test for each way in which the driver sleeps. */
function eachWay(name: string, test: () => Promise<void>): void {
  for (const asked of ["pool", "poller"] as const) {
    const title = `${name} (${asked})`;
    Deno.test(title, async () => {
      way = asked;
      await test();
    });
  }
}

/** A poller without a kernel: instead of a sleep, the event loop has a turn. */
class FakePoller {
  turnDue = false;
  loopReady = false;
  /** Whether the event loop has something to do at the end of each longest sleep. */
  givesWay = true;
  /** Whether each longest sleep ends since another thread has woken the event loop. */
  wakesLoop = false;
  /** Whether the next wait finds that the event loop has something to do. */
  loopBecomesReady = false;
  hasSent = false;
  look: LookEnd | undefined;
  leftFaults = false;
  /** How long each wait was to be at most, in microseconds. */
  readonly waitsUs: number[] = [];
  /** How long each of them was to look. */
  readonly looksUs: number[] = [];
  readonly #region: FakeRegion;

  constructor(region: FakeRegion) {
    this.#region = region;
  }

  watch(): void {}

  leaveFaults(): void {
    this.leftFaults = true;
  }

  wait(timeoutUs: number, lookUs = 0): Happened {
    assert(!this.#region.closed, "the region is closed");
    this.loopReady = this.loopBecomesReady || this.wakesLoop && timeoutUs === SLEEP_MAX_US;
    this.loopBecomesReady = false;
    this.waitsUs.push(timeoutUs);
    this.looksUs.push(lookUs);
    const faults = !this.leftFaults && this.#region.faults.length > 0;
    const any = this.#region.takeKick() || faults;
    // As if there were something to do, so that the driver gives way.
    this.turnDue ||= this.givesWay && !any && timeoutUs === SLEEP_MAX_US;
    return { faults, any };
  }
}

/** A driver with a real engine between a fake region and a fake network. */
class Bench implements AsyncDisposable {
  readonly log: string[] = [];
  readonly region = new FakeRegion(this.log);
  readonly poller = new FakePoller(this.region);
  readonly slots = new CallSlots();
  readonly client = new EngineClient(this.slots, this.region as unknown as NativeRegion);
  readonly failures: unknown[] = [];
  readonly coherence: Coherence;
  readonly driver: Driver;
  onSend: (to: NodeId, message: Message, payload?: Uint8Array) => void = () => {};
  onEvent: (event: EngineEvent) => void = () => {};
  /** Answers a call by its argument. */
  onCall: Parameters<typeof answerWith>[1] = (argument) => argument;
  onFailure: () => void = () => {};
  /** The bytes that wait to be sent. */
  unsent: Uint8Array[] = [];
  /** Changes when some of them wait no longer. */
  unsentVersion = 0;
  /** How often the driver has asked which they are. */
  looks = 0;
  onTurn: () => void = () => {};
  /** Runs the timers that are due; returns whether there were any. */
  runTimers: () => boolean = () => false;
  /** What was done with the timers. */
  readonly timerCalls: string[] = [];
  #watchers: (() => void)[] = [];

  constructor(
    options: Partial<CoherenceOptions> & { pollTimeUs?: number; compression?: boolean } = {},
  ) {
    const { pollTimeUs = 0, compression = false, ...engineOptions } = options;
    this.coherence = new Coherence({
      self: 2,
      pageCount: PAGES,
      runPages: 1,
      holdTimeUs: 0,
      ...engineOptions,
    });
    this.driver = new Driver({
      coherence: this.coherence,
      region: this.region as unknown as NativeRegion,
      slots: this.slots,
      calls: new CallServer(this.slots, (call) => void answerWith(call, this.onCall)),
      sleep: way === "pool" ? undefined : {
        poller: this.poller,
        timers: {
          drive: () => void this.timerCalls.push("drive"),
          release: () => void this.timerCalls.push("release"),
          run: () => this.runTimers(),
          nextUs: () => Infinity,
        },
      },
      pollTimeUs,
      compression,
      lookAtClock: () => this.onTurn(),
      exiting: () => {},
      sink: {
        send: (to, message, payload, encoding) => {
          const packed = encoding === Encoding.Lz4 ? " packed" : "";
          const bytes = payload === undefined ? "" : ` with ${payload.length} bytes`;
          this.#note(`${message.kind} to ${to}${bytes}${packed}`);
          this.onSend(to, message, payload);
        },
        flush: () => this.#note("flush"),
        unsent: () => {
          this.looks++;
          return this.unsent;
        },
        unsentVersion: () => this.unsentVersion,
      },
      tell: (event) => {
        this.#note(event.kind);
        this.onEvent(event);
      },
      failed: (error) => {
        this.failures.push(error);
        this.#note("failed");
        this.onFailure();
      },
    });
  }

  #note(text: string): void {
    this.log.push(text);
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.stop();
    this.region.closed = true;
  }
}

function grant(first: number, request: number, content: Content): GrantMessage {
  return {
    kind: "grant",
    access: Access.Write,
    content,
    first,
    count: 1,
    request,
    invalidated: [],
    lostNode: content === Content.Lost ? 3 : 0,
  };
}

eachWay("Driver asks for a page that faults, and maps it before it says so", async () => {
  await using bench = new Bench();
  bench.driver.start();
  bench.region.fault(5, FAULT_WRITE);
  await bench.until(() => bench.log.includes("flush"));
  bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
  bench.driver.input({
    kind: "message",
    from: 1,
    message: {
      kind: "forward",
      access: Access.Write,
      first: 5,
      count: 1,
      requester: 3,
      request: 9,
      invalidated: [],
    },
  });
  assertEquals(bench.log, [
    "request to 1",
    "flush",
    "install 5+1 writable",
    "evict 5+1",
    "grant to 3 with 4096 bytes",
    "flush",
  ]);
  assertEquals(bench.failures, []);
});

eachWay("Driver packs pages where that makes them smaller, each grant's for itself", async () => {
  await using bench = new Bench({ compression: true });
  await bench.driver.prepared;
  const payloads: Uint8Array[] = [];
  bench.onSend = (_to, _message, payload) => {
    if (payload !== undefined) payloads.push(payload);
  };
  bench.driver.start();
  for (const page of [5, 6, 7]) {
    bench.region.fault(page, FAULT_WRITE);
    await bench.until(() => bench.log.at(-1) === "flush");
    bench.driver.input({
      kind: "message",
      from: 1,
      message: grant(page, page - 4, Content.Data),
    });
    bench.log.length = 0;
  }
  const pages = bench.region.bytes.subarray(5 * PAGE, 8 * PAGE);
  pages.fill(1, 0, PAGE).fill(2, PAGE, 2 * PAGE);
  crypto.getRandomValues(pages.subarray(2 * PAGE));
  for (const first of [5, 6, 7]) {
    const message: Message = {
      kind: "forward",
      access: Access.Write,
      first,
      count: 1,
      requester: 3,
      request: first,
      invalidated: [],
    };
    bench.driver.input({ kind: "message", from: 1, message });
  }
  const grants = bench.log.filter((line) => line.startsWith("grant"));
  assertMatch(grants[0]!, /^grant to 3 with \d\d bytes packed$/);
  assertMatch(grants[1]!, /^grant to 3 with \d\d bytes packed$/);
  assertEquals(grants[2], "grant to 3 with 4096 bytes");
  for (const index of [0, 1]) {
    const unpacked = new Uint8Array(PAGE);
    assertEquals(unpackPages(payloads[index]!, PAGE, 1, unpacked), undefined);
    assertEquals(unpacked, new Uint8Array(PAGE).fill(index + 1));
  }
  assertEquals(payloads[2], pages.subarray(2 * PAGE));
  assertEquals(bench.failures, []);
});

eachWay("Driver takes faults that come while it sleeps, and while it polls", async () => {
  for (const pollTimeUs of [0, 100, 1_000_000]) {
    await using bench = new Bench({ pollTimeUs });
    bench.driver.start();
    for (let page = 0; page < PAGES; page++) {
      bench.region.fault(page);
      await bench.until(() => bench.log.filter((line) => line === "flush").length === page + 1);
      bench.driver.input({
        kind: "message",
        from: 1,
        message: grant(page, page + 1, Content.Zero),
      });
    }
    assertEquals(bench.coherence.counters.pagesZero, PAGES);
    const sleeps = way === "pool" && pollTimeUs === 0;
    assert(!sleeps || bench.driver.counters.sleeps >= PAGES, "it never slept");
  }
});

eachWay("Driver answers calls whether it sleeps or polls", async () => {
  for (const pollTimeUs of [0, 50, 1_000_000]) {
    await using bench = new Bench({ pollTimeUs });
    bench.driver.start();
    for (let count = 0; count < 200; count++) {
      assertEquals(await bench.client.call(Call.Stats, count, "test"), count);
      if (count % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const many = Array.from(
      { length: 300 },
      (_, index) => bench.client.call(Call.Stats, index, "test"),
    );
    assertEquals(await Promise.all(many), many.map((_, index) => index));
  }
});

eachWay(
  "Driver takes a call that came while it went to sleep, and that nobody kicked it for",
  async () => {
    await using bench = new Bench();
    const { slots } = bench;
    const answer = Promise.withResolvers<unknown>();
    let called = false;
    const setAsleep = slots.setAsleep.bind(slots);
    slots.setAsleep = (asleep) => {
      if (asleep && !called) {
        called = true;
        bench.client.call(Call.Stats, 7, "test").then(answer.resolve, answer.reject);
      }
      setAsleep(asleep);
    };
    bench.driver.start();
    assertEquals(await answer.promise, 7);
  },
);

Deno.test("Driver sleeps longer and longer once its event loop has nothing to do, and begins anew after that", async () => {
  way = "poller";
  await using bench = new Bench();
  const { waitsUs } = bench.poller;
  const naps = (): number[] => waitsUs.filter((us) => us > 0 && us < SLEEP_MAX_US);
  const untilAsleep = async (): Promise<void> => {
    waitsUs.length = 0;
    while (!waitsUs.includes(SLEEP_MAX_US)) await new Promise((go) => setImmediate(go));
  };
  const expected = [...Array(LOOP_QUIET_TURNS - LOOP_BUSY_TURNS).keys()]
    .map((index) => 2 ** (LOOP_BUSY_TURNS + index));
  bench.driver.start();
  await untilAsleep();
  assertEquals(naps(), expected);
  // The poller has said that there is something for the event loop: the same again.
  await untilAsleep();
  assertEquals(naps(), expected);
  bench.driver.needsTurn();
  await untilAsleep();
  assertEquals(naps(), expected);
});

Deno.test("Driver gives its event loop so many turns that what other threads have queued is looked at", async () => {
  way = "poller";
  await using bench = new Bench();
  const { poller } = bench;
  const { waitsUs } = poller;
  poller.wakesLoop = true;
  bench.driver.start();
  /** How many turns come between the next longest sleep and the turn that sleeps again. */
  const turns = async (meanwhile = () => {}): Promise<number> => {
    waitsUs.length = 0;
    while (!waitsUs.includes(SLEEP_MAX_US)) await new Promise((go) => setImmediate(go));
    meanwhile();
    waitsUs.length = 0;
    while (!waitsUs.some((us) => us > 0)) await new Promise((go) => setImmediate(go));
    return waitsUs.findIndex((us) => us > 0) - 1;
  };
  assertEquals(await turns(), LOOP_QUEUE_TURNS);
  // What is begun meanwhile takes none of them away.
  assertEquals(await turns(() => bench.driver.needsTurn()), LOOP_QUEUE_TURNS);
});

Deno.test("Driver gives an operation that began before its turn turns of the event loop", async () => {
  way = "poller";
  await using bench = new Bench();
  const { waitsUs } = bench.poller;
  const longestNapUs = 2 ** (LOOP_QUIET_TURNS - 1);
  bench.driver.start();
  // The next sleep is to be the longest there is.
  while (waitsUs.at(-1) !== longestNapUs) await new Promise((go) => setImmediate(go));
  const operation = Promise.withResolvers<void>();
  const ended = noted(operation.promise);
  const before = waitsUs.length;
  while (waitsUs.length === before) await new Promise((go) => setImmediate(go));
  assertEquals(waitsUs[before], 0);
  assert(!waitsUs.slice(before).includes(SLEEP_MAX_US));
  operation.resolve();
  await ended;
});

Deno.test("Driver looks before a sleep only behind what it has sent or taken a call, and not once it has woken a thread", async () => {
  way = "poller";
  await using bench = new Bench({ pollTimeUs: 50 });
  const { poller } = bench;
  bench.onSend = () => poller.hasSent = true;
  bench.driver.start();
  /** Whether the driver looks before its next sleep, once something was done. */
  const looks = async (act: () => void): Promise<boolean> => {
    poller.looksUs.length = poller.waitsUs.length = 0;
    act();
    while (!poller.waitsUs.some((us) => us > 0)) await new Promise((go) => setImmediate(go));
    return poller.looksUs[poller.waitsUs.findIndex((us) => us > 0)]! > 0;
  };
  assertEquals(await looks(() => {}), false);
  assertEquals(await looks(() => bench.region.fault(5)), true);
  assert(bench.log.includes("request to 1"));
  const message = grant(5, 1, Content.Data);
  const given = (): void => {
    poller.hasSent = true;
    bench.driver.input({ kind: "message", from: 1, message });
  };
  assertEquals(await looks(given), false);
  assert(bench.log.includes("install 5+1 writable"));
  assertEquals(await looks(() => poller.hasSent = true), true);
  // A call of a thread that is not answered at once: what the thread waits for may come soon.
  assertEquals(await looks(() => {}), false);
  const count = (): number => poller.looksUs.filter((us) => us > 0).length;
  const answer = Promise.withResolvers<number>();
  bench.onCall = () => answer.promise;
  const called = bench.client.call(Call.Stats, 7, "test");
  while (count() === 0) await new Promise((go) => setImmediate(go));
  for (let turn = 0; turn < LOOP_QUIET_TURNS; turn++) {
    await new Promise((go) => setImmediate(go));
  }
  assertEquals(count(), 1);
  answer.resolve(8);
  assertEquals(await called, 8);
});

Deno.test("Driver sleeps no longer than a moment while an operation of Deno's is under way", async () => {
  way = "poller";
  await using bench = new Bench();
  const { waitsUs } = bench.poller;
  const until = async (us: number): Promise<void> => {
    while (!waitsUs.includes(us)) await new Promise((go) => setImmediate(go));
  };
  const work = Promise.withResolvers<void>();
  const done = noted(work.promise);
  bench.driver.start();
  await until(OPERATION_LOOK_US);
  for (let turn = 0; turn < 2 * LOOP_QUIET_TURNS; turn++) {
    await new Promise((go) => setImmediate(go));
  }
  assertEquals(Math.max(...waitsUs), OPERATION_LOOK_US);
  work.resolve();
  await done;
  waitsUs.length = 0;
  await until(SLEEP_MAX_US);
  // What was awaited may have begun something else, so sleeps are none at first.
  assertEquals(waitsUs.find((us) => us > 0), 2 ** LOOP_BUSY_TURNS);
});

Deno.test("Driver runs timers from its start to its end, and sleeps at once after one", async () => {
  way = "poller";
  const bench = new Bench();
  const { poller: { waitsUs }, poller, timerCalls } = bench;
  poller.givesWay = false;
  // A timer ends each long sleep. What it goes on with in the event loop has its turn before the
  // next one.
  const happened: string[] = [];
  bench.runTimers = () => {
    if (waitsUs.at(-1) !== SLEEP_MAX_US) return false;
    happened.push("timer");
    queueMicrotask(() => happened.push(`after ${waitsUs.length} waits`));
    waitsUs.length = 0;
    return true;
  };
  assertEquals(timerCalls, []);
  bench.driver.start();
  assertEquals(timerCalls, ["drive"]);
  while (happened.length < 4) await new Promise((go) => setImmediate(go));
  assertEquals(happened.slice(0, 4), ["timer", "after 0 waits", "timer", "after 0 waits"]);
  await bench[Symbol.asyncDispose]();
  assertEquals(timerCalls, ["drive", "release"]);
});

Deno.test("Driver lets one thread wait in the kernel, however often it sleeps", async () => {
  way = "pool";
  await using bench = new Bench();
  bench.driver.start();
  await new Promise((resolve) => setImmediate(resolve));
  for (let count = 0; count < 20; count++) {
    bench.driver.input({ kind: "message", from: 1, message: { kind: "left" } });
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert(bench.driver.counters.sleeps > 5);
  assertEquals(bench.region.waits, 1);
});

eachWay(
  "Driver does one step at a time: what comes from within one waits for its end",
  async () => {
    await using bench = new Bench({ self: 1 });
    for (const node of [2, 3, 4]) bench.driver.input({ kind: "peerJoined", node });
    let nested = false;
    bench.onSend = () => {
      if (nested) return;
      nested = true;
      // As when a queue outgrows its bound while the step's messages are queued.
      bench.driver.input({ kind: "peerLost", node: 4 });
    };
    bench.log.length = 0;
    bench.driver.input({ kind: "peerLost", node: 3 });
    assertEquals(bench.log, [
      "peerLost to 2",
      "peerLost to 4",
      "flush",
      "peerGone",
      "peerLost to 2",
      "flush",
      "peerGone",
    ]);
    bench.log.length = 0;
    bench.onEvent = ({ kind }) => {
      if (kind === "violation") bench.driver.input({ kind: "peerLost", node: 2 });
    };
    bench.driver.input({ kind: "message", from: 2, message: { kind: "left" } });
    assertEquals(bench.log, ["violation", "peerGone"]);
    assertEquals(bench.failures, []);
  },
);

eachWay("Driver gives no place to bytes that were not asked for", async () => {
  await using bench = new Bench();
  assertEquals(bench.driver.target(1, grant(5, 1, Content.Data)), undefined);
  bench.driver.start();
  bench.region.fault(5);
  await bench.until(() => bench.log.includes("flush"));
  assertEquals(bench.driver.target(1, grant(6, 1, Content.Data)), undefined);
  const place = bench.driver.target(1, grant(5, 1, Content.Data))!;
  assertEquals([place.byteOffset, place.length], [5 * PAGE, PAGE]);
  bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
  assertEquals(bench.driver.target(1, grant(5, 1, Content.Data)), undefined);
});

eachWay("Driver that finds no memory for bytes fails, and has them skipped", async () => {
  await using bench = new Bench();
  bench.driver.start();
  bench.region.fault(5);
  await bench.until(() => bench.log.includes("flush"));
  bench.region.failure = new Error("planted");
  assertEquals(bench.driver.target(1, grant(5, 1, Content.Data)), undefined);
  assertEquals(bench.failures.map(String), ["Error: planted"]);
  bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
  assertEquals(bench.log.filter((line) => line.startsWith("install")), []);
});

/** The protocol gives back the memory of page 5, which a thread wrote and another node has now. */
async function discardPage(bench: Bench): Promise<void> {
  bench.driver.start();
  bench.region.fault(5, FAULT_WRITE);
  await bench.until(() => bench.log.includes("flush"));
  const from = 1;
  bench.driver.input({ kind: "message", from, message: grant(5, 1, Content.Zero) });
  const demand = { kind: "invalidate", first: 5, count: 1, requester: 3, request: 9 } as const;
  bench.driver.input({ kind: "message", from, message: demand });
  bench.region.ran.add(5);
  await bench.until(() => bench.log.includes("acknowledge to 3"));
  bench.driver.input({ kind: "idle" });
  assert(bench.log.includes("drop to 1"), bench.log.join());
  bench.driver.input({ kind: "message", from, message: { kind: "dropped", first: 5, count: 1 } });
}

eachWay("Driver gives back the memory of pages that the protocol discards", async () => {
  await using bench = new Bench();
  bench.unsent = [bench.region.bytes.subarray(6 * PAGE, 7 * PAGE)];
  await discardPage(bench);
  assertEquals(bench.log.at(-1), "release 5+1");
});

eachWay("Driver gives memory back once bytes in it are sent, without any other event", async () => {
  await using bench = new Bench();
  bench.unsent = [bench.region.bytes.subarray(5 * PAGE, 6 * PAGE)];
  await discardPage(bench);
  const { sleeps } = bench.driver.counters;
  while (bench.driver.counters.sleeps < sleeps + 3) await new Promise((go) => setImmediate(go));
  assert(!bench.log.includes("release 5+1"));
  // Only the end of a write can have changed what is unsent.
  assertEquals(bench.looks, 1);
  bench.unsent = [];
  bench.unsentVersion++;
  while (!bench.log.includes("release 5+1")) await new Promise((go) => setImmediate(go));
});

eachWay(
  "Driver keeps the memory of a page that gets new bytes before the old ones are sent",
  async () => {
    await using bench = new Bench();
    bench.unsent = [bench.region.bytes.subarray(5 * PAGE, 6 * PAGE)];
    await discardPage(bench);
    bench.region.ran.delete(5);
    bench.region.fault(5);
    await bench.until(() => bench.log.filter((line) => line === "request to 1").length === 2);
    const message = { ...grant(5, 1, Content.Data), request: 2 };
    assert(bench.driver.target(1, message) !== undefined);
    bench.driver.input({ kind: "message", from: 1, message });
    bench.unsent = [];
    bench.unsentVersion++;
    const { sleeps } = bench.driver.counters;
    while (bench.driver.counters.sleeps < sleeps + 3) {
      bench.driver.stayAwake();
      await new Promise((go) => setImmediate(go));
    }
    assert(!bench.log.includes("release 5+1"), bench.log.join());
  },
);

eachWay("Driver that has stopped touches nothing any more", async () => {
  const bench = new Bench();
  bench.driver.start();
  bench.region.fault(5);
  await bench.until(() => bench.log.includes("flush"));
  await bench.driver.stop();
  bench.region.closed = true;
  const before = [...bench.log];
  assertEquals(bench.driver.target(1, grant(5, 1, Content.Data)), undefined);
  bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assertEquals([bench.log, bench.failures], [before, []]);
});

eachWay(
  "Driver whose step fails says so once, and goes on answering calls and refusing faults",
  async () => {
    await using bench = new Bench();
    const refused = Promise.withResolvers<void>();
    let faulted = 0;
    bench.onFailure = () => {
      bench.driver.refuseFaults(() => {
        faulted++;
        refused.resolve();
      });
    };
    bench.driver.start();
    bench.region.fault(5);
    await bench.until(() => bench.log.includes("flush"));
    bench.region.failure = new Error("planted");
    bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
    assertEquals(bench.failures.map(String), ["Error: planted"]);
    assertEquals(await bench.client.call(Call.Stats, 7, "test"), 7);
    faulted = 0;
    bench.region.fault(6);
    await refused.promise;
    while (faulted === 0) await new Promise((resolve) => setImmediate(resolve));
    bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
    assertEquals(bench.failures.length, 1);
    assertEquals(bench.log.filter((line) => line.startsWith("install")), []);
  },
);

eachWay("Driver whose step fails over a fault refuses that very fault", async () => {
  await using bench = new Bench({ self: 1 });
  const refused = Promise.withResolvers<void>();
  bench.onFailure = () => bench.driver.refuseFaults(refused.resolve);
  bench.region.failure = new Error("planted");
  bench.driver.start();
  bench.region.fault(5);
  await refused.promise;
  assertEquals(bench.failures.map(String), ["Error: planted"]);
});

eachWay(
  "Driver whose step fails tells of a thread that was granted the page, and never got it",
  async () => {
    await using bench = new Bench();
    const refused = Promise.withResolvers<void>();
    bench.onFailure = () => bench.driver.refuseFaults(refused.resolve);
    bench.driver.start();
    bench.region.fault(5);
    await bench.until(() => bench.log.includes("flush"));
    bench.region.failure = new Error("planted");
    bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Data) });
    await refused.promise;
    assertEquals(bench.failures.map(String), ["Error: planted"]);
  },
);

eachWay("Driver.refuseFaults tells of a thread that waits already", async () => {
  await using bench = new Bench();
  bench.driver.start();
  bench.region.fault(5);
  await bench.until(() => bench.log.includes("flush"));
  let faulted = 0;
  bench.driver.refuseFaults(() => faulted++);
  assertEquals(faulted, 1);
});

eachWay("Driver gives up when faults cannot be read either", async () => {
  await using bench = new Bench();
  const planted = new Error("planted");
  bench.region.readFaults = () => {
    throw planted;
  };
  bench.region.fault(1);
  bench.driver.start();
  await bench.until(() => bench.failures.length === 2);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assertEquals(bench.failures, [planted, planted]);
});

/** A thread waited for page 5 and has it now, and another node demands it. */
async function demandWhatIsHeld(bench: Bench): Promise<void> {
  bench.driver.start();
  bench.region.fault(5);
  await bench.until(() => bench.log.includes("flush"));
  bench.driver.input({ kind: "message", from: 1, message: grant(5, 1, Content.Zero) });
  bench.driver.input({
    kind: "message",
    from: 1,
    message: { kind: "invalidate", first: 5, count: 1, requester: 3, request: 9 },
  });
}

eachWay("Driver surrenders a page when its hold is over, without any other event", async () => {
  await using bench = new Bench({ holdTimeUs: 2000 });
  await demandWhatIsHeld(bench);
  await bench.until(() => bench.log.includes("acknowledge to 3"));
  assertEquals(bench.log.slice(-3), ["evict 5+1", "acknowledge to 3", "flush"]);
});

eachWay(
  "Driver surrenders a held page as soon as the thread that waited for it has run",
  async () => {
    await using bench = new Bench({ holdTimeUs: 1e12 });
    await demandWhatIsHeld(bench);
    const { turns } = bench.driver.counters;
    while (bench.driver.counters.turns < turns + 5) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert(!bench.log.includes("acknowledge to 3"));
    bench.region.ran.add(5);
    await bench.until(() => bench.log.includes("acknowledge to 3"));
    assertEquals(bench.log.slice(-3), ["evict 5+1", "acknowledge to 3", "flush"]);
  },
);

import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { FUTEX_LEND_AFTER, FUTEX_LENT_WAITS_MAX } from "../limits.ts";
import type { AllocationRequest } from "../protocol/allocation/messages.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import {
  GatherStep,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../protocol/sync/messages.ts";
import { Answer, type ThreadCall, valueFields } from "../ring/calls.ts";
import { newBody, type RecordBody } from "../ring/ring.ts";
import { type SyncAnswer, syncAnswer, syncBody, type SyncDemand } from "../ring/sync_records.ts";
import { type ServiceMessage, Services } from "./services.ts";

const PAGE = 4096;
const { Acquire, TryAcquire, Release, MakeSemaphore, Lock, TryLock, Unlock, Arrive, Cancel } =
  SyncOperation;
const { Done, Made, Unavailable, Abandoned, NotHolder } = SyncStatus;

/** How a call ended: by an answer, by an error, or given up. */
type Ended = SyncAnswer | TdsmError | "cancelled";

/** A request that was made. */
interface Asked {
  readonly call: number;
  readonly answers: Ended[];
  /** Of each answer, whether its thread is not woken for it. */
  readonly quiet: boolean[];
  /** Those of the answers that are to be given back if the thread does not read them. */
  readonly grants: RecordBody[];
}

/** One node's services; what they send is kept, to be passed on by hand. */
class Bench {
  readonly services: Services;
  readonly sent: { to: NodeId; message: ServiceMessage }[] = [];
  readonly violations: [node: NodeId, reason: string][] = [];
  readonly refused: string[] = [];
  /** The slots of threads that are gone. */
  readonly gone = new Set<number>();
  readonly self: NodeId;
  #nextCall = 1;

  constructor(self: NodeId, size = 16 * PAGE, ticketMax = 0xffff_ffff) {
    this.self = self;
    const keep = (to: NodeId, message: ServiceMessage): void => {
      this.sent.push({ to, message });
    };
    this.services = new Services({
      self,
      works: true,
      size,
      pageSize: PAGE,
      ticketMax,
      send: keep,
      violation: (node, reason) => void this.violations.push([node, reason]),
      refused: (reason) => void this.refused.push(reason),
    });
  }

  /** Has the thread of a slot end, which has not read some of its answers. */
  end(slot: number, unread: readonly RecordBody[]): void {
    this.gone.add(slot);
    this.services.threadGone(slot, unread);
  }

  /** Allocates as a thread does. Resolves to the answer, or to nothing where its thread is gone. */
  async allocate(request: AllocationRequest, slot: number): Promise<RecordBody | undefined> {
    let answer: RecordBody | undefined;
    const { gone } = this;
    const call: ThreadCall = {
      slot,
      record: { ...newBody(0, valueFields({ packed: false, ...request })), call: this.#nextCall++ },
      get isGone() {
        return gone.has(slot);
      },
      respond: (fields) => void (answer = newBody(Answer.Value, fields)),
      grant: (fields, kind) => void (answer = newBody(kind!, fields)),
      reject: (error) => {
        throw error;
      },
      cancelled() {},
      progress() {},
    };
    await this.services.allocateFor(call);
    return answer;
  }

  /** Makes a request as a thread does; its answers, and errors, come to the list. */
  ask(demand: SyncDemand, slot = 0): Asked {
    const answers: Ended[] = [];
    const quiet: boolean[] = [];
    const grants: RecordBody[] = [];
    const record = { ...syncBody(demand), call: this.#nextCall++ };
    const { gone } = this;
    const call: ThreadCall = {
      slot,
      record,
      get isGone() {
        return gone.has(slot);
      },
      respond(fields, isQuiet = false) {
        quiet.push(isQuiet);
        answers.push(syncAnswer(newBody(0, fields)));
      },
      grant(fields, kind = Answer.Grant) {
        quiet.push(false);
        grants.push(newBody(kind, fields));
        answers.push(syncAnswer(newBody(0, fields)));
      },
      reject: (error) => void answers.push(error as TdsmError),
      cancelled: () => void answers.push("cancelled"),
      progress: (fields) => void answers.push(syncAnswer(newBody(0, fields))),
    };
    this.services.request(call);
    return { call: record.call, answers, quiet, grants };
  }

  /** Takes what was sent. */
  take(): { to: NodeId; message: ServiceMessage }[] {
    return this.sent.splice(0);
  }
}

/** Carries what two nodes send each other until they have nothing more to say. */
function exchange(...benches: Bench[]): void {
  for (let sent = true; sent;) {
    sent = false;
    for (const bench of benches) {
      for (const { to, message } of bench.take()) {
        sent = true;
        const other = benches.find(({ self }) => self === to)!;
        if (message.kind === "sync" || message.kind === "syncReply") {
          other.services.sync(bench.self, message);
        } else if (message.kind === "gather" || message.kind === "barrierTree") {
          other.services.gather(bench.self, message);
        } else other.services.allocation(bench.self, message);
      }
    }
  }
}

function pair(size?: number): { home: Bench; far: Bench } {
  const home = new Bench(1, size);
  home.services.peerJoined(2, true);
  return { home, far: new Bench(2) };
}

function statuses(answers: readonly Ended[]): (SyncStatus | string)[] {
  return answers.map((answer) => {
    if (answer === "cancelled") return answer;
    return answer instanceof TdsmError ? answer.code : answer.status;
  });
}

Deno.test("Services answers a thread of the directory node without a message", () => {
  const home = new Bench(1);
  assertEquals(statuses(home.ask({ operation: Release, key: 7n, count: 1 }).answers), [Done]);
  assertEquals(statuses(home.ask({ operation: Acquire, key: 7n }).answers), [Done]);
  const waits = home.ask({ operation: Acquire, key: 7n });
  assertEquals(waits.answers, []);
  home.ask({ operation: Release, key: 7n, count: 1 });
  assertEquals(statuses(waits.answers), [Done]);
  assertEquals(home.sent, []);
});

Deno.test("Services carries requests to the directory node, and answers back", () => {
  const { home, far } = pair();
  const waits = far.ask({ operation: Acquire, key: 7n });
  const made = far.ask({ operation: MakeSemaphore, count: 3 });
  const arrived = far.ask({ operation: Arrive, name: "phase", count: 2 });
  exchange(far, home);
  assertEquals([waits.answers, statuses(made.answers), arrived.answers], [[], [Made], []]);
  assertEquals((made.answers[0] as SyncAnswer).key, 1n << 63n);
  home.ask({ operation: Release, key: 7n, count: 1 });
  const last = home.ask({ operation: Arrive, name: "phase", count: 2 });
  exchange(home, far);
  assertEquals([...waits.answers, ...arrived.answers].map((answer) => statuses([answer])), [
    [Done],
    [Done],
  ]);
  assertEquals(statuses(last.answers), [SyncStatus.Last]);
  assertEquals([home.violations, far.violations], [[], []]);
});

Deno.test("Services.cancel ends the wait of one thread's call, here and afar, and of no other", () => {
  for (const at of [0, 1]) {
    const { home, far } = pair();
    const bench = [home, far][at]!;
    const first = bench.ask({ operation: Acquire, key: 7n }, 0);
    const second = bench.ask({ operation: Acquire, key: 7n }, 1);
    exchange(far, home);
    // The number of a call is its thread's.
    bench.services.cancel(1, first.call);
    bench.services.cancel(0, 999);
    exchange(far, home);
    assertEquals([first.answers, second.answers], [[], []]);
    bench.services.cancel(0, first.call);
    exchange(far, home);
    assertEquals([statuses(first.answers), second.answers], [["cancelled"], []]);
    bench.ask({ operation: Release, key: 7n, count: 1 });
    exchange(far, home);
    assertEquals(statuses(second.answers), [Done]);
    bench.services.cancel(0, first.call);
    assertEquals(bench.sent, []);
  }
});

Deno.test("Services.cancel that crosses the grant leaves the grant", () => {
  const { home, far } = pair();
  const waits = far.ask({ operation: Acquire, key: 7n });
  exchange(far, home);
  home.ask({ operation: Release, key: 7n, count: 1 });
  const granted = home.take();
  far.services.cancel(0, waits.call);
  const cancel = far.take();
  assertEquals(cancel.map(({ message }) => (message as SyncRequest).operation), [Cancel]);
  home.services.sync(2, cancel[0]!.message as SyncRequest);
  far.services.sync(1, granted[0]!.message as SyncReply);
  exchange(home, far);
  assertEquals([statuses(waits.answers), home.violations, far.violations], [[Done], [], []]);
});

Deno.test("Services never gives the ticket of a lock that is held to another request", () => {
  const far = new Bench(2, PAGE, 4);
  const ticketOf = (): number => (far.take()[0]!.message as { ticket: number }).ticket;
  const answer = (ticket: number, status: SyncStatus): void =>
    far.services.sync(1, { kind: "syncReply", ticket, status, count: 0, key: 0n });
  far.ask({ operation: Lock, name: "held" });
  answer(ticketOf(), Abandoned);
  far.ask({ operation: TryLock, name: "not held" });
  answer(ticketOf(), Unavailable);
  far.ask({ operation: Acquire, key: 1n });
  assertEquals(ticketOf(), 3);
  // 1 is a lock and 3 waits.
  const tickets: number[] = [];
  for (let count = 0; count < 4; count++) {
    far.ask({ operation: Acquire, key: 2n });
    answer(tickets[tickets.push(ticketOf()) - 1]!, Done);
  }
  assertEquals(tickets, [4, 2, 4, 2]);
  far.ask({ operation: Unlock, lock: 1 });
  assertEquals(ticketOf(), 4);
  far.ask({ operation: Acquire, key: 2n });
  assertEquals(ticketOf(), 1);
  assertEquals(far.violations, []);
});

Deno.test("Services unlocks by the ticket of the lock, and what is no lock is refused", () => {
  const { home, far } = pair();
  const lock = far.ask({ operation: Lock, name: "m" });
  const next = home.ask({ operation: Lock, name: "m" });
  exchange(far, home);
  // The directory's own thread was first: no message was under way.
  assertEquals([lock.answers, statuses(next.answers)], [[], [Done]]);
  const { ticket } = next.answers[0] as SyncAnswer;
  assertEquals(statuses(home.ask({ operation: Unlock, lock: ticket }).answers), [Done]);
  exchange(far, home);
  assertEquals(statuses(lock.answers), [Done]);
  assertEquals(statuses(home.ask({ operation: Unlock, lock: ticket }).answers), [NotHolder]);
});

Deno.test("Services.fail ends what waits", async () => {
  const far = new Bench(2);
  const waits = far.ask({ operation: Acquire, key: 7n });
  const allocation = far.services.free(0, 8);
  const failed = assertRejects(() => allocation, TdsmError, "planted");
  far.services.fail(new TdsmError("DirectoryLost", "planted"));
  far.services.fail(new TdsmError("NodeClosed", "what has ended ends once"));
  assertEquals(statuses(waits.answers), ["DirectoryLost"]);
  await failed;
});

Deno.test("Services takes requests only at the directory node, and answers only from there", () => {
  const { home, far } = pair();
  const request: SyncRequest = { kind: "sync", operation: Acquire, ticket: 1, key: 1n };
  const reply: SyncReply = { kind: "syncReply", ticket: 99, status: Done, count: 0, key: 0n };
  far.services.sync(3, request);
  far.services.sync(3, reply);
  far.services.sync(1, reply);
  far.services.allocation(3, { kind: "free", ticket: 1, offset: 0, bytes: 8 });
  far.services.allocation(3, { kind: "freed", ticket: 1 });
  home.services.sync(2, reply);
  assertEquals(far.violations.map(([node]) => node), [3, 3, 1, 3, 3]);
  assertEquals(home.violations, [[2, "syncReply from a node that may not send it"]]);
  // An answer about an allocation that nobody asked for is nobody's.
  far.services.allocation(1, { kind: "freed", ticket: 77 });
  assertEquals(far.violations.length, 5);
});

Deno.test("Services keeps reports ahead of their trees for the arrivals that have no answer, until a node is gone", () => {
  const bench = new Bench(3);
  const { Gathered: step } = GatherStep;
  const report = (from: NodeId, tree: number) =>
    bench.services.gather(from, { kind: "gather", step, tree, generation: 0 });
  const blamed = () => bench.violations.splice(0).map(([node]) => node);
  report(4, 1);
  assertEquals(blamed(), [4]);
  const { answers } = bench.ask({ operation: Arrive, name: "phase", count: 20 });
  const { message } = bench.sent[0]!;
  report(4, 1);
  report(5, 1);
  assertEquals(blamed(), []);
  report(4, 2);
  assertEquals(blamed(), [4]);
  bench.services.peerGone(5);
  report(5, 2);
  assertEquals(blamed(), []);
  const { ticket } = message as SyncRequest;
  const reply: SyncReply = { kind: "syncReply", ticket, status: Done, count: 0, key: 0n };
  bench.services.sync(1, reply);
  report(6, 3);
  assertEquals([answers.length, blamed()], [1, [6]]);
});

Deno.test("Services expels a node that uses a ticket twice, or zeroes what it did not allocate", () => {
  const { home } = pair();
  const request: SyncRequest = { kind: "sync", operation: Acquire, ticket: 1, key: 1n };
  home.services.sync(2, request);
  home.services.sync(2, request);
  home.services.allocation(2, { kind: "zeroed", offset: 0 });
  assertEquals(home.violations, [
    [2, "request under ticket 1, which is in use"],
    [2, "zeroed byte 0, which it was not to zero"],
  ]);
});

const GRID = { type: "Uint8Array", length: PAGE, packed: false, name: "grid" } as const;

Deno.test("Services allocates here and afar: a name is the same cells, and other cells an error", async () => {
  const { home, far } = pair();
  const first = await home.services.allocate(GRID);
  const second = far.services.allocate(GRID);
  const conflict = far.services.allocate({ ...GRID, length: 1 });
  const refused = assertRejects(() => conflict, TdsmError, "ask for the same");
  exchange(far, home);
  assertEquals(await second, { ...first, created: false });
  assertEquals((await refused).code, "NameConflict");
  const freed = far.services.free(first.offset, PAGE);
  exchange(far, home);
  await freed;
  const again = await assertRejects(() => home.services.free(first.offset, PAGE), TdsmError);
  assertEquals(again.code, "NotAllocated");
});

Deno.test("Services withholds a name until it is zeroed, or its node is gone", async () => {
  const { home, far } = pair(PAGE);
  const old = await home.services.allocate({ ...GRID, name: "old" });
  await home.services.free(old.offset, PAGE);
  const zeroing = far.services.allocate(GRID);
  exchange(far, home);
  assertEquals((await zeroing).dirtyBytes, PAGE);
  let waits = true;
  const next = home.services.allocate(GRID).finally(() => waits = false);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  assertEquals(waits, true);
  home.services.peerLost(2);
  assertEquals(await next, { offset: old.offset, dirtyBytes: PAGE, created: true });
  home.services.zeroed(old.offset);
});

Deno.test("Services gives nothing to a node that is going: nobody would zero it", async () => {
  const { home, far } = pair(PAGE);
  const old = await home.services.allocate({ ...GRID, name: "old" });
  await home.services.free(old.offset, PAGE);
  home.services.peerLost(2);
  void far.services.allocate(GRID);
  far.ask({ operation: Acquire, key: 7n });
  exchange(far, home);
  assertEquals(await home.services.allocate(GRID), {
    offset: old.offset,
    dirtyBytes: PAGE,
    created: true,
  });
  assertEquals([home.violations, home.sent], [[], []]);
});

Deno.test("Services whose request cannot be sent says so, and waits for nothing", async () => {
  const services = new Services({
    self: 2,
    works: true,
    size: PAGE,
    pageSize: PAGE,
    send() {
      throw new TdsmError("LimitExceeded", "planted");
    },
    violation() {},
  });
  await assertRejects(() => services.free(0, 0), TdsmError, "planted");
  services.fail(new TdsmError("NodeClosed", "nobody is told this"));
});

Deno.test("Services: nobody is woken to hear that what was given back is back, but for what is wrong", () => {
  for (const at of [0, 1]) {
    const { home, far } = pair();
    const asker = [home, far][at]!;
    const ask = (demand: SyncDemand): [SyncStatus | string, boolean] => {
      const { answers, quiet } = asker.ask(demand);
      exchange(far, home);
      assertEquals([answers.length, quiet.length], [1, 1]);
      return [statuses(answers)[0]!, quiet[0]!];
    };
    assertEquals(ask({ operation: Release, key: 7n, count: 1 }), [Done, true]);
    assertEquals(ask({ operation: Acquire, key: 7n }), [Done, false]);
    assertEquals(ask({ operation: Release, key: 7n, count: 2 ** 31 - 1 }), [Done, true]);
    const over = ask({ operation: Release, key: 7n, count: 1 });
    assertEquals(over, [SyncStatus.Overflow, false]);
    const lock = asker.ask({ operation: Lock, name: "a" });
    exchange(far, home);
    assertEquals([statuses(lock.answers), lock.quiet], [[Done], [false]]);
    const { ticket } = lock.answers[0] as SyncAnswer;
    assertEquals(ask({ operation: Unlock, lock: ticket }), [Done, true]);
    assertEquals(ask({ operation: Unlock, lock: ticket }), [NotHolder, false]);
  }
});

Deno.test("Services gives up what a thread that has ended waits for, and gives back what comes too late", () => {
  const { home, far } = pair();
  const [ended, living] = [3, 4];
  const waits = [
    far.ask({ operation: Acquire, key: 7n }, ended),
    far.ask({ operation: Arrive, name: "phase", count: 2 }, ended),
    far.ask({ operation: Lock, name: "totals" }, ended),
  ];
  const lock = waits[2]!;
  exchange(far, home);
  assertEquals(statuses(lock.answers), [Done]);
  const others = [
    far.ask({ operation: Acquire, key: 7n }, living),
    home.ask({ operation: Lock, name: "totals" }),
  ];
  // A permit and a try are on their way when the thread ends.
  const late = far.ask({ operation: TryAcquire, key: 8n }, ended);
  const lateLock = far.ask({ operation: TryLock, name: "late" }, ended);
  home.ask({ operation: Release, key: 8n, count: 1 });
  home.ask({ operation: Release, key: 7n, count: 1 });
  far.services.threadGone(ended, []);
  exchange(far, home);
  // Nothing was told to a thread that is no more, but those that waited behind it go on.
  assertEquals(waits.map(({ answers }) => statuses(answers)), [[], [], [Done]]);
  assertEquals([late.answers, lateLock.answers], [[], []]);
  assertEquals(others.map(({ answers }) => statuses(answers)), [[Done], [Abandoned]]);
  // Its permits are there again, its place at the barrier is another's, what it never saw is not
  // abandoned.
  assertEquals(statuses(home.ask({ operation: TryAcquire, key: 8n }).answers), [Done]);
  assertEquals(statuses(home.ask({ operation: TryAcquire, key: 7n }).answers), [Unavailable]);
  assertEquals(statuses(home.ask({ operation: TryLock, name: "late" }).answers), [Done]);
  const meets = home.ask({ operation: Arrive, name: "phase", count: 2 });
  assertEquals(meets.answers, []);
  far.ask({ operation: Arrive, name: "phase", count: 2 }, living);
  exchange(far, home);
  assertEquals(statuses(meets.answers), [Done]);
  assertEquals([far.violations, home.violations], [[], []]);
});

Deno.test("Services gives back what a thread was granted and has not read, and abandons what it has", () => {
  const { home, far } = pair();
  home.ask({ operation: Release, key: 7n, count: 2 });
  const asked = [
    far.ask({ operation: Acquire, key: 7n }, 3),
    far.ask({ operation: Lock, name: "unread" }, 3),
    far.ask({ operation: Lock, name: "read" }, 3),
    far.ask({ operation: Acquire, key: 7n }, 3),
  ];
  exchange(far, home);
  // It has read the last two answers.
  const unread = asked.slice(0, 2).flatMap(({ grants }) => grants);
  assertEquals(unread.length, 2);
  far.services.threadGone(3, unread);
  exchange(far, home);
  const status = (demand: SyncDemand) => statuses(home.ask(demand).answers)[0];
  assertEquals(status({ operation: TryAcquire, key: 7n }), Done);
  assertEquals(status({ operation: TryAcquire, key: 7n }), Unavailable);
  assertEquals(status({ operation: TryLock, name: "unread" }), Done);
  assertEquals(status({ operation: TryLock, name: "read" }), Abandoned);
  // A second thread in the slot holds nothing of the first.
  far.services.threadGone(3, []);
  assertEquals(far.sent, []);
});

Deno.test("Services says of what a thread that has ended gave back that it was refused", () => {
  const { home, far } = pair();
  home.ask({ operation: Release, key: 7n, count: 2 ** 31 - 1 });
  const over = { operation: Release, key: 7n, count: 3 } as const;
  const why =
    "A thread that has ended or detached could not release semaphore 7 by 3: refused, it " +
    "would have too many permits";
  for (const bench of [home, far]) {
    // The thread that lives is told itself.
    bench.ask(over, 4);
    exchange(far, home);
    assertEquals(bench.refused, []);
    const { grants } = bench.ask(over, 3);
    exchange(far, home);
    bench.end(3, grants);
    assertEquals(bench.refused.splice(0), [why]);
  }
  // The answer comes after the end.
  far.ask(over, 5);
  far.ask({ operation: Unlock, lock: 77 }, 5);
  far.end(5, []);
  exchange(far, home);
  assertEquals(far.refused, [
    why,
    "A thread that has ended or detached could not unlock a mutex: refused, this lock does not hold it",
  ]);
});

Deno.test("Services frees the cells that a thread has not lived to take", async () => {
  const unnamed = { type: "Uint8Array", length: PAGE, packed: false } as const;
  const { home, far } = pair(PAGE);
  for (const bench of [home, far]) {
    // The thread ends before the answer comes, and before it has taken the cells.
    for (const when of ["before", "after"]) {
      const asked = bench.allocate(unnamed, 3);
      if (when === "before") bench.end(3, []);
      exchange(far, home);
      assertEquals(await asked === undefined, when === "before");
      if (when === "after") bench.end(3, []);
      exchange(far, home);
      const { offset } = await home.services.allocate(unnamed);
      await home.services.free(offset, PAGE);
      bench.gone.clear();
    }
  }
  const asked = far.allocate(unnamed, 3);
  exchange(far, home);
  assertEquals((await asked)!.kind, Answer.Value);
  far.services.taken(0);
  far.end(3, []);
  exchange(far, home);
  const { code } = await assertRejects(() => home.services.allocate(unnamed), TdsmError);
  assertEquals([code, far.violations, home.violations], ["OutOfMemory", [], []]);
});

Deno.test("Services gives a name to the next where the thread that was to zero it has ended", async () => {
  for (const when of ["before", "zeroing"]) {
    const { home, far } = pair(PAGE);
    const old = await home.services.allocate({ ...GRID, name: "old" });
    await home.services.free(old.offset, PAGE);
    const zeroing = far.allocate(GRID, 3);
    if (when === "before") far.end(3, []);
    exchange(far, home);
    await zeroing;
    const next = home.services.allocate(GRID);
    if (when === "zeroing") far.end(3, []);
    exchange(far, home);
    assertEquals(await next, { offset: old.offset, dirtyBytes: PAGE, created: true }, when);
    home.services.zeroed(old.offset);
    // What is zero is for all, and stays where its thread ends.
    const shared = far.allocate(GRID, 4);
    exchange(far, home);
    await shared;
    far.end(4, []);
    exchange(far, home);
    const again = await home.services.allocate(GRID);
    assertEquals(again, { offset: old.offset, dirtyBytes: 0, created: false });
  }
});

const { FutexWait, FutexNotify } = SyncOperation;
const { Registered, Notified, Quiet } = SyncStatus;

/** Has threads of a node wait and notify by turns until their word is lent to the node. */
function untilLent(home: Bench, far: Bench, key: bigint): void {
  for (let time = 0; time < FUTEX_LEND_AFTER; time++) {
    far.ask({ operation: FutexNotify, key, count: 1 });
    exchange(far, home);
    const wait = far.ask({ operation: FutexWait, key });
    exchange(far, home);
    far.services.cancel(0, wait.call);
    exchange(far, home);
    assertEquals(statuses(wait.answers), [Registered, "cancelled"]);
  }
  assertEquals(far.sent, []);
}

Deno.test("Services serves waits for a word that is lent to its node without a message", () => {
  const { home, far } = pair();
  untilLent(home, far, 8n);
  const wait = far.ask({ operation: FutexWait, key: 8n }, 3);
  assertEquals(statuses(wait.answers), [Registered]);
  far.services.stay(3, (wait.answers[0] as SyncAnswer).ticket);
  const notify = far.ask({ operation: FutexNotify, key: 8n, count: 9 }, 4);
  assertEquals([statuses(wait.answers), statuses(notify.answers)], [[Registered, Done], [
    Notified,
  ]]);
  // Of a thread that ends nothing is left.
  far.ask({ operation: FutexWait, key: 8n }, 5);
  far.end(5, []);
  assertEquals(statuses(far.ask({ operation: FutexNotify, key: 8n, count: 1 }).answers), [Quiet]);
  assertEquals(far.sent, []);
});

Deno.test("Services gives a word back with its waits when another node asks", () => {
  const { home, far } = pair();
  untilLent(home, far, 8n);
  const waits = [3, 4].map((slot) => far.ask({ operation: FutexWait, key: 8n }, slot));
  const stay = (slot: number): void => {
    const [registered] = waits[slot - 3]!.answers as SyncAnswer[];
    far.services.stay(slot, registered!.ticket);
  };
  stay(4);
  const notify = home.ask({ operation: FutexNotify, key: 8n, count: 1 });
  exchange(far, home);
  // Thread 3 has yet to look.
  assertEquals(notify.answers, []);
  stay(3);
  exchange(far, home);
  assertEquals(waits.map(({ answers }) => statuses(answers)), [[Registered, Done], [Registered]]);
  assertEquals((notify.answers[0] as SyncAnswer).count, 1);
  far.services.cancel(4, waits[1]!.call);
  exchange(far, home);
  assertEquals(statuses(waits[1]!.answers), [Registered, "cancelled"]);
  assertEquals([far.violations, home.violations], [[], []]);
});

Deno.test("Services gives up a wait at its own node whose word, or which itself, is on its way there", () => {
  const { home, far } = pair();
  for (let time = 1; time < FUTEX_LEND_AFTER; time++) {
    far.ask({ operation: FutexNotify, key: 8n, count: 1 });
    exchange(far, home);
  }
  const wait = far.ask({ operation: FutexWait, key: 8n }, 3);
  far.services.cancel(3, wait.call);
  exchange(far, home);
  assertEquals(statuses(wait.answers), [Registered, "cancelled"]);

  const other = pair();
  const sleeps = other.far.ask({ operation: FutexWait, key: 8n }, 3);
  exchange(other.far, other.home);
  other.far.services.stay(3, (sleeps.answers[0] as SyncAnswer).ticket);
  for (let time = 2; time < FUTEX_LEND_AFTER; time++) {
    const { call } = other.far.ask({ operation: FutexWait, key: 8n }, 4);
    exchange(other.far, other.home);
    other.far.services.cancel(4, call);
  }
  const notify = other.far.ask({ operation: FutexNotify, key: 8n, count: 1 });
  for (const { message } of other.far.take()) other.home.services.sync(2, message as SyncRequest);
  // The wait is on its way back, and the word behind it.
  other.far.services.cancel(3, sleeps.call);
  exchange(other.far, other.home);
  assertEquals(statuses(sleeps.answers), [Registered, "cancelled"]);
  assertEquals([statuses(notify.answers), other.far.violations], [[Quiet], []]);
});

Deno.test("Services asks anew about waits that come back with a word for which too many wait there", () => {
  const { home, far } = pair();
  for (let time = 1; time < FUTEX_LEND_AFTER; time++) {
    far.ask({ operation: FutexNotify, key: 8n, count: 1 });
    exchange(far, home);
  }
  const ask = (): Asked => far.ask({ operation: FutexWait, key: 8n }, 3);
  const waits = Array.from({ length: FUTEX_LENT_WAITS_MAX }, ask);
  const [late, givenUp] = [ask(), ask()];
  far.services.cancel(3, givenUp.call);
  exchange(far, home);
  assertEquals(waits.flatMap(({ answers }) => statuses(answers)), waits.map(() => Registered));
  assertEquals([late.answers, statuses(givenUp.answers)], [[], ["cancelled"]]);
  const stay = ({ answers }: Asked): void =>
    far.services.stay(3, (answers[0] as SyncAnswer).ticket);
  waits.forEach(stay);
  exchange(far, home);
  assertEquals(statuses(late.answers), [Registered]);
  stay(late);
  exchange(far, home);
  const notify = home.ask({ operation: FutexNotify, key: 8n, count: 999 });
  exchange(home, far);
  assertEquals((notify.answers[0] as SyncAnswer).count, FUTEX_LENT_WAITS_MAX + 1);
  assertEquals([far.violations, home.violations], [[], []]);
});

Deno.test("Services: a word that comes with a request about something else is a breach", () => {
  const far = new Bench(2);
  far.ask({ operation: Acquire, key: 8n });
  far.ask({ operation: FutexNotify, key: 8n, count: 1 });
  const reply = { kind: "syncReply", count: 0, key: 8n } as const;
  const wrong = [
    { ...reply, ticket: 1, status: SyncStatus.Lent },
    { ...reply, ticket: 2, status: SyncStatus.Moved },
    { ...reply, ticket: 2, status: SyncStatus.Lent, key: 16n },
    { ...reply, ticket: 3, status: SyncStatus.Lent },
  ];
  for (const message of wrong) far.services.sync(1, message);
  assertEquals(far.violations, [
    [1, "word 8 with request 1, which is not about it"],
    [1, "word 8 with request 2, which is not about it"],
    [1, "word 16 with request 2, which is not about it"],
    [1, "word 8 with request 3, which is not about it"],
  ]);
});

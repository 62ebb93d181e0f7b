import { assertEquals } from "@std/assert";
import type { ThreadDescriptor } from "../../ffi/thread_link.ts";
import {
  firstTicketOf,
  SyncOperation,
  type SyncReply,
  SyncStatus,
} from "../protocol/sync/messages.ts";
import { encodeSync } from "../wire/sync_frames.ts";
import { CallSlots } from "./call_slots.ts";
import { THREAD_ANSWER_BYTES, ThreadLink } from "./thread_link.ts";

const THREAD = 3;
const FIRST = firstTicketOf(THREAD);
/** How many tickets the thread has. */
const TICKETS = 4;
const { Acquire, FutexNotify, FutexWait, Lock, Release, Unlock } = SyncOperation;
const { Done } = SyncStatus;

/** A link, and what stands for its connection. */
class Bench {
  readonly slots = new CallSlots();
  readonly slot = this.slots.claim()!;
  /** The bytes that have arrived. */
  arrived = new Uint8Array(0);
  /** Whether the other side has ended. */
  over = false;
  /** Whether waits end before everything that they are for is there. */
  inParts = false;
  /** The bytes that each wait was for. */
  readonly waits: number[] = [];
  readonly link = new ThreadLink(
    {
      send: ({ length }: Uint8Array) => this.over ? undefined : length,
      receive: (answers: Uint8Array) => {
        this.waits.push(answers.length);
        if (this.arrived.length < answers.length && !this.over && !this.inParts) return 0;
        const taken = this.arrived.slice(0, answers.length);
        this.arrived = this.arrived.slice(taken.length);
        answers.set(taken);
        return taken.length === 0 ? undefined : taken.length;
      },
    } as unknown as ThreadDescriptor,
    this.slots,
    this.slot,
    THREAD,
    TICKETS,
  );

  answer(ticket: number, status: SyncStatus = Done): void {
    const reply: SyncReply = { kind: "syncReply", ticket, status, count: 0, key: 0n };
    const bytes = new Uint8Array(this.arrived.length + THREAD_ANSWER_BYTES);
    bytes.set(this.arrived);
    encodeSync(reply, bytes, this.arrived.length);
    this.arrived = bytes;
  }
}

Deno.test("ThreadLink: a thread wakes once, for the answer that it waits for, and takes those before it too", () => {
  const bench = new Bench();
  const { link } = bench;
  const post = (): number => link.send({ operation: Release, key: 7n, count: 1 }, () => {});
  assertEquals([post(), post()], [FIRST, FIRST + 1]);
  const ticket = link.send({ operation: Acquire, key: 7n });
  for (const answered of [FIRST, FIRST + 1]) {
    bench.answer(answered);
    assertEquals([link.receive(5, true), link.unanswered], [undefined, 2]);
  }
  bench.answer(ticket);
  const replies = [1, 2, 3].map(() => link.receive(5, true)?.ticket);
  assertEquals(replies, [undefined, undefined, ticket]);
  assertEquals([link.unanswered, bench.waits], [0, Array(3).fill(3 * THREAD_ANSWER_BYTES)]);
});

Deno.test("ThreadLink: a thread that waits is woken though a notify before it has no answer yet", () => {
  const bench = new Bench();
  const { link } = bench;
  const woken: number[] = [];
  link.send({ operation: FutexNotify, key: 8n, count: 1 }, ({ ticket }) => woken.push(ticket));
  const ticket = link.send({ operation: FutexWait, key: 16n });
  bench.answer(ticket, SyncStatus.Registered);
  assertEquals(link.receive(5, true)?.ticket, ticket);
  assertEquals([woken, link.unanswered, link.unansweredInOrder], [[], 1, 0]);
  bench.answer(FIRST, SyncStatus.Notified);
  assertEquals(link.receive(5, true), undefined);
  assertEquals([woken, link.unanswered, link.unansweredInOrder], [[FIRST], 0, 0]);
  assertEquals(bench.waits, Array(2).fill(THREAD_ANSWER_BYTES));
});

Deno.test("ThreadLink: an answer that is kept is there for its call, whichever call was waiting when it came", () => {
  const bench = new Bench();
  const { link } = bench;
  const wait = link.send({ operation: FutexWait, key: 16n });
  bench.answer(wait, SyncStatus.Registered);
  assertEquals(link.receive(5, true)?.status, SyncStatus.Registered);
  link.keep(wait);
  const notify = (): number => link.send({ operation: FutexNotify, key: 8n, count: 1 });
  assertEquals([notify(), notify(), notify()], [FIRST + 1, FIRST + 2, FIRST + 3]);
  // The next one is that of the wait, which has no answer yet.
  assertEquals(notify(), FIRST + 1);
  assertEquals(link.kept(wait), undefined);
  bench.answer(wait, Done);
  bench.answer(FIRST + 1, SyncStatus.Notified);
  while (link.receive(5, true)?.ticket !== FIRST + 1);
  assertEquals([link.kept(wait)?.status, link.kept(wait)], [Done, undefined]);
  assertEquals([notify(), notify(), notify()], [FIRST + 2, FIRST + 3, FIRST]);
  assertEquals(bench.waits, Array(3).fill(THREAD_ANSWER_BYTES));
});

Deno.test("ThreadLink: answers go to what takes them, or to the call that waits", () => {
  const bench = new Bench();
  const { link } = bench;
  const answered: number[] = [];
  link.send({ operation: Release, key: 7n, count: 1 }, ({ status }) => answered.push(status));
  const ticket = link.send({ operation: Acquire, key: 9n });
  bench.answer(FIRST, SyncStatus.Overflow);
  bench.answer(ticket);
  assertEquals(link.receive(5, true), undefined);
  assertEquals([answered, link.unanswered], [[SyncStatus.Overflow], 0]);
  // Until the program has it, the permit is one that the thread may not live to see.
  assertEquals(bench.slots.permit(bench.slot), { ticket, key: 9n });
  assertEquals(link.receive(5, true)?.ticket, ticket);
  link.taken();
  assertEquals(bench.slots.permit(bench.slot), undefined);
  assertEquals(bench.waits, [2 * THREAD_ANSWER_BYTES]);
});

Deno.test("ThreadLink: the ticket of a lock is not used again until it is unlocked", () => {
  const bench = new Bench();
  const { link } = bench;
  const lock = link.send({ operation: Lock, name: "a" });
  bench.answer(lock);
  assertEquals(link.receive(5, true)?.ticket, lock);
  const others = [1, 2, 3, 4].map(() => {
    const ticket = link.send({ operation: SyncOperation.TryLock, name: "b" });
    bench.answer(ticket, SyncStatus.Unavailable);
    link.receive(5, true);
    return ticket - FIRST;
  });
  assertEquals([lock - FIRST, others], [0, [1, 2, 3, 1]]);
  link.send({ operation: Unlock, lock }, () => {});
  assertEquals(link.send({ operation: SyncOperation.TryLock, name: "b" }) - FIRST, 3);
  assertEquals(link.send({ operation: SyncOperation.TryLock, name: "b" }) - FIRST, 0);
});

Deno.test("ThreadLink: what is no answer, or ends in the midst of one, ends the link", () => {
  for (const bytes of [new Uint8Array(THREAD_ANSWER_BYTES), new Uint8Array(10)]) {
    const bench = new Bench();
    bench.arrived = bytes;
    bench.over = bytes.length < THREAD_ANSWER_BYTES;
    // It has ended once nothing comes behind the part.
    if (bench.over) assertEquals([bench.link.receive(5), bench.link.hasEnded], [undefined, false]);
    assertEquals([bench.link.receive(5), bench.link.hasEnded], [undefined, true]);
  }
});

Deno.test("ThreadLink: an answer that comes in parts is taken once it is whole", () => {
  const bench = new Bench();
  const { link } = bench;
  link.send({ operation: Release, key: 7n, count: 1 }, () => {});
  const ticket = link.send({ operation: Acquire, key: 7n });
  bench.answer(FIRST);
  bench.answer(ticket);
  const whole = bench.arrived;
  const replies: (number | undefined)[] = [];
  for (let start = 0; start < whole.length; start += 11) {
    bench.arrived = whole.slice(start, start + 11);
    bench.inParts = true;
    replies.push(link.receive(5, true)?.ticket);
  }
  assertEquals([replies, link.unanswered], [[...Array(7).fill(undefined), ticket], 0]);
});

Deno.test("ThreadLink: once the other side has ended, it says so", () => {
  const bench = new Bench();
  bench.over = true;
  bench.link.send({ operation: Acquire, key: 7n });
  assertEquals([bench.link.hasEnded, bench.link.receive(5)], [true, undefined]);
});

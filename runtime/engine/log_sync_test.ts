import { assertEquals } from "@std/assert";
import { SYNC_STUCK_NAMED_MAX } from "../limits.ts";
import { SyncOperation, type SyncReply, SyncStatus } from "../protocol/sync/messages.ts";
import { describeStuck, SyncLog } from "./log.ts";

function open(level: number): [log: SyncLog, lines: string[]] {
  const lines: string[] = [];
  return [new SyncLog(level, (at, text) => lines.push(`${at} ${text}`)), lines];
}

function reply(ticket: number, status: SyncStatus, rest: Partial<SyncReply> = {}): SyncReply {
  return { kind: "syncReply", ticket, status, count: 0, key: 0n, ...rest };
}

/** Something of every level. */
function live(log: SyncLog): void {
  const { Acquire, Lock, Unlock, Arrive, MakeSemaphore } = SyncOperation;
  log.asked({ kind: "sync", operation: Acquire, ticket: 1, key: 2n ** 64n - 1n });
  log.answered(reply(1, SyncStatus.Done));
  log.asked({ kind: "sync", operation: Lock, ticket: 2, name: "door" });
  log.answered(reply(2, SyncStatus.Abandoned));
  log.asked({ kind: "sync", operation: Unlock, ticket: 3, lock: 2 });
  log.answered(reply(3, SyncStatus.Done));
  log.asked({ kind: "sync", operation: Arrive, ticket: 4, name: "phase", count: 3 });
  log.answered(reply(4, SyncStatus.PartiesMismatch, { count: 5 }));
  log.asked({ kind: "sync", operation: MakeSemaphore, ticket: 5, count: 2 });
  log.answered(reply(5, SyncStatus.Made, { key: 9n }));
}

const ABANDONED =
  '2 Could lock mutex "door", but the node or thread that held it has ended without unlocking it';
const REFUSED = '3 Request 4: wait at barrier "phase" of 3: refused, others count 5 parties';
const MADE = "3 Request 5: make a semaphore with 2 permits: it has key 9";

Deno.test("SyncLog tells as much as its level says", () => {
  const expected: readonly (readonly string[])[] = [
    [],
    [],
    [ABANDONED],
    [ABANDONED, REFUSED, MADE],
    [
      "4 Request 1: acquire semaphore 18446744073709551615: done",
      ABANDONED,
      '4 Request 3: unlock mutex "door": done',
      REFUSED,
      MADE,
    ],
  ];
  for (const [level, lines] of expected.entries()) {
    const [log, told] = open(level);
    live(log);
    assertEquals(told, lines, `level ${level}`);
  }
  const [log, told] = open(5);
  live(log);
  assertEquals(told.filter((line) => line.startsWith("5")), [
    "5 Request 1: acquire semaphore 18446744073709551615",
    '5 Request 2: lock mutex "door"',
    '5 Request 3: unlock mutex "door"',
    '5 Request 4: wait at barrier "phase" of 3',
    "5 Request 5: make a semaphore with 2 permits",
  ]);
});

Deno.test("SyncLog says nothing of answers to what it was not told of", () => {
  const [log, told] = open(4);
  log.answered(reply(7, SyncStatus.Done));
  log.asked({ kind: "sync", operation: SyncOperation.Acquire, ticket: 8, key: 1n });
  log.end();
  log.answered(reply(8, SyncStatus.Done));
  assertEquals(told, []);
});

Deno.test("describeStuck names the first of many barriers and nodes", () => {
  const arrived = [3, 1, 1, 2];
  assertEquals(
    describeStuck({ barriers: [{ name: "a", parties: 5, arrived }], others: 0 }),
    'Every thread of every node waits, so maybe for ever: barrier "a" has 4 of 5 parties (of node ' +
      "1, 2, 3). Compare the number of parties with the threads that come there, or start the node " +
      "that is missing",
  );
  const many = Array.from({ length: 100 }, (_, index) => index + 1);
  const text = describeStuck({
    barriers: many.map((at) => ({ name: `b${at}`, parties: 200, arrived: many })),
    others: 2,
  });
  assertEquals(text.match(/barrier /g)!.length, SYNC_STUCK_NAMED_MAX);
  assertEquals(text.match(/, \d+ and 92 more\)/g)!.length, SYNC_STUCK_NAMED_MAX);
  assertEquals(text.includes("and 92 more, and 2 more wait for semaphores or mutexes. "), true);
});

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { THREAD_LINK_UNANSWERED_MAX } from "../limits.ts";
import { WordMark } from "../protocol/sync/lent_words.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import type { SyncAnswer, SyncDemand } from "../ring/sync_records.ts";
import { beginWait, type Futex, type FutexParts, newFutex, postNotify } from "./futex.ts";
import { join } from "./join.ts";

Deno.test("Futex: a wait says what Atomics.wait would, for either kind of word", async () => {
  await using node = await join({ directory: true, port: 0, size: "64KiB" });
  const { futex } = node;
  const small = node.view(Int32Array, 4096, 4);
  const large = node.view(BigInt64Array, 8192, 4);
  small[2] = -1;
  large[2] = -1n;
  assertEquals(futex.wait(small, 2, 0), "not-equal");
  assertEquals(futex.wait(large, 2, 0n), "not-equal");
  // As `Atomics.wait` does, by the lowest bits.
  assertEquals(futex.wait(small, 2, 2 ** 32 - 1, 0), "timed-out");
  assertEquals(futex.wait(large, 2, 2n ** 64n - 1n, 0), "timed-out");
  assertEquals(futex.wait(small, 2, -1, 1), "timed-out");
  assertEquals(futex.wait(large, 2, -1n, -5), "timed-out");
  assertEquals([futex.notify(small, 2), futex.notify(large, 2, 0)], [0, 0]);
});

Deno.test("Futex: waits that do not block are woken in order, by this thread too", async () => {
  await using node = await join({ directory: true, port: 0, size: "64KiB" });
  const { futex } = node;
  const cells = node.view(Int32Array, 0, 16);
  assertEquals(futex.waitAsync(cells, 1, 5), { async: false, value: "not-equal" });
  assertEquals(futex.waitAsync(cells, 1, 0, 0), { async: false, value: "timed-out" });
  for (let round = 0; round < 3; round++) {
    const order: number[] = [];
    const waits = [0, 1, 2].map((number) => {
      const begun = futex.waitAsync(cells, 1, 0);
      assert(begun.async);
      return (begun.value as Promise<string>).then((outcome) => {
        order.push(number);
        return outcome;
      });
    });
    const other = futex.waitAsync(cells, 2, 0, 60_000);
    assertEquals(futex.notify(cells, 1, 2), 2);
    assertEquals(await Promise.all(waits.slice(0, 2)), ["ok", "ok"]);
    assertEquals(order, [0, 1]);
    assertEquals([futex.notify(cells, 1), futex.notify(cells, 1)], [1, 0]);
    assertEquals(await waits[2], "ok");
    assertEquals(futex.notify(cells, 2), 1);
    assertEquals(await other.value, "ok");
  }
  assertEquals(await futex.waitAsync(cells, 1, 0, 5).value, "timed-out");
  assertEquals(futex.notify(cells, 1), 0);
});

Deno.test("Futex: beginWait: notifies end a wait from its beginning on, whatever the word is by then", async () => {
  await using node = await join({ directory: true, port: 0, size: "64KiB" });
  const { futex } = node;
  const cells = node.view(Int32Array, 0, 16);
  const waits = [0, 1, 2].map(() => beginWait(futex, cells, 1));
  cells[1] = 5;
  assertEquals([futex.notify(cells, 2), futex.notify(cells, 1, 2)], [0, 2]);
  // The last one is woken by nobody, and is gone once it has ended.
  const ends = waits.map((wait) => wait.end(performance.now() + 1));
  assertEquals([ends, futex.notify(cells, 1)], [[true, true, false], 0]);
});

Deno.test("Futex: postNotify: wakes as notify does, however many notifies have no answer yet", async () => {
  await using node = await join({ directory: true, port: 0, size: "64KiB" });
  const { futex } = node;
  const cells = node.view(Int32Array, 0, 16);
  postNotify(futex, cells, 1, 1);
  const begin = (): { end(giveUpAt: number): boolean } => beginWait(futex, cells, 1);
  const first = begin();
  postNotify(futex, cells, 1, 1);
  assertEquals(first.end(Infinity), true);
  for (let round = 0; round < 2; round++) {
    // From the second one on they are posted, since the one before has woken a thread.
    const waits = Array.from({ length: 2 * THREAD_LINK_UNANSWERED_MAX }, begin);
    const last = begin();
    for (const _ of waits) postNotify(futex, cells, 1, 1);
    assertEquals(waits.map((wait) => wait.end(Infinity)).every((isWoken) => isWoken), true);
    postNotify(futex, cells, 1, 0);
    assertEquals(last.end(performance.now() + 1), false);
  }
  const rest = [begin(), begin()];
  postNotify(futex, cells, 1, 2 ** 32 - 1);
  assertEquals(rest.map((wait) => wait.end(Infinity)), [true, true]);
});

/** The answer to a notify that has woken a thread. */
const WOKEN: SyncAnswer = { status: SyncStatus.Notified, count: 1, ticket: 7, key: 0n };

/** A futex whose desk answers what the test says, by the engine or by the thread's own link. */
class ScriptedDesk {
  /** What was asked by the link, and takes the answer. */
  readonly posted: ((answer: SyncAnswer) => void)[] = [];
  /** What takes the error of what was asked by the engine. */
  readonly told: ((error: TdsmError) => void)[] = [];
  readonly cancelled: number[] = [];
  readonly futex: Futex;
  #isSilent = true;

  constructor({ hasLink = false, giveWay = () => {} }: {
    readonly hasLink?: boolean;
    readonly giveWay?: () => void;
  }) {
    const cancel = (id: number): void => void this.cancelled.push(id);
    const link = {
      send: ({ operation }: SyncDemand, answered?: (answer: SyncAnswer) => void) => {
        if (operation === SyncOperation.FutexNotify) this.posted.push(answered!);
        return 7;
      },
      cancel,
    };
    const parts = {
      client: {
        refusal: () => undefined,
        open: () => ({ id: 7 }),
        nextAnswer: () => this.#isSilent ? undefined : { ...WOKEN, code: WOKEN.status },
        tell: (...[, , , refused]: unknown[]) => this.told.push(refused as never),
        cancel,
      },
      sync: { ownLink: hasLink ? link : undefined, receive: () => undefined },
      memory: { offsetOf: () => 0 },
      wordMarks: { of: () => WordMark.None },
      giveWay: () => giveWay(),
    };
    this.futex = newFutex(parts as unknown as FutexParts);
  }

  /** Posts a notify, as a thread may whose last one has woken another thread. */
  post(cells: Int32Array): void {
    this.#isSilent = false;
    this.futex.notify(cells, 0);
    this.#isSilent = true;
    postNotify(this.futex, cells, 0, 1);
  }
}

Deno.test("Futex: a wait that the desk does not acknowledge is given up there, too", () => {
  const cells = new Int32Array(1);
  for (const hasLink of [false, true]) {
    const desk = new ScriptedDesk({ hasLink });
    const begin: (() => unknown)[] = [
      () => desk.futex.wait(cells, 0, 0),
      () => beginWait(desk.futex, cells, 0),
      () => desk.futex.waitAsync(cells, 0, 0),
    ];
    for (const wait of begin) {
      assertThrows(wait, TdsmError, "the directory node does not answer");
      assertEquals(desk.cancelled.splice(0), [7]);
    }
  }
});

Deno.test("Futex: a thread that looks leaves its core to the one that changes the word", () => {
  const cells = new Int32Array(1);
  let turns = 0;
  const desk = new ScriptedDesk({ giveWay: () => cells[0] = ++turns });
  assertEquals(desk.futex.wait(cells, 0, 0), "not-equal");
  assertEquals([turns, desk.cancelled], [1, []]);
});

Deno.test("Futex: postNotify: a notify that is refused is told by the next call, not by whichever reads that", () => {
  const cells = new Int32Array(1);
  const calls: ((futex: Futex) => unknown)[] = [
    (futex) => postNotify(futex, cells, 0, 1),
    (futex) => futex.notify(cells, 0),
    (futex) => futex.wait(cells, 0, 0, 0),
    (futex) => futex.waitAsync(cells, 0, 0, 0),
  ];
  for (const call of calls) {
    for (const hasLink of [false, true]) {
      const desk = new ScriptedDesk({ hasLink });
      desk.post(cells);
      if (hasLink) desk.posted[0]!({ ...WOKEN, status: SyncStatus.LimitExceeded });
      else desk.told[0]!(new TdsmError("LimitExceeded", "too many requests wait"));
      assertThrows(() => call(desk.futex), TdsmError, "too many");
      assertEquals(desk.futex.wait(cells, 0, 0, 0), "timed-out");
    }
  }
});

Deno.test("Futex: what is no word of the region is refused in a line", async () => {
  await using node = await join({ directory: true, port: 0, size: "64KiB" });
  const { futex } = node;
  const cells = node.view(Int32Array, 0, 4);
  const wrong = node.view(Uint32Array, 0, 4) as unknown as Int32Array;
  assertThrows(() => futex.wait(wrong, 0, 0), TypeError, "give an Int32Array or a BigInt64Array");
  assertThrows(() => futex.notify(wrong, 0), TypeError, "give an Int32Array or a BigInt64Array");
  for (const index of [-1, 4, 0.5, NaN]) {
    assertThrows(() => futex.wait(cells, index, 0), RangeError, `element ${index} of 4`);
  }
  const own = new Int32Array(4);
  assertThrows(() => futex.notify(own, 0), RangeError, "not over the region");
  assertThrows(() => futex.waitAsync(cells, 0, 0n as unknown as number, 0), TypeError);
});

Deno.test("Futex: a node that is closed ends the waits of its threads", async () => {
  const node = await join({ directory: true, port: 0, size: "64KiB" });
  const { futex } = node;
  const cells = node.view(Int32Array, 0, 4);
  const { value } = futex.waitAsync(cells, 0, 0);
  const ended = assertRejects(() => value as Promise<string>, TdsmError, "the node is closed");
  const closing = node.close();
  await ended;
  await closing;
  const again = node.futex;
  assertThrows(() => again.notify(cells, 0), RangeError);
});

import { assertEquals } from "@std/assert";
import { FUTEX_LENT_WAITS_MAX } from "../../limits.ts";
import { LentWords } from "./lent_words.ts";
import { SyncOperation, SyncStatus } from "./messages.ts";

const kind = "sync";
const ALL = 2 ** 31 - 1;
const NODE = 2;

const STATUS_NAMES = new Map(Object.entries(SyncStatus).map(([name, status]) => [status, name]));
const MARK_NAMES = ["none", "quiet", "lent", "lent and quiet"];

/** The words of one node, and what comes of what happens to them. */
class Bench {
  readonly #happened: string[] = [];
  readonly #words = new LentWords(NODE, {
    reply: ({ ticket, status, count }) => {
      const value = count > 0 ? ` ${count}` : "";
      this.#happened.push(`${ticket} ${STATUS_NAMES.get(status)}${value}`);
    },
    tell: ({ operation, ticket, key }) => {
      const { FutexMoved, FutexHeard, FutexReturn } = SyncOperation;
      if (operation === FutexMoved) this.#happened.push(`${ticket} moved from ${key}`);
      else if (operation === FutexHeard) this.#happened.push(`heard ${key}`);
      else if (operation === FutexReturn) this.#happened.push(`return ${key}`);
      else this.#happened.push(`${ticket} asked of ${key}`);
    },
    show: (key, marks) => this.#happened.push(`${key} ${MARK_NAMES[marks]}`),
  });

  wait(ticket: number, key = 8n): boolean {
    return this.#words.request({ kind, operation: SyncOperation.FutexWait, ticket, key });
  }

  stay(ticket: number): boolean {
    return this.#words.request({ kind, operation: SyncOperation.FutexStay, ticket });
  }

  cancel(ticket: number): boolean {
    return this.#words.request({ kind, operation: SyncOperation.Cancel, ticket });
  }

  notify(ticket: number, count: number, key = 8n): boolean {
    const operation = SyncOperation.FutexNotify;
    return this.#words.request({ kind, operation, ticket, key, count });
  }

  lendWait(ticket: number, key = 8n): this {
    this.#words.lend(key, { kind, operation: SyncOperation.FutexWait, ticket, key });
    return this;
  }

  lendNotify(ticket: number, key = 8n): this {
    this.#words.lend(key, { kind, operation: SyncOperation.FutexNotify, ticket, key, count: 1 });
    return this;
  }

  adopt(ticket: number, key = 8n): this {
    this.#words.adopt({ kind, operation: SyncOperation.FutexWait, ticket, key });
    return this;
  }

  /** A thread has asked for the word by a link of its own. */
  lend(key = 8n): this {
    this.#words.lend(key);
    return this;
  }

  stirred(key = 8n): this {
    this.#words.stirred(key);
    return this;
  }

  get waiting(): number {
    return this.#words.waiting;
  }

  /** What has happened since this was last asked. */
  happened(): string[] {
    return this.#happened.splice(0);
  }
}

Deno.test("LentWords: what is asked about a word that is not lent is not served", () => {
  const bench = new Bench();
  assertEquals([bench.wait(1), bench.notify(1, 1), bench.stay(1), bench.cancel(1)], [
    ...[false, false, false, false],
  ]);
  bench.lendWait(1, 16n);
  assertEquals([bench.wait(2), bench.stay(2), bench.notify(3, 1)], [false, false, false]);
});

Deno.test("LentWords: a lent word is served, and may be quiet for the node's own threads", () => {
  const bench = new Bench().lendWait(1);
  assertEquals(bench.happened(), ["8 lent", "1 Registered"]);
  assertEquals([bench.stay(1), bench.notify(2, 1), bench.notify(3, 1)], [true, true, true]);
  assertEquals(bench.happened(), ["1 Done", "2 Notified 1", "8 lent and quiet", "3 Quiet"]);
  assertEquals([bench.wait(4), bench.cancel(4)], [true, true]);
  assertEquals(bench.happened(), ["8 lent", "4 Registered", "4 Cancelled"]);
  assertEquals(bench.waiting, 0);
});

Deno.test("LentWords: a word goes back with its waits in their order, and is served no more", () => {
  const bench = new Bench().adopt(7).adopt(5).lendWait(6);
  assertEquals(bench.happened(), ["8 lent", "6 Registered"]);
  bench.stay(6);
  bench.stirred();
  assertEquals(bench.happened(), [
    "8 none",
    ...["7 moved from 8", "5 moved from 8", "6 moved from 8"],
    "heard 8",
  ]);
  assertEquals([bench.wait(1), bench.cancel(7), bench.waiting], [false, false, 0]);
});

Deno.test("LentWords: it goes back once threads have looked, and notifies are done", () => {
  const bench = new Bench().adopt(1).lendWait(2);
  bench.wait(3);
  bench.notify(4, 2);
  bench.stirred();
  assertEquals(bench.happened(), ["8 lent", "2 Registered", "3 Registered", "1 Done", "8 none"]);
  // What comes now is for the directory node.
  assertEquals([bench.wait(5), bench.notify(6, ALL)], [false, false]);
  assertEquals([bench.stay(2), bench.happened()], [true, ["2 Done", "4 Notified 2"]]);
  assertEquals([bench.stay(3), bench.happened()], [true, ["3 moved from 8", "heard 8"]]);
});

Deno.test("LentWords: a word that is wanted back does not become quiet", () => {
  const bench = new Bench().lendWait(1);
  bench.notify(2, 1);
  bench.stirred();
  bench.happened();
  bench.cancel(1);
  assertEquals(bench.happened(), ["1 Cancelled", "2 Notified", "heard 8"]);
});

Deno.test("LentWords: a word that was only quiet has no waits, and one that a thread was told of has", () => {
  assertEquals(new Bench().stirred().happened(), ["8 none", "heard 8"]);
  const bench = new Bench().adopt(3).lend();
  assertEquals(bench.happened(), ["8 lent"]);
  bench.stirred();
  assertEquals(bench.happened(), ["8 none", "3 moved from 8", "heard 8"]);
});

Deno.test("LentWords: a word at which more would wait than may is returned, and they all go back", () => {
  const bench = new Bench().lendWait(1);
  for (let ticket = 2; ticket <= FUTEX_LENT_WAITS_MAX; ticket++) bench.wait(ticket);
  for (let ticket = 1; ticket <= FUTEX_LENT_WAITS_MAX; ticket++) bench.stay(ticket);
  bench.happened();
  // A notify needs no room, and a wait for another word has its own.
  bench.lendWait(1001, 16n);
  assertEquals([bench.notify(1002, 1), bench.wait(1), bench.stay(1)], [true, true, true]);
  assertEquals(bench.happened(), [
    ...["16 lent", "1001 Registered", "1 Done", "1002 Notified 1", "1 Registered"],
  ]);
  assertEquals([bench.wait(1003), bench.happened()], [false, ["8 none", "return 8"]]);
  // Until it is wanted back: the directory node is asked about all, also what it had sent here.
  assertEquals([bench.wait(1004), bench.notify(1005, 1)], [false, false]);
  bench.lendWait(1006).lendNotify(1007).lend();
  assertEquals(bench.happened(), ["1006 asked of 8", "1007 asked of 8"]);
  bench.stirred();
  const happened = bench.happened();
  assertEquals(happened.slice(0, 2), ["8 none", "2 moved from 8"]);
  assertEquals(happened.slice(-2), ["1 moved from 8", "heard 8"]);
  assertEquals(happened.length, FUTEX_LENT_WAITS_MAX + 2);
  bench.lendWait(1);
  assertEquals(bench.happened(), ["8 lent", "1 Registered"]);
});

Deno.test("LentWords: a wait that comes back with its word is asked anew where too many wait", () => {
  const bench = new Bench();
  for (let ticket = 1; ticket <= FUTEX_LENT_WAITS_MAX; ticket++) bench.adopt(ticket);
  bench.lendWait(1000);
  assertEquals(bench.happened(), ["8 lent", "8 none", "return 8", "1000 asked of 8"]);
  assertEquals([bench.cancel(1000), bench.wait(1001)], [false, false]);
});

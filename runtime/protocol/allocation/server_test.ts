import { assert, assertEquals } from "@std/assert";
import { Random } from "../../../tests/simulator/coherence/random.ts";
import { REQUESTS_WAITING_MAX } from "../../limits.ts";
import { Allocator } from "./allocator.ts";
import type { AllocateRequest, AllocatorOutput } from "./messages.ts";
import { AllocatorServer } from "./server.ts";

const PAGE = 4096;

interface Answer {
  readonly to: number;
  readonly message: AllocatorOutput;
}

class Recorder {
  answers: Answer[] = [];
  readonly violations: string[] = [];
  readonly server: AllocatorServer;
  readonly allocator: Allocator;

  constructor(pages = 8) {
    this.allocator = new Allocator({ size: pages * PAGE, pageSize: PAGE, reservedBytes: 0 });
    this.server = new AllocatorServer(this.allocator, {
      send: (to, message) => this.answers.push({ to, message }),
      violation: (node, reason) => this.violations.push(`${node} ${reason}`),
    });
  }

  /** The answers since the last time. */
  take(): Answer[] {
    return this.answers.splice(0);
  }

  /** Uses the highest page and frees it. */
  soil(): number {
    this.server.receive(1, request(0));
    this.server.receive(1, { kind: "free", ticket: 0, offset: PAGE * 7, bytes: 16 });
    assertEquals(this.take().length, 2);
    return PAGE * 7;
  }
}

function request(ticket: number, name?: string): AllocateRequest {
  const whole = { kind: "allocate", ticket, type: "Int32Array", length: 4, packed: false } as const;
  return name === undefined ? whole : { ...whole, name };
}

function allocated(to: number, ticket: number, offset: number, dirtyBytes = 0): Answer {
  return { to, message: { kind: "allocated", ticket, offset, dirtyBytes, created: true } };
}

function shared(to: number, ticket: number, offset: number): Answer {
  return { to, message: { kind: "allocated", ticket, offset, dirtyBytes: 0, created: false } };
}

Deno.test("AllocatorServer: each request is answered with its ticket", () => {
  const { server, answers } = new Recorder();
  server.receive(2, request(5));
  server.receive(3, { kind: "free", ticket: 9, offset: 7 * PAGE, bytes: 16 });
  server.receive(3, { kind: "free", ticket: 10, offset: 7 * PAGE, bytes: 16 });
  assertEquals(answers, [
    allocated(2, 5, 7 * PAGE),
    { to: 3, message: { kind: "freed", ticket: 9 } },
    {
      to: 3,
      message: {
        kind: "allocationFailed",
        ticket: 10,
        code: "NotAllocated",
        reason: `Cannot free 16 bytes at ${7 * PAGE}: no allocation begins there; ` +
          "it was freed already, or never was one",
      },
    },
  ]);
});

Deno.test("AllocatorServer: a name on memory that no node used is given to all at once", () => {
  const { server, answers } = new Recorder();
  for (const node of [1, 2]) server.receive(node, request(node, "n"));
  assertEquals(answers, [allocated(1, 1, 7 * PAGE), shared(2, 2, 7 * PAGE)]);
});

Deno.test("AllocatorServer: others wait for a name until it is zeroed, and are answered in order", () => {
  const recorder = new Recorder();
  const offset = recorder.soil();
  for (const node of [3, 2, 1]) recorder.server.receive(node, request(node, "n"));
  assertEquals(recorder.take(), [allocated(3, 3, offset, 16)]);
  assertEquals(recorder.server.waiting, 2);
  recorder.server.receive(3, { kind: "zeroed", offset });
  assertEquals(recorder.take(), [shared(2, 2, offset), shared(1, 1, offset)]);
  assertEquals(recorder.server.waiting, 0);
});

Deno.test("AllocatorServer: when the node that zeroes is lost, the next in order does it", () => {
  const recorder = new Recorder();
  const offset = recorder.soil();
  for (const node of [3, 3, 2, 1]) recorder.server.receive(node, request(node, "n"));
  recorder.take();
  recorder.server.peerLost(3);
  assertEquals(recorder.take(), [allocated(2, 2, offset, 16)]);
  recorder.server.peerLost(2);
  recorder.server.receive(1, { kind: "zeroed", offset });
  assertEquals(recorder.take(), [allocated(1, 1, offset, 16)]);
  assertEquals(recorder.server.waiting, 0);
});

Deno.test("AllocatorServer: when the node that zeroes gives up, the next in order allocates anew", () => {
  const recorder = new Recorder();
  const offset = recorder.soil();
  for (const node of [3, 2]) recorder.server.receive(node, request(node, "n"));
  recorder.server.receive(3, { kind: "free", ticket: 8, offset, bytes: 16 });
  assertEquals(recorder.take(), [
    allocated(3, 3, offset, 16),
    { to: 3, message: { kind: "freed", ticket: 8 } },
    allocated(2, 2, offset, 16),
  ]);
});

Deno.test("AllocatorServer: to say that something is zero that was not to be zeroed breaks the protocol", () => {
  const recorder = new Recorder();
  const offset = recorder.soil();
  recorder.server.receive(2, { kind: "zeroed", offset });
  recorder.server.receive(3, request(3, "n"));
  recorder.server.receive(2, { kind: "zeroed", offset });
  const violation = `2 zeroed byte ${offset}, which it was not to zero`;
  assertEquals(recorder.violations, [violation, violation]);
});

Deno.test("AllocatorServer: so many requests wait, and no more", () => {
  const recorder = new Recorder();
  const offset = recorder.soil();
  for (let ticket = 0; ticket <= REQUESTS_WAITING_MAX; ticket++) {
    recorder.server.receive(2, request(ticket, "n"));
  }
  assertEquals(recorder.take(), [allocated(2, 0, offset, 16)]);
  recorder.server.receive(3, request(1, "n"));
  assertEquals(recorder.take(), [{
    to: 3,
    message: {
      kind: "allocationFailed",
      ticket: 1,
      code: "LimitExceeded",
      reason: 'Cannot allocate "n" as Int32Array of 4: 65536 requests wait for names, ' +
        "which is the limit; try again later",
    },
  }]);
  recorder.server.receive(2, { kind: "zeroed", offset });
  assertEquals(recorder.take().length, REQUESTS_WAITING_MAX);
});

/** What is true of a page; the nodes learn it from their answers. */
interface Cell {
  /** Something was written since it was zero the last time. */
  soiled: boolean;
  /** The node that was told to zero it; 0 when it has just died. */
  zeroing: number | undefined;
  /** The nodes that may use it. */
  readonly holders: Set<number>;
}

/** Nodes that ask for two names, zero, write, free and die; each that dies is replaced. */
class World {
  readonly #recorder = new Recorder(2);
  readonly #random: Random;
  readonly #nodes = [1, 2, 3, 4];
  readonly #asked = new Map<number, number>();
  readonly #cells = new Map<number, Cell>();
  /** How often a node was told to zero what another was told to zero before. */
  takenOver = 0;
  /** How often a name was given to a node after another had zeroed its cells. */
  shared = 0;
  #lastNode = 4;
  #ticket = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  step(): void {
    const { server } = this.#recorder;
    const node = this.#nodes[this.#random.below(this.#nodes.length)]!;
    const choice = this.#random.below(100);
    const [offset, cell] = this.#cellOf(node);
    if (choice < 5) this.#lose(node);
    else if (choice < 50) {
      this.#asked.set(++this.#ticket, node);
      server.receive(node, request(this.#ticket, choice < 30 ? "a" : "b"));
    } else if (cell?.zeroing === node && choice < 90) this.#finish(node, offset!, cell);
    else if (cell !== undefined) {
      Object.assign(cell, { soiled: true, zeroing: undefined }).holders.clear();
      server.receive(node, { kind: "free", ticket: 0, offset: offset!, bytes: 16 });
    }
    this.#check();
  }

  /** Lets every node finish; then none may wait. */
  settle(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const [offset, cell] of this.#cells) {
        if (cell.zeroing === undefined) continue;
        this.#finish(cell.zeroing, offset, cell);
        this.#check();
        changed = true;
      }
    }
    assertEquals([...this.#asked], []);
    assertEquals(this.#recorder.server.waiting, 0);
    assertEquals(this.#recorder.violations, []);
  }

  #cellOf(node: number): [number, Cell] | [undefined, undefined] {
    const found = [...this.#cells].filter(([, cell]) =>
      cell.zeroing === node || cell.holders.has(node)
    );
    return found[this.#random.below(Math.max(found.length, 1))] ?? [undefined, undefined];
  }

  #finish(node: number, offset: number, cell: Cell): void {
    cell.zeroing = undefined;
    cell.soiled = false;
    cell.holders.add(node);
    this.#recorder.server.receive(node, { kind: "zeroed", offset });
  }

  #lose(node: number): void {
    this.#nodes[this.#nodes.indexOf(node)] = ++this.#lastNode;
    for (const [ticket, from] of this.#asked) if (from === node) this.#asked.delete(ticket);
    for (const cell of this.#cells.values()) {
      cell.holders.delete(node);
      // What it had zeroed by then no node knows.
      if (cell.zeroing === node) cell.zeroing = 0;
    }
    this.#recorder.server.peerLost(node);
  }

  /** Compares the answers with what is true. */
  #check(): void {
    for (const { to, message } of this.#recorder.take()) {
      if (message.kind === "freed") continue;
      if (message.kind !== "allocated") throw new Error(JSON.stringify(message));
      const { ticket, offset, dirtyBytes, created } = message;
      assertEquals(this.#asked.get(ticket), to, "each request is answered once");
      this.#asked.delete(ticket);
      let cell = this.#cells.get(offset);
      if (cell === undefined) {
        this.#cells.set(offset, cell = { soiled: false, zeroing: undefined, holders: new Set() });
      }
      if (dirtyBytes > 0) {
        assertEquals([created, cell.holders.size], [true, 0]);
        assertEquals(cell.zeroing ?? 0, 0, "two nodes zero");
        if (cell.zeroing === 0) this.takenOver++;
        cell.zeroing = to;
      } else {
        assertEquals([cell.soiled, cell.zeroing], [false, undefined]);
        if (!created) this.shared++;
        cell.holders.add(to);
      }
    }
    // No node is left for it: it is zeroed by the next that asks.
    for (const cell of this.#cells.values()) if (cell.zeroing === 0) cell.zeroing = undefined;
  }
}

Deno.test("AllocatorServer: whatever the order and whichever node dies, a name is zero before others have it", () => {
  let [takenOver, shared] = [0, 0];
  for (let seed = 1; seed <= 200; seed++) {
    const world = new World(seed);
    try {
      for (let step = 0; step < 300; step++) world.step();
      world.settle();
    } catch (error) {
      throw new Error(`Seed ${seed}`, { cause: error });
    }
    takenOver += world.takenOver;
    shared += world.shared;
  }
  assert(takenOver > 100 && shared > 1_000, `${takenOver} taken over, ${shared} shared`);
});

/** A recorder whose pages are cleared when the test says so. */
class ClearingRecorder {
  readonly answers: Answer[] = [];
  /** The pages that are yet to be cleared. */
  readonly clearing = new Set<number>();
  /** The page that a node alone has. */
  own: { readonly node: number; readonly page: number } | undefined;
  readonly server: AllocatorServer;

  constructor(pages = 8) {
    const pagesOf = (offset: number, bytes: number): number[] => {
      const first = Math.floor(offset / PAGE);
      return Array.from(
        { length: Math.ceil((offset + bytes) / PAGE) - first },
        (_, index) => first + index,
      );
    };
    const allocator = new Allocator({
      size: pages * PAGE,
      pageSize: PAGE,
      reservedBytes: 0,
      clear: (offset, bytes) => pagesOf(offset, bytes).forEach((page) => this.clearing.add(page)),
    });
    this.server = new AllocatorServer(allocator, {
      send: (to, message) => this.answers.push({ to, message }),
      violation: (node, reason) => assert(false, `${node} ${reason}`),
    }, {
      isClearing: (offset, bytes) => pagesOf(offset, bytes).some((page) => this.clearing.has(page)),
      reuse: (_offset, _bytes, node) => {
        if (node === 0 || node !== this.own?.node) return [];
        this.clearing.delete(this.own.page);
        return [{ first: this.own.page, count: 1 }];
      },
    });
  }

  /** Uses pages at the top and frees them: they are to be cleared. */
  free(pages: number): void {
    const soiled = { ...request(0), length: pages * PAGE / 4 };
    this.server.receive(1, soiled);
    this.clear(...this.clearing);
    const message = this.answers.at(-1)?.message;
    if (message?.kind !== "allocated") throw new Error("Not allocated");
    const { offset } = message;
    this.server.receive(1, { kind: "free", ticket: 0, offset, bytes: pages * PAGE });
    this.answers.length = 0;
  }

  clear(...pages: number[]): void {
    for (const page of pages) this.clearing.delete(page);
    this.server.cleared();
  }
}

Deno.test("AllocatorServer: an allocation is answered once all of its pages are cleared", () => {
  const recorder = new ClearingRecorder();
  const { server, answers } = recorder;
  recorder.free(2);
  server.receive(2, { ...request(5), length: PAGE / 2 });
  // What nothing was freed of waits for nothing.
  server.receive(3, request(6));
  assertEquals(answers, [allocated(3, 6, 5 * PAGE)]);
  recorder.clear(6);
  assertEquals([answers.length, server.waiting], [1, 1]);
  recorder.clear(7);
  assertEquals([answers.at(-1), server.waiting], [allocated(2, 5, 6 * PAGE), 0]);
});

Deno.test("AllocatorServer: a node keeps the pages that it alone has, but for names and packed cells", () => {
  const asks = [
    [request(5), true],
    [request(6, "a"), false],
    [{ ...request(7), packed: true }, false],
  ] as const;
  for (const [ask, keeps] of asks) {
    const recorder = new ClearingRecorder();
    recorder.free(1);
    recorder.own = { node: 2, page: 7 };
    recorder.server.receive(2, ask);
    if (keeps) {
      const { to, message } = allocated(2, 5, 7 * PAGE);
      const reused = [{ first: 7, count: 1 }];
      assertEquals(recorder.answers, [{ to, message: { ...message, reused } as AllocatorOutput }]);
    } else assertEquals([recorder.answers.length, recorder.server.waiting], [0, 1]);
  }
});

Deno.test("AllocatorServer: all that ask for a name wait until its pages are cleared", () => {
  const recorder = new ClearingRecorder();
  const { server, answers } = recorder;
  recorder.free(2);
  server.receive(2, { ...request(5, "a"), length: PAGE / 2 });
  server.receive(3, { ...request(6, "a"), length: PAGE / 2 });
  recorder.clear(6);
  assertEquals([answers, server.waiting], [[], 2]);
  recorder.clear(7);
  assertEquals(answers, [allocated(2, 5, 6 * PAGE), shared(3, 6, 6 * PAGE)]);
  assertEquals(server.waiting, 0);
});

Deno.test("AllocatorServer: a node that is lost meanwhile is not answered", () => {
  const recorder = new ClearingRecorder();
  const { server, answers } = recorder;
  recorder.free(1);
  server.receive(2, request(5, "a"));
  server.receive(3, request(6, "a"));
  server.peerLost(2);
  recorder.clear(7);
  assertEquals(answers, [shared(3, 6, 7 * PAGE)]);
});

Deno.test("AllocatorServer: so many may wait for pages to be cleared, and no more", () => {
  const recorder = new ClearingRecorder(REQUESTS_WAITING_MAX + 1);
  const { server, answers } = recorder;
  recorder.free(REQUESTS_WAITING_MAX + 1);
  for (let ticket = 0; ticket <= REQUESTS_WAITING_MAX; ticket++) server.receive(2, request(ticket));
  assertEquals([answers.length, server.waiting], [1, REQUESTS_WAITING_MAX]);
  const message = answers[0]?.message;
  if (message?.kind !== "allocationFailed") throw new Error("Not refused");
  assertEquals([message.ticket, message.code], [REQUESTS_WAITING_MAX, "LimitExceeded"]);
  recorder.clear(...recorder.clearing);
  assertEquals([answers.length, server.waiting], [REQUESTS_WAITING_MAX + 1, 0]);
});

Deno.test("AllocatorServer: a home that is gone is none for new cells, and no reason to refuse those that are there", () => {
  const answers: Answer[] = [];
  const homes = new Set([1, 2, 3]);
  const chunkBytes = 2 * PAGE;
  const assigned: [offset: number, bytes: number, home: number | "spread"][] = [];
  const allocator = new Allocator({
    size: 8 * PAGE,
    pageSize: PAGE,
    reservedBytes: 0,
    homes: {
      chunkBytes,
      hindrance: () => undefined,
      assign: (...given) => assigned.push(given),
    },
  });
  const server = new AllocatorServer(
    allocator,
    { send: (to, message) => answers.push({ to, message }), violation: () => {} },
    undefined,
    { stays: (node) => homes.has(node), of: (page) => page < 6 ? 0 : 3 },
  );
  const grid = { ...request(1, "grid"), home: 3 };
  server.receive(1, grid);
  assertEquals(assigned, [[6 * PAGE, chunkBytes, 3]]);
  homes.delete(3);
  server.receive(2, { ...grid, ticket: 2 });
  server.receive(2, { ...request(3), home: 3 });
  server.receive(2, { kind: "findHome", ticket: 4, page: 7 });
  assertEquals(answers, [
    allocated(1, 1, 6 * PAGE),
    shared(2, 2, 6 * PAGE),
    {
      to: 2,
      message: {
        kind: "allocationFailed",
        ticket: 3,
        code: "InvalidRequest",
        reason: "Cannot allocate Int32Array of 4 with home 3: node 3 is not there, or leaves",
      },
    },
    { to: 2, message: { kind: "homeFound", ticket: 4, node: 3 } },
  ]);
  // Its whole chunk is free again.
  server.receive(1, { kind: "free", ticket: 5, offset: 6 * PAGE, bytes: 16 });
  assertEquals(allocator.statistics().freeBytes, 8 * PAGE);
});

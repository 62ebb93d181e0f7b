import { assertEquals } from "@std/assert";
import { STATUS_MAX_MS } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PlaceView } from "../protocol/sync/desk.ts";
import {
  type ClusterEvent,
  encodeCells,
  encodeFigures,
  type Figures,
  type NamedPages,
  type NodeStatusControl,
  type StatsControl,
  type StatsRequestControl,
} from "../wire/status_control.ts";
import type { Peer } from "../cluster/admission.ts";
import { StatusService } from "./status_service.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

const PLACE: PlaceView = {
  kind: "mutex",
  name: "totals",
  holder: 2,
  parties: 0,
  count: 1,
  waiting: [5],
};
const EVENTS: readonly ClusterEvent[] = [1, 2].map((number) => ({
  number,
  atMs: 1000 * number,
  level: 2,
  text: "Node 3 is lost",
}));

type Said = [to: NodeId, control: StatsRequestControl | StatsControl];

function peer(id: NodeId): Peer {
  return { id, address: "127.0.0.1", port: 4000 + id };
}

function status(id: NodeId, faults?: number): NodeStatusControl {
  const told = faults === undefined ? {} : { figures: counted(faults) };
  return { kind: "nodeStatus", ...peer(id), ...told };
}

/** What a node tells that has counted faults, and what else it is asked. */
function counted(faults: number, more: Omit<Figures, "counters"> = {}): Uint8Array {
  return encodeFigures({ counters: { faults }, ...more });
}

/** A service of a node that has counted ten faults for each of its id. */
function open(
  self: NodeId,
  others: readonly NodeId[] = [],
  named: readonly NamedPages[] = [],
): [service: StatusService, said: Said[]] {
  const said: Said[] = [];
  const service = new StatusService({
    self: peer(self),
    peers: () => others.map(peer),
    stats: () => ({ faults: 10 * self }),
    named: () => named,
    moves: ({ first, count }) => 1000 * self + 10 * first + count,
    copies: ({ count }) => ({ shared: self, exclusive: count }),
    sources: () => [{ node: 9, pages: self }],
    waits: () => [0, self],
    places: () => [PLACE],
    events: (since) => EVENTS.filter(({ number }) => number > since),
    needsTurn: () => {},
    send: (...what) => said.push(what),
  });
  return [service, said];
}

Deno.test("StatusService: a node tells the directory node what it has counted, and nobody else", () => {
  const [service, said] = open(3);
  assertEquals(service.receive(1, { kind: "statsRequest", ticket: 8 }), undefined);
  assertEquals(said, [[1, { kind: "stats", ticket: 8, figures: counted(30) }]]);
  const refused = "statsRequest from a node that may not send it";
  assertEquals(service.receive(2, { kind: "statsRequest", ticket: 8 }), refused);
  assertEquals(
    service.receive(1, { kind: "stats", ticket: 8, figures: counted(0) }),
    "stats from a node that may not send it",
  );
  assertEquals(said.length, 1);
});

Deno.test("StatusService asks every node once, for all callers that come meanwhile", async () => {
  const [service, said] = open(1, [2, 5]);
  const both = [service.gather(), service.gather()];
  assertEquals(said, [[2, { kind: "statsRequest", ticket: 1 }], [5, {
    kind: "statsRequest",
    ticket: 1,
  }]]);
  service.receive(5, { kind: "stats", ticket: 1, figures: counted(50) });
  service.receive(2, { kind: "stats", ticket: 1, figures: counted(20) });
  // A second answer, and one that nobody asked for, change nothing.
  service.receive(2, { kind: "stats", ticket: 1, figures: counted(21) });
  service.receive(7, { kind: "stats", ticket: 1, figures: counted(70) });
  const expected = [status(1, 10), status(2, 20), status(5, 50)];
  const report = { named: [], nodes: expected, places: [], events: [] };
  assertEquals(await Promise.all(both), [report, report]);
});

Deno.test("StatusService leaves out the counters of nodes that die or are late", async () => {
  using timers = new ManualTimers(STATUS_MAX_MS);
  const [service, said] = open(1, [2, 3]);
  const first = service.gather();
  service.peerLost(3);
  timers.fire(STATUS_MAX_MS);
  assertEquals((await first).nodes, [status(1, 10), status(2), status(3)]);
  assertEquals(timers.count(STATUS_MAX_MS), 0);
  const second = service.gather();
  assertEquals(said.at(-1), [3, { kind: "statsRequest", ticket: 2 }]);
  // The late answer to the first question is none to the second.
  service.receive(2, { kind: "stats", ticket: 1, figures: counted(19) });
  service.receive(2, { kind: "stats", ticket: 2, figures: counted(20) });
  service.receive(3, { kind: "stats", ticket: 2, figures: counted(30) });
  assertEquals((await second).nodes, [status(1, 10), status(2, 20), status(3, 30)]);
});

Deno.test("StatusService waits for nobody once its node ends", async () => {
  const [service, said] = open(1, [2]);
  const gathered = service.gather();
  service.end();
  assertEquals((await gathered).nodes, [status(1, 10), status(2)]);
  assertEquals((await service.gather()).nodes, [status(1, 10), status(2)]);
  assertEquals(said.length, 1);
});

Deno.test("StatusService asks for the moves of named allocations by their pages, and tells its own", async () => {
  const [service, said] = open(1, [2, 3], [{ name: "grid", first: 7, count: 2 }]);
  const gathered = service.gather();
  const runs = [{ first: 7, count: 2 }];
  assertEquals(said[0], [2, { kind: "statsRequest", ticket: 1, runs }]);
  const [other, answers] = open(2);
  other.receive(1, { kind: "statsRequest", ticket: 1, runs });
  assertEquals(answers, [
    [1, { kind: "stats", ticket: 1, figures: counted(20, { moves: [2072] }) }],
  ]);
  service.receive(2, answers[0]![1]);
  service.peerLost(3);
  assertEquals(await gathered, {
    named: [{ name: "grid", first: 7, count: 2 }],
    nodes: [
      { ...status(1), figures: counted(10, { moves: [1072] }) },
      { ...status(2), figures: counted(20, { moves: [2072] }) },
      status(3),
    ],
    places: [],
    events: [],
  });
});

Deno.test("StatusService tells a program that looks of cells, waits and events", async () => {
  const [service, said] = open(1, [2]);
  const looked = [{ first: 100, count: 300 }, { first: 7, count: 1 }];
  const gathered = service.gather({ since: 1, looked });
  assertEquals(said, [[2, { kind: "statsRequest", ticket: 1, looks: true, looked }]]);
  // Cells of two pages each: no more than 256 of them.
  const cells = encodeCells(Array.from({ length: 150 }, (_, index) => ({
    moves: 1000 + 10 * (100 + 2 * index) + 2,
    shared: 1,
    exclusive: 2,
  })));
  const one = encodeCells([{ moves: 1071, shared: 1, exclusive: 1 }]);
  const [other, answers] = open(2);
  other.receive(1, { kind: "statsRequest", ticket: 1, looks: true });
  service.receive(2, answers[0]![1]);
  assertEquals(await gathered, {
    named: [],
    nodes: [
      {
        ...status(1),
        figures: counted(10, {
          sources: [{ node: 9, pages: 1 }],
          waits: [0, 1],
          cells: [cells, one],
        }),
      },
      {
        ...status(2),
        figures: counted(20, { sources: [{ node: 9, pages: 2 }], waits: [0, 2] }),
      },
    ],
    places: [PLACE],
    events: [EVENTS[1]!],
  });
});

Deno.test("StatusService: of twenty programs that look none waits for another, and nodes are asked once", async () => {
  using timers = new ManualTimers(STATUS_MAX_MS);
  const [service, said] = open(1, [2, 3]);
  const looked = [{ first: 0, count: 8 }];
  const plain = service.gather();
  // Each has heard of other events; two of them look at cells.
  const looks = Array.from({ length: 20 }, (_, index) => service.gather({ since: index }));
  const cells = [service.gather({ since: 1, looked }), service.gather({ since: 0, looked })];
  assertEquals(said.map(([, control]) => control.ticket), [1, 1, 2, 2, 3, 3]);
  for (const ticket of [3, 1, 2]) {
    service.receive(2, { kind: "stats", ticket, figures: counted(20 + ticket) });
  }
  // Node 3 does not answer: all give it up at the same time.
  timers.fire(STATUS_MAX_MS);
  assertEquals((await plain).nodes[1], status(2, 21));
  for (const [since, look] of looks.entries()) {
    const { nodes, events } = await look;
    assertEquals([nodes[1], nodes[2]], [status(2, 22), status(3)]);
    assertEquals(events, EVENTS.slice(since));
  }
  assertEquals((await cells[0]!).nodes[1], status(2, 23));
  assertEquals((await cells[1]!).events.length, 2);
  assertEquals(timers.count(STATUS_MAX_MS), 0);
});

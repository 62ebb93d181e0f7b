import { assertEquals } from "@std/assert";
import { STATUS_MAX_MS } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type {
  NamedPages,
  NodeStatusControl,
  StatsControl,
  StatsRequestControl,
} from "../wire/status_control.ts";
import type { Peer } from "../cluster/admission.ts";
import { StatusService } from "./status_service.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

type Said = [to: NodeId, control: StatsRequestControl | StatsControl];

function peer(id: NodeId): Peer {
  return { id, address: "127.0.0.1", port: 4000 + id };
}

function status(id: NodeId, faults?: number): NodeStatusControl {
  const counters = faults === undefined ? {} : { counters: { faults } };
  return { kind: "nodeStatus", ...peer(id), ...counters };
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
    send: (...what) => said.push(what),
  });
  return [service, said];
}

Deno.test("StatusService: a node tells the directory node what it has counted, and nobody else", () => {
  const [service, said] = open(3);
  assertEquals(service.receive(1, { kind: "statsRequest", ticket: 8 }), undefined);
  assertEquals(said, [[1, { kind: "stats", ticket: 8, counters: { faults: 30 } }]]);
  const refused = "statsRequest from a node that may not send it";
  assertEquals(service.receive(2, { kind: "statsRequest", ticket: 8 }), refused);
  assertEquals(
    service.receive(1, { kind: "stats", ticket: 8, counters: {} }),
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
  service.receive(5, { kind: "stats", ticket: 1, counters: { faults: 50 } });
  service.receive(2, { kind: "stats", ticket: 1, counters: { faults: 20 } });
  // A second answer, and one that nobody asked for, change nothing.
  service.receive(2, { kind: "stats", ticket: 1, counters: { faults: 21 } });
  service.receive(7, { kind: "stats", ticket: 1, counters: { faults: 70 } });
  const expected = [status(1, 10), status(2, 20), status(5, 50)];
  const report = { named: [], nodes: expected };
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
  service.receive(2, { kind: "stats", ticket: 1, counters: { faults: 19 } });
  service.receive(2, { kind: "stats", ticket: 2, counters: { faults: 20 } });
  service.receive(3, { kind: "stats", ticket: 2, counters: { faults: 30 } });
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
    [1, { kind: "stats", ticket: 1, counters: { faults: 20 }, moves: [2072] }],
  ]);
  service.receive(2, answers[0]![1]);
  service.peerLost(3);
  assertEquals(await gathered, {
    named: [{ name: "grid", first: 7, count: 2 }],
    nodes: [{ ...status(1, 10), moves: [1072] }, { ...status(2, 20), moves: [2072] }, status(3)],
  });
});

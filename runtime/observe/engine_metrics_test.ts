import { assertEquals } from "@std/assert";
import { METRICS_LOG_EVENTS } from "../limits.ts";
import { Content, type Message } from "../protocol/coherence/messages.ts";
import { Access, PageState } from "../protocol/coherence/page.ts";
import { EngineMetrics } from "./engine_metrics.ts";

/** Has a page of a peer be missed and got: five events. */
function miss(metrics: EngineMetrics, page: number): void {
  const run = { first: page, count: 1, request: page + 1 };
  const nowUs = performance.now() * 1000;
  metrics.stepBegins({ kind: "fault", page, access: Access.Read }, PageState.Invalid, nowUs);
  metrics.sent(2, { kind: "request", access: Access.Read, ...run } as Message);
  const message = {
    kind: "grant",
    access: Access.Read,
    content: Content.Data,
    ...run,
  } as unknown as Message;
  metrics.stepBegins({ kind: "message", from: 2, message }, undefined, nowUs);
  metrics.operated({ kind: "install", first: page, count: 1, writable: false });
  metrics.operated({ kind: "evict", first: page, count: 1 });
}

const MISSES = METRICS_LOG_EVENTS + 1;

Deno.test("EngineMetrics counts each event once, also where there are more than it writes down", () => {
  const metrics = new EngineMetrics();
  for (let page = 0; page < MISSES; page++) {
    miss(metrics, page);
    if (page % 100 === 0) assertEquals(metrics.faults.get("read")!.count, page + 1);
  }
  assertEquals(metrics.faults.get("read")!.count, MISSES);
  assertEquals([...metrics.peers], [[2, {
    messagesSent: MISSES,
    messagesReceived: MISSES,
    pagesSent: 0,
    pagesReceived: MISSES,
  }]]);
});

Deno.test("EngineMetrics tells faults apart by what the node had, wanted and got", () => {
  const metrics = new EngineMetrics();
  const { Read, Write } = Access;
  const faults = [
    [1, Write, PageState.Invalid],
    [2, Write, PageState.Invalid],
    [3, Write, PageState.Shared],
    [4, Read, PageState.Exclusive],
  ] as const;
  for (const [page, access, state] of faults) {
    metrics.stepBegins({ kind: "fault", page, access }, state, 0);
  }
  // A write is not served by a page that may only be read.
  metrics.operated({ kind: "install", first: 0, count: 3, writable: false });
  assertEquals(metrics.faults.get("write")!.count, 0);
  metrics.operated({ kind: "install", first: 1, count: 1, writable: true });
  metrics.operated({ kind: "installZero", first: 2, count: 1 });
  metrics.operated({ kind: "unprotect", first: 3, count: 2 });
  const counts = [...metrics.faults].map(([kind, { count }]) => [kind, count]);
  assertEquals(Object.fromEntries(counts), { read: 0, write: 1, upgrade: 1, zero: 1, stale: 1 });
});

Deno.test("EngineMetrics forgets a node that is gone, with what was not counted yet", () => {
  const metrics = new EngineMetrics();
  miss(metrics, 1);
  metrics.peerGone(2);
  assertEquals([...metrics.peers], []);
  assertEquals(metrics.faults.get("read")!.count, 1);
});

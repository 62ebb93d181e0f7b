import { assertEquals } from "@std/assert";
import type { NodeId } from "./messages.ts";
import { Access, type PageRun } from "./page.ts";
import { RequestQueue } from "./request_queue.ts";
import { RunTable } from "./run_table.ts";

/** A queue with a request of each node for a page. */
function setUp(...asked: (readonly [from: NodeId, first: number])[]) {
  const queue = new RequestQueue();
  for (const [index, [from, first]] of asked.entries()) {
    const request = index + 1;
    queue.add({
      from,
      message: { kind: "request", access: Access.Read, first, count: 1, request },
    });
  }
  const busy = new RunTable<PageRun>();
  const takeAll = (run: PageRun) => {
    const taken: number[] = [];
    for (let next = queue.take(run, busy); next !== undefined; next = queue.take(run, busy)) {
      if (next.message.kind === "request") taken.push(next.message.request);
    }
    return taken;
  };
  return { queue, busy, takeAll };
}

Deno.test("RequestQueue: requests for the pages of a run are taken in the order in which they came", () => {
  const { queue, takeAll } = setUp([2, 5], [3, 4], [4, 5], [2, 9], [5, 4]);
  assertEquals(takeAll({ first: 4, count: 3 }), [1, 2, 3, 5]);
  assertEquals(queue.size, 1);
  assertEquals(takeAll({ first: 9, count: 1 }), [4]);
  assertEquals([queue.size, queue.list()], [0, []]);
});

Deno.test("RequestQueue: no request for a page that is busy is taken", () => {
  const { busy, takeAll } = setUp([2, 5], [3, 4], [4, 5]);
  busy.add({ first: 5, count: 1 });
  assertEquals(takeAll({ first: 4, count: 2 }), [2]);
});

Deno.test("RequestQueue: requests of a node that is gone are dropped, others keep their places", () => {
  const { queue, takeAll } = setUp([2, 5], [3, 4], [4, 5], [2, 4]);
  queue.removeOf(2);
  assertEquals(queue.size, 2);
  assertEquals(takeAll({ first: 4, count: 2 }), [2, 3]);
});

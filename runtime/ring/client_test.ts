import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { NativeRegion } from "../../ffi/native.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { Answer, answerWith, Call, CallServer } from "./calls.ts";
import { CallSlots } from "./call_slots.ts";
import { newBody, Ring } from "./ring.ts";
import { EngineClient } from "./client.ts";
import { TdsmError } from "../errors.ts";
import { FAILURE_TEXT_MAX } from "../limits.ts";
import { CALL_SLOTS_MAX } from "../limits.ts";

/** Answers calls in MessagePack. */
type Handler = (call: number, argument: ValueType) => ValueType | Promise<ValueType>;

/** A client, and an engine on the same thread that serves when it is told to. */
class Bench implements Disposable {
  readonly slots = new CallSlots();
  readonly server: CallServer;
  readonly client: EngineClient;
  kicks = 0;
  /** Called with each kick, before it returns. */
  onKick = (): void => {};
  /** `Atomics.waitAsync` alone does not keep Deno's event loop; in a node the Worker does. */
  readonly #loop = setInterval(() => {}, 60_000);

  constructor(handler: Handler) {
    this.server = new CallServer(this.slots, (call) => {
      void answerWith(call, (argument) => handler(call.record.kind, argument));
    });
    const kick = (): void => {
      this.kicks++;
      this.onKick();
    };
    const region = { kick };
    this.client = new EngineClient(this.slots, region as unknown as NativeRegion);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#loop);
  }
}

Deno.test("EngineClient.call resolves with the engine's answer, in whatever order they come", async () => {
  const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
  using bench = new Bench(async (_, argument) => {
    await gates[argument as number]!.promise;
    return `answer ${argument}`;
  });
  const order: number[] = [];
  const calls = gates.map((_, index) =>
    bench.client.call(Call.Stats, index, "test").then((answer) => {
      order.push(index);
      return answer;
    })
  );
  assert(bench.server.poll());
  for (const index of [2, 0, 1]) {
    gates[index]!.resolve();
    await calls[index];
  }
  assertEquals(await Promise.all(calls), ["answer 0", "answer 1", "answer 2"]);
  assertEquals(order, [2, 0, 1]);
  assertEquals(bench.server.poll(), false);
});

Deno.test("EngineClient.close hears of an engine that took the call before the kick, and is closed by then", async () => {
  using bench = new Bench(() => null);
  bench.onKick = () => {
    bench.server.poll();
    throw new TdsmError("NodeClosed", "the region is closed");
  };
  bench.slots.setAsleep(true);
  assertEquals(await bench.client.close(), true);
  assertEquals(bench.kicks, 1);
});

Deno.test("EngineClient.call carries values as they were", async () => {
  using bench = new Bench((_, argument) => argument);
  const values = [null, 0, -1, 2 ** 40, 2 ** 53 - 1, 1.5, "text ü", [1, [2]], { a: 1, b: [null] }];
  for (const value of values) {
    const answer = bench.client.call(Call.Stats, value, "test");
    bench.server.poll();
    assertEquals(await answer, value);
  }
});

Deno.test("EngineClient.call rejects with the engine's error, code and all", async () => {
  using bench = new Bench((call) => {
    if (call === Call.Close) throw new RangeError("a fault of the engine");
    throw new TdsmError("PeerLost", "node 3 is gone", { operation: "wait", errno: 5 });
  });
  const lost = bench.client.call(Call.Peers, null, "test");
  const fault = bench.client.call(Call.Close, null, "test");
  bench.server.poll();
  const error = await assertRejects(() => lost, TdsmError, "node 3 is gone");
  assertEquals([error.code, error.operation, error.errno], ["PeerLost", "wait", 5]);
  const other = await assertRejects(() => fault, TdsmError, "a fault of the engine");
  assertEquals([other.code, other.operation], ["EngineFailed", "test"]);
});

Deno.test("EngineClient: what is about the node ends every call with the call's own name", async () => {
  using bench = new Bench(() => {
    throw new TdsmError("DirectoryLost", "the directory node is gone", { errno: 104 });
  });
  const refusals = [
    bench.client.call(Call.Peers, null, "list the other nodes"),
    bench.client.start(newBody(Call.Free), "free").answer,
  ];
  bench.server.poll();
  const errors = await Promise.all(refusals.map((refused) => refused.catch((error) => error)));
  assertEquals(
    errors.map(({ code, message, operation, errno }) => [code, message, operation, errno]),
    [
      [
        "DirectoryLost",
        "Cannot list the other nodes: the directory node is gone",
        "list the other nodes",
        104,
      ],
      ["DirectoryLost", "Cannot free: the directory node is gone", "free", 104],
    ],
  );
});

Deno.test("EngineClient.call kicks an engine that sleeps, once", () => {
  using bench = new Bench(() => null);
  void bench.client.call(Call.Stats, null, "test");
  assertEquals(bench.kicks, 0);
  bench.slots.setAsleep(true);
  void bench.client.call(Call.Stats, null, "test");
  void bench.client.call(Call.Stats, null, "test");
  assertEquals(bench.kicks, 1);
});

Deno.test("EngineClient.call waits for room, and every call is answered", async () => {
  using bench = new Bench((_, argument) => (argument as string).length);
  const text = "x".repeat(Ring.PAYLOAD_MAX_BYTES / 3);
  const calls = Array.from({ length: 20 }, () => bench.client.call(Call.Stats, text, "test"));
  const all = Promise.all(calls);
  let done = false;
  void all.then(() => done = true);
  while (!done) {
    bench.server.poll();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assertEquals(await all, calls.map(() => text.length));
});

Deno.test("EngineClient.call refuses what can never be handed over; an answer that cannot is an error", async () => {
  const long = "x".repeat(Ring.PAYLOAD_MAX_BYTES);
  using bench = new Bench(() => long);
  const refused = await assertRejects(() => bench.client.call(Call.Stats, long, "test"), TdsmError);
  assertEquals(refused.code, "LimitExceeded");
  assertThrows(
    () => bench.client.callSync(Call.Stats, long, "test"),
    TdsmError,
    "Cannot hand over",
  );
  const answer = bench.client.call(Call.Stats, null, "test");
  bench.server.poll();
  assertEquals((await assertRejects(() => answer, TdsmError)).code, "LimitExceeded");
});

Deno.test("EngineClient.call rejects when the engine cannot be kicked", async () => {
  const slots = new CallSlots();
  const region = {
    kick() {
      throw new TdsmError("NodeClosed", "Cannot kick the region");
    },
  };
  const client = new EngineClient(slots, region as unknown as NativeRegion);
  slots.setAsleep(true);
  await assertRejects(() => client.call(Call.Stats, null, "test"), TdsmError, "Cannot kick");
  slots.setAsleep(true);
  assertThrows(() => client.callSync(Call.Stats, null, "test"), TdsmError, "Cannot kick");
});

Deno.test("EngineClient.fail ends every call, those that wait for room too, and all that come", async () => {
  using bench = new Bench(() => null);
  const text = "x".repeat(Ring.PAYLOAD_MAX_BYTES / 3);
  const calls = Array.from({ length: 9 }, () => bench.client.call(Call.Stats, text, "test"));
  const settled = Promise.allSettled(calls);
  const failure = new TdsmError("EngineFailed", "planted");
  bench.client.fail(failure);
  bench.client.fail(new TdsmError("NodeClosed", "a later one does not count"));
  const expected = ["EngineFailed", "Cannot test: planted", "test"];
  const described = ({ code, message, operation }: TdsmError) => [code, message, operation];
  for (const result of await settled) {
    assertEquals(result.status === "rejected" && described(result.reason), expected);
  }
  const after = await assertRejects(() => bench.client.call(Call.Stats, null, "test"), TdsmError);
  const blocked = assertThrows(() => bench.client.callSync(Call.Stats, null, "test"), TdsmError);
  assertEquals([after, blocked].map(described), [expected, expected]);
});

Deno.test("EngineClient takes an answer that comes after the end for what it is: nobody's", async () => {
  using bench = new Bench(() => 1);
  const call = bench.client.call(Call.Stats, null, "test");
  bench.client.fail(new TdsmError("EngineFailed", "planted"));
  await assertRejects(() => call, TdsmError, "planted");
  bench.server.poll();
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
});

Deno.test("EngineClient.callSync blocks until another thread answers, and takes others' answers too", async () => {
  const slots = new CallSlots();
  const client = new EngineClient(slots, { kick() {} } as unknown as NativeRegion);
  const worker = await startEngine(
    slots,
    "const server = new CallServer(slots, (call) => void answerWith(call, (value) => value));",
  );
  for (let count = 0; count < 20; count++) {
    const async = client.call(Call.Stats, -count, "test");
    assertEquals(client.callSync(Call.Stats, count, "test"), count);
    assertEquals(await async, -count);
  }
  worker.terminate();
});

Deno.test("EngineClient: there are no more clients than slots", () => {
  const slots = new CallSlots();
  for (let count = 0; count < CALL_SLOTS_MAX; count++) new EngineClient(slots, NO_KICK);
  const error = assertThrows(() => new EngineClient(slots, NO_KICK), TdsmError);
  assertEquals(error.code, "LimitExceeded");
  assertMatch(
    error.message,
    /more than 64 threads at one time; let one of them detach or end first$/,
  );
});

Deno.test("EngineClient: where all slots are taken the engine looks for a thread that has ended", async () => {
  const slots = new CallSlots();
  // It never looks by itself.
  const worker = await startEngine(
    slots,
    `const server = new CallServer(slots, () => {}, () => {}, {
       hasEnded: (thread) => thread === 5n,
       gone: () => {},
     });`,
  );
  for (let count = 1; count <= CALL_SLOTS_MAX; count++) {
    new EngineClient(slots, NO_KICK, BigInt(count));
  }
  assertEquals(slots.thread(4), 5n);
  new EngineClient(slots, NO_KICK, 100n);
  assertEquals(slots.thread(4), 100n);
  worker.terminate();
});

Deno.test("EngineClient.close asks an engine that cannot go on, but none that has ended", async () => {
  using bench = new Bench((call) => {
    assertEquals(call, Call.Close);
    return null;
  });
  bench.client.fail(new TdsmError("DirectoryLost", "planted"));
  const closed = bench.client.close();
  assert(bench.server.poll());
  assertEquals(await closed, true);
  using ended = new Bench(() => null);
  ended.slots.end();
  assertEquals(await ended.client.close(), false);
  assertEquals(ended.server.poll(), false);
});

Deno.test("EngineClient.close waits for an engine whose node fails while it closes", async () => {
  using bench = new Bench(() => null);
  const closed = bench.client.close();
  bench.client.fail(new TdsmError("NodeFailed", "planted"));
  assert(bench.server.poll());
  assertEquals(await closed, true);
});

Deno.test("EngineClient.close is over when the engine ends while it closes", async () => {
  using bench = new Bench(() => null);
  const closed = bench.client.close();
  bench.slots.end();
  bench.client.fail(new TdsmError("EngineFailed", "planted"));
  assertEquals(await closed, false);
});

/** Runs an engine on a thread of its own, which answers as the source of a module says. */
async function startEngine(slots: CallSlots, source: string): Promise<Worker> {
  const imports = [
    ["answerWith, Call, CallServer", "./calls.ts"],
    ["CallSlots", "./call_slots.ts"],
  ].map(([names, path]) => {
    const url = JSON.stringify(new URL(path!, import.meta.url).href);
    return `import { ${names} } from ${url};`;
  });
  const module = `${imports.join("\n")}
    self.onmessage = ({ data }) => {
      const slots = new CallSlots(data);
      ${source}
      postMessage("ready");
      setInterval(() => server.poll(), 0);
    };`;
  const url = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  URL.revokeObjectURL(url);
  const ready = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage(slots.buffer);
  await ready;
  return worker;
}

const NO_KICK = { kick() {} } as unknown as NativeRegion;

Deno.test("EngineClient.block gives up at its limit: the cancel is sent, and the answer taken", async () => {
  const slots = new CallSlots();
  const client = new EngineClient(slots, NO_KICK);
  const worker = await startEngine(
    slots,
    `const waiting = new Map();
     const server = new CallServer(slots, (call) => {
       const { kind, call: number, id } = call.record;
       if (kind === Call.Sync) waiting.set(number, call);
       else if (kind === Call.Cancel) waiting.get(id).cancelled();
     });`,
  );
  const waiting: Promise<unknown>[] = [];
  for (const timeoutMs of [0, 1, 20]) {
    const { id, answer } = client.start(newBody(Call.Sync), "test");
    waiting.push(assertRejects(() => answer, TdsmError, "planted"));
    // The call that is given up is this one's, not the one before it that waits still.
    const { kind, call } = client.block(newBody(Call.Sync), "test", timeoutMs);
    assertEquals([kind, call], [Answer.Cancelled, id + 1]);
  }
  worker.terminate();
  client.fail(new TdsmError("NodeClosed", "planted"));
  await Promise.all(waiting);
});

Deno.test("EngineClient.block lets what waits for room go first", async () => {
  const slots = new CallSlots();
  const client = new EngineClient(slots, NO_KICK);
  const worker = await startEngine(
    slots,
    `let sum = 0;
     const add = (argument) => sum += argument.length;
     const server = new CallServer(slots, (call) => void answerWith(call, add));`,
  );
  // More than the ring holds; none of the promises gets a turn before this thread is blocked.
  const text = "x".repeat(Ring.PAYLOAD_MAX_BYTES / 3);
  const calls = Array.from({ length: 10 }, () => client.call(Call.Stats, text, "test"));
  assertEquals(client.callSync(Call.Stats, "yz", "test"), 10 * text.length + 2);
  assertEquals((await Promise.all(calls)).at(-1), 10 * text.length);
  worker.terminate();
});

Deno.test("EngineClient serves remote calls in order, none while its thread is blocked", async () => {
  const slots = new CallSlots();
  const client = new EngineClient(slots, NO_KICK);
  const worker = await startEngine(
    slots,
    `let next = 1;
     const serve = (count) => {
       for (const end = next + count; next < end; next++) server.serve(next, { id: next });
       return next;
     };
     const server = new CallServer(slots, (call) => void answerWith(call, serve));`,
  );
  const served: number[] = [];
  const all = Promise.withResolvers<void>();
  client.serveCalls(({ call, id }) => {
    assertEquals(call, id);
    served.push(id);
    if (id === 1) {
      // From within a call that is served, another blocks.
      client.callSync(Call.Stats, 2, "test");
      assertEquals(served, [1]);
    }
    if (served.length === 5) all.resolve();
  });
  assertEquals(client.callSync(Call.Stats, 3, "test"), 4);
  assertEquals(served, []);
  await all.promise;
  assertEquals(served, [1, 2, 3, 4, 5]);
  client.fail(new TdsmError("NodeClosed", "planted"));
  worker.terminate();
});

Deno.test("EngineClient.serveCalls ends when the client fails", async () => {
  using bench = new Bench(() => null);
  const served: number[] = [];
  bench.client.serveCalls(({ call }) => void served.push(call));
  bench.server.serve(1, {});
  await turns();
  assertEquals(served, [1]);
  bench.client.fail(new TdsmError("NodeClosed", "planted"));
  bench.server.serve(2, {});
  await turns();
  assertEquals(served, [1]);
});

Deno.test("EngineClient.post has no answer, and says nothing once the client has failed", async () => {
  const seen: number[] = [];
  using bench = new Bench((call) => {
    seen.push(call);
    throw new TdsmError("PeerLost", "nobody is told this");
  });
  const post = newBody(Call.Stats);
  bench.client.post(post);
  assert(bench.server.poll());
  await turns();
  assertEquals(seen, [Call.Stats]);
  bench.client.fail(new TdsmError("EngineFailed", "planted"));
  bench.client.post(post);
  assertEquals(bench.server.poll(), false);
});

Deno.test("EngineClient.detach frees the slot, and the next thread does not get the old answers", async () => {
  using bench = new Bench((_, argument) => argument);
  const second = new EngineClient(bench.slots, NO_KICK);
  second.detach();
  bench.server.poll();
  const third = new EngineClient(bench.slots, NO_KICK);
  assertEquals(bench.slots.count, 2);
  const call = third.call(Call.Stats, 3, "test");
  third.detach();
  bench.server.poll();
  await assertRejects(() => call, TdsmError, "Cannot test: this thread has detached");
  // More threads than there are slots, one after the other, each with an answer that comes too
  // late.
  for (let thread = 0; thread < 2 * CALL_SLOTS_MAX; thread++) {
    const next = new EngineClient(bench.slots, NO_KICK);
    assertEquals(bench.slots.count, 2);
    const own = next.call(Call.Stats, 100 + thread, "test");
    bench.server.poll();
    assertEquals(await own, 100 + thread);
    const late = next.call(Call.Stats, 7, "test");
    next.detach();
    bench.server.poll();
    await assertRejects(() => late, TdsmError, "detached");
  }
});

/** Lets everything run that can. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

Deno.test("EngineClient: a caller that waits is told when the engine ends, and so is one that asks then", async () => {
  using bench = new Bench((call) => call === Call.Peers ? "answered" : new Promise(() => {}));
  const { client, slots, server } = bench;
  const waiting = client.call(Call.Stats, null, "test");
  const answered = client.call(Call.Peers, null, "test");
  server.poll();
  await answered;
  const early = client.call(Call.Peers, null, "test");
  server.poll();
  slots.end();
  assertEquals(await early, "answered", "what was answered before the end counts");
  const error = await assertRejects(() => waiting, TdsmError);
  assertEquals(error.code, "NodeClosed");
  await assertRejects(() => client.call(Call.Peers, null, "test"), TdsmError, "closed");
  assertThrows(() => client.callSync(Call.Peers, null, "test"), TdsmError, "closed");
  client.post(newBody(Call.Taken));
  assertEquals(server.poll(), false, "nothing is asked any more");
});

Deno.test("EngineClient.block ends when the engine does, wherever this thread is just then", async () => {
  for (let round = 0; round < 20; round++) {
    const slots = new CallSlots();
    const client = new EngineClient(slots, NO_KICK);
    const other = new EngineClient(slots, NO_KICK);
    const worker = await startEngine(
      slots,
      `const server = new CallServer(slots, (call) => {
         if (call.record.kind === Call.Sync) setTimeout(() => slots.end(), ${round} % 4);
       });`,
    );
    const waiting = other.start(newBody(Call.Rpc), "call add on node 2").answer;
    const error = assertThrows(() => client.block(newBody(Call.Sync), "test", 10_000), TdsmError);
    assertEquals(error.code, "NodeClosed");
    await assertRejects(() => waiting, TdsmError, "Cannot call add on node 2: the node is closed");
    worker.terminate();
  }
});

Deno.test("EngineClient.tell: what is given back once the node closes is refused at once", async () => {
  using bench = new Bench(() => null);
  const other = new EngineClient(bench.slots, NO_KICK);
  const told: number[] = [];
  const release = (client: EngineClient): void =>
    client.tell(
      newBody(Call.Stats),
      "release it",
      ({ call }) => {
        told.push(call);
      },
    );
  release(bench.client);
  const closed = bench.client.close();
  for (const client of [bench.client, other]) {
    assertEquals(client.refusal("ask")?.message, "Cannot ask: the node is closed");
    const error = assertThrows(
      () => release(client),
      TdsmError,
      "Cannot release it: the node is closed",
    );
    assertEquals([error.code, error.operation], ["NodeClosed", "release it"]);
    await assertRejects(
      () => client.call(Call.Peers, null, "ask"),
      TdsmError,
      "Cannot ask: the node",
    );
    assertThrows(() => client.callSync(Call.Peers, null, "ask"), TdsmError, "Cannot ask: the node");
  }
  bench.server.poll();
  assert(await closed);
  assertEquals(told, [1], "what came before the end was done");
  bench.client.end();
  bench.slots.end();
  for (const client of [bench.client, other]) {
    assertThrows(() => release(client), TdsmError, "closed");
  }
});

Deno.test("EngineClient: every thread knows why the node cannot go on, before any news reaches it", async () => {
  using bench = new Bench(() => null);
  const other = new EngineClient(bench.slots, NO_KICK);
  bench.slots.fail(new TdsmError("PageLost", "planted: ü", { errno: 5 }));
  bench.slots.fail(new TdsmError("DirectoryLost", "a later reason"));
  for (const client of [bench.client, other]) {
    assertEquals(client.toldFailure, false);
    const tell = () => client.tell(newBody(Call.Stats), "release it", () => {});
    const error = assertThrows(tell, TdsmError, "Cannot release it: planted: ü");
    assertEquals([error.code, error.operation, error.errno], ["PageLost", "release it", 5]);
    assertEquals(client.toldFailure, true);
    const refusal = client.refusal("ask");
    assertEquals([refusal?.code, refusal?.message], ["PageLost", "Cannot ask: planted: ü"]);
    await assertRejects(() => client.call(Call.Stats, null, "ask"), TdsmError, "planted");
  }
  assertEquals(bench.server.poll(), false, "nothing is asked any more");
});

Deno.test("CallSlots: of a long reason for a failure the end is cut off", () => {
  const slots = new CallSlots();
  assertEquals(slots.failure, undefined);
  const long = "\u0000".repeat(FAILURE_TEXT_MAX);
  slots.fail(new TdsmError("EngineFailed", long + "more"));
  assertEquals(new CallSlots(slots.buffer).failure?.message, long);
});

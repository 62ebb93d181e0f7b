import { assertEquals } from "@std/assert";
import type { NativeRegion } from "../../ffi/native.ts";
import { EngineClient } from "./client.ts";
import { Answer, answerWith, Call, CallServer, type ThreadCall } from "./calls.ts";
import { CallSlots } from "./call_slots.ts";
import { newBody, type RecordBody } from "./ring.ts";
import { CALL_RING_BYTES } from "../limits.ts";

const NO_KICK = { kick() {} } as unknown as NativeRegion;

/** Lets everything run that can. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

Deno.test("CallServer: an answer that nobody waits for wakes nobody, and is taken with the next", async () => {
  const slots = new CallSlots();
  const server = new CallServer(slots, (call) => {
    const { kind, call: id } = call.record;
    if (kind === Call.Sync) call.respond({ id }, true);
    else void answerWith(call, () => "loud");
  });
  const client = new EngineClient(slots, NO_KICK);
  const loop = setInterval(() => {}, 60_000);
  const told: number[] = [];
  for (let count = 0; count < 3; count++) {
    client.tell(newBody(Call.Sync), "test", ({ id }) => void told.push(id));
  }
  server.poll();
  await turns();
  assertEquals(told, [], "it was woken");
  const call = client.call(Call.Stats, null, "test");
  server.poll();
  assertEquals([await call, told], ["loud", [1, 2, 3]]);
  client.tell(newBody(Call.Sync), "test", ({ id }) => void told.push(id));
  server.poll();
  // What waits for it unseen keeps it from nothing: the slot is free for another.
  client.detach();
  server.poll();
  assertEquals([told, slots.claim()], [[1, 2, 3, 5], 0]);
  clearInterval(loop);
});

Deno.test("CallServer says after each batch of calls that it took them, and not where there were none", async () => {
  const slots = new CallSlots();
  let batches = 0;
  const server = new CallServer(slots, () => {}, () => void batches++);
  const client = new EngineClient(slots, NO_KICK);
  assertEquals([server.poll(), batches], [false, 0]);
  for (let count = 0; count < 3; count++) client.post(newBody(Call.Taken));
  assertEquals([server.poll(), batches], [true, 1]);
  for (let count = 0; count < 64; count++) client.post(newBody(Call.Taken));
  assertEquals([server.poll(), batches], [true, 2]);
  for (let count = 0; count < 65; count++) client.post(newBody(Call.Taken));
  assertEquals([server.poll(), batches], [true, 4]);
  await turns();
});

/** Slots that a thread takes, and calls from, right after the engine has counted them. */
class LateSlots extends CallSlots {
  late: (() => void) | undefined;

  override get count(): number {
    const { late } = this;
    const seen = super.count;
    this.late = undefined;
    late?.();
    return seen;
  }
}

Deno.test("CallServer takes what a thread in a new slot asked for together with a later call of an older one", () => {
  const slots = new LateSlots();
  const taken: number[] = [];
  const server = new CallServer(slots, ({ record }) => void taken.push(record.kind));
  const joined = new EngineClient(slots, NO_KICK);
  server.poll();
  slots.late = () => {
    new EngineClient(slots, NO_KICK).post(newBody(Call.Sync));
    joined.post(newBody(Call.Close));
  };
  server.poll();
  assertEquals(taken, [Call.Close, Call.Sync]);
});

/** A server whose threads end when the test says so. */
class Ending {
  readonly slots = new CallSlots();
  readonly ended = new Set<bigint>();
  readonly calls: ThreadCall[] = [];
  readonly gone: [slot: number, unread: Pick<RecordBody, "id" | "key">[]][] = [];
  readonly server: CallServer;

  constructor() {
    this.server = new CallServer(this.slots, (call) => void this.calls.push(call), () => {}, {
      hasEnded: (thread) => this.ended.has(thread),
      gone: (slot, unread) => {
        this.gone.push([slot, unread.map(({ id, key }) => ({ id, key }))]);
      },
    });
  }

  thread(name: bigint): EngineClient {
    return new EngineClient(this.slots, NO_KICK, name);
  }

  /** A thread that makes calls 1, 2, 3 …, and never reads an answer. */
  deafThread(name: bigint, calls: number): void {
    const slot = this.slots.claim(name)!;
    for (let call = 1; call <= calls; call++) {
      this.slots.rings(slot).calls.push(call, newBody(Call.Sync));
    }
  }
}

Deno.test("CallServer frees the slot of a thread that has ended, once it has taken its last calls", () => {
  const bench = new Ending();
  const { slots, server, ended, calls, gone } = bench;
  bench.thread(1n);
  bench.deafThread(2n, 1);
  server.poll();
  server.lookForEnded();
  assertEquals([gone, slots.thread(1)], [[], 2n]);
  slots.rings(1).calls.push(0, newBody(Call.Taken, { key: 7n }));
  ended.add(2n);
  server.lookForEnded();
  assertEquals(calls.map(({ record }) => record.kind), [Call.Sync, Call.Taken]);
  assertEquals([gone, slots.thread(1)], [[[1, []]], 0n]);
  // The thread that joined ends with the engine itself, and is never given up.
  ended.add(1n);
  server.lookForEnded();
  assertEquals([gone.length, slots.thread(0)], [1, 1n]);
});

Deno.test("CallServer: what a thread has not read when it ends is given back, and nothing comes to the next", async () => {
  const bench = new Ending();
  const { slots, server, ended, calls, gone } = bench;
  bench.thread(1n);
  bench.deafThread(2n, 4);
  server.poll();
  calls[0]!.grant({ id: 1, key: 7n });
  calls[1]!.respond({ id: 2 });
  calls[2]!.grant({ id: 3 }, Answer.Refused);
  assertEquals(calls.map(({ isGone }) => isGone), [false, false, false, false]);
  ended.add(2n);
  server.lookForEnded();
  assertEquals(gone, [[1, [{ id: 1, key: 7n }, { id: 3, key: 0n }]]]);
  assertEquals(calls.map(({ isGone }) => isGone), [true, true, true, true]);
  const third = bench.thread(3n);
  const { id, answer } = third.start(newBody(Call.Sync), "test");
  assertEquals([slots.thread(1), id], [3n, 5]);
  calls[3]!.grant({ id: 4 });
  server.poll();
  calls[4]!.respond({ id: 5 });
  const loop = setInterval(() => {}, 60_000);
  assertEquals((await answer).id, 5);
  clearInterval(loop);
  // What came too late for its thread is nowhere: the caller of `grant` knows by `gone`.
  assertEquals(slots.rings(1).answers.pop(), undefined);
});

Deno.test("CallServer: a grant that waits for room when its thread ends is given back too", () => {
  const bench = new Ending();
  const { slots, server, ended, calls, gone } = bench;
  bench.thread(1n);
  bench.deafThread(2n, 2);
  server.poll();
  calls[0]!.respond({ payload: new Uint8Array(CALL_RING_BYTES - 64) });
  calls[1]!.grant({ id: 9 });
  ended.add(2n);
  server.lookForEnded();
  assertEquals(gone, [[1, [{ id: 9, key: 0n }]]]);
  assertEquals(slots.rings(1).answers.pop(), undefined);
});

Deno.test("CallServer: a thread that detaches reads nothing more, and is gone as one that has ended", () => {
  const bench = new Ending();
  const { slots, server, calls, gone } = bench;
  bench.thread(1n);
  const second = bench.thread(2n);
  second.start(newBody(Call.Sync), "test").answer.catch(() => {});
  server.poll();
  second.detach();
  calls[0]!.grant({ id: 1 });
  assertEquals(slots.thread(1), 2n);
  server.poll();
  assertEquals([gone, slots.thread(1)], [[[1, [{ id: 1, key: 0n }]]], 0n]);
  assertEquals(slots.rings(1).answers.pop(), undefined);
});

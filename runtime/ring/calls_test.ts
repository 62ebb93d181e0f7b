import { assertEquals } from "@std/assert";
import type { NativeRegion } from "../../ffi/native.ts";
import { EngineClient } from "./client.ts";
import { answerWith, Call, CallServer } from "./calls.ts";
import { CallSlots, newBody } from "./ring.ts";

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
  assertEquals([told, slots.claim()], [[1, 2, 3, 5], 0]);
  clearInterval(loop);
});

Deno.test("CallServer says after each batch of calls that it took them, and not where there were none", async () => {
  const slots = new CallSlots();
  let batches = 0;
  const server = new CallServer(slots, () => {}, () => void batches++);
  const client = new EngineClient(slots, NO_KICK);
  assertEquals([server.poll(), batches], [false, 0]);
  for (let count = 0; count < 3; count++) client.post(newBody(Call.Zeroed));
  assertEquals([server.poll(), batches], [true, 1]);
  for (let count = 0; count < 64; count++) client.post(newBody(Call.Zeroed));
  assertEquals([server.poll(), batches], [true, 2]);
  for (let count = 0; count < 65; count++) client.post(newBody(Call.Zeroed));
  assertEquals([server.poll(), batches], [true, 4]);
  await turns();
});

import { assertEquals } from "@std/assert";
import { EVENT_TEXT_MAX, EVENTS_MAX } from "../limits.ts";
import { Level } from "../log.ts";
import { EventMemory } from "./event_memory.ts";

Deno.test("EventMemory keeps what happens to members and what is warned of, the last of it", () => {
  const memory = new EventMemory();
  const texts = (since: number): string[] => memory.since(since).map(({ text }) => text);
  memory.add(Level.Info, "Node 2 has joined", { event: "nodeJoined", peer: 2 });
  memory.add(Level.Info, "A line that tells of no event", {});
  memory.add(Level.Debug, "Dropped a connection", { event: "connectionDropped" });
  memory.add(Level.Warning, "x".repeat(EVENT_TEXT_MAX + 1), {});
  assertEquals(texts(0), ["Node 2 has joined", "x".repeat(EVENT_TEXT_MAX)]);
  assertEquals(texts(1).length, 1);
  assertEquals(texts(2), []);
  for (let index = 0; index < EVENTS_MAX; index++) memory.add(Level.Error, `${index}`, {});
  assertEquals(texts(0).length, EVENTS_MAX);
  assertEquals(memory.since(0)[0]?.number, 3);
});

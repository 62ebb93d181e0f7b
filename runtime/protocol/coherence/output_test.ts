import { assertEquals } from "@std/assert";
import { Outbox } from "./output.ts";

Deno.test("an outbox keeps what it is given in order", () => {
  const outbox = new Outbox();
  outbox.operate({ kind: "protect", first: 0, count: 1 });
  outbox.operate({ kind: "evict", first: 1, count: 2 });
  outbox.send(2, { kind: "leave" });
  outbox.tell({ kind: "left" });
  assertEquals(outbox.operations.map(({ kind }) => kind), ["protect", "evict"]);
  assertEquals(outbox.messages, [{ to: 2, message: { kind: "leave" } }]);
  assertEquals(outbox.events, [{ kind: "left" }]);
});

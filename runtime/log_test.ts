import { assertEquals } from "@std/assert";
import { deathMessage, formatJson } from "./log.ts";

Deno.test("formatJson: a line is one object with its time, level, topic, node and fields", () => {
  const line = formatJson({
    level: "info",
    text: "Node 2 has joined from 127.0.0.1:5",
    topic: "runtime",
    fields: { event: "nodeJoined", node: 1, peer: 2 },
    timestamp: Date.UTC(2026, 10, 30, 12),
  });
  assertEquals(
    line,
    '{"time":"2026-11-30T12:00:00.000Z","level":"info","topic":"runtime","node":1,' +
      '"message":"Node 2 has joined from 127.0.0.1:5","event":"nodeJoined","peer":2}',
  );
});

Deno.test("formatJson: text of others acts on no terminal, and is read as it was", () => {
  const text = 'a\n\u001b[2Jb\u009bc\u202ed\u2066"é';
  const line = formatJson({ level: "error", text, topic: "sync" });
  // deno-lint-ignore no-control-regex
  assertEquals(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(line), false);
  assertEquals(JSON.parse(line).message, text);
});

Deno.test("deathMessage: is one line, in the format of the log", () => {
  assertEquals(deathMessage("why (PageLost)", "text", 2), "tdsm: error: why (PageLost)\n");
  const line = deathMessage("why (PageLost)", "json", 2);
  assertEquals(line.indexOf("\n"), line.length - 1);
  const { level, node, message } = JSON.parse(line);
  assertEquals([level, node, message], ["error", 2, "why (PageLost)"]);
});

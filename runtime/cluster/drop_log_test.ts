import { assertEquals } from "@std/assert";
import { DROPS_TOLD_MAX, DROPS_TOLD_MS } from "../limits.ts";
import { Level } from "../log.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { DropLog } from "./drop_log.ts";

function newDropLog(): { drops: DropLog; lines: string[] } {
  const lines: string[] = [];
  return { drops: new DropLog((level, text) => void lines.push(`${level} ${text}`)), lines };
}

/** The lines of the first drops in an interval. */
function told(level: Level, from: string): string[] {
  return Array(DROPS_TOLD_MAX).fill(`${level} Dropped a connection from ${from}: late`);
}

Deno.test("DropLog: of many drops the first are told, and the others counted at the end of the interval", () => {
  using timers = new ManualTimers(DROPS_TOLD_MS);
  const { drops, lines } = newDropLog();
  for (let count = 0; count < DROPS_TOLD_MAX + 7; count++) drops.tell(Level.Warning, "a", "late");
  assertEquals([lines, timers.count(DROPS_TOLD_MS)], [told(Level.Warning, "a"), 1]);
  timers.fire(DROPS_TOLD_MS);
  assertEquals(lines.splice(0).at(-1), "2 Dropped 7 more connections");
  assertEquals(timers.count(DROPS_TOLD_MS), 0);
  drops.tell(Level.Warning, "b", "late");
  assertEquals(lines, ["2 Dropped a connection from b: late"]);
  drops.close();
});

Deno.test("DropLog: what is told at another level takes no line from a warning", () => {
  const { drops, lines } = newDropLog();
  for (let count = 0; count < DROPS_TOLD_MAX; count++) drops.tell(Level.Debug, "a", "late");
  drops.tell(Level.Warning, "b", "late");
  assertEquals(lines, [...told(Level.Debug, "a"), "2 Dropped a connection from b: late"]);
  drops.close();
  assertEquals(lines.length, DROPS_TOLD_MAX + 1);
});

Deno.test("DropLog: what was not told yet is told at the end", () => {
  using timers = new ManualTimers(DROPS_TOLD_MS);
  const { drops, lines } = newDropLog();
  for (let count = 0; count < DROPS_TOLD_MAX + 2; count++) drops.tell(Level.Warning, "a", "late");
  drops.close();
  assertEquals(lines.at(-1), "2 Dropped 2 more connections");
  // A handshake may end after that.
  drops.tell(Level.Warning, "b", "late");
  assertEquals(timers.count(DROPS_TOLD_MS), 0);
});

import { assertEquals, assertMatch } from "@std/assert";
import { MESSAGES } from "../../tests/support/frames.ts";
import { SYNC_STUCK_NAMED_MAX } from "../limits.ts";
import { Level } from "../log.ts";
import { describeMessage, describePage, levelOf } from "./log.ts";

Deno.test("describeMessage says what each kind of message is about", () => {
  const lines = new Map(MESSAGES.map(({ label, message }) => [label, describeMessage(message)]));
  const expected: readonly (readonly [label: string, line: string])[] = [
    ["request to read", "request of pages 131844 to 131851 to read, request 1"],
    [
      "forward of a write with invalidations",
      "forward of pages 300 to 303 to write for node 305419896, request 8",
    ],
    ["grant of what is kept", "grant of page 7 to write (its bytes are there), request 13"],
    ["peer lost", "peerLost: node 6"],
    ["leave", "leave"],
  ];
  for (const [label, line] of expected) assertEquals(lines.get(label), line);
});

Deno.test("levelOf tells pages that change hands from all else", () => {
  for (const { label, message } of MESSAGES) {
    const moves = /^(?:grant|invalidate)/.test(label);
    assertEquals(levelOf(message), moves ? Level.Debug : Level.Trace, label);
  }
});

Deno.test("describePage names the allocations of a page, the first of many, and its bytes", () => {
  const named = [
    { name: "grid", first: 2, count: 3 },
    { name: "edge\x1b[2J", first: 4, count: 1 },
    { name: "far", first: 5, count: 1 },
  ];
  assertEquals(describePage(1, 4096, named), "Page 1 (bytes 4096 to 8191)");
  assertEquals(describePage(2, 4096, named), 'Page 2 of "grid" (bytes 8192 to 12287)');
  assertEquals(
    describePage(4, 4096, named),
    'Page 4 of "grid", "edge [2J" (bytes 16384 to 20479)',
  );
  const packed = Array.from({ length: SYNC_STUCK_NAMED_MAX + 2 }, (_, i) => (
    { name: `cell ${i}`, first: 0, count: 1 }
  ));
  assertMatch(
    describePage(0, 4096, packed),
    /^Page 0 of "cell 0", .* and 2 more \(bytes 0 to 4095\)$/,
  );
});

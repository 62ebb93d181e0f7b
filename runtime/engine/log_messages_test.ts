import { assertEquals } from "@std/assert";
import { MESSAGES } from "../../tests/support/frames.ts";
import { Level } from "../log.ts";
import { describeMessage, levelOf } from "./log.ts";

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

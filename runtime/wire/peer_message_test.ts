import { assertEquals } from "@std/assert";
import { CONTROLS } from "../../tests/support/frames.ts";
import { isControl } from "./control.ts";
import { PAGE_MESSAGES } from "./page_messages.ts";
import { isPageMessage, type PeerMessage } from "./peer_message.ts";

/** To which families a kind belongs that a guard tells: pages, and control. */
function familiesOf(kind: string): [pages: boolean, control: boolean] {
  return [isPageMessage({ kind } as PeerMessage), isControl({ kind })];
}

Deno.test("isPageMessage and isControl tell their families from each other and from the rest", () => {
  for (const kind of Object.keys(PAGE_MESSAGES)) {
    assertEquals(familiesOf(kind), [true, false], kind);
  }
  for (const [, { kind }] of CONTROLS) assertEquals(familiesOf(kind), [false, true], kind);
  for (const kind of ["sync", "syncReply", "gather", "rpcCall", "rpcAnswer", "ping"]) {
    assertEquals(familiesOf(kind), [false, false], kind);
  }
});

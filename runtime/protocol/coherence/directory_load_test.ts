/** A home at the size that it must bear: a death with more pages than a `Map` has room for. */

import { assert, assertEquals } from "@std/assert";
import { Directory } from "./directory.ts";
import { Content, type Message, type NodeId } from "./messages.ts";
import { Outbox } from "./output.ts";
import { Access } from "./page.ts";

/** A `Map` has at most 2^24 entries, and a call far fewer arguments. */
const LOST_PAGES = 2 ** 25;

Deno.test("Directory: a death with 2^25 pages is worked off, and others are served meanwhile", () => {
  const outbox = new Outbox();
  const runPages = 128;
  const directory = new Directory({ self: 1, pageCount: 2 ** 28, runPages }, outbox, {
    room: { pages: Infinity, spare: Infinity },
    hasDeclined: false,
    lacks: () => undefined,
    adopt() {},
  });
  for (const node of [1, 2, 3]) directory.peerJoined(node);
  let request = 0;
  /** A request, and its end; returns what the home sends first. */
  const transact = (from: NodeId, access: Access, first: number, count: number): Message => {
    const run = { first, count, request: ++request };
    directory.request(from, { kind: "request", access, ...run });
    if (directory.busy(first)) directory.done(from, { kind: "done", ...run, lost: false });
    return outbox.messages.splice(0)[0]!.message;
  };
  const contentAt = (page: number): Content | undefined => {
    const message = transact(3, Access.Read, page, 1);
    return message.kind === "grant" ? message.content : undefined;
  };
  for (let first = 0; first < LOST_PAGES; first += runPages) {
    transact(2, Access.Write, first, runPages);
  }
  directory.peerLost(2);
  outbox.messages.length = 0;
  let parts = 0;
  for (; directory.hasWork; parts++) {
    directory.work();
    assertEquals(contentAt(2 ** 28 - 1 - parts), Content.Zero);
  }
  assert(parts > 1_000, `${parts} parts`);
  for (const page of [0, LOST_PAGES / 2 + 1, LOST_PAGES - 1]) {
    assertEquals(contentAt(page), Content.Lost);
  }
});

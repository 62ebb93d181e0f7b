/**
 * A peer that repeats a message for ever: the memory that an engine keeps for the peer is bounded.
 */

import { assert } from "@std/assert";
import { REQUESTS_WAITING_MAX } from "../../runtime/limits.ts";
import { Coherence, type Input } from "../../runtime/protocol/coherence/coherence.ts";
import {
  Content,
  DIRECTORY_NODE,
  type Message,
  type NodeId,
} from "../../runtime/protocol/coherence/messages.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";

const TIMES = 3_000;
/** What an engine may remember beyond what it did after a third of them. */
const GROWTH_MAX = 200;
const RUN = { first: 3, count: 2 };
const OTHER = 3;

/** How many things an object has, with all that they have: whatever grows, this grows with it. */
function countReachable(root: unknown): number {
  const seen = new Set<unknown>();
  const queue: unknown[] = [root];
  while (queue.length > 0) {
    const value = queue.pop();
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof Map) queue.push(...value.keys(), ...value.values());
    else if (value instanceof Set || Array.isArray(value)) {
      for (const entry of value) queue.push(entry);
    } else if (!ArrayBuffer.isView(value)) queue.push(...Object.values(value));
  }
  // Numbers in lists count as well: they are what a list of nodes is made of.
  let entries = seen.size;
  for (const value of seen) {
    if (Array.isArray(value)) entries += value.length;
    if (value instanceof Map || value instanceof Set) entries += value.size;
  }
  return entries;
}

/** What both others want of a home. */
const WANTED: Message = { kind: "request", access: Access.Write, first: 9, count: 1, request: 1 };

/** A home with two others, or a node of theirs; both wait for an answer to a request. */
function makeEngine(self: NodeId): Coherence {
  const engine = new Coherence({ self, pageCount: 64, runPages: 8, holdTimeUs: 100 });
  const inputs: Input[] = [{ kind: "fault", page: RUN.first, access: Access.Read }];
  if (self === DIRECTORY_NODE) {
    for (const node of [2, OTHER]) inputs.unshift({ kind: "peerJoined", node });
    // The page stays busy: the one that has it is not heard of again.
    for (const from of [2, OTHER]) inputs.push({ kind: "message", from, message: WANTED });
  }
  for (const input of inputs) engine.step(input, 0);
  return engine;
}

const asked = { ...RUN, request: 1 };
const FLOOD: readonly Message[] = [
  { kind: "forward", ...asked, access: Access.Write, requester: OTHER, invalidated: [2] },
  { kind: "invalidate", ...asked, requester: OTHER },
  { kind: "acknowledge", ...asked },
  {
    kind: "grant",
    ...asked,
    access: Access.Write,
    content: Content.Zero,
    invalidated: [OTHER],
    lostNode: 0,
  },
  { kind: "done", ...asked, lost: false },
  { kind: "peerLost", node: OTHER },
  { kind: "peerLostSeen", node: OTHER },
  { kind: "refused", first: 9, count: 1, request: 1, requester: 2 },
  { kind: "refused", first: 9, count: 1, request: 1, requester: OTHER },
  { kind: "drop", ...RUN },
  { kind: "drop", first: 9, count: 1 },
  { kind: "dropped", ...RUN },
  { kind: "keep", ...RUN },
  { kind: "offload", ...RUN, awaited: 1 },
  { kind: "adopt", ...RUN },
  { kind: "leave" },
  { kind: "left" },
];

for (const [self, from] of [[DIRECTORY_NODE, OTHER], [2, DIRECTORY_NODE], [2, OTHER]] as const) {
  for (const message of FLOOD) {
    const whose = "requester" in message ? ` for node ${message.requester}` : "";
    const name = `${message.kind}${whose} of node ${from} to node ${self}`;
    Deno.test(`flood: ${name} has a bound`, () => {
      const engine = makeEngine(self);
      const flood = (times: number): number => {
        for (; times > 0; times--) engine.step({ kind: "message", from, message }, 0);
        return countReachable(engine);
      };
      const before = flood(TIMES / 3);
      const growth = flood(2 * TIMES / 3) - before;
      assert(growth <= GROWTH_MAX, `remembers ${growth} more after ${TIMES}`);
    });
  }
}

Deno.test("flood: requests that wait have a bound, and a node that goes beyond it is named", () => {
  const engine = makeEngine(DIRECTORY_NODE);
  const violations = (times: number): number => {
    let found = 0;
    for (; times > 0; times--) {
      const input: Input = { kind: "message", from: OTHER, message: WANTED };
      found += engine.step(input, 0).events.length;
    }
    return found;
  };
  // One may wait already.
  assert(violations(REQUESTS_WAITING_MAX - 1) === 0);
  assert(violations(2) >= 1);
});

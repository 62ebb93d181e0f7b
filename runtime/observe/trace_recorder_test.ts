import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseTrace, type TraceEvent } from "../../tests/support/trace_checker.ts";
import { TRACE_BUFFER_EVENTS } from "../limits.ts";
import { Content, type GrantMessage, type Message } from "../protocol/coherence/messages.ts";
import { Access, PageState } from "../protocol/coherence/page.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { TraceRecorder } from "./trace_recorder.ts";

const { Read, Write } = Access;

function newRecorder(node = 1, due: () => void = () => {}): TraceRecorder {
  return new TraceRecorder(node, `node ${node}`, due, 1000);
}

function taken(recorder: TraceRecorder): TraceEvent[] {
  return parseTrace(`[${recorder.take().join(",\n")}]`);
}

function grant(request: number, content: Content = Content.Data): GrantMessage {
  const run = { first: 7, count: 1 };
  return { kind: "grant", access: Read, content, ...run, request, invalidated: [], lostNode: 0 };
}

/** A step that a message of another node begins, with what it sends. */
function step(
  recorder: TraceRecorder,
  from: number,
  message: Message,
  at: number,
  sent: Message[],
) {
  recorder.stepBegins({ kind: "message", from, message }, undefined, at);
  for (const answer of sent) recorder.sent(from, answer, at + 1);
  recorder.stepEnds(at + 2);
}

Deno.test("TraceRecorder: a miss is a fault's span, two steps, and an arrow for each message", () => {
  const recorder = newRecorder(2);
  recorder.stepBegins({ kind: "fault", page: 7, access: Read }, PageState.Invalid, 100);
  const run = { first: 7, count: 1 };
  recorder.sent(1, { kind: "request", access: Read, ...run, request: 5 }, 102);
  recorder.stepEnds(103);
  recorder.waited(10, 20, 140);
  recorder.stepBegins({ kind: "message", from: 1, message: grant(5) }, undefined, 150);
  recorder.operated({ kind: "install", ...run, writable: false }, 155);
  recorder.stepEnds(156);
  const events = taken(recorder);
  const spans = events.filter(({ ph }) => ph === "X");
  const begun = spans[0]!.ts! - 100;
  assertEquals(spans.map(({ name, ts, dur }) => [name, Math.round(ts! - begun), dur]), [
    ["fault: read page 7", 100, 3],
    ["looking", 110, 10],
    ["asleep", 120, 20],
    ["grant page 7", 150, 6],
    ["read page 7", 100, 55],
  ]);
  assertEquals(spans[3]!.args, { from: 1, request: 5, bytes: true, write: false });
  const arrows = events.filter(({ cat }) => cat === "message");
  assertEquals(arrows.map(({ ph, name }) => [ph, name]), [["s", "request"], ["f", "grant"]]);
  const names = events.filter(({ name }) => name === "thread_name").map(({ args }) => args!.name);
  assertEquals(names, ["engine", "faults"]);
});

Deno.test("TraceRecorder: both ends of a message have one number, and no other message of its kind", () => {
  const [sender, receiver] = [newRecorder(1), newRecorder(2)];
  const ids = new Set<number>();
  for (let request = 1; request <= 500; request++) {
    step(sender, 2, { kind: "request", access: Read, first: 7, count: 1, request }, request * 10, [
      grant(request),
    ]);
    receiver.stepBegins({ kind: "message", from: 1, message: grant(request) }, undefined, 0);
    receiver.stepEnds(1);
    const arrows = [...taken(sender), ...taken(receiver)].filter(({ name, cat }) =>
      cat === "message" && name === "grant"
    );
    assertEquals(arrows.map(({ ph }) => ph), ["s", "f"]);
    assertEquals(arrows[0]!.id, arrows[1]!.id);
    assert(Number.isSafeInteger(arrows[0]!.id));
    ids.add(arrows[0]!.id!);
  }
  assertEquals(ids.size, 500);
});

Deno.test("TraceRecorder: a home's transaction lasts from its request to its end, and tells how long it waited", () => {
  const home = newRecorder();
  const request = (number: number): Message => {
    return { kind: "request", access: Write, first: 7, count: 2, request: number };
  };
  step(home, 2, request(1), 100, []);
  // The answer of the home ends a transaction in which no other node takes part.
  step(home, 3, request(1), 110, [grant(1, Content.Zero)]);
  home.stepBegins({ kind: "resumed", page: 7 }, undefined, 150);
  const run = { first: 7, count: 2, requester: 2, request: 1 };
  home.sent(3, { kind: "forward", access: Write, ...run, invalidated: [] }, 151);
  home.stepEnds(152);
  step(home, 2, { kind: "done", first: 7, count: 2, request: 1, lost: false }, 200, []);
  const spans = taken(home).filter(({ args }) => args?.queued_us !== undefined);
  assertEquals(spans.map(({ name, dur, args }) => [name, dur, args]), [
    ["write pages 7-8 for 3", 1, { requester: 3, queued_us: 1 }],
    ["write pages 7-8 for 2", 100, { requester: 2, queued_us: 51 }],
  ]);
});

Deno.test("TraceRecorder: a request of which another node is the home is no transaction here", () => {
  const node = newRecorder();
  const run = { first: 7, count: 2 };
  const request = (number: number): Message => {
    return { kind: "request", access: Write, ...run, request: number };
  };
  step(node, 2, request(1), 100, [{ kind: "located", ...run, node: 3 }]);
  step(node, 4, request(1), 110, [grant(1, Content.Zero)]);
  // Nothing is on record of node 2's request that this could end.
  step(node, 2, { kind: "done", ...run, request: 1, lost: false }, 200, []);
  const transactions = taken(node).filter(({ args }) => args?.queued_us !== undefined);
  assertEquals(transactions.map(({ args }) => args!.requester), [4]);
});

Deno.test("TraceRecorder: waits and calls, with names of any text; those at one time have lanes", () => {
  const recorder = newRecorder();
  const name = 'a"b\\c\n\u0001é';
  const lock = { kind: "sync", operation: SyncOperation.Lock, name } as const;
  recorder.asked({ ...lock, ticket: 1 });
  recorder.asked({ ...lock, ticket: 2 });
  for (const ticket of [1, 2]) recorder.answered(reply(ticket));
  recorder.callMade(1, 3, name);
  recorder.callEnded(1);
  recorder.serviceBegun(1, 3, "add");
  recorder.serviceEnded(1);
  recorder.serviceEnded(1);
  const spans = taken(recorder).filter(({ ph }) => ph === "X");
  assertEquals(spans.map(({ name }) => name), [
    `lock mutex ${name}`,
    `lock mutex ${name}`,
    `call ${name} on 3`,
    "serve add for 3",
  ]);
  assertEquals(new Set(spans.map(({ tid }) => tid)).size, 4);
});

function reply(ticket: number) {
  return { kind: "syncReply", ticket, status: SyncStatus.Done, count: 0, key: 0n } as const;
}

Deno.test("TraceRecorder: steps that do nothing leave nothing, and what waits too long is dropped and counted", () => {
  let due = 0;
  const recorder = newRecorder(1, () => due++);
  taken(recorder);
  const tick = (at: number, sends: boolean) => {
    recorder.stepBegins({ kind: "tick" }, undefined, at);
    if (sends) recorder.sent(2, { kind: "left" }, at);
    recorder.stepEnds(at + 1);
  };
  tick(0, false);
  assertEquals([recorder.waiting, due], [0, 0]);
  for (let at = 1; at <= TRACE_BUFFER_EVENTS; at++) tick(at * 2, true);
  assertEquals([recorder.waiting, recorder.dropped, due], [
    TRACE_BUFFER_EVENTS,
    TRACE_BUFFER_EVENTS,
    1,
  ]);
  const last = taken(recorder).at(-1)!;
  assertEquals([last.ph, last.args], ["C", { count: TRACE_BUFFER_EVENTS }]);
  recorder.end();
  tick(0, true);
  assertEquals(recorder.waiting, 0);
});

Deno.test("TraceRecorder: what is no trace is found by the checker of the tests", () => {
  const event = { ph: "X", pid: 1, tid: 1, ts: 10, dur: 10, name: "a", args: {} };
  const spans = (...more: object[]) => JSON.stringify([event, ...more]);
  assertEquals(parseTrace(spans({ ...event, ts: 12, dur: 8 }, { ...event, ts: 20 })).length, 3);
  for (
    const wrong of [
      "[",
      spans({ ...event, ts: 15 }),
      spans({ ...event, dur: -1 }),
      spans({ ...event, ph: "?" }),
      spans({ ph: "s", pid: 1, tid: 2, ts: 15, cat: "c", id: 1, name: "n" }),
    ]
  ) assertThrows(() => parseTrace(wrong), Error);
});

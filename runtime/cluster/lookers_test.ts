import { assertEquals, assertThrows } from "@std/assert";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { LOOKER_SILENCE_MAX_MS, LOOKERS_MAX } from "../limits.ts";
import type { Control } from "../wire/control.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import { NO_BYTES } from "../wire/peer_message.ts";
import type { ClusterReport, StatusRequestControl } from "../wire/status_control.ts";
import type { LinkHandlers } from "./link.ts";
import { type LookerLink, Lookers } from "./lookers.ts";

const REGION = {
  size: 2 ** 20,
  pageSize: 4096,
  runPages: 1,
  holdTimeUs: 100,
  compression: false,
  checksums: false,
  migration: false,
  homes: "directory",
} as const;
const REPORT: ClusterReport = {
  named: [{ name: "grid", first: 1, count: 2 }],
  nodes: [{ kind: "nodeStatus", id: 1, address: "127.0.0.1", port: 1 }],
  places: [],
  events: [{ number: 4, atMs: 1, level: 3, text: "Node 2 has joined" }],
};

function request(since?: number): StatusRequestControl {
  return {
    kind: "statusRequest",
    protocolVersion: PROTOCOL_VERSION,
    ...(since === undefined ? {} : { since }),
  };
}

/** A connection to a program, as a link has it. */
class FakeLink implements LookerLink {
  readonly said: Control["kind"][] = [];
  handlers: LinkHandlers | undefined;
  isClosed = false;
  /** Resolves when all that was said is sent. */
  sent: Promise<void> = Promise.resolve();

  say(...controls: readonly Control[]): void {
    this.said.push(...controls.map(({ kind }) => kind));
  }

  open(handlers: LinkHandlers): (() => Promise<void>) | undefined {
    this.handlers = handlers;
    return this.isClosed ? undefined : () => this.sent;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.handlers?.ended(undefined);
  }
}

function newLookers(): { lookers: Lookers<FakeLink>; asked: StatusRequestControl[] } {
  const asked: StatusRequestControl[] = [];
  const report = (request: StatusRequestControl): Promise<ClusterReport> => {
    asked.push(request);
    return Promise.resolve(REPORT);
  };
  return {
    lookers: new Lookers<FakeLink>({
      report,
      region: REGION,
      open: (link, handlers) => link.open(handlers),
    }),
    asked,
  };
}

/** Resolves when all promises that can be settled are. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const PLAIN = ["clusterStatus", "nodeStatus"];
const WHOLE = [...PLAIN, "clusterWaits", "clusterEvents"];

Deno.test("Lookers: a program that looks once is told of no waits and events", async () => {
  const { lookers } = newLookers();
  const link = new FakeLink();
  await lookers.answer(link, request());
  assertEquals(link.said, PLAIN);
});

Deno.test("Lookers: a program that looks again is answered each time, and ends by its silence", async () => {
  using timers = new ManualTimers(LOOKER_SILENCE_MAX_MS);
  const { lookers, asked } = newLookers();
  const link = new FakeLink();
  lookers.serve(link, request(0));
  await settled();
  assertEquals(link.said, WHOLE);
  link.handlers!.received(request(4), NO_BYTES);
  await settled();
  assertEquals(link.said, [...WHOLE, ...WHOLE]);
  assertEquals(asked.map(({ since }) => since), [0, 4]);
  timers.fire(LOOKER_SILENCE_MAX_MS);
  assertEquals(link.isClosed, true);
  assertEquals(timers.count(LOOKER_SILENCE_MAX_MS), 0);
});

Deno.test("Lookers: a program that does not await its answer, or says else, has broken the protocol", async () => {
  using _timers = new ManualTimers(LOOKER_SILENCE_MAX_MS);
  const { lookers, asked } = newLookers();
  const link = new FakeLink();
  lookers.serve(link, request(0));
  assertThrows(() => link.handlers!.received(request(0), NO_BYTES), Error, "statusRequest");
  await settled();
  assertThrows(() => link.handlers!.received({ kind: "closing" }, NO_BYTES), Error, "closing");
  assertEquals(asked.length, 1);
  lookers.close();
});

Deno.test("Lookers: a program that does not read its answers gets no more of them", async () => {
  using _timers = new ManualTimers(LOOKER_SILENCE_MAX_MS);
  const { lookers } = newLookers();
  const link = new FakeLink();
  const { promise, resolve } = Promise.withResolvers<void>();
  link.sent = promise;
  lookers.serve(link, request(0));
  await settled();
  assertThrows(() => link.handlers!.received(request(0), NO_BYTES), Error, "statusRequest");
  resolve();
  await settled();
  link.handlers!.received(request(0), NO_BYTES);
  lookers.close();
});

Deno.test("Lookers: a program that never reads its answer does not keep its place", async () => {
  using timers = new ManualTimers(LOOKER_SILENCE_MAX_MS);
  const { lookers } = newLookers();
  const link = new FakeLink();
  link.sent = Promise.withResolvers<void>().promise;
  lookers.serve(link, request(0));
  await settled();
  timers.fire(LOOKER_SILENCE_MAX_MS);
  assertEquals([link.isClosed, timers.count(LOOKER_SILENCE_MAX_MS)], [true, 0]);
});

Deno.test("Lookers: so many may look, each until it ends, and none once all is closed", async () => {
  using _timers = new ManualTimers(LOOKER_SILENCE_MAX_MS);
  const { lookers } = newLookers();
  const links = Array.from({ length: LOOKERS_MAX }, () => new FakeLink());
  for (const link of links) {
    assertEquals(lookers.isFull, false);
    lookers.serve(link, request(0));
  }
  assertEquals(lookers.isFull, true);
  links[3]!.close();
  assertEquals(lookers.isFull, false);
  await Promise.resolve();
  lookers.close();
  assertEquals(links.every(({ isClosed }) => isClosed), true);
  const late = new FakeLink();
  lookers.serve(late, request(0));
  assertEquals([late.isClosed, late.said], [true, []]);
});

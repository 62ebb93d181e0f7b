import { assert, assertEquals } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { resolveSettings } from "../settings/settings.ts";
import type { NodeOptions } from "../settings/types.ts";
import { EngineClient } from "../ring/client.ts";
import { CLOSE_REMINDER_MS, LEAVE_STALL_MS } from "../limits.ts";
import type { Message } from "../protocol/coherence/messages.ts";
import { Access } from "../protocol/coherence/page.ts";
import { EngineHost } from "./host.ts";
import type { EngineNews } from "./news.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { ClusterMember, HOST, turns } from "../../tests/support/cluster_members.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

/** A whole engine in this thread. */
interface TestEngine extends Disposable {
  readonly client: EngineClient;
  readonly port: number;
  readonly news: EngineNews[];
}

async function startEngine(options: NodeOptions): Promise<TestEngine> {
  const library = openLibrary();
  const { settings } = resolveSettings({ ...options, port: 0 }, undefined, () => undefined);
  const slots = new CallSlots();
  const news: EngineNews[] = [];
  const start = {
    settings,
    library: library.path,
    slots: slots.buffer,
    ownsProcess: false,
  };
  await EngineHost.start(start, (some) => news.push(some));
  const ready = news.find(({ kind }) => kind !== "joining");
  if (ready?.kind !== "ready") throw new Error(`The engine does not start: ${ready?.kind}`);
  const client = new EngineClient(slots, NativeRegion.attach(library, ready));
  return { client, port: ready.port, news, [Symbol.dispose]: () => library[Symbol.dispose]() };
}

/** What an engine has logged at a level, without what it says at its start. */
function logged({ news }: TestEngine, level: number): string[] {
  return news.flatMap((some) => some.kind === "log" && some.level === level ? [some.text] : []);
}

function say(from: ClusterMember, to: number, ...messages: Message[]): void {
  for (const message of messages) from.cluster.send(to, message);
  from.cluster.flush();
}

Deno.test({
  name:
    "EngineHost: a leaving node waits as long as pages are taken over, and not when nothing moves",
  // An engine does not unload its library: its Worker ends with it.
  sanitizeResources: false,
  async fn() {
    // It hears what the node says, and answers what the test wants.
    await using directory = ClusterMember.host();
    const { port } = directory.cluster.address;
    using leaving = await startEngine({ directoryAddress: `${HOST}:${port}` });
    // Behind the engine, which runs the timers of this thread itself.
    using timers = new ManualTimers(LEAVE_STALL_MS);
    let closed = false;
    const closing = leaving.client.close().finally(() => closed = true);
    await directory.until(() => directory.heard.length === 1);
    assertEquals(directory.heard[0], { from: 2, message: { kind: "leave" } });
    for (let first = 0; first < 5; first++) {
      const run = { first, count: 1, request: first + 1 };
      say(directory, 2, { kind: "invalidate", ...run, requester: 1 });
      await directory.until(() => directory.heard.length === first + 2);
      assertEquals(directory.heard.at(-1)!.message, { kind: "acknowledge", ...run });
      timers.fire(LEAVE_STALL_MS);
      await turns(3);
      assertEquals([closed, timers.count(LEAVE_STALL_MS)], [false, 1]);
    }
    timers.fire(LEAVE_STALL_MS);
    assert(await closing);
    assertEquals(logged(leaving, 1), [
      "Left without a word of the directory for 30000 ms",
    ]);
    // What comes behind that would be lost: the Worker ends.
    assertEquals(leaving.news.at(-1), { kind: "closed" });
  },
});

Deno.test({
  name:
    "EngineHost: the directory node logs which nodes it waits for, and which only hand over pages",
  sanitizeResources: false,
  async fn() {
    using timers = new ManualTimers(CLOSE_REMINDER_MS);
    using directory = await startEngine({ directory: true, size: "256KiB" });
    const at = { cluster: { address: { hostname: HOST, port: directory.port } } } as ClusterMember;
    await using second = await new ClusterMember().join(at);
    await using third = await new ClusterMember().join(at);
    const page = { first: 0, count: 1, request: 1 };
    say(second, 1, { kind: "request", access: Access.Write, ...page });
    await second.until(() => second.heard.length === 1);
    say(second, 1, { kind: "leave" });
    // The directory node asks for the page that only this one has, and waits for it.
    await second.until(() => second.heard.length === 2);
    assertEquals(second.heard.map(({ message: { kind } }) => kind), ["grant", "forward"]);
    const closing = directory.client.close();
    const reminders = () => logged(directory, 2).filter((text) => /closes: \d+$/.test(text));
    while (reminders().length === 0) {
      await turns(1);
      timers.fire(CLOSE_REMINDER_MS);
    }
    assertEquals(reminders().slice(0, 2), [
      "Waiting for these nodes to finish before the directory closes: 3",
      "Taking over the pages of these nodes, which leave, before the directory closes: 2",
    ]);
    second.cluster.abort();
    third.cluster.abort();
    // The wait for an answer of the engine does not keep the event loop, and nothing else is left.
    let closed = false;
    void closing.finally(() => closed = true);
    while (!closed) await turns(1);
    assert(await closing);
  },
});

/** More turns of the event loop than anything takes that is on its way within this process. */
const TURNS_MAX = 100_000;

Deno.test({
  name: "EngineHost: an allocation that waited for pages to be cleared is answered at once",
  sanitizeResources: false,
  async fn() {
    using timers = new ManualTimers();
    using directory = await startEngine({ directory: true, size: "256KiB" });
    const at = { cluster: { address: { hostname: HOST, port: directory.port } } } as ClusterMember;
    await using second = await new ClusterMember().join(at);
    await using third = await new ClusterMember().join(at);
    // A beat would send what was left behind.
    timers.stopClock();
    const last = { first: 63, count: 1, request: 1 };
    const cells = { type: "Uint8Array", length: 4096, packed: false } as const;
    const asks = [
      [{ kind: "allocate", ticket: 1, ...cells }, "allocated"],
      [{ kind: "request", access: Access.Write, ...last }, "grant"],
      [{ kind: "free", ticket: 2, offset: 63 * 4096, bytes: 4096 }, "freed"],
    ] as const;
    for (const [index, [ask, answer]] of asks.entries()) {
      second.cluster.send(1, ask);
      second.cluster.flush();
      await second.until(() => second.heard.length > index);
      assertEquals(second.heard.at(-1)!.message.kind, answer);
    }
    // What is lost is cleared in work that was put off: behind it nothing else is sent.
    second.cluster.abort();
    await third.until(() => third.heard.length > 0);
    third.cluster.send(1, { kind: "allocate", ticket: 1, ...cells });
    third.cluster.flush();
    for (let turn = 0; third.heard.length === 1 && turn < TURNS_MAX; turn++) await turns(1);
    assertEquals(third.heard.map(({ message: { kind } }) => kind), ["peerLost", "allocated"]);
    third.cluster.abort();
    let closed = false;
    const closing = directory.client.close().finally(() => closed = true);
    while (!closed) await turns(1);
    assert(await closing);
  },
});

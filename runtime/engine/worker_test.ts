import { assert, assertMatch, assertThrows } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { resolveSettings } from "../settings/settings.ts";
import { EngineClient } from "../ring/client.ts";
import { TdsmError } from "../errors.ts";
import { SyncOperation } from "../protocol/sync/messages.ts";
import type { EngineNews, EngineStart } from "./news.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { syncBody } from "../ring/sync_records.ts";

/** Bounds a hang; nothing waits for it otherwise. */
const GUARD_MS = 20_000;
const WORKER = new URL("testdata/crashing_worker.ts", import.meta.url);

/** Acquires a permit that nobody releases. */
const ACQUIRE = syncBody({ operation: SyncOperation.Acquire, key: 1n });

for (const how of ["throw", "reject"] as const) {
  Deno.test(`EngineClient: a thread that blocks is told of a fault that nobody catches (${how})`, async () => {
    using library = openLibrary();
    const options = { directory: true, port: 0, size: "1MiB" };
    const { settings } = resolveSettings(options, undefined, () => undefined);
    const slots = new CallSlots();
    const worker = new Worker(WORKER, { type: "module" });
    const news = Promise.withResolvers<EngineNews>();
    worker.onmessage = ({ data }) => news.resolve(data);
    worker.onerror = (event) => event.preventDefault();
    const start: EngineStart = {
      settings,
      library: library.path,
      slots: slots.buffer,
      ownsProcess: false,
    };
    worker.postMessage(start);
    const ready = await news.promise;
    if (ready.kind !== "ready") throw new Error(`The engine does not start: ${ready.kind}`);
    const client = new EngineClient(slots, NativeRegion.attach(library, ready));
    worker.postMessage(how);
    // While this thread blocks, nothing that the Worker posts arrives.
    for (let time = 1; time <= 2; time++) {
      const error = assertThrows(() => client.block(ACQUIRE, "acquire", GUARD_MS), TdsmError);
      assertMatch(error.message, /planted/, `call ${time}`);
    }
    assert(await client.close());
    worker.terminate();
  });
}

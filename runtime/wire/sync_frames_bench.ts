import { BOUNDS } from "../../tests/support/frames.ts";
import { SYNC_MESSAGES } from "../../tests/support/sync_frames.ts";
import { decodeFrame } from "./page_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "./sync_frames.ts";
import { SyncOperation, type SyncRequest } from "../protocol/sync/messages.ts";
import { Synchronizer } from "../protocol/sync/synchronizer.ts";

const target = new Uint8Array(SYNC_MAX_BYTES);

for (const [label, message] of SYNC_MESSAGES) {
  Deno.bench(`encode and decode: ${label}`, () => {
    decodeFrame(target, 0, encodeSync(message, target, 0), BOUNDS);
  });
}

const synchronizer = new Synchronizer({
  reply: (_to, reply) => encodeSync(reply, target, 0),
  tell: (node) => {
    throw new Error(`node ${node} is told of a tree`);
  },
  violation: (_node, reason) => {
    throw new Error(reason);
  },
});
for (const node of [1, 2, 3]) synchronizer.peerJoined(node);

function receive(from: number, request: SyncRequest): void {
  const decoded = decodeFrame(target, 0, encodeSync(request, target, 0), BOUNDS);
  if (decoded.kind === "sync") synchronizer.request(from, decoded.message as SyncRequest);
}

const kind = "sync";
const key = 7n;

Deno.bench("a permit goes from one node to another, from bytes to bytes", () => {
  receive(2, { kind, operation: SyncOperation.Acquire, ticket: 1, key });
  receive(3, { kind, operation: SyncOperation.Release, ticket: 2, key, count: 1 });
});

Deno.bench("a mutex goes from one node to another, from bytes to bytes", () => {
  receive(2, { kind, operation: SyncOperation.Lock, ticket: 1, name: "cells" });
  receive(3, { kind, operation: SyncOperation.Lock, ticket: 1, name: "cells" });
  receive(2, { kind, operation: SyncOperation.Unlock, ticket: 2, lock: 1 });
  receive(3, { kind, operation: SyncOperation.Unlock, ticket: 2, lock: 1 });
});

/**
 * How much memory the engine allocates for a transaction, from bytes that arrive to bytes that are
 * sent: what is allocated must be collected, while threads wait for pages.
 */

import { assert, assertEquals } from "@std/assert";
import { FAULT_WRITE } from "../../ffi/abi.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import type { Descriptor } from "../../ffi/poller.ts";
import { newCounters, Sender } from "../cluster/sender.ts";
import { Coherence } from "../protocol/coherence/coherence.ts";
import { Content, type Message } from "../protocol/coherence/messages.ts";
import { Access } from "../protocol/coherence/page.ts";
import { CallSlots } from "../ring/call_slots.ts";
import { CallServer } from "../ring/calls.ts";
import { Framer } from "../wire/framer.ts";
import { NO_BYTES } from "../wire/peer_message.ts";
import { MESSAGE_MAX_BYTES } from "../wire/layout.ts";
import { encodeMessage } from "../wire/page_frames.ts";
import { Driver } from "./driver.ts";

const PAGE_BYTES = 4096;
const PAGES = 16;
const PAGE = 5;
/** The other node, whose transactions take turns with those of this one, the home. */
const OTHER = 2;
/** The most bytes that a transaction may allocate. */
const BOUND_BYTES = 1_700;
/** So few that hardly any collection of garbage comes between two looks at the heap. */
const BATCH = 20;
const BATCHES = 2_000;

/** An engine between a region without a kernel and a link without a peer. */
class Engine {
  /** How often the page came to this node, and went to the other. */
  installs = 0;
  evictions = 0;
  readonly #framer = new Framer();
  readonly #frame = new Uint8Array(MESSAGE_MAX_BYTES);
  readonly #page = new Uint8Array(PAGE_BYTES);
  readonly #sender = new Sender(newCounters());
  readonly #driver: Driver;
  #faults = 0;
  /** The number of the last request of this node, as the other node reads it. */
  #request = 0;
  /** The number of the last request of the other node. */
  #asked = 0;

  constructor() {
    const region = {
      pageSize: PAGE_BYTES,
      countsRuns: true,
      isExiting: false,
      alias: () => new Uint8Array(PAGES * PAGE_BYTES),
      readFaults: (out: Uint32Array): number => {
        if (this.#faults === 0) return 0;
        this.#faults = 0;
        out[0] = PAGE;
        out[1] = FAULT_WRITE;
        return 1;
      },
      resumed: () => true,
      populate: () => {},
      install: () => this.installs++,
      evict: () => this.evictions++,
      protect: () => {},
      unprotect: () => {},
      release: () => {},
      kick: () => {},
      yield: () => {},
    };
    const coherence = new Coherence({ self: 1, pageCount: PAGES, runPages: 1, holdTimeUs: 0 });
    const slots = new CallSlots();
    const sender = this.#sender;
    const taken = {
      send: (count: number, piece: (index: number) => Uint8Array): number => {
        let bytes = 0;
        for (let index = 0; index < count; index++) bytes += piece(index).length;
        return bytes;
      },
      sendFirst: (_bytes: Uint8Array, length: number): number => length,
      unsentBytes: 0,
      awaitRoom: () => {},
      needsTurn: () => {},
    };
    sender.openDescriptor(taken as unknown as Descriptor, (error) => {
      throw error;
    });
    this.#driver = new Driver({
      coherence,
      region: region as unknown as NativeRegion,
      sink: {
        send: (_to, message, payload) => {
          if (message.kind === "forward") this.#request = message.request;
          sender.send(message, payload);
        },
        flush: () => sender.flush(),
        unsent: () => sender.unsent(),
        unsentVersion: () => 0,
      },
      slots,
      calls: new CallServer(slots, () => {}),
      pollTimeUs: 0,
      compression: false,
      tell: (event) => {
        throw new Error(event.kind);
      },
      lookAtClock: () => {},
      exiting: () => {},
      failed: (error) => {
        throw error;
      },
    });
    this.#driver.input({ kind: "peerJoined", node: OTHER });
  }

  /** The page goes to the other node, and back to a thread of this one: two transactions. */
  turn(): void {
    this.#receive({
      kind: "request",
      access: Access.Write,
      first: PAGE,
      count: 1,
      request: ++this.#asked,
    });
    this.#driver.input({ kind: "fault", page: PAGE, access: Access.Write });
    this.#receive({
      kind: "grant",
      access: Access.Write,
      content: Content.Data,
      first: PAGE,
      count: 1,
      request: this.#request,
      invalidated: [],
      lostNode: 0,
    }, this.#page);
    this.#driver.input({ kind: "resumed", page: PAGE });
  }

  /** Takes a message as a link does: as bytes. */
  #receive(message: Message, payload: Uint8Array = NO_BYTES): void {
    const framer = this.#framer;
    const size = encodeMessage(message, payload.length, this.#frame, 0);
    const { space } = framer;
    for (let at = 0; at < size; at++) space[at] = this.#frame[at]!;
    framer.filled(size);
    const frame = framer.next({ pageCount: PAGES, runPages: 1, pageSize: PAGE_BYTES });
    if (frame.kind !== "message") throw new Error(frame.kind);
    if (frame.payloadBytes > 0) framer.takePayload(payload);
    this.#driver.input({ kind: "message", from: OTHER, message: frame.message });
  }

  async stop(): Promise<void> {
    await this.#driver.stop();
  }
}

Deno.test(`Driver: a transaction allocates at most ${BOUND_BYTES} bytes`, async () => {
  const engine = new Engine();
  const allocated: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const { heapUsed } = Deno.memoryUsage();
    for (let count = 0; count < BATCH / 2; count++) engine.turn();
    allocated.push((Deno.memoryUsage().heapUsed - heapUsed) / BATCH);
  }
  await engine.stop();
  assertEquals(engine.installs, BATCHES * BATCH / 2);
  // The first time there is nothing to take away.
  assertEquals(engine.evictions, BATCHES * BATCH / 2 - 1);
  // Compiled code is among the first, and a collection makes some less than nothing.
  const median = allocated.slice(BATCHES / 2).sort((a, b) => a - b)[BATCHES / 4]!;
  assert(median > 0, "the heap is not measured");
  assert(median <= BOUND_BYTES, `it allocates ${Math.round(median)} bytes`);
});

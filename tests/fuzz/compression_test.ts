import { assert, assertThrows } from "@std/assert";
import { PACKED_REASONS, unpackPages } from "../../runtime/engine/compression.ts";
import { fuzzCompression, PACKED_INPUTS, type Unpack } from "./compression.ts";

Deno.test("broken payloads are refused or give pages, and every result comes out", () => {
  const tally = fuzzCompression(1, PACKED_INPUTS);
  for (const name of ["sound", ...PACKED_REASONS]) {
    assert(tally.has(name), `no input led to ${name}`);
  }
});

Deno.test("faults planted in what unpacks are found", () => {
  const faults: Record<string, Unpack> = {
    "accepts matches from nowhere": (payload, pageSize, count, target) => {
      const reason = unpackPages(payload, pageSize, count, target);
      return reason === "BlockOffsetOutOfPage" ? undefined : reason;
    },
    "writes a byte too many": (payload, pageSize, count, target) => {
      new Uint8Array(target.buffer)[target.byteOffset + target.length] = 0;
      return unpackPages(payload, pageSize, count, target);
    },
    "loses the last byte": (payload, pageSize, count, target) => {
      const reason = unpackPages(payload, pageSize, count, target);
      target[target.length - 1] = 0;
      return reason;
    },
  };
  for (const [name, fault] of Object.entries(faults)) {
    assertThrows(() => fuzzCompression(1, 1_000, fault), Error, "Input ", name);
  }
});

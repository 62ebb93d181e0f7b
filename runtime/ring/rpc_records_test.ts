import { assertEquals } from "@std/assert";
import { NODE_ID_MAX, RPC_NAME_MAX_BYTES } from "../limits.ts";
import {
  packRpcAnswer,
  packRpcCall,
  packRpcServed,
  unpackRpcAnswer,
  unpackRpcCall,
  unpackRpcServed,
} from "./rpc_records.ts";

const PAYLOADS = [new Uint8Array(0), new Uint8Array([1]), new Uint8Array(300).fill(0xa5)];
const NAMES = ["x", "größe", "\ufeffmarked", "é".repeat(RPC_NAME_MAX_BYTES >> 1) + "x"];

/** The same bytes in the middle of a buffer, as a ring may give them. */
function inside(bytes: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 7).fill(0xff);
  buffer.set(bytes, 3);
  return buffer.subarray(3, 3 + bytes.length);
}

Deno.test("packRpcCall: a remote call crosses the ring as it was", () => {
  for (const node of [1, 0xff, 0x100, NODE_ID_MAX]) {
    for (const procedure of NAMES) {
      for (const payload of PAYLOADS) {
        const packed = inside(packRpcCall(node, procedure, payload));
        assertEquals(unpackRpcCall(packed), { node, procedure, payload });
      }
    }
  }
});

Deno.test("packRpcAnswer: an answer to a remote call crosses the ring as it was", () => {
  for (const ok of [true, false]) {
    for (const payload of PAYLOADS) {
      assertEquals(unpackRpcAnswer(inside(packRpcAnswer(ok, payload))), { ok, payload });
      for (const id of [1, 0x1234_5678, 0xffff_ffff]) {
        assertEquals(unpackRpcServed(inside(packRpcServed(id, ok, payload))), { id, ok, payload });
      }
    }
  }
});

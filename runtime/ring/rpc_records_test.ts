import { assertEquals } from "@std/assert";
import { NODE_ID_MAX, RPC_NAME_MAX_BYTES } from "../limits.ts";
import { newBody } from "./ring.ts";
import { rpcAnswer, rpcAnswerFields, rpcCall, rpcCallFields } from "./rpc_records.ts";

const PAYLOADS = [new Uint8Array(0), new Uint8Array([1]), new Uint8Array(300).fill(0xa5)];
const NAMES = ["x", "größe", "\ufeffmarked", "é".repeat(RPC_NAME_MAX_BYTES >> 1) + "x"];

Deno.test("rpcCall: a remote call crosses the ring as it was", () => {
  for (const node of [1, 0xff, 0x100, NODE_ID_MAX]) {
    for (const procedure of NAMES) {
      for (const payload of PAYLOADS) {
        const record = newBody(1, rpcCallFields(node, procedure, payload));
        assertEquals(rpcCall(record), { node, procedure, payload });
      }
    }
  }
});

Deno.test("rpcAnswer: an answer to a remote call crosses the ring as it was", () => {
  for (const ok of [true, false]) {
    for (const payload of PAYLOADS) {
      assertEquals(rpcAnswer(newBody(1, rpcAnswerFields({ ok, payload }))), { ok, payload });
    }
  }
});

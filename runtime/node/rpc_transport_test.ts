import { assert, assertEquals, assertRejects } from "@std/assert";
import { Call } from "../ring/calls.ts";
import type { EngineClient } from "../ring/client.ts";
import type { NodeThread } from "./thread.ts";
import { rpc } from "../rpc/define.ts";
import { failureOf, RemoteError } from "../rpc/error.ts";
import { newBody, type RecordBody, type RingRecord } from "../ring/ring.ts";
import {
  rpcAnswer,
  rpcAnswerFields,
  rpcCall,
  rpcCallFields,
  type RpcCallRecord,
} from "../ring/rpc_records.ts";
import { serveRpc } from "./rpc_transport.ts";
import type { RpcReply } from "../rpc/types.ts";
import { decodeResult, encodeArguments } from "../rpc/value.ts";

const double = rpc("double of rpc_transport_test", (value: number): number => 2 * value);

/** A region of which there are no views. */
const NOWHERE = { offsetOf: () => undefined };

/** A node whose engine is the test. */
class Bench {
  readonly memory = new Uint8Array(4096);
  readonly served: (RpcReply & { readonly id: number })[] = [];
  readonly called: (RpcCallRecord & { readonly what: string })[] = [];
  serve: (record: RingRecord) => void = () => {};
  readonly unbind: () => void;
  #answered = Promise.withResolvers<void>();

  constructor() {
    const client = {
      serveCalls: (serve: (record: RingRecord) => void) => void (this.serve = serve),
      refusal: () => undefined,
      post: (body: RecordBody) => {
        assertEquals(body.kind, Call.RpcServed);
        this.served.push({ id: body.id, ...rpcAnswer(body) });
        this.#answered.resolve();
      },
      start: (body: RecordBody, what: string) => {
        assertEquals(body.kind, Call.Rpc);
        this.called.push({ ...rpcCall(body), what });
        const payload = encodeArguments("x", [], NOWHERE);
        const answer = newBody(0, rpcAnswerFields({ ok: true, payload }));
        return { id: 1, answer: Promise.resolve({ ...answer, call: 1 }) };
      },
    };
    const node = { id: 1, memory: this.memory, peers: () => [{ id: 2 }] };
    this.unbind = serveRpc(node as unknown as NodeThread, client as unknown as EngineClient);
  }

  /** Has a call served, and waits for the answer. */
  async call(id: number, procedure: string, ...args: unknown[]): Promise<void> {
    this.#answered = Promise.withResolvers();
    const payload = encodeArguments("x", args, NOWHERE);
    this.serve({ ...newBody(0, rpcCallFields(2, procedure, payload)), call: id });
    await this.#answered.promise;
  }
}

Deno.test("serveRpc runs a procedure and posts its result under the number of the call", async () => {
  const bench = new Bench();
  await bench.call(7, double.name, 21);
  await bench.call(8, "no such procedure");
  bench.unbind();
  const [result, unknown] = bench.served;
  assertEquals([result!.id, result!.ok], [7, true]);
  assertEquals(decodeResult(result!.payload, bench.memory.buffer), 42);
  assertEquals([unknown!.id, unknown!.ok], [8, false]);
  const error = failureOf(unknown!.payload, "x", 1);
  assertEquals((error as { code?: string }).code, "UnknownProcedure");
});

Deno.test("serveRpc of a node that closes says so: it has no region to serve with", async () => {
  const bench = new Bench();
  bench.memory.buffer.transfer();
  await bench.call(7, double.name, 21);
  bench.unbind();
  const error = failureOf(bench.served[0]!.payload, double.name, 1) as RemoteError;
  assert(error instanceof RemoteError, String(error));
  assert(error instanceof RemoteError, String(error));
  assertEquals([bench.served[0]!.ok, error.remoteCode], [false, "NodeClosed"]);
});

Deno.test("serveRpc lets stubs call by the node, until it is unbound", async () => {
  const bench = new Bench();
  await double.on(2)(1).catch(() => {});
  assertEquals(bench.called.map(({ node, procedure, what }) => [node, procedure, what]), [
    [2, double.name, `call ${double.name} on node 2`],
  ]);
  bench.unbind();
  await assertRejects(() => double.on(2)(1), Error, "has not joined");
});

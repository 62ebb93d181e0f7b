import { assertEquals } from "@std/assert";
import { TdsmError } from "../errors.ts";
import type { NodeId } from "../protocol/messages.ts";
import type { RpcMessage } from "../protocol/rpc_codec.ts";
import { packRpcCall, packRpcServed, unpackRpcAnswer, unpackRpcCall } from "../rpc_ring.ts";
import { RpcService } from "./rpc_service.ts";

const BYTES = new Uint8Array([1, 2, 3]);
const EMPTY = new Uint8Array(0);

/** One node's remote calls; what it sends and what its program is to serve are kept. */
class Bench {
  readonly sent: [to: NodeId, message: RpcMessage, payload: Uint8Array][] = [];
  readonly serving: { id: number; node: number; procedure: string; payload: Uint8Array }[] = [];
  readonly present = new Set<NodeId>([2, 3]);
  readonly service: RpcService;
  #nextCall = 1;

  constructor(numberMax?: number) {
    this.service = new RpcService({
      send: (to, message, payload) => void this.sent.push([to, message, payload]),
      isPresent: (node) => this.present.has(node),
      serve: (id, payload) => void this.serving.push({ id, ...unpackRpcCall(payload) }),
      ...(numberMax === undefined ? {} : { numberMax }),
    });
  }

  /** Calls as a thread of this node does; its answers, and errors, come to the list. */
  call(node: NodeId, procedure = "add"): unknown[] {
    const answers: unknown[] = [];
    this.service.request({
      slot: 0,
      call: this.#nextCall++,
      payload: packRpcCall(node, procedure, BYTES),
      respond: (bytes) => void answers.push(unpackRpcAnswer(bytes)),
      reject: (error) => void answers.push((error as TdsmError).code),
    });
    return answers;
  }

  answer(from: NodeId, ticket: number, ok = true, payload: Uint8Array = EMPTY): void {
    this.service.receive(from, { kind: "rpcAnswer", ticket, ok }, payload);
  }
}

Deno.test("RpcService carries a call and its answer, whatever the order of answers", () => {
  const bench = new Bench();
  const [first, second] = [bench.call(2), bench.call(3, "größe")];
  assertEquals(bench.sent, [
    [2, { kind: "rpcCall", ticket: 1, procedure: "add" }, BYTES],
    [3, { kind: "rpcCall", ticket: 2, procedure: "größe" }, BYTES],
  ]);
  bench.answer(3, 2, false, BYTES);
  assertEquals([first, second], [[], [{ ok: false, payload: BYTES }]]);
  bench.answer(2, 1);
  assertEquals(first, [{ ok: true, payload: EMPTY }]);
});

Deno.test("RpcService takes one answer, and only from the node that was called", () => {
  const bench = new Bench();
  const answers = bench.call(2);
  bench.answer(3, 1);
  bench.answer(2, 9);
  assertEquals(answers, []);
  bench.answer(2, 1, true, BYTES);
  bench.answer(2, 1, false);
  assertEquals(answers, [{ ok: true, payload: BYTES }]);
});

Deno.test("RpcService refuses to call a node that is not there, and sends nothing", () => {
  const bench = new Bench();
  assertEquals([bench.call(4), bench.sent], [["PeerAbsent"], []]);
});

Deno.test("RpcService has the program serve a call, and sends its answer to the caller", () => {
  const bench = new Bench();
  bench.service.receive(2, { kind: "rpcCall", ticket: 7, procedure: "add" }, BYTES);
  bench.service.receive(3, { kind: "rpcCall", ticket: 7, procedure: "add" }, EMPTY);
  assertEquals(bench.serving.map(({ id, ...call }) => [id, call]), [
    [1, { node: 2, procedure: "add", payload: BYTES }],
    [2, { node: 3, procedure: "add", payload: EMPTY }],
  ]);
  bench.service.served(packRpcServed(2, true, BYTES));
  bench.service.served(packRpcServed(2, true, BYTES));
  bench.service.served(packRpcServed(9, true, BYTES));
  assertEquals(bench.sent, [[3, { kind: "rpcAnswer", ticket: 7, ok: true }, BYTES]]);
});

Deno.test("RpcService ends the calls to a node that is gone, and answers it no more", () => {
  const bench = new Bench();
  const [lost, other] = [bench.call(2), bench.call(3)];
  bench.service.receive(2, { kind: "rpcCall", ticket: 7, procedure: "add" }, BYTES);
  bench.sent.length = 0;
  bench.present.delete(2);
  bench.service.peerLost(2);
  bench.service.peerLost(2);
  assertEquals([lost, other], [["PeerLost"], []]);
  // The program serves what it was given to the end; nobody wants to know.
  bench.service.served(packRpcServed(1, true, BYTES));
  assertEquals(bench.sent, []);
  bench.answer(2, 1);
  assertEquals(lost, ["PeerLost"]);
  assertEquals(bench.call(2), ["PeerAbsent"]);
});

Deno.test("RpcService.fail ends every call", () => {
  const bench = new Bench();
  const answers = [bench.call(2), bench.call(3)];
  bench.service.fail(new TdsmError("DirectoryLost", "planted"));
  bench.service.fail(new TdsmError("NodeClosed", "what has ended ends once"));
  assertEquals(answers, [["DirectoryLost"], ["DirectoryLost"]]);
  bench.answer(2, 1);
  assertEquals(answers[0], ["DirectoryLost"]);
});

Deno.test("RpcService never gives the number of a call that is under way to another", () => {
  const bench = new Bench(3);
  const ticketOf = (): number => bench.sent.at(-1)![1].ticket;
  const first = bench.call(2);
  for (const expected of [2, 3, 2, 3]) {
    const answers = bench.call(3);
    assertEquals(ticketOf(), expected);
    bench.answer(3, expected);
    assertEquals(answers.length, 1);
  }
  bench.answer(2, 1);
  assertEquals(first.length, 1);
  bench.service.receive(2, { kind: "rpcCall", ticket: 1, procedure: "slow" }, EMPTY);
  for (const expected of [2, 3, 2]) {
    bench.service.receive(3, { kind: "rpcCall", ticket: 1, procedure: "fast" }, EMPTY);
    assertEquals(bench.serving.at(-1)!.id, expected);
    bench.service.served(packRpcServed(expected, true, EMPTY));
  }
});

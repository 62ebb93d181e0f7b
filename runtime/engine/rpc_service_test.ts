import { assertEquals, assertMatch } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { RPC_LOAD_MAX, RPC_LOAD_MAX_BYTES, RPC_MAX_BYTES } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { RpcMessage } from "../wire/rpc_frames.ts";
import { failureOf } from "../rpc/error.ts";
import { newBody, type RecordBody } from "../ring/ring.ts";
import {
  QUIET_CALL,
  rpcAnswer,
  rpcAnswerFields,
  rpcCall,
  rpcCallFields,
} from "../ring/rpc_records.ts";
import { RpcService } from "./rpc_service.ts";

const BYTES = new Uint8Array([1, 2, 3]);
const EMPTY = new Uint8Array(0);

/** What the program says when it has served a call. */
function served(id: number, payload: Uint8Array): RecordBody {
  return newBody(0, rpcAnswerFields({ ok: true, payload }, id));
}

/** One node's remote calls; what it sends and what its program is to serve are kept. */
class Bench {
  readonly sent: [to: NodeId, message: RpcMessage, payload: Uint8Array][] = [];
  readonly serving: { id: number; node: number; procedure: string; payload: Uint8Array }[] = [];
  readonly present = new Set<NodeId>([2, 3]);
  readonly service: RpcService;
  #nextCall = 1;

  constructor(numberMax?: number) {
    this.service = new RpcService({
      self: 1,
      send: (to, message, payload) => void this.sent.push([to, message, payload]),
      isPresent: (node) => this.present.has(node),
      serve: (id, fields) => void this.serving.push({ id, ...rpcCall(newBody(0, fields)) }),
      ...(numberMax === undefined ? {} : { numberMax }),
    });
  }

  /** Calls as a thread of this node does; its answers, and errors, come to the list. */
  call(
    node: NodeId,
    procedure = "add",
    payload: Uint8Array = BYTES,
    fields: Partial<RecordBody> = {},
  ): unknown[] {
    const answers: unknown[] = [];
    this.service.request({
      slot: 0,
      record: {
        ...newBody(0, { ...rpcCallFields(node, procedure, payload), ...fields }),
        call: this.#nextCall++,
      },
      respond: (fields, quiet) =>
        void answers.push({ ...rpcAnswer(newBody(0, fields)), ...(quiet && { quiet }) }),
      reject: (error) => void answers.push((error as TdsmError).code),
      isGone: false,
      grant() {},
      cancelled() {},
      progress() {},
    });
    return answers;
  }

  /** Waits for a call as a thread of this node does; the call comes to the list, or an error. */
  take(procedure: string, thread: { isGone: boolean } = { isGone: false }): unknown[] {
    const given: unknown[] = [];
    this.service.take({
      slot: 1,
      record: { ...newBody(0, rpcCallFields(0, procedure, EMPTY)), call: this.#nextCall++ },
      respond: (fields) => void given.push(rpcCall(newBody(0, fields))),
      reject: (error) => void given.push((error as TdsmError).code),
      get isGone() {
        return thread.isGone;
      },
      grant() {},
      cancelled() {},
      progress() {},
    });
    return given;
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
  bench.service.served(served(2, BYTES));
  bench.service.served(served(2, BYTES));
  bench.service.served(served(9, BYTES));
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
  bench.service.served(served(1, BYTES));
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
    bench.service.served(served(expected, EMPTY));
  }
});

const LOADS = [
  ["calls", EMPTY, RPC_LOAD_MAX],
  ["bytes", new Uint8Array(RPC_MAX_BYTES), Math.floor(RPC_LOAD_MAX_BYTES / RPC_MAX_BYTES)],
] as const;

for (const [what, payload, most] of LOADS) {
  Deno.test(`RpcService bounds the ${what} of one node that wait for the program`, () => {
    const bench = new Bench();
    const call = (from: NodeId, ticket: number): void =>
      bench.service.receive(from, { kind: "rpcCall", ticket, procedure: "slow" }, payload);
    /** Has node 2 call until it is refused: how often it is not, and why it is. */
    const overload = (): [taken: number, error: TdsmError] => {
      let ticket = 0;
      // What the bench keeps is not of interest, and much.
      for (; bench.sent.length === 0; bench.serving.length = 0) call(2, ++ticket);
      const [to, message, bytes] = bench.sent.pop()!;
      assertEquals([to, message], [2, { kind: "rpcAnswer", ticket, ok: false }]);
      return [ticket - 1, failureOf(bytes, "slow", 1) as TdsmError];
    };
    const [taken, error] = overload();
    assertEquals([taken, error.code], [most, "LimitExceeded"]);
    assertMatch(error.message, /^Cannot call slow on node 1: RPC_LOAD_MAX \(65536 calls, or /);
    // Others are served, and so is this one as soon as one of its calls is.
    call(3, 1);
    bench.service.served(served(1, EMPTY));
    bench.sent.length = 0;
    call(2, 1);
    assertEquals(bench.serving.map(({ node }) => node), [3, 2]);
    assertEquals(overload()[0], 0);
    bench.service.peerLost(2);
    assertEquals(overload()[0], most);
  });

  Deno.test(`RpcService makes no call beyond the ${what} that may wait at one node`, () => {
    const bench = new Bench();
    for (let count = 0; count < most; count++) {
      assertEquals(bench.call(2, "slow", payload), []);
      assertEquals(bench.sent.pop()![0], 2);
    }
    assertEquals([bench.call(2, "slow", payload), bench.sent], [["LimitExceeded"], []]);
    assertEquals(bench.call(3, "slow", payload), []);
    bench.answer(2, 1);
    assertEquals(bench.call(2, "slow", payload), []);
    assertEquals(bench.call(2, "slow", payload), ["LimitExceeded"]);
  });
}

Deno.test("RpcService hands a call to the thread that has waited last for the procedure", () => {
  const bench = new Bench();
  const gone = { isGone: false };
  const [first, second] = [bench.take("job", gone), bench.take("job")];
  const other = bench.take("add");
  gone.isGone = true;
  const job: RpcMessage = { kind: "rpcCall", ticket: 7, procedure: "job" };
  bench.service.receive(2, job, BYTES);
  assertEquals(second, [{ node: 2, procedure: "job", payload: BYTES }]);
  // It is answered with no result, as a procedure without one is.
  const nothing = new Uint8Array([0x81, 0xa0, 0x91, 0]);
  assertEquals(bench.sent, [[2, { kind: "rpcAnswer", ticket: 7, ok: true }, nothing]]);
  // No thread is left that waits for it: the thread that joined serves the next call.
  bench.service.receive(2, { ...job, ticket: 8 }, BYTES);
  assertEquals(bench.serving.map(({ procedure }) => procedure), ["job"]);
  bench.service.fail(new TdsmError("DirectoryLost", "gone"));
  assertEquals([first, other], [[], ["DirectoryLost"]]);
});

Deno.test("RpcService carries calls between threads of this node, too", () => {
  const bench = new Bench();
  const taken = bench.take("job");
  const ok = { ok: true, payload: new Uint8Array([0x81, 0xa0, 0x91, 0]) };
  assertEquals(bench.call(1, "job"), [ok]);
  assertEquals(taken, [{ node: 1, procedure: "job", payload: BYTES }]);
  const answers = bench.call(1, "job");
  const { id } = bench.serving[0]!;
  bench.service.served(served(id, BYTES));
  assertEquals([answers, bench.sent], [[{ ok: true, payload: BYTES }], []]);
});

Deno.test("RpcService wakes a thread that does not wait for its call only where that fails", () => {
  const bench = new Bench();
  const [done, failed] = [2, 2].map((node) =>
    bench.call(node, "job", BYTES, { code: QUIET_CALL })
  ) as [unknown[], unknown[]];
  bench.answer(2, 1);
  bench.answer(2, 2, false);
  assertEquals(done, [{ ok: true, payload: EMPTY, quiet: true }]);
  assertEquals(failed, [{ ok: false, payload: EMPTY }]);
});

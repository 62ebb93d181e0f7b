import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { RpcNetwork } from "../../tests/support/rpc_network.ts";
import { Random } from "../../tests/simulator/coherence/random.ts";
import { TdsmError, type TdsmErrorCode } from "../errors.ts";
import { RPC_CALLS_MAX, RPC_ERROR_TEXT_MAX } from "../limits.ts";
import { RemoteError } from "./error.ts";
import { offsetsIn } from "../../tests/support/rpc_offsets.ts";
import { RpcProgram } from "./program.ts";
import type { RpcOf, RpcReply } from "./types.ts";
import { encodeArguments } from "./value.ts";

/** Two nodes; what `procedure` does is done on the second, the first one's stub is returned. */
function twoNodes<Procedure extends CallableFunction>(
  procedure: Procedure,
): { network: RpcNetwork; job: RpcOf<Procedure> } {
  const network = new RpcNetwork(2);
  const caller = network.node(1).program.define("job", procedure);
  network.node(2).program.define("job", procedure);
  return { network, job: caller };
}

async function fails(
  call: Promise<unknown>,
  code: TdsmErrorCode,
  message?: string,
): Promise<TdsmError> {
  const error = await assertRejects(() => call, TdsmError) as TdsmError;
  assertStrictEquals(error.code, code);
  if (message !== undefined) assertStrictEquals(error.message, message);
  return error;
}

async function throwsThere(thrown: () => unknown): Promise<RemoteError> {
  const { job } = twoNodes(() => {
    throw thrown();
  });
  return await assertRejects(() => job.on(2)(), RemoteError) as RemoteError;
}

Deno.test("RpcProgram: an exception arrives with its name, message, code, stack and node", async () => {
  const error = await throwsThere(function farAway() {
    return new RangeError("too far", { cause: new TdsmError("PageLost", "page 7 is gone") });
  });
  assertEquals([error.name, error.message, error.node], ["RangeError", "too far", 2]);
  assertEquals([error.code, error.remoteCode], ["RemoteException", undefined]);
  assert(error.remoteStack.startsWith("RangeError: too far\n"));
  assert(error.remoteStack.includes("farAway"));
  assert(error.remoteStack.includes("Caused by: TdsmError: page 7 is gone"));
  assertStrictEquals(String(error), "RangeError: too far");
  assertStrictEquals(
    (await throwsThere(() => new TdsmError("PageLost", "gone"))).remoteCode,
    "PageLost",
  );
});

Deno.test("RpcProgram: an exception arrives without characters that control a terminal", async () => {
  const { name, message, remoteStack, remoteCode } = await throwsThere(() =>
    Object.assign(new Error("\x1b]0;title\x07first\n\tsecond\x9b2J"), {
      name: "Na\x1b[2Jme",
      code: "\x1bCODE",
    })
  );
  assertEquals([name, message], ["Na [2Jme", " ]0;title first\n\tsecond 2J"]);
  assertEquals([remoteCode, /[^\P{Cc}\n\t]/u.test(remoteStack)], [" CODE", false]);
});

Deno.test("RpcProgram: whatever can be thrown arrives as an error", async () => {
  const revoked = Proxy.revocable(new Error(), {});
  revoked.revoke();
  const endless = new Error("endless");
  endless.cause = endless;
  const cases: [unknown, string][] = [
    ["text", "text"],
    [undefined, "undefined"],
    [{ toString: null }, "what was thrown cannot be described"],
    [revoked.proxy, "what was thrown cannot be described"],
    [endless, "endless"],
    [new Error("\ufeffm".repeat(RPC_ERROR_TEXT_MAX)), "\ufeffm".repeat(RPC_ERROR_TEXT_MAX / 2)],
  ];
  for (const [thrown, message] of cases) {
    const error = await throwsThere(() => thrown);
    // The decoder drops a leading byte order mark.
    assertStrictEquals(error.message, message.replace(/^\ufeff/, ""));
    assert(error.remoteStack.length <= RPC_ERROR_TEXT_MAX);
  }
});

Deno.test("RpcProgram: an exception that passed several nodes has the stacks of all of them", async () => {
  const network = new RpcNetwork(3);
  const relay = [1, 2, 3].map((id) => {
    const { program } = network.node(id);
    const stub = program.define("relay", async (): Promise<void> => {
      if (id === 3) throw new TypeError("at the end");
      await stub.on(id + 1)();
    });
    return stub;
  });
  const error = await assertRejects(() => relay[0]!.on(2)(), RemoteError) as RemoteError;
  assertEquals([error.name, error.message, error.node], ["TypeError", "at the end", 2]);
  assertStrictEquals(error.remoteCode, "RemoteException");
  assert(error.remoteStack.includes("On node 3: TypeError: at the end"));
});

Deno.test("RpcProgram: a result that cannot be sent is an exception there", async () => {
  const { job } = twoNodes((): unknown => ({ f: () => 1 }));
  for (const node of [1, 2]) {
    const error = await assertRejects(() => job.on(node)(), RemoteError) as RemoteError;
    assertStrictEquals(
      error.message,
      "Cannot send the result of rpc job: .f is a function; make it an rpc and send its name",
    );
    assertStrictEquals(error.remoteCode, "InvalidArgument");
  }
});

Deno.test("RpcProgram: an argument that cannot be sent is refused before anything is", async () => {
  const { network, job } = twoNodes((..._args: unknown[]) => {});
  const message =
    "Cannot send argument 0 of rpc job: .items[3].callback is a function; make it an rpc and send its name";
  const argument = { items: [1, 2, 3, { callback() {} }] };
  await fails(job.on(2)(argument), "InvalidArgument", message);
  await fails(job.onAll()(argument), "InvalidArgument", message);
  assertStrictEquals(network.served, 0);
});

Deno.test("RpcProgram: a procedure that the other node does not have is unknown", async () => {
  const network = new RpcNetwork(2);
  const job = network.node(1).program.define("job", () => {});
  const message =
    "Cannot call job on node 2: it has no such procedure; define it with rpc on every node";
  await fails(job.on(2)(), "UnknownProcedure", message);
});

Deno.test("RpcProgram: a node that is not there, was there, or dies during the call", async () => {
  const begun = Promise.withResolvers<void>();
  const { network, job } = twoNodes(() => {
    begun.resolve();
    return new Promise<void>(() => {});
  });
  await fails(job.on(3)(), "PeerAbsent");
  const call = job.on(2)();
  await begun.promise;
  network.kill(2);
  await fails(call, "PeerLost");
  await fails(job.on(2)(), "PeerLost");
  assertStrictEquals(network.served, 1);
});

Deno.test("RpcProgram: a call that takes too long ends, runs once, and its answer is not missed", async () => {
  let runs = 0;
  const { network, job } = twoNodes(() => ++runs);
  network.hold();
  const message = "Cannot call job on node 2: no answer within 1 ms; it may still run there";
  await fails(job.on(2, { timeoutMs: 1 })(), "TimedOut", message);
  const later = job.on(2, { timeoutMs: 60_000 })();
  network.release();
  // The first call runs all the same, before or after.
  await later;
  assertEquals([network.served, runs], [2, 2]);
});

Deno.test("RpcProgram: with a time-out of 0 only an answer that is there at once is taken", async () => {
  let runs = 0;
  const { network, job } = twoNodes(() => ++runs);
  // Node 1 calls itself.
  assertStrictEquals(await job.on(1, { timeoutMs: 0 })(), 1);
  network.hold();
  const message = "Cannot call job on node 2: no answer within 0 ms; it may still run there";
  await fails(job.on(2, { timeoutMs: 0 })(), "TimedOut", message);
  // Node 1 answers itself at once, node 2 does not.
  const error = await assertRejects(() => job.onAll({ timeoutMs: 0 })(), AggregateError);
  assertEquals((error as AggregateError).errors.map(({ code }) => code), ["TimedOut"]);
  assertStrictEquals(network.node(1).sent, 2);
});

Deno.test("RpcProgram: a call ends by a signal; one that has fired keeps it from being sent", async () => {
  const { network, job } = twoNodes(() => new Promise<void>(() => {}));
  const ended = new AbortController();
  const message = "Cannot call job on node 2: its signal fired";
  const calls = [1, 2].map((node) => job.on(node, { signal: ended.signal })());
  ended.abort("enough");
  for (const call of calls) assertStrictEquals((await fails(call, "Aborted")).cause, "enough");
  await fails(job.on(2, { signal: ended.signal })(), "Aborted", message);
  assertStrictEquals(network.node(1).sent, 1);
});

Deno.test("RpcProgram: a call of all nodes waits for each, and tells of each that failed", async () => {
  const network = new RpcNetwork(4);
  let done = 0;
  const stubs = [1, 2, 3, 4].map((id) =>
    network.node(id).program.define("job", async () => {
      if (id % 2 === 0) throw new Error(`no ${id}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
      done++;
    })
  );
  const error = await assertRejects(() => stubs[0]!.onAll()(), AggregateError) as AggregateError;
  assertStrictEquals(error.message, "Cannot call job on 2 of 4 nodes: no 2");
  assertEquals(error.errors.map(({ node, message }) => [node, message]), [[2, "no 2"], [
    4,
    "no 4",
  ]]);
  assertStrictEquals(done, 2);
});

Deno.test("RpcProgram: a call needs a node to go to, and one node to go out by", async () => {
  const { network, job } = twoNodes(() => {});
  const noNode = "Cannot call job: it has no node; set job.remote, or use job.on(node)";
  await fails(job(), "InvalidArgument", noNode);

  const program = new RpcProgram();
  const lone = program.define("add", () => {});
  const notJoined = "Cannot call add: this program has not joined; use run or join first";
  await fails(lone.on(2)(), "NotJoined", notJoined);
  await fails(lone.onAll()(), "NotJoined", notJoined);
  const unbind = [1, 2].map((id) => program.bind(network.node(id)));
  const several = "Cannot call add: this program has several nodes; close all but one";
  await fails(lone.on(2)(), "NotJoined", several);
  unbind[1]!();
  await lone.on(1)();
  unbind[0]!();
  await fails(lone.on(1)(), "NotJoined", notJoined);
});

Deno.test("RpcProgram: what is no node and no name is refused where it is given", () => {
  const { job } = twoNodes(() => {});
  for (const node of [0, -1, 1.5, NaN, 2 ** 32 - 1]) {
    assertThrows(() => job.on(node), RangeError, `Cannot call job on node ${node}: ids are`);
    assertThrows(() => job.remote = node, RangeError);
  }
  const program = new RpcProgram();
  program.define("é".repeat(127), () => {});
  program.define("job", () => {});
  for (const name of ["", "é".repeat(128), "\ud800", "job"]) {
    const error = assertThrows(() => program.define(name, () => {}), TdsmError);
    assertStrictEquals((error as TdsmError).code, "InvalidArgument");
  }
  assertThrows(
    () => program.define("job", () => {}),
    TdsmError,
    "Cannot define rpc job: there is one of that name",
  );
});

Deno.test("RpcProgram: no more calls are under way than the bound says", async () => {
  const { network, job } = twoNodes(() => {});
  network.hold();
  const calls = Array.from({ length: RPC_CALLS_MAX }, () => job.on(2)());
  const error = await fails(job.on(2)(), "LimitExceeded");
  assert(error.message.includes(`RPC_CALLS_MAX (${RPC_CALLS_MAX})`));
  network.kill(2);
  assertEquals(new Set((await Promise.allSettled(calls)).map((call) => call.status)).size, 1);
  await job.on(1)();
});

Deno.test("RpcProgram: arguments that are none are refused there, and the procedure does not run", async () => {
  let ran = false;
  const program = new RpcProgram();
  program.define("job", () => ran = true);
  const memory = new ArrayBuffer(8);
  const context = { self: 2, memory, ...offsetsIn(memory) };
  const random = new Random(1);
  for (let count = 0; count < 300; count++) {
    // The first byte says that a list begins whose end is not there.
    const garbage = Uint8Array.from({ length: random.below(12) }, () => random.below(256));
    const reply = await program.serve(
      context,
      "job",
      Uint8Array.of(0xdd, 0xff, 0, 0, 0, ...garbage),
    );
    assertStrictEquals(reply.ok, false);
  }
  assertStrictEquals(ran, false);
});

Deno.test("RpcProgram: what is no answer, or says that the arguments were none, is a violation", async () => {
  const program = new RpcProgram();
  const job = program.define("job", () => {});
  const memory = new ArrayBuffer(8);
  const offsets = offsetsIn(memory);
  let reply: RpcReply = { ok: true, payload: Uint8Array.of(0xc1) };
  const call = () => Promise.resolve(reply);
  program.bind({ self: 1, memory, ...offsets, peers: () => [2], refusal() {}, call });
  await fails(
    job.on(2)(),
    "ProtocolViolation",
    "Cannot call job on node 2: its answer is malformed",
  );
  const lists = [[], ["other"], ["exception", "Error"], ["exception", 1, 2], ["malformed"]];
  const payloads = [Uint8Array.of(0xc1), Uint8Array.of(0xc0), new Uint8Array()];
  for (const list of lists) payloads.push(encodeArguments("job", list, offsets));
  for (const payload of payloads) {
    reply = { ok: false, payload };
    await fails(job.on(2)(), "ProtocolViolation");
  }
  reply = await program.serve({ self: 2, memory, ...offsets }, "job", Uint8Array.of(0xc0));
  const message =
    "Cannot call job on node 2: it cannot read the arguments: the arguments are no list";
  await fails(job.on(2)(), "ProtocolViolation", message);
});

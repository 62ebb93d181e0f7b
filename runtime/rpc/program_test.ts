import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { RpcNetwork, type RpcNetworkNode } from "../../tests/support/rpc_network.ts";
import { Random } from "../../tests/simulator/coherence/random.ts";
import { bindRpc, rpc, serveCall } from "./define.ts";
import type { RpcOf } from "./types.ts";

/** Defines the same procedure on every node, as loading a program's module does. */
function defineAll<Procedure extends CallableFunction>(
  network: RpcNetwork,
  name: string,
  procedure: (node: RpcNetworkNode) => Procedure,
): Map<number, RpcOf<Procedure>> {
  const stubs = network.ids.map((id) => {
    const node = network.node(id);
    return [id, node.program.define(name, procedure(node))] as const;
  });
  return new Map(stubs);
}

Deno.test("RpcProgram: a call runs on the node that `remote` or `on` names", async () => {
  const network = new RpcNetwork(3);
  const ran: number[] = [];
  const add = defineAll(network, "add", ({ self }) => (a: number, b: number): number => {
    ran.push(self);
    return a + b;
  }).get(1)!;
  assertStrictEquals(add.remote, undefined);
  add.remote = 2;
  assertStrictEquals(add.remote, 2);
  assertStrictEquals(await add(1, 2), 3);
  assertStrictEquals(await add.on(3)(3, 4), 7);
  assertStrictEquals(await add(5, 6), 11);
  assertEquals(ran, [2, 3, 2]);
});

Deno.test("RpcProgram: a call of all nodes gives their results in the order of ids", async () => {
  const network = new RpcNetwork(12);
  const whoAmI = defineAll(network, "whoAmI", ({ self }) => () => self).get(5)!;
  const answers = await whoAmI.onAll()();
  assertEquals(answers, Array.from({ length: 12 }, (_, i) => ({ node: i + 1, value: i + 1 })));
});

Deno.test("RpcProgram: a call of the own node copies as any other, and no network is asked", async () => {
  const network = new RpcNetwork(1);
  const { program, memory } = network.node(1);
  let seen: unknown;
  const keep = program.define("keep", (list: number[], view: Uint8Array) => {
    seen = list;
    return { list, view };
  });
  const list = [1, 2];
  const { list: answer, view } = await keep.on(1)(list, new Uint8Array(memory, 8, 4));
  assertEquals([seen, answer], [list, list]);
  assertNotStrictEquals(seen, list);
  assertNotStrictEquals(answer, seen);
  assertStrictEquals(view.buffer, memory);
  assertStrictEquals(network.served, 0);
});

Deno.test("RpcProgram: a view of the region is one of the other node's region there, and back", async () => {
  const network = new RpcNetwork(2);
  const bump = defineAll(
    network,
    "bump",
    ({ memory }) => ({ cells }: { cells: Int32Array }): Int32Array[] => {
      assertStrictEquals(cells.buffer, memory);
      cells[0]!++;
      return [cells.subarray(1)];
    },
  ).get(1)!;
  const [one, two] = [network.node(1), network.node(2)];
  const [rest] = await bump.on(2)({ cells: new Int32Array(one.memory, 4096, 16) });
  assertStrictEquals(new Int32Array(two.memory, 4096, 1)[0], 1);
  assertStrictEquals(new Int32Array(one.memory, 4096, 1)[0], 0);
  assertStrictEquals(rest!.buffer, one.memory);
  assertEquals([rest!.byteOffset, rest!.length], [4100, 15]);
});

Deno.test("RpcProgram: arguments are those of the moment of the call", async () => {
  const network = new RpcNetwork(2);
  const echo = defineAll(network, "echo", () => (value: { x: number }) => value).get(1)!;
  const value = { x: 1 };
  const answer = echo.on(2)(value);
  value.x = 2;
  assertEquals(await answer, { x: 1 });
});

Deno.test("RpcProgram: undefined arguments and results arrive, as do those that are left out", async () => {
  const network = new RpcNetwork(2);
  const count = defineAll(network, "count", () => (...args: unknown[]) => args.length).get(1)!;
  const nothing = defineAll(network, "nothing", () => (): void => {}).get(1)!;
  assertStrictEquals(await count.on(2)(undefined, null, undefined), 3);
  assertStrictEquals(await count.on(2)(), 0);
  assertStrictEquals(await nothing.on(2)(), undefined);
});

Deno.test("RpcProgram: procedures call back and forth between nodes", async () => {
  const network = new RpcNetwork(2);
  const depths: string[] = [];
  const stubs = defineAll(network, "descend", ({ self }) => async (depth: number) => {
    depths.push(`${self}:${depth}`);
    const other = 3 - self;
    const below: number = depth === 0 ? 0 : await stubs.get(self)!.on(other)(depth - 1);
    return below + self;
  });
  // 2, 1, 2, 1, 2 from the top.
  assertStrictEquals(await stubs.get(1)!.on(2)(4), 8);
  assertEquals(depths, ["2:4", "1:3", "2:2", "1:1", "2:0"]);
});

Deno.test("RpcProgram: a thousand calls at once each get their own answer, in whatever order", async () => {
  for (const seed of [1, 2, 3]) {
    const network = new RpcNetwork(4, seed);
    const runs = new Map<number, number>();
    const order: number[] = [];
    const square = defineAll(network, "square", () => async (value: number) => {
      runs.set(value, (runs.get(value) ?? 0) + 1);
      await Promise.resolve();
      order.push(value);
      return value * value;
    }).get(1)!;
    const random = new Random(seed);
    const values = Array.from({ length: 1000 }, (_, index) => index);
    const answers = await Promise.all(
      values.map((value) => square.on(random.between(1, 4))(value)),
    );
    assertEquals(answers, values.map((value) => value * value), `seed ${seed}`);
    assertEquals([...runs.values()], values.map(() => 1), `seed ${seed}`);
    assert(order.some((value, index) => value !== index), "nothing was reordered");
  }
});

Deno.test("RpcProgram: calls begin in the order in which they are served", () => {
  const network = new RpcNetwork(1);
  const node = network.node(1);
  const begun: number[] = [];
  const begin = node.program.define("begin", async (value: number) => {
    begun.push(value);
    await Promise.resolve();
  });
  for (const value of [1, 2, 3]) void begin.on(1)(value);
  assertEquals(begun, [1, 2, 3]);
});

Deno.test("rpc: the face of a program defines, calls and serves", async () => {
  const network = new RpcNetwork(2);
  const other = network.node(2).program;
  other.define("testOfTheFace", () => "there");
  const stub = rpc("testOfTheFace", (): string => "here");
  const node = network.node(1);
  const unbind = bindRpc(node);
  try {
    assertEquals(await stub.on(2)(), "there");
    assertEquals(await stub.on(1)(), "here");
    let payload: Uint8Array | undefined;
    const spy = Object.assign(Object.create(node), {
      self: 3,
      memory: node.memory,
      call(_node: number, procedure: string, bytes: Uint8Array) {
        payload = bytes;
        return serveCall(Object.assign(Object.create(node), { self: 2 }), procedure, bytes);
      },
    });
    unbind();
    const unbindSpy = bindRpc(spy);
    assertEquals(await stub.on(2)(), "here");
    assertEquals([...payload!], [0x90]);
    unbindSpy();
  } finally {
    unbind();
  }
});

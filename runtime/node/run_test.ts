import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { join } from "./join.ts";
import type { Node } from "./node.ts";
import { run, type RunOptions } from "./run.ts";

const LOCAL = { address: "127.0.0.1", port: 0, logLevel: 0, size: "1MiB" } as const;
const DIRECTORY = { ...LOCAL, directory: true } as const;

// The library stays open once it is: no test shall count as the one that leaks it.
await (await join(DIRECTORY)).close();

Deno.test("run gives its main a node, and closes it", async () => {
  let node: Node | undefined;
  await run((given) => {
    node = given;
    given.memory[5] = 1;
  }, DIRECTORY);
  assertEquals([node!.id, node!.memory.length], [1, 0]);
  await node!.closed;
});

Deno.test("run throws what its main throws, and closes the node all the same", async () => {
  for (const main of [() => Promise.reject(new RangeError("planted")), () => thrown()]) {
    let node: Node | undefined;
    const running = run((given) => {
      node = given;
      return main();
    }, DIRECTORY);
    await assertRejects(() => running, RangeError, "planted");
    const { code } = await assertRejects(() => node!.closed, TdsmError);
    assertEquals(code, "NodeFailed");
    assertEquals(node!.memory.length, 0);
  }
});

Deno.test("run refuses what is no function before its node joins", async () => {
  for (const [given, shown] of [[undefined, "undefined"], [DIRECTORY, "an object"]] as const) {
    const running = run(given as unknown as () => void, { ...DIRECTORY, library: "/nowhere" });
    const message = `Cannot run ${shown}: write run(async (node) => { … }, options)`;
    await assertRejects(() => running, TypeError, message);
  }
});

function thrown(): Promise<never> {
  throw new RangeError("planted");
}

Deno.test("run with rpcServer executes no main, and ends with the cluster", async () => {
  const directory = await join(DIRECTORY);
  let executed = false;
  const running = run(() => void (executed = true), {
    address: "127.0.0.1",
    port: 0,
    logLevel: 0,
    rpcServer: true,
    directoryAddress: `${directory.address}:${directory.port}`,
  });
  await directory.waitForPeer(2);
  await directory.close();
  await running;
  assertEquals(executed, false);
});

Deno.test("run with nodes begins its main once so many have joined", async () => {
  const begun = Promise.withResolvers<number[]>();
  const directory = await join(DIRECTORY);
  const second = run((node) => begun.resolve(node.peers().map(({ id }) => id)), {
    ...LOCAL,
    directoryAddress: `127.0.0.1:${directory.port}`,
    nodes: 4,
  });
  await directory.waitForPeer(2);
  const joinOther = () =>
    join({ ...LOCAL, directoryAddress: `127.0.0.1:${directory.port}`, rpcServer: true });
  const third = await joinOther();
  // One that has left again has joined all the same.
  await third.close();
  await using _fourth = await joinOther();
  assertEquals(await begun.promise, [1, 4]);
  await second;
  await directory.close();
});

Deno.test("run refuses options that are none, and flags of the program that are no list", async () => {
  const options: [given: unknown, message: string][] = [
    [{ sise: 3 }, "Cannot use option sise: did you mean size?"],
    [
      { programFlags: "sort" },
      'Cannot use "sort" of option programFlags: it must be a list of flags',
    ],
  ];
  for (const [given, message] of options) {
    const error = await assertRejects(
      () => run(() => {}, { ...DIRECTORY, ...given as RunOptions }),
      TdsmError,
    );
    assertEquals([error.code, error.message], ["InvalidOption", message]);
  }
});

import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { ProgramHome } from "./home.ts";
import type { HomeCall } from "./messages.ts";
import { Placement } from "./placement.ts";
import type { WasiSystem } from "./system.ts";

/** A home whose nodes note which threads they execute. */
function homeOf(
  nodes: number[],
  threadsPerNode: number,
): { home: ProgramHome; placement: Placement; placed: number[][] } {
  const placed: number[][] = [];
  const system = { call: () => Promise.resolve(42) } as unknown as WasiSystem;
  const execute = (...words: number[]): void => void placed.push(words);
  const placement = new Placement({ nodes, threadsPerNode });
  return { home: new ProgramHome({ system, placement, execute }), placement, placed };
}

function spawn(argument: number, wanted = 0): HomeCall {
  return { name: "spawn", args: [argument, wanted] };
}

Deno.test("ProgramHome: threads get ids that count up, and the nodes in turn", async () => {
  const { home, placement, placed } = homeOf([1, 3], 2);
  assertEquals(await home.call(spawn(100)), 1);
  assertEquals(await home.call(spawn(200)), 2);
  assertEquals(await home.call(spawn(300, 3)), 3);
  assertEquals(placed, [[3, 1, 100], [1, 2, 200], [3, 3, 300]]);
  assertEquals(placement.threadsOf(3), [1, 3]);
});

Deno.test("ProgramHome: a thread that finds no room waits for one that ends", async () => {
  const { home, placed } = homeOf([1, 2], 1);
  assertEquals(await home.call(spawn(1)), 1);
  const waits = [home.call(spawn(2)), home.call(spawn(3))];
  home.ended(1);
  assertEquals(await waits[0], 2);
  home.ended(2);
  assertEquals(await waits[1], 3);
  assertEquals(placed.map(([node]) => node), [2, 2, 2]);
});

Deno.test("ProgramHome: room on a node that is not wanted goes to the next that waits", async () => {
  const { home } = homeOf([1, 2], 1);
  assertEquals(await home.call(spawn(1)), 1);
  // The first one wants the main thread's node, which stays full.
  const [never, next] = [home.call(spawn(2, 1)), home.call(spawn(3))];
  home.ended(1);
  assertEquals(await next, 2);
  const again = -6;
  assertEquals(await never, again);
});

Deno.test("ProgramHome: while a thread waits for room, or behind the end, threads ask here", async () => {
  const { home, placement } = homeOf([1, 2], 1);
  assertEquals(await home.call(spawn(1)), 1);
  assertEquals(placement.isHeld, false);
  const waits = home.call(spawn(2));
  assertEquals(placement.isHeld, true);
  // A thread of the home node has given back its place by itself.
  placement.free(1);
  home.ended(1);
  assertEquals([await waits, placement.isHeld], [2, false]);
  home.end({ kind: "exit", code: 0 });
  assertEquals(placement.isHeld, true);
});

Deno.test("ProgramHome: threads that wait for one node wait for no thread of another", async () => {
  const { home } = homeOf([1, 2], 1);
  assertEquals(await home.call(spawn(1)), 1);
  const waits = [home.call(spawn(2, 1)), home.call(spawn(3, 1))];
  const answers: number[] = [];
  for (const wait of waits) wait.then((answer) => answers.push(answer));
  home.ended(1);
  // Whatever can be done at once is done when a timer fires.
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(answers, []);
  // The main thread's place, which it never gives up itself.
  home.ended(0);
  assertEquals(await waits[0], 2);
  home.ended(2);
  assertEquals(await waits[1], 3);
});

Deno.test("ProgramHome: the first end counts, and calls that come later get no answer", async () => {
  const { home } = homeOf([1], 1);
  const answers: number[] = [];
  const ask = async (): Promise<void> => {
    home.call({ name: "fd_sync", args: [3] }).then((answer) => answers.push(answer));
    // The system answers at once, so that within a turn of the loop the answer is there.
    await new Promise((resolve) => setTimeout(resolve, 0));
  };
  await ask();
  assertEquals(answers, [42]);
  home.end({ kind: "exit", code: 3 });
  home.end({ kind: "trap", text: "late" });
  assertEquals(await home.done, { kind: "exit", code: 3 });
  await ask();
  assertEquals(answers, [42]);
});

Deno.test("ProgramHome: a thread whose node cannot go on ends the program by that error", async () => {
  const { home } = homeOf([1], 1);
  home.end({ kind: "failed", code: "PageLost", text: "a page is lost" });
  assertEquals((await assertRejects(() => home.done, TdsmError)).code, "PageLost");
});

/** Allocations of several processes in one region. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { failure } from "../support/heard.ts";

/** Allocates bytes; returns where they are. */
function alloc(node: RemoteNode, length: number, name?: string): Promise<number> {
  return node.evaluate(
    async (node, length, name) =>
      node.offsetOf(await node.alloc(Uint8Array, length, name === null ? {} : { name })),
    length,
    name ?? null,
  );
}

/** Frees bytes. */
async function free(node: RemoteNode, offset: number, length: number): Promise<void> {
  await node.evaluate(
    (node, offset, length) => node.free(node.at(Uint8Array, offset, length)),
    offset,
    length,
  );
}

Deno.test("allocation: every request for one name gets the same cells, zero and created once", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=1MiB");
  // All of the region has been in use, so that cells must be zeroed before they are given out.
  const whole = await nodes[1]!.evaluate(async (node) => {
    const whole = await node.alloc(Uint8Array, node.size);
    whole.fill(255);
    await node.free(whole);
    return whole.length;
  });
  assertEquals(whole, 2 ** 20);
  const found = await Promise.all(nodes.map((node) =>
    node.evaluate(async (node) => {
      const grids = await Promise.all(Array.from({ length: 20 }, (_, index) =>
        node.alloc(Int32Array, 2_000, { name: `grid ${index}` })));
      // A node that has a grid may write to it at once: none may zero it any more.
      for (const grid of grids) {
        Atomics.add(grid, grid.length - 1, 1);
      }
      const zero = grids.every((grid) =>
        grid.subarray(0, -1).every((cell) => cell === 0)
      );
      return { zero, offsets: grids.map((grid) => node.offsetOf(grid)) };
    })
  ));
  assertEquals(found.map(({ zero }) => zero), [true, true, true]);
  assertEquals(new Set(found[0]!.offsets).size, 20);
  for (const { offsets } of found) assertEquals(offsets, found[0]!.offsets);
  for (const offset of found[0]!.offsets) {
    assertEquals(await nodes[2]!.load(offset + 1_999 * 4), 3);
  }
});

Deno.test("allocation: a name is of one type and length, until it is freed", async () => {
  await using cluster = new ProcessCluster();
  const [, second, third] = await cluster.start(3, "--size=1MiB");
  const offset = await alloc(second!, 100, "a");
  for (const [type, length] of [["Uint8Array", 101], ["Int8Array", 100]] as const) {
    const [code, message] = await failure(third!.evaluate(
      async (node, type, length) =>
        void await node.alloc<ArrayBufferView>(
          type === "Int8Array" ? Int8Array : Uint8Array,
          length,
          { name: "a" },
        ),
      type,
      length,
    ));
    assertEquals(code, "NameConflict");
    assertMatch(message, /"a".*Uint8Array.*100/);
  }
  assertEquals(await alloc(third!, 100, "a"), offset);
  await free(third!, offset, 100);
  await alloc(second!, 101, "a");
});

Deno.test("allocation: a full region says what is free, and room that is given back is used", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=64KiB");
  const offsets: number[] = [];
  for (let page = 0; page < 16; page++) {
    offsets.push(await alloc(page % 2 === 0 ? first! : second!, 4096));
  }
  assertEquals(new Set(offsets).size, 16);
  await free(first!, offsets[3]!, 4096);
  await free(second!, offsets[9]!, 4096);
  const [code, message] = await failure(alloc(second!, 8192));
  assertEquals(code, "OutOfMemory");
  assertMatch(message, /needs 8KiB, and 8KiB are free, at most 4KiB in one piece; .*--size/);
  const again = [await alloc(second!, 4096), await alloc(second!, 1)];
  assertEquals(again.sort(), [offsets[3]!, offsets[9]!].sort());
});

Deno.test("allocation: a view that is no allocation, or is free already, is not freed", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=1MiB");
  const offset = await alloc(first!, 10_000);
  const refused = [
    () => free(second!, offset + 4096, 100),
    () => free(second!, offset, 9_999),
    () => free(second!, 0, 1),
    () => second!.evaluate((node) => node.free(new Uint8Array(4096))),
  ];
  for (const act of refused) assertEquals((await failure(act()))[0], "NotAllocated", `${act}`);
  await free(second!, offset, 10_000);
  for (const node of [first!, second!]) {
    assertEquals((await failure(free(node, offset, 10_000)))[0], "NotAllocated");
  }
});

Deno.test("allocation: cells that were written and freed are zero for the next allocation", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=1MiB");
  for (let round = 0; round < 6; round++) {
    const dirty = await nodes[round % 3]!.evaluate(async (node) => {
      const cells = await node.alloc(Uint8Array, node.size / 2);
      const dirty = cells.findIndex((cell) => cell !== 0);
      cells.fill(255);
      // Parts of it, so that the next find pieces of different pasts.
      await node.free(cells);
      const part = await node.alloc(Uint8Array, 5_000, { packed: true });
      const dirtyPart = part.findIndex((cell) => cell !== 0);
      part.fill(255);
      await node.free(part);
      return [dirty, dirtyPart];
    });
    assertEquals(dirty, [-1, -1], `round ${round}`);
  }
});

Deno.test("allocation: no two share a page but the packed ones of one node", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=4MiB");
  const found = await Promise.all(nodes.map((node) =>
    node.evaluate(async (node) => {
      const pagesOf = async (packed: boolean): Promise<number[]> => {
        const all = await Promise.all(
          Array.from({ length: 30 }, () => node.alloc(Float64Array, 4, { packed })),
        );
        return all.map((view) => Math.floor(node.offsetOf(view) / node.pageSize));
      };
      const [packed, whole] = await Promise.all([pagesOf(true), pagesOf(false)]);
      return { packed, whole };
    })
  ));
  // 30 of 32 bytes fit into one page.
  for (const { packed } of found) assertEquals(new Set(packed).size, 1);
  const pages = found.flatMap(({ packed, whole }) => [packed[0]!, ...whole]);
  assertEquals(new Set(pages).size, 3 * 31);
});

Deno.test("allocation: room that only a killed node had written is given out anew", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3, "--size=1MiB");
  const offset = await second!.evaluate(async (node) => {
    const whole = await node.alloc(Uint8Array, node.size);
    whole.fill(255);
    return node.offsetOf(whole);
  });
  second!.process.kill();
  await first!.process.untilPrinted(/Node 2 is lost/);
  await free(third!, offset, 2 ** 20);
  for (const options of [{}, { packed: true }, { name: "a" }]) {
    const used = await third!.evaluate(async (node, options) => {
      const cells = await node.alloc(Uint8Array, 5_000, options);
      const used = cells.findIndex((cell) => cell !== 0);
      cells.fill(1);
      return used;
    }, options);
    assertEquals(used, -1, JSON.stringify(options));
  }
});

Deno.test("allocation: allocations of a killed node stay", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3, "--size=1MiB");
  const offset = await alloc(second!, 4096, "kept");
  await first!.store(offset, 42);
  second!.process.kill();
  await first!.process.untilPrinted(/Node 2 is lost/);
  assertEquals(await alloc(third!, 4096, "kept"), offset);
  assertEquals(await third!.load(offset), 42);
  assertEquals((await failure(alloc(third!, 2 ** 20)))[0], "OutOfMemory");
  await free(third!, offset, 4096);
  await alloc(third!, 2 ** 20);
});

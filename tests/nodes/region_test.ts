/** Regions and pages of every size, and what a program is told of its node. */

import { assert, assertEquals } from "@std/assert";
import { ProcessCluster, RemoteError, type RemoteNode } from "../support/process_cluster.ts";

const MIB = 2 ** 20;
const TIB = 2 ** 40;

for (const pageSize of ["4KiB", "64KiB", "2MiB"]) {
  Deno.test(`region: pages of ${pageSize} travel whole`, async () => {
    await using cluster = new ProcessCluster();
    const [first, second] = await cluster.start(2, `--page-size=${pageSize}`, "--size=16MiB");
    assertEquals(second!.info.pageSize, first!.info.pageSize);
    await first!.evaluate((node) => {
      const words = node.view(Int32Array, 0, node.size / 4);
      for (let i = 0; i < words.length; i++) words[i] = i;
    });
    const wrong = await second!.evaluate((node) => {
      const words = node.view(Int32Array, 0, node.size / 4);
      const index = words.findIndex((word, i) => word !== i);
      for (let i = 0; i < words.length; i++) words[i] = ~i;
      return index;
    });
    assertEquals(wrong, -1);
    const wrongThen = await first!.evaluate((node) =>
      node.view(Int32Array, 0, node.size / 4).findIndex((word, i) => word !== ~i)
    );
    assertEquals(wrongThen, -1);
  });
}

/** The memory of a process that is not on disk, in bytes. */
async function residentBytes({ process }: RemoteNode): Promise<number> {
  const status = await process.proc("status");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

Deno.test("region: 1 TiB opens like 64 MiB, takes no more memory, and is usable to its end", async () => {
  await using cluster = new ProcessCluster();
  const small = await cluster.start(2, "--size=64MiB");
  const large = await cluster.start(2, "--size=1TiB");
  assertEquals(large.map(({ info }) => info.size), [TIB, TIB]);
  // A cost by the page would be a factor of 16384.
  for (const [index, { info }] of large.entries()) {
    const smallMs = small[index]!.info.joinMs;
    assert(info.joinMs < 10 * smallMs, `${info.joinMs} ms, and ${smallMs} ms for 64 MiB`);
  }
  const last = TIB - 4;
  await large[0]!.store(0, 1);
  await large[0]!.store(last, 2);
  assertEquals([await large[1]!.load(0), await large[1]!.load(last)], [1, 2]);
  await large[1]!.store(last, 3);
  assertEquals(await large[0]!.load(last), 3);
  for (const [index, node] of large.entries()) {
    const [resident, other] = [await residentBytes(node), await residentBytes(small[index]!)];
    assert(resident < other + 32 * MIB, `${resident} bytes, and ${other} for 64 MiB`);
  }
});

Deno.test("region: several directories on one machine share nothing", async () => {
  await using cluster = new ProcessCluster();
  const clusters = [await cluster.start(2), await cluster.start(2), await cluster.start(2)];
  for (const [index, [first]] of clusters.entries()) await first!.store(0, index + 1);
  for (const [index, [, second]] of clusters.entries()) {
    assertEquals(await second!.load(0), index + 1);
  }
});

Deno.test("region: views are checked, and empty once the node is closed", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host("--size=64KiB");
  const refused: [offset: number, length: number][] = [
    [65_536, 1],
    [0, 16_385],
    [-4, 1],
    [0, -1],
    [2, 1],
    [0.5, 1],
    [2 ** 53, 1],
  ];
  for (const [offset, length] of refused) {
    const error: unknown = await node
      .evaluate(
        (node, offset, length) => node.view(Int32Array, offset, length).length,
        offset,
        length,
      )
      .catch((error) => error);
    if (!(error instanceof RemoteError)) {
      throw new Error(`a view of ${length} at ${offset} was not refused: ${error}`);
    }
    assertEquals(error.code, "RangeError");
    assert(error.message.startsWith(`Cannot view Int32Array of ${length} at byte ${offset}: `));
  }
  const after = await node.evaluate(async (node) => {
    const view = node.view(Int32Array, 0, 16);
    const memory = node.memory;
    await node.close();
    await node.close();
    await node.closed;
    const codeOf = (act: () => unknown): string => {
      try {
        act();
        return "";
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    return {
      lengths: [memory.length, view.length, node.memory.length],
      codes: [
        codeOf(() => node.view(Int32Array, 0, 1)),
        codeOf(() => node.peers()),
        codeOf(() => node.stats()),
        await node.waitForPeer(2).catch(({ code }) => code),
      ],
    };
  });
  const closed = "NodeClosed";
  assertEquals(after, { lengths: [0, 0, 0], codes: [closed, closed, closed, closed] });
  assertEquals((await node.leave()).code, 0);
});

Deno.test("region: a buffer that a stream, a clone or a transfer takes away is made anew", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=4MiB");
  await first!.evaluate((node) => void node.memory.fill(7, 0, 4096));
  const found = await second!.evaluate(async (node) => {
    const takings: ((view: Uint8Array<ArrayBuffer>) => unknown)[] = [
      (view) =>
        new Blob([new Uint8Array(100).fill(9)]).stream().getReader({ mode: "byob" }).read(view),
      (view) => structuredClone(0, { transfer: [view.buffer] }),
      (view) =>
        new Response(
          new ReadableStream({
            type: "bytes",
            start(controller) {
              controller.enqueue(view);
              controller.close();
            },
          }),
        ).bytes(),
      (view) => {
        const channel = new MessageChannel();
        channel.port1.postMessage(view, [view.buffer]);
        channel.port1.close();
        channel.port2.close();
      },
    ];
    const found: unknown[] = [];
    for (const take of takings) {
      const view = node.view(Uint8Array, 0, 4096);
      await take(view);
      const cells = await node.alloc(Int32Array, 4);
      const named = await node.alloc(Int32Array, 4, { name: `cells ${found.length}` });
      named[0] = 42;
      const offset = node.offsetOf(cells);
      await node.free(cells);
      found.push([view.length, node.memory.length, offset % 4096, named[0]]);
    }
    found.push([...node.view(Uint8Array, 98, 4)]);
    return found;
  });
  assertEquals(found, [...Array(4).fill([0, 4 * 2 ** 20, 0, 42]), [9, 9, 7, 7]]);
  assertEquals(await first!.evaluate((node) => [...node.memory.subarray(98, 102)]), [9, 9, 7, 7]);
  assertEquals((await second!.leave()).code, 0);
  assertEquals((await first!.leave()).code, 0);
});

Deno.test("region: `await using` leaves when its block ends", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2);
  const ids = await second!.evaluate(
    async (_, at, program) => {
      const { join } = await import(program);
      let memory: Uint8Array;
      const ids: number[] = [];
      {
        await using third = await join({ directoryAddress: at });
        memory = third.memory;
        memory[4096] = 42;
        ids.push(third.id, ...third.peers().map(({ id }: { id: number }) => id));
      }
      return [...ids, memory.length];
    },
    first!.at,
    new URL("../../mod.ts", import.meta.url).href,
  );
  assertEquals(ids, [3, 1, 2, 0]);
  const left = await first!.evaluate((
    node,
  ) => [node.memory[4096]!, ...node.peers().map(({ id }) => id)]);
  assertEquals(left, [42, 2]);
});

Deno.test("region: stats count what a node did", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=1MiB");
  const stats = (node: RemoteNode) => node.evaluate((node) => node.stats());
  await first!.evaluate((node) => void node.memory.fill(1, 0, 16 * 4096));
  const before = { first: await stats(first!), second: await stats(second!) };
  assertEquals(before.second.pagesReceived, 0);
  await second!.evaluate((node) => {
    for (let page = 0; page < 16; page++) node.memory[page * 4096]!;
  });
  const read = { first: await stats(first!), second: await stats(second!) };
  // Those beside them that were written in the same run may come along.
  assert(read.second.pagesReceived >= 16);
  assertEquals(read.first.pagesSent - before.first.pagesSent, read.second.pagesReceived);
  assert(read.second.readMisses >= 1 && read.second.readMisses <= 16);
  assertEquals(read.second.writeMisses + read.second.upgrades, 0);
  assert(read.second.faults >= read.second.readMisses);
  assert(read.second.bytesReceived - before.second.bytesReceived >= 16 * 4096);
  assert(read.first.bytesSent - before.first.bytesSent >= 16 * 4096);
  await second!.evaluate((node) => void (node.memory[0] = 2));
  const written = { first: await stats(first!), second: await stats(second!) };
  assert(written.second.upgrades >= 1);
  assert(written.first.pagesInvalidated > read.first.pagesInvalidated);
  assertEquals(
    written.second.pagesReceived,
    read.second.pagesReceived,
    "an upgrade needs no bytes",
  );
});

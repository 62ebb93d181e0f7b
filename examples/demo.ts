// A tour of what nodes can do together: memory, synchronisation, allocation and remote calls. Every
// node executes the same steps; node 1 prints.
//
//   ./tdsm launch -n 3 examples/demo.ts
import { type Node, RemoteError, rpc, run } from "@tdsm/runtime";

const ADDITIONS = 10_000;
const LOCKED_ADDITIONS = 100;

// Procedures are defined at the top level, so that every node knows them before it joins.
const add = rpc("add", (a: number, b: number): number => a + b);
const double = rpc("double", (cells: Int32Array): void => {
  for (let i = 0; i < cells.length; i++) cells[i] = 2 * cells[i]!;
});
const fail = rpc("fail", (): void => {
  throw new TypeError("this was thrown on purpose");
});

/** One step of the tour. */
interface Step {
  readonly title: string;
  /** What every node does; what it returns is printed by node 1. */
  readonly act: (node: Node, nodes: number) => Promise<string> | string;
}

function expect<Value>(found: Value, expected: Value): Value {
  if (Object.is(found, expected)) return found;
  throw new Error(`Found ${found} where ${expected} was expected`);
}

const STEPS: readonly Step[] = [
  {
    title: "Plain memory: node 1 writes a word, the others read it",
    async act(node, nodes) {
      // The region's lower end is for offsets of the program's own; allocations come from the
      // upper.
      const word = node.view(Int32Array, 0, 1);
      const written = node.semaphore(1n);
      if (node.id === 1) {
        word[0] = 42;
        // What was written before the release is seen after the acquire.
        written.release(nodes - 1);
      } else {
        await written.acquire();
      }
      return `the word at byte 0 is ${expect(word[0], 42)} everywhere`;
    },
  },
  {
    title: `Atomics: every node adds 1 to one word, ${ADDITIONS} times`,
    async act(node, nodes) {
      const word = node.view(Int32Array, node.pageSize, 1);
      for (let i = 0; i < ADDITIONS; i++) Atomics.add(word, 0, 1);
      await node.barrier("added", nodes).wait();
      return `none is lost: ${expect(Atomics.load(word, 0), nodes * ADDITIONS)}`;
    },
  },
  {
    title: "A mutex: every node adds to a word that is not atomic",
    async act(node, nodes) {
      const word = node.view(Int32Array, 2 * node.pageSize, 1);
      const mutex = node.mutex("word");
      for (let i = 0; i < LOCKED_ADDITIONS; i++) {
        using _lock = await mutex.lock();
        word[0] = word[0]! + 1;
      }
      await node.barrier("locked", nodes).wait();
      return `one at a time: ${expect(word[0], nodes * LOCKED_ADDITIONS)}`;
    },
  },
  {
    title: "Semaphores: a baton goes round",
    async act(node, nodes) {
      const baton = (id: number) => node.semaphore(BigInt(100 + id));
      const round = await node.alloc(Int32Array, nodes, { name: "round" });
      if (node.id > 1) await baton(node.id).acquire();
      const place = round.indexOf(0);
      round[place] = node.id;
      baton(node.id === nodes ? 1 : node.id + 1).release();
      if (node.id === 1) await baton(1).acquire();
      await node.barrier("round", nodes).wait();
      return `in the order ${expect(round.join(), Array.from(round.keys(), (i) => i + 1).join())}`;
    },
  },
  {
    title: "Allocation: a list whose links are offsets, the same on every node",
    async act(node, nodes) {
      const head = await node.alloc(Float64Array, 1, { name: "head" });
      {
        using _lock = await node.mutex("list").lock();
        // An element has its node's id, and the offset of the next; 0 ends the list.
        const element = await node.alloc(Float64Array, 2, { packed: true });
        element.set([node.id, head[0]!]);
        head[0] = node.offsetOf(element);
      }
      await node.barrier("linked", nodes).wait();
      const ids: number[] = [];
      for (let offset = head[0]!; offset !== 0;) {
        const [id, next] = node.at(Float64Array, offset, 2);
        ids.push(id!);
        offset = next!;
      }
      return `${expect(ids.length, nodes)} elements, of nodes ${ids.toSorted().join(", ")}`;
    },
  },
  {
    title: "Remote calls: node 1 has the last node add, and double cells of the region",
    async act(node, nodes) {
      if (node.id !== 1) return "";
      const sum = await add.on(nodes)(1, 2);
      const cells = await node.alloc(Int32Array, 1000);
      cells.fill(21);
      // The view goes by reference: the other node works on the same cells.
      await double.on(nodes)(cells);
      return `1 + 2 is ${expect(sum, 3)}, and all cells are ${expect(cells[999], 42)}`;
    },
  },
  {
    title: "Errors of another node come here",
    async act(node, nodes) {
      if (node.id !== 1) return "";
      try {
        await fail.on(nodes)();
      } catch (error) {
        if (error instanceof RemoteError) {
          return `node ${error.node} threw a ${error.name}: ${error.message}`;
        }
        throw error;
      }
      throw new Error("The call did not fail");
    },
  },
  {
    title: "A call of all nodes",
    async act(node) {
      if (node.id !== 1) return "";
      const answers = await add.onAll({ timeoutMs: 10_000 })(node.id, 10);
      return answers.map((answer) => `node ${answer.node} says ${answer.value}`).join(", ");
    },
  },
];

async function main(node: Node): Promise<void> {
  const nodes = node.peers().length + 1;
  if (nodes === 1) throw new Error("Start several nodes: one has nobody to share memory with");
  const next = node.barrier("next step", nodes);
  for (const [index, { title, act }] of STEPS.entries()) {
    const outcome = await act(node, nodes);
    await next.wait();
    if (node.id === 1) console.log(`${index + 1}. ${title}\n   ${outcome}\n`);
  }
  if (node.id === 1) console.log("OK");
}

await run(main, { programFlags: [] });

// Two nodes count in one array, each in a cell of its own, and fight over the page that both cells
// are on. With --apart each cell has a page of its own. docs/watching.md finds the bug.
//
//   ./tdsm launch -n 2 examples/false_sharing.ts
import { type Node, run } from "@tdsm/runtime";

const LINES = 2_000_000;
const isApart = Deno.args.includes("--apart");

/** Stands for the work of a node. */
function matches(line: number): boolean {
  return Math.sin(line) > 0;
}

async function main(node: Node): Promise<void> {
  const nodes = node.nodeCount;
  const stride = isApart ? node.pageSize / Int32Array.BYTES_PER_ELEMENT : 1;
  const hits = await node.alloc(Int32Array, stride * nodes, { name: "hits" });
  const own = stride * (node.id - 1);
  const phase = node.barrier("phase", nodes);
  await phase.wait();
  const begun = performance.now();
  for (let line = 0; line < LINES; line++) if (matches(line)) hits[own]!++;
  const ms = performance.now() - begun;
  await phase.wait();
  const { faults } = node.stats();
  console.log(`${hits[own]} lines match; ${Math.round(ms)} ms, ${faults} faults`);
  await phase.wait();
  if (node.id === 1) console.log("OK");
}

await run(main, { programFlags: ["apart"] });

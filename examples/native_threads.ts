// Threads of C++ on every node. The module, examples/native/threads.cc, multiplies matrices,
// relaxes a plate, and hands out work by a queue: it allocates, locks and waits by tdsm.hpp, on
// threads of its own. It is built first, into the current folder.
//
//   g++ -std=c++17 -shared -fPIC -O2 -Izig/include -o libthreads.so examples/native/threads.cc
//   ./tdsm launch -n 2 examples/native_threads.ts
import { type Node, run } from "@tdsm/runtime";

const THREADS = 2;

async function main(node: Node): Promise<void> {
  const nodes = node.peers().length + 1;
  // Opened after the node has joined, since the functions of tdsm.h are there from then on.
  const job = { parameters: ["u32"], result: "i32", nonblocking: true } as const;
  const { symbols } = Deno.dlopen("./libthreads.so", {
    run_matrix_product: job,
    run_stencil: job,
    run_work_queue: job,
  });
  for (const [name, start] of Object.entries(symbols)) {
    const since = performance.now();
    // Each job checks what it has computed, and says on stderr what is wrong.
    if (await start(THREADS) !== 0) throw new Error(`${name} has failed`);
    const ms = Math.round(performance.now() - since);
    if (node.id === 1) console.log(`${name} by ${nodes} × ${THREADS} threads: right, ${ms} ms`);
  }
  await node.barrier("done", nodes).wait();
  if (node.id === 1) console.log("OK");
}

await run(main, { programFlags: [] });

/**
 * A node of the benchmark: does what the coordinator asks for by a line of stdin, and sleeps else.
 */

import { run } from "../mod.ts";
import { addApart, alternate, store, work } from "./actions/contention.ts";
import { jacobi } from "./actions/jacobi.ts";
import {
  fillOnes,
  messages,
  readPages,
  sums,
  temporaryArrays,
  timeAfterSilence,
  timePages,
  timeRandomReads,
  wasmSums,
  writePages,
} from "./actions/pages.ts";
import { barrierLoop, callLoop, handOff, mutexLoop } from "./actions/sync.ts";
import { type Ready, serve } from "./process.ts";

/** The actions. Each is given the node and its arguments, and returns what can be JSON. */
const actions = {
  addApart,
  alternate,
  barrierLoop,
  callLoop,
  fillOnes,
  handOff,
  jacobi,
  messages,
  mutexLoop,
  readPages,
  store,
  sums,
  temporaryArrays,
  timeAfterSilence,
  timePages,
  timeRandomReads,
  wasmSums,
  work,
  writePages,
} as const;

/** Their types, for the coordinator. */
export type Actions = typeof actions;

/** What a node says of itself when it has joined. */
export interface NodeReady extends Ready {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  /** How long joining took, in milliseconds. */
  readonly joinMs: number;
}

if (import.meta.main) {
  const start = performance.now();
  await run(async (node) => {
    const { id, address, port } = node;
    const joinMs = performance.now() - start;
    const ready: NodeReady = { pid: Deno.pid, id, address, port, joinMs };
    await serve(ready, (name, args) => {
      const action = actions[name as keyof typeof actions];
      return (action as (node: unknown, args: unknown) => unknown)(node, args);
    });
  });
}

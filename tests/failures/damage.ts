/**
 * Two nodes that pass pages to and fro over a damaging proxy. Either all values are right, or a
 * node names the damaged connection: no node reads a wrong value, and none waits for ever.
 */

import type { Node } from "../../mod.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { Random } from "../simulator/coherence/random.ts";
import { type Damage, type DamageKind, DamagingProxy } from "./damaging_proxy.ts";

/** How a round ended: without a wrong value, or with an error that names the connection. */
export type RoundEnd = "right values" | "named error";

/** Turns, in which one node reads what the other wrote and writes anew. */
const TURNS = 8;
/** The pages that go to and fro. */
const PAGES = 6;
/** The bytes that pass each way in a round are somewhat more than the pages. */
const AFTER_MAX_BYTES = TURNS / 2 * PAGES * 4096;
const WRONG = "wrong value";

/** Every damage. */
export const DAMAGE_KINDS: readonly DamageKind[] = ["cut", "flip", "drop", "repeat"];

/**
 * Draws a damage.
 *
 * @param seed What it depends on.
 * @param kinds Which may be drawn.
 * @returns The damage; early bytes, where the handshake is, are drawn as often as late ones.
 */
export function drawDamage(seed: number, kinds: readonly DamageKind[]): Damage {
  const random = new Random(seed);
  const kind = kinds[random.below(kinds.length)]!;
  const scale = random.between(4, Math.ceil(Math.log2(AFTER_MAX_BYTES)));
  const after = Math.min(random.below(2 ** scale), AFTER_MAX_BYTES);
  const amount = kind === "flip" ? random.below(8) : random.between(1, 64);
  return { kind, way: random.chance(50) ? "there" : "back", after, amount };
}

/** Runs in a node's process. Throws where a word is not what the other node wrote. */
async function pass(
  node: Node,
  self: number,
  turns: number,
  pages: number,
  wrong: string,
): Promise<void> {
  const words = node.view(Uint32Array, 0, pages * node.pageSize / 4);
  const both = node.barrier("turn", 2);
  const word = (turn: number, index: number): number =>
    Math.imul((turn + 1) * 0x9e37 + index, 0x85eb_ca6b) >>> 0;
  await both.wait();
  for (let turn = 0; turn <= turns; turn++) {
    if (turn % 2 === self - 1) {
      for (let index = 0; index < words.length; index++) {
        const found = words[index]!;
        const expected = turn === 0 ? 0 : word(turn - 1, index);
        if (found !== expected) throw new Error(`${wrong}: ${found} at ${index} in turn ${turn}`);
        words[index] = word(turn, index);
      }
    }
    await both.wait();
  }
}

/** The error of a wait that fails; a wait that is over without one has none. */
function errorOf(wait: Promise<unknown>): Promise<Error | undefined> {
  return wait.then(() => undefined, (error: Error) => error);
}

/**
 * Runs one round, in two processes of its own.
 *
 * @param damage What is done to the connection.
 * @param flags Flags of both nodes.
 * @returns How it ended, and whether the damage was done.
 * @throws {Error} Where a wrong value was read, an error named no connection, or nothing happened.
 */
export async function runDamaged(
  damage: Damage,
  ...flags: string[]
): Promise<{ end: RoundEnd; done: boolean }> {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB", ...flags);
  const { address: hostname, port } = directory.info;
  await using proxy = new DamagingProxy({ hostname, port }, damage);
  const process = cluster.spawnNode([`--directory-address=${proxy.at}`, ...flags]);
  const start = (node: RemoteNode) => node.evaluate(pass, node.info.id, TURNS, PAGES, WRONG);
  const first = errorOf(start(directory));
  const joining = RemoteNode.ready(process);
  const joined = errorOf(joining);
  const second = errorOf(joining.then(start));
  // When the second is gone, the first may wait for it at the barrier: that is no fault.
  const either = await Promise.race([
    first.then((error) => error ?? second),
    second.then((error) => error ?? first),
  ]);
  if (either === undefined) return { end: "right values", done: proxy.done };
  const printed = () => `${either}\n${process.stderr}\n${directory.process.stderr}`;
  if (either.message.includes(WRONG)) throw new Error(printed());
  const other = await second;
  if (other === undefined) throw new Error(`One goes on without the other:\n${printed()}`);
  if (other.message.includes("nothing within")) throw new Error(`Waits on:\n${other.message}`);
  if (await joined === undefined) {
    const lost = () => /Node 2 is lost: .+|^\w+: .+/m.exec(directory.process.stderr) ?? undefined;
    await directory.process.until("noticing that node 2 is gone", lost);
  }
  const names = [
    `at ${proxy.at}`,
    "Node 2 is lost: ",
    "Node 1 ended the connection: ",
    "Dropped a connection from 127.0.0.1:",
  ];
  if (names.some((name) => printed().includes(name))) return { end: "named error", done: true };
  throw new Error(`No connection is named:\n${printed()}`);
}

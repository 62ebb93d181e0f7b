/**
 * Peers join a directory node in a process of its own and go again, half of them in good order and
 * half without a word. Ends with exit code 1 where the memory of that process has grown.
 */

import { privateBytes } from "../../bench/machine.ts";
import { ScriptedPeer } from "../support/cluster_members.ts";
import { ProcessCluster } from "../support/process_cluster.ts";
import { HELLO, PING } from "../support/raw_peer.ts";
import { ToolFlags } from "../support/tool_flags.ts";
import { GROWTH_MAX_BYTES } from "./limits.ts";

const MIB = 1024 * 1024;
/** How many are members at a time. */
const AT_ONCE = 16;
/** How often memory is looked at. */
const SAMPLES = 10;

const COUNT_DEFAULT = 100_000;
const HELP = `Has peers join a directory node and go again, and watches its memory.

Usage: ./tdsm deno run -A tests/soak/churn.ts [--count N]

  --count N  how many, a multiple of ${SAMPLES}; ${COUNT_DEFAULT} unless said`;

/** The directory node's own memory when so many peers have joined, in bytes. */
interface Sample {
  readonly joins: number;
  readonly bytes: number;
}

/**
 * Lets peers come and go.
 *
 * @param count How many, a multiple of 10.
 * @param progress Is told of each sample.
 * @returns The samples, ten of them; and how many peers the directory node knows at last.
 */
export async function churn(
  count: number,
  progress: (sample: Sample) => void = () => {},
): Promise<{ readonly samples: readonly Sample[]; readonly members: number }> {
  // The directory node looks whether each that joins can be reached.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  void closeAll(listener);
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const ports = { directory: directory.info.port, own: listener.addr.port };
  const samples: Sample[] = [];
  let begun = 0;
  const loop = async (): Promise<void> => {
    while (begun < count) {
      const joins = ++begun;
      await comeAndGo(ports, joins % 2 === 0);
      if (joins % (count / SAMPLES) !== 0) continue;
      const sample = { joins, bytes: privateBytes(directory.process.pid) };
      samples.push(sample);
      progress(sample);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  const members = await directory.evaluate(async (node) => {
    while (node.peers().length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    return node.peers().length;
  });
  return { samples, members };
}

async function closeAll(listener: Deno.Listener): Promise<void> {
  for await (const connection of listener) connection.close();
}

/** Joins, and goes: in good order, or without a word. */
async function comeAndGo(
  ports: { readonly directory: number; readonly own: number },
  inOrder: boolean,
): Promise<void> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: ports.directory });
  using peer = new ScriptedPeer(connection);
  peer.link.say({ ...HELLO, port: ports.own });
  const answer = await peer.next();
  if (answer?.kind !== "welcome") throw new Error(`hello is answered by ${answer?.kind}`);
  peer.link.say(PING);
  if (!inOrder) return;
  peer.open();
  peer.send({ kind: "leave" });
  for (;;) {
    const message = await peer.nextMessage();
    if (message === undefined) throw new Error("the link of a leaving node was ended");
    if (message.kind === "left") return;
    if (message.kind === "part") peer.send({ kind: "parted" });
  }
}

if (import.meta.main) {
  const flags = new ToolFlags(HELP, { values: ["count"] });
  const count = flags.wholeNumber("count", COUNT_DEFAULT);
  if (count % SAMPLES !== 0) flags.refuse(`--count must be a multiple of ${SAMPLES}`);
  const { samples } = await churn(count, ({ joins, bytes }) => {
    console.log(`${joins} joins: ${(bytes / MIB).toFixed(1)} MiB`);
  });
  const grown = Math.max(...samples.map(({ bytes }) => bytes)) - samples[0]!.bytes;
  console.log(`grown by ${(grown / MIB).toFixed(1)} MiB`);
  if (grown > GROWTH_MAX_BYTES) Deno.exitCode = 1;
}

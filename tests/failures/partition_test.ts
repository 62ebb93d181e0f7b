/**
 * A network that is cut between two halves of a cluster: nodes in two network namespaces, with a
 * pair of virtual cables between them. The namespaces last as long as the processes in them.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { inlineProgram, PERMISSIONS } from "../support/inline_program.ts";
import { KeyFile } from "../support/key_file.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

const CABLE = "tdsm0";

function succeeds(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args }).outputSync().success;
  } catch {
    // There is no such program.
    return false;
  }
}

/** Why the test cannot run here; empty when it can. */
function obstacle(): string {
  if (Deno.uid() !== 0) return "only root can make network namespaces";
  const cable = ["ip", "link", "add", CABLE, "type", "veth"];
  if (!succeeds("unshare", "--net", ...cable)) return "there is no unshare, no ip or no veth";
  return succeeds("nsenter", "--version") ? "" : "there is no nsenter";
}

/** A network namespace of its own, and its address in the network of both. */
class Half {
  /** Words before a command, which runs in this half then. */
  readonly prefix: readonly string[];
  readonly address: string;
  readonly pid: number;

  private constructor(pid: number, address: string) {
    this.prefix = ["nsenter", `--target=${pid}`, "--net"];
    this.address = address;
    this.pid = pid;
  }

  /** Makes two halves with a cable between them. */
  static async pair(cluster: ProcessCluster): Promise<[Half, Half]> {
    const halves: Half[] = [];
    for (const host of [1, 2]) {
      const code = `console.log("up"); await Deno.stdin.read(new Uint8Array(1));`;
      const options = { prefix: ["unshare", "--net"], args: ["eval", code] };
      const holder = cluster.spawn(`half ${host}`, options);
      await holder.untilPrinted(/^up$/m);
      halves.push(new Half(holder.pid, `192.0.2.${host}`));
    }
    const [here, there] = halves as [Half, Half];
    const ends = [`netns ${here.pid} type veth peer name ${CABLE} netns ${there.pid}`];
    here.run("ip", "link", "add", CABLE, ...ends.join(" ").split(" "));
    for (const half of halves) {
      half.run("ip", "address", "add", `${half.address}/24`, "dev", CABLE);
      half.run("ip", "link", "set", "lo", "up");
      half.run("ip", "link", "set", CABLE, "up");
    }
    return [here, there];
  }

  /** Cuts the cable. */
  cut(): void {
    this.run("ip", "link", "set", CABLE, "down");
  }

  run(...words: string[]): void {
    const [program, ...args] = [...this.prefix, ...words];
    const { success, stderr } = new Deno.Command(program!, { args }).outputSync();
    assert(success, `${words.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}

/** Says all the time what the first word is, and when. */
const READER = `await run((node) => {
  const word = node.view(Int32Array, 0, 1);
  for (let told = 0;;) {
    const at = Date.now();
    const value = Atomics.load(word, 0);
    if (at - told < 20) continue;
    told = at;
    console.log(value, at);
  }
});`;
const WAITER = `await run(async (node) => {
  console.log(Atomics.load(node.view(Int32Array, 0, 1), 0), Date.now());
  await new Promise(() => {});
});`;

const reason = obstacle();

Deno.test({
  name: `partition: nodes that are cut off end in time, and the others go on${
    reason && ` (skipped: ${reason})`
  }`,
  ignore: reason !== "",
  async fn() {
    using key = new KeyFile();
    await using cluster = new ProcessCluster();
    const [here, there] = await Half.pair(cluster);
    const node = (...flags: string[]): Promise<RemoteNode> => {
      const process = cluster.spawnNode([key.flag, `--address=${here.address}`, ...flags], here);
      return RemoteNode.ready(process);
    };
    const directory = await node("--directory", "--port=0", "--size=1MiB");
    const writer = await node(`--directory-address=${directory.at}`);
    await writer.store(0, 1);
    const flags = [
      key.flag,
      `--address=${there.address}`,
      `--directory-address=${directory.at}`,
    ];
    const permissions = [...PERMISSIONS, `--allow-read=${key.path}`];
    const cutOff = [["reader", READER], ["waiter", WAITER]].map(([name, code]) =>
      inlineProgram(cluster, name!, code!, { flags, permissions, prefix: there.prefix })
    );
    for (const process of cutOff) await process.untilPrinted(/^1 \d+$/m);
    here.cut();
    // The directory node gives the right to write only once it has given up the nodes beyond the
    // cut.
    await writer.store(0, 42);
    const storedAt = Date.now();
    for (const process of cutOff) {
      const { code, stdout, stderr } = await process.exit();
      assertEquals(code, 70, stderr);
      assertMatch(stderr, /^tdsm: error: .*Lost the directory node at 192\.0\.2\.1:\d+: .*$/m);
      assertEquals(stderr.match(/tdsm: error: /g)?.length, 1, stderr);
      const last = stdout.trimEnd().split("\n").at(-1)!.split(" ").map(Number);
      assertEquals(last[0], 1, stdout);
      assert(last[1]! < storedAt, `${last[1]} is not before ${storedAt}`);
    }
    assertEquals(await directory.load(0), 42);
    assertMatch(directory.process.stderr, /Node 3 is lost: it said nothing/);
    assertMatch(directory.process.stderr, /Node 4 is lost: it said nothing/);
  },
});

/**
 * Networks that are cut between nodes of a cluster: nodes in network namespaces, with virtual
 * cables between them. The namespaces last as long as the processes in them.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { inlineProgram, PERMISSIONS } from "../support/inline_program.ts";
import { KeyFile } from "../support/key_file.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import type { TestProcess } from "../support/test_process.ts";

const CABLE = "tdsm";

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

/** A network namespace of its own: a machine with an address, and a cable to each other one. */
class Machine {
  /** Words before a command, which runs on this machine then. */
  readonly prefix: readonly string[];
  readonly address: string;
  readonly #pid: number;
  readonly #number: number;

  private constructor(pid: number, number: number) {
    this.prefix = ["nsenter", `--target=${pid}`, "--net"];
    this.address = `192.0.2.${number}`;
    this.#pid = pid;
    this.#number = number;
  }

  /** Makes machines, each with a cable to each other one. */
  static async connected(cluster: ProcessCluster, count: number): Promise<Machine[]> {
    const machines: Machine[] = [];
    for (let number = 1; number <= count; number++) {
      const code = `console.log("up"); await Deno.stdin.read(new Uint8Array(1));`;
      const options = { prefix: ["unshare", "--net"], args: ["eval", code] };
      const holder = cluster.spawn(`machine ${number}`, options);
      await holder.untilPrinted(/^up$/m);
      const machine = new Machine(holder.pid, number);
      machine.run("ip", "link", "set", "lo", "up");
      for (const other of machines) machine.#connect(other);
      machines.push(machine);
    }
    return machines;
  }

  #connect(other: Machine): void {
    const [near, far] = [this.#cableTo(other), other.#cableTo(this)];
    const ends = `${near} netns ${this.#pid} type veth peer name ${far} netns ${other.#pid}`;
    this.run("ip", "link", "add", ...ends.split(" "));
    for (const [machine, peer] of [[this, other], [other, this]] as const) {
      const cable = machine.#cableTo(peer);
      machine.run("ip", "address", "add", machine.address, "peer", peer.address, "dev", cable);
      machine.run("ip", "link", "set", cable, "up");
    }
  }

  #cableTo(other: Machine): string {
    return `${CABLE}${other.#number}`;
  }

  /** Cuts the cable to another machine. */
  cut(other: Machine): void {
    this.run("ip", "link", "set", this.#cableTo(other), "down");
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

/** A test that needs network namespaces. */
function test(name: string, fn: () => Promise<void>): void {
  const skipped = reason === "" ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `partition: ${name}${skipped}`, ignore: reason !== "", fn });
}

/** Nodes on machines, which share a key. */
class Nodes implements AsyncDisposable {
  readonly cluster = new ProcessCluster();
  readonly #key = new KeyFile();

  /** Starts a node that does what it is told. */
  start(machine: Machine, ...flags: string[]): Promise<RemoteNode> {
    return RemoteNode.ready(this.cluster.spawnNode(this.#flags(machine, flags), machine));
  }

  /** Starts a node with a program of its own. */
  program(name: string, code: string, machine: Machine, directory: RemoteNode): TestProcess {
    return inlineProgram(this.cluster, name, code, {
      flags: this.#flags(machine, [`--directory-address=${directory.at}`]),
      permissions: [...PERMISSIONS, `--allow-read=${this.#key.path}`],
      prefix: machine.prefix,
    });
  }

  #flags({ address }: Machine, flags: readonly string[]): string[] {
    return [this.#key.flag, `--address=${address}`, ...flags];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    this.#key[Symbol.dispose]();
  }
}

/**
 * Awaits the end of a node that cannot go on. What it has read last, and when, is its last line.
 *
 * @param process The node.
 * @param message What it says of the cause.
 * @param storedAt When the value that it has read was overwritten.
 */
async function assertFenced(
  process: TestProcess,
  message: RegExp,
  storedAt: number,
): Promise<void> {
  const { code, stdout, stderr } = await process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, message);
  assertEquals(stderr.match(/tdsm: error: /g)?.length, 1, stderr);
  const [value, at] = stdout.trimEnd().split("\n").at(-1)!.split(" ").map(Number);
  assertEquals(value, 1, stdout);
  assert(at! < storedAt, `${at} is not before ${storedAt}`);
}

test("nodes that are cut off end in time, and the others go on", async () => {
  await using nodes = new Nodes();
  const [here, there] = await Machine.connected(nodes.cluster, 2) as [Machine, Machine];
  const directory = await nodes.start(here, "--directory", "--port=0", "--size=1MiB");
  const writer = await nodes.start(here, `--directory-address=${directory.at}`);
  await writer.store(0, 1);
  const cutOff = [["reader", READER], ["waiter", WAITER]].map(([name, code]) => {
    return nodes.program(name!, code!, there, directory);
  });
  for (const process of cutOff) await process.untilPrinted(/^1 \d+$/m);
  here.cut(there);
  // The directory node gives the right to write only once it has given up the nodes beyond the cut.
  await writer.store(0, 42);
  const storedAt = Date.now();
  const lost = /^tdsm: error: .*Lost the directory node at 192\.0\.2\.1:\d+: .*$/m;
  for (const process of cutOff) await assertFenced(process, lost, storedAt);
  assertEquals(await directory.load(0), 42);
  assertMatch(directory.process.stderr, /Node 3 is lost: it said nothing/);
  assertMatch(directory.process.stderr, /Node 4 is lost: it said nothing/);
});

test("of two nodes that do not reach each other one ends, and the other goes on", async () => {
  await using nodes = new Nodes();
  const machines = await Machine.connected(nodes.cluster, 3);
  const [first, second, third] = machines as [Machine, Machine, Machine];
  const directory = await nodes.start(first, "--directory", "--port=0", "--size=1MiB");
  const writer = await nodes.start(second, `--directory-address=${directory.at}`);
  await writer.store(0, 1);
  const reader = nodes.program("reader", READER, third, directory);
  await reader.untilPrinted(/^1 \d+$/m);
  second.cut(third);
  // The reader drops its copy when the directory node says so, but cannot say that to the writer.
  await writer.store(0, 42);
  const storedAt = Date.now();
  const unreachable = /^tdsm: error: .*Node 3 cannot reach node 2 at 192\.0\.2\.2:\d+, .*$/m;
  await assertFenced(reader, unreachable, storedAt);
  assertMatch(directory.process.stderr, /Node 3 is lost: its connection ended/);
  for (const node of [writer, directory]) assertEquals(await node.load(0), 42);
});

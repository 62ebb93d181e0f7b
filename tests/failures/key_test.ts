/**
 * Nodes that share a key: nobody else joins, listens, or learns the key; a flood keeps none of them
 * out.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { HANDSHAKES_ADDRESS_MAX } from "../../runtime/limits.ts";
import { proveKey } from "../../runtime/secure/handshake.ts";
import { keyOf } from "../../runtime/settings/key_text.ts";
import { PROTOCOL_VERSION } from "../../runtime/wire/layout.ts";
import { controlFrame, HELLO, readAll } from "../support/raw_peer.ts";
import { KeyFile } from "../support/key_file.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { writeAll } from "../support/link_bench.ts";
import { TcpProxy } from "./tcp_proxy.ts";

/** Starts a node that is to fail; returns how it ended. */
async function failing(cluster: ProcessCluster, ...flags: string[]) {
  return await cluster.spawnNode(flags).exit();
}

Deno.test("key: nodes with it share memory; one with another, or none, is told why it cannot join", async () => {
  using key = new KeyFile();
  using other = new KeyFile();
  await using cluster = new ProcessCluster();
  const [directory, second, third] = await (async () => {
    const first = await cluster.host("--size=1MiB", key.flag);
    return [first, await cluster.join(first, key.flag), await cluster.join(first, key.flag)];
  })();
  await second!.store(4096, 7);
  assertEquals(await third!.load(4096), 7);
  const at = `--directory-address=${directory!.at}`;
  const mismatched = await failing(cluster, at, other.flag);
  assertMatch(
    mismatched.stderr,
    /the directory at \S+ says no: it has another key.*\(KeyMismatch\)/,
  );
  const without = await failing(cluster, at);
  assertMatch(without.stderr, /it has a key, and this node has none.*--key-file.*\(KeyMissing\)/);
  const open = await cluster.host();
  const needless = await failing(cluster, `--directory-address=${open.at}`, key.flag);
  assertMatch(needless.stderr, /it has no key, and this node has one.*\(KeyMismatch\)/);
  assertEquals(await directory!.load(4096), 7);
});

Deno.test("key: a program without it is told nothing but that there is one", async () => {
  using key = new KeyFile();
  await using cluster = new ProcessCluster();
  const { info } = await cluster.host(key.flag);
  for (const bytes of [controlFrame(HELLO), new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")]) {
    using connection = await Deno.connect({ hostname: info.address, port: info.port });
    await connection.write(bytes);
    const expected = Uint8Array.of(8, 0, 0, 0, 0x44, 0x53, PROTOCOL_VERSION, 65);
    assertEquals(await readAll(connection), expected);
  }
});

/** Passes every byte on to a node, and keeps all. */
class ListeningProxy extends TcpProxy {
  /** What was heard, both ways. */
  readonly heard: Uint8Array[] = [];

  protected override async pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) return await to.closeWrite();
      this.heard.push(buffer.slice(0, count));
      await writeAll(to, buffer.subarray(0, count));
    }
  }
}

/** What is written to a page, and must not be found elsewhere. */
const PATTERN = "nobody may read this ";

for (const [flags, isSealed] of [[[], true], [["--plain"], false]] as const) {
  Deno.test(`key: a listener ${isSealed ? "finds no byte of a page" : "reads along where --plain says so"}`, async () => {
    using key = new KeyFile();
    await using cluster = new ProcessCluster();
    const directory = await cluster.host("--size=1MiB", key.flag, ...flags);
    const { address: hostname, port } = directory.info;
    await using proxy = new ListeningProxy({ hostname, port });
    const node = await RemoteNode.ready(
      cluster.spawnNode([`--directory-address=${proxy.at}`, key.flag, ...flags]),
    );
    await node.evaluate((node, pattern) => {
      node.memory.set(new TextEncoder().encode(pattern.repeat(1000)), 8192);
    }, PATTERN);
    assertEquals(
      await directory.evaluate((node) => new TextDecoder().decode(node.memory.slice(8192, 8198))),
      PATTERN.slice(0, 6),
    );
    const all = new TextDecoder("latin1").decode(await new Blob(proxy.heard as BlobPart[]).bytes());
    assert(all.length > 4096);
    for (const piece of [PATTERN, "hello", "protocolVersion"]) {
      // The first message of each side is sealed in any case.
      assertEquals(all.includes(piece), !isSealed && piece === PATTERN, piece);
    }
  });
}

Deno.test("key: it is in no log, error, inspection, environment of others or list of processes", async () => {
  using key = new KeyFile();
  using other = new KeyFile();
  await using cluster = new ProcessCluster();
  const env = { TDSM_KEY: key.text };
  const directory = await RemoteNode.ready(
    cluster.spawnNode(["--directory", "--port=0", "--log-level=5"], { env }),
  );
  const flag = `--directory-address=${directory.at}`;
  const node = await RemoteNode.ready(cluster.spawnNode([flag, "--log-level=5"], { env }));
  await node.store(0, 1);
  const shown = await node.evaluate((node) =>
    [
      Deno.inspect(node, { depth: 10, showHidden: true }),
      JSON.stringify(node),
      JSON.stringify(node.stats()),
      Deno.inspect(node.handle, { depth: 10 }),
    ].join()
  );
  const listed = await new Deno.Command("ps", { args: ["axww", "-o", "args"] }).output()
    .then(({ stdout }) => new TextDecoder().decode(stdout)).catch(() => "");
  const refused = await failing(cluster, flag, other.flag, "--log-level=5");
  const wrong = await cluster.spawnNode([flag], { env: { TDSM_KEY: `${key.text}x` } }).exit();
  assertMatch(wrong.stderr, /Cannot use environment variable TDSM_KEY: it must be 32 bytes/);
  await node.leave();
  const { stderr, stdout } = await directory.leave();
  const told = [
    ...[shown, listed, refused.stderr, wrong.stderr, stderr, stdout],
    ...[node.process.stderr, node.process.stdout],
  ].join("\n");
  const bytes = Uint8Array.fromBase64(key.text);
  for (const form of [key.text, bytes.toHex(), bytes.join(), bytes.join(", "), other.text]) {
    assert(!told.includes(form), "the key was told");
  }
});

/** The connections of the flood, the addresses that they come from, and what memory may grow by. */
const CONNECTIONS = 10_000;
const ADDRESSES = 100;
const GROWTH_MAX_BYTES = 64 * 1024 ** 2;

/** The memory of a process that is resident now, and the most there ever was, in bytes. */
async function memoryOf(node: RemoteNode): Promise<{ now: number; most: number }> {
  const status = await node.evaluate(() => Deno.readTextFileSync("/proc/self/status"));
  const [now, most] = ["VmRSS", "VmHWM"].map((name) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1])
  );
  return { now: now!, most: most! };
}

Deno.test("key: nodes of one machine that all turn to the same node at once are all answered", async () => {
  using key = new KeyFile();
  using library = openLibrary();
  await using cluster = new ProcessCluster();
  const { info } = await cluster.host("--size=1MiB", key.flag);
  const secret = { key: keyOf(key.text), plain: false, library };
  const opening = Array.from(
    { length: HANDSHAKES_ADDRESS_MAX },
    () => Deno.connect({ hostname: info.address, port: info.port }),
  );
  const connections = await Promise.all(opening);
  // Each has its connection before the first of them says anything, as where cores are short.
  for (const connection of connections) {
    await cluster.bounded("its answer", proveKey(connection, secret));
  }
  for (const connection of connections) connection.close();
});

Deno.test("key: a flood of half-open and slow connections keeps no node out, and costs little memory", async () => {
  using key = new KeyFile();
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB", key.flag);
  const { address, port } = directory.info;
  const before = await memoryOf(directory);
  const flood = new Deno.Command("python3", {
    args: ["tests/failures/flood.py", address, `${port}`, `${CONNECTIONS}`, `${ADDRESSES}`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const said = flood.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let printed = "";
  const untilSaid = async (word: string) => {
    while (!printed.includes(word)) {
      const { value, done } = await cluster.bounded(word, said.read());
      assert(!done, "the flood has ended");
      printed += value;
    }
  };
  await untilSaid("flooding");
  const early = await cluster.join(directory, key.flag);
  await early.store(0, 5);
  await untilSaid(`opened ${CONNECTIONS}`);
  const late = await cluster.join(directory, key.flag);
  assertEquals(await late.load(0), 5);
  const { most } = await memoryOf(directory);
  const growth = most - before.now;
  await flood.stdin.close();
  await said.cancel();
  await flood.status;
  assert(growth <= GROWTH_MAX_BYTES, `${Math.round(growth / 1024 ** 2)} MiB more`);
});

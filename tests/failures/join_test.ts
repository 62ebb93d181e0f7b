/**
 * Why a node cannot join or begin: each reason has its code, and a message that says what to do.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { PROTOCOL_VERSION } from "../../runtime/wire/layout.ts";
import { type Exit, ProcessCluster } from "../support/process_cluster.ts";
import { controlFrame } from "../support/raw_peer.ts";

/** A port at which no program listens: it was free a moment ago. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a node that must fail, and returns how it ended. */
async function failing(cluster: ProcessCluster, ...flags: string[]): Promise<Exit> {
  return await cluster.spawnNode(flags).exit();
}

/** Checks that a node ended, said why in one line, and printed nothing else. */
function assertFailed({ code, stdout, stderr }: Exit, why: RegExp, message: RegExp): void {
  const [, text, word] = /^tdsm: error: (.*) \((\w+)\)$/.exec(stderr.trimEnd()) ?? [];
  assertMatch(word ?? "", why, stderr);
  assertMatch(text!, message);
  assertEquals([code, stdout], [word === "InvalidOption" ? 2 : 70, ""], stderr);
}

Deno.test("join: no directory at the address", async () => {
  await using cluster = new ProcessCluster();
  const at = `127.0.0.1:${freePort()}`;
  const ended = await failing(cluster, `--directory-address=${at}`, "--join-timeout=300");
  assertFailed(ended, /^NoDirectory$/, /^Cannot join: no directory at /);
  for (
    const hint of [at, "within 300 ms", "--directory", "--directory-address", "--join-timeout"]
  ) {
    assert(ended.stderr.includes(hint), `${hint} is not in ${ended.stderr}`);
  }
});

Deno.test("join: waits for a directory that comes later", async () => {
  await using cluster = new ProcessCluster();
  const port = freePort();
  const early = cluster.spawnNode([`--directory-address=127.0.0.1:${port}`]);
  cluster.spawnNode(["--directory", `--port=${port}`]);
  await early.untilPrinted(/"id":2/);
});

Deno.test("join: the port is in use", async () => {
  await using cluster = new ProcessCluster();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const ended = await failing(cluster, "--directory", `--port=${port}`);
  assertFailed(
    ended,
    /^ListenFailed$/,
    new RegExp(
      `^Cannot listen at 127.0.0.1:${port}: the port is in use. ` +
        `If a directory is there, join it with --directory-address 127.0.0.1:${port}. ` +
        "Otherwise stop what uses it, or name another with --port ",
    ),
  );
  const at = "--directory-address=127.0.0.1:1";
  const joining = await failing(cluster, at, `--port=${port}`);
  assertFailed(
    joining,
    /^ListenFailed$/,
    /the port is in use\. Stop what uses it, or name another with --port /,
  );
});

Deno.test("join: the address is not of this machine", async () => {
  await using cluster = new ProcessCluster();
  const ended = await failing(
    cluster,
    "--directory",
    "--port=0",
    "--address=192.0.2.1",
    "--insecure",
  );
  assertFailed(ended, /^ListenFailed$/, /192\.0\.2\.1:0.*--address/);
});

Deno.test("join: the directory's region has another size, or pages of another size", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  const to = `--directory-address=${directory.at}`;
  assertFailed(
    await failing(cluster, to, "--size=2MiB"),
    /^RegionMismatch$/,
    /: --size 2MiB asked for, the directory node has 1MiB\. Leave it out/,
  );
  assertFailed(
    await failing(cluster, to, "--page-size=64KiB"),
    /^RegionMismatch$/,
    /: --page-size 64KiB asked for, the directory node has 4KiB\. Leave/,
  );
  const same = await cluster.join(directory, "--size=1MiB", "--page-size=4KiB");
  assertEquals(await same.load(0), 0);
});

Deno.test("join: what the directory node decides is refused where a node asks for something else", async () => {
  await using cluster = new ProcessCluster();
  const decided = [
    "--size=1MiB",
    "--page-size=8KiB",
    "--compression",
    "--no-checksums",
    "--hold-time=500",
    "--run-pages=16",
    "--no-migration",
    "--homes=spread",
  ];
  const directory = await cluster.host(...decided);
  const to = `--directory-address=${directory.at}`;
  const refused: [flag: string, reason: string][] = [
    ["--size=2MiB", "--size 2MiB asked for, the directory node has 1MiB"],
    ["--page-size=4KiB", "--page-size 4KiB asked for, the directory node has 8KiB"],
    ["--no-compression", "--compression off asked for, the directory node has on"],
    ["--checksums", "--checksums on asked for, the directory node has off"],
    ["--hold-time=0", "--hold-time 0 asked for, the directory node has 500"],
    ["--run-pages=128", "--run-pages 128 asked for, the directory node has 16"],
    ["--migration", "--migration on asked for, the directory node has off"],
    ["--homes=directory", "--homes directory asked for, the directory node has spread"],
  ];
  for (const [flag, reason] of refused) {
    assertFailed(
      await failing(cluster, to, flag),
      /^RegionMismatch$/,
      new RegExp(`^Cannot join: the node at .* refuses: ${reason}\\. Leave it out`),
    );
  }
  // A value in a variable is refused as well, not ignored.
  const env = { COMPRESSION: "0" };
  const byVariable = await cluster.spawnNode([to], { env }).exit();
  assertFailed(byVariable, /^RegionMismatch$/, /--compression off asked for/);
  const same = await cluster.join(directory, ...decided);
  // No refused node has used up an id.
  assertEquals(same.info.id, 2);
});

Deno.test("join: sizes that no region can have", async () => {
  await using cluster = new ProcessCluster();
  const refused: [flag: string, message: RegExp][] = [
    ["--size=0", /"0" of flag --size: it must be a multiple of 4KiB from 4KiB to 1TiB$/],
    ["--size=2TiB", /"2TiB" of flag --size: .* to 1TiB$/],
    ["--size=5000", /"5000" of flag --size: it must be a multiple of 4KiB/],
    [
      "--page-size=2KiB",
      /"2KiB" of flag --page-size: it must be a power of two from 4KiB to 2MiB$/,
    ],
    ["--page-size=4MiB", /"4MiB" of flag --page-size/],
    ["--page-size=12KiB", /"12KiB" of flag --page-size/],
  ];
  await Promise.all(refused.map(async ([flag, message]) => {
    const ended = await failing(cluster, "--directory", "--port=0", flag);
    assertMatch(ended.stderr, /^tdsm: error: Cannot use /);
    assertFailed(ended, /^InvalidOption$/, message);
  }));
});

Deno.test("join: what listens there speaks another version of the protocol", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const node = cluster.spawnNode([`--directory-address=127.0.0.1:${listener.addr.port}`]);
  using connection = await listener.accept();
  const later = PROTOCOL_VERSION + 1;
  const reason = `protocol version ${PROTOCOL_VERSION} asked for, this is ${later}`;
  const refusal = controlFrame({ kind: "refuse", code: "VersionMismatch", reason }, later);
  await connection.write(refusal);
  const ended = await node.exit();
  assertFailed(ended, /^(?:VersionMismatch|JoinRefused)$/, /^Cannot join: .*127\.0\.0\.1:\d+/);
  assertMatch(ended.stderr, new RegExp(`version.* ${later}\\b`));
});

Deno.test("join: what listens there is no directory", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = `127.0.0.1:${listener.addr.port}`;
  const node = cluster.spawnNode([`--directory-address=${at}`]);
  using connection = await listener.accept();
  await connection.write(
    new TextEncoder().encode("SSH-2.0-OpenSSH_9.9 is no directory at all\r\n"),
  );
  assertFailed(
    await node.exit(),
    /^\w+$/,
    new RegExp(`^Cannot join: .*${at} does not answer like a directory`),
  );
});

Deno.test("join: what listens there says nothing", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = `127.0.0.1:${listener.addr.port}`;
  const node = cluster.spawnNode([`--directory-address=${at}`]);
  using _connection = await listener.accept();
  assertFailed(await node.exit(), /^\w+$/, new RegExp(`^Cannot join: .*${at}`));
});

Deno.test("join: the time-out holds for an answer that does not come, too", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = `127.0.0.1:${listener.addr.port}`;
  const node = cluster.spawnNode([`--directory-address=${at}`, "--join-timeout=300"]);
  using _connection = await listener.accept();
  const ended = await node.exit();
  assertFailed(ended, /^TimedOut$/, /^Cannot join: .* no answer within \d+ ms\. Name a directory/);
  const [, waited] = /within (\d+) ms/.exec(ended.stderr)!;
  assert(Number(waited) <= 300, `${waited} ms`);
});

Deno.test("join: a node that is not the directory node names the directory node", async () => {
  await using cluster = new ProcessCluster();
  const [directory, other] = await cluster.start(2);
  const ended = await failing(cluster, `--directory-address=${other!.at}`);
  assertFailed(
    ended,
    /^JoinRefused$/,
    new RegExp(`not the directory, which is at ${directory!.at}`),
  );
});

Deno.test("join: the library was not built", async () => {
  await using cluster = new ProcessCluster();
  const byFlag = await failing(cluster, "--directory", "--port=0", "--library=/nonexistent.so");
  assertFailed(byFlag, /^LibraryNotFound$/, /\/nonexistent\.so.*/);
  const env = { TDSM_LIBRARY: "/nonexistent.so" };
  const byEnvironment = await cluster.spawnNode(["--directory", "--port=0"], { env }).exit();
  assertFailed(byEnvironment, /^LibraryNotFound$/, /\/nonexistent\.so.*/);
});

for (const [granted, missing] of [["ffi", "net"], ["net", "ffi"]]) {
  Deno.test(`join: --allow-${missing} is missing`, async () => {
    await using cluster = new ProcessCluster();
    const args = ["run", "--no-prompt", `--allow-${granted}`, "mod.ts", "--port=0"];
    const { code, stdout, stderr } = await cluster.spawn("node", { args }).exit();
    assertEquals([code, stdout], [2, ""]);
    assertMatch(
      stderr,
      new RegExp(`^tdsm: error: .*--allow-${missing}.* \\(PermissionMissing\\)\n$`),
    );
  });
}

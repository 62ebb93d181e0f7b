/**
 * A node to which the kernel gives no memory for pages, as where the whole machine may overcommit
 * none.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

/** Numbers of the system call madvise(2), and what the kernel calls the machine in a filter. */
const MACHINES: Readonly<Record<string, readonly [madvise: number]>> = {
  x86_64: [28],
  aarch64: [233],
};
const PAGE = 4096;

/** The words before a command for which MADV_POPULATE_WRITE fails by ENOMEM (seccomp(2)). */
function withoutMemory(): string[] {
  const [madvise] = MACHINES[Deno.build.arch]!;
  const program = `
import ctypes, os, struct, sys
load, equal, answer, refuse, allow = 0x20, 0x15, 0x06, 0x00050000 | 12, 0x7fff0000
code = b"".join(struct.pack("HBBI", *line) for line in [
  (load, 0, 0, 0), (equal, 0, 3, ${madvise}), (load, 0, 0, 32), (equal, 0, 1, 23),
  (answer, 0, 0, refuse), (answer, 0, 0, allow)])
lines = ctypes.create_string_buffer(code)
filter = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(lines))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
`;
  return ["python3", "-c", program];
}

Deno.test("no memory: a node to which the kernel gives none for pages ends with MemoryExhausted, by no signal", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  await directory.store(PAGE, 7);
  const flags = [`--directory-address=${directory.at}`];
  const starved = await RemoteNode.ready(cluster.spawnNode(flags, { prefix: withoutMemory() }));
  starved.load(PAGE).catch(() => {});
  const { code, stderr } = await starved.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(
    stderr,
    /^tdsm: error: Cannot find memory for 1 pages from page 1: .* --memory-limit .*\(ENOMEM\) \(MemoryExhausted\)$/m,
  );
  assertEquals(await directory.load(PAGE), 7, "the others go on");
  await directory.leave();
});

/** A node without privilege: the kernel lets it serve only faults of user space. */

import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { builtLibraryPath } from "../../ffi/library.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** Why the test cannot run here; empty when it can. */
function obstacle(): string {
  // Deno itself reads nothing there without every permission.
  const sysctl = new Deno.Command("cat", { args: ["/proc/sys/vm/unprivileged_userfaultfd"] });
  const value = new TextDecoder().decode(sysctl.outputSync().stdout).trim();
  if (value === "1") return "vm.unprivileged_userfaultfd is 1";
  if (Deno.uid() !== 0) return "only root can become another user";
  const [program, ...args] = [...AS_NOBODY, "test", "-r", builtLibraryPath()!];
  try {
    if (new Deno.Command(program!, { args }).outputSync().success) return "";
  } catch {
    // There is no setpriv.
  }
  return "cannot become the user nobody";
}

/** Makes one file of a program, with all that it imports. */
async function bundle(program: string, output: string): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", "--output", output, program],
    cwd: ROOT,
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

const reason = obstacle();

Deno.test({
  name: `privilege: a node without it works, and says what cannot${
    reason && ` (skipped: ${reason})`
  }`,
  ignore: reason !== "",
  async fn() {
    // That user may read neither this project nor the cache of modules.
    const folder = await Deno.makeTempDir();
    try {
      await Deno.chmod(folder, 0o777);
      const program = `${folder}/remote_node.js`;
      await bundle("tests/nodes/programs/remote_node.ts", program);
      await Deno.chmod(program, 0o644);
      await using cluster = new ProcessCluster();
      const directory = await cluster.host("--size=1MiB");
      const process = cluster.spawn("nobody's node", {
        args: [
          "run",
          "--no-config",
          "-A",
          program,
          `--directory-address=${directory.at}`,
          `--library=${builtLibraryPath()}`,
        ],
        env: { DENO_DIR: folder, HOME: folder },
        prefix: AS_NOBODY,
      });
      const node = await RemoteNode.ready(process);
      assertEquals([directory.info.userModeOnly, node.info.userModeOnly], [false, true]);
      await directory.store(0, 1);
      assertEquals(await node.load(0), 1);
      await node.store(0, 2);
      assertEquals(await directory.load(0), 2);
      // A file is read into a page that is not here: by the kernel, which cannot wait for it.
      const read = (node: import("../../mod.ts").Node, path: string): string => {
        using file = Deno.openSync(path);
        try {
          return String(file.readSync(node.memory.subarray(8192, 8196)));
        } catch (error) {
          return (error as Error).message;
        }
      };
      assertEquals(await directory.evaluate(read, program), "4");
      assertMatch(await node.evaluate(read, program), /Bad address/);
      await process.untilPrinted(
        /^\S+Z tdsm: warning: .*system calls.*chmod 0666 \/dev\/userfaultfd.*vm\.unprivileged_userfaultfd/m,
      );
      // Where nothing catches that, its cause is told with it.
      const unaware = `${folder}/bad_address.js`;
      await bundle("tests/nodes/programs/bad_address.ts", unaware);
      await Deno.chmod(unaware, 0o644);
      const ended = await cluster.spawn("an unaware program", {
        args: ["run", "--no-config", "-A", unaware, `--library=${builtLibraryPath()}`],
        env: { DENO_DIR: folder, HOME: folder },
        prefix: AS_NOBODY,
      }).exit();
      assertEquals(ended.code, 1);
      assertMatch(ended.stderr, /^tdsm: error: The program of node 1 has failed: .*Bad address/m);
      assertMatch(ended.stderr, /^tdsm: error: A system call has met memory .* --doctor$/m);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

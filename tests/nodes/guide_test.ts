/**
 * What the guide shows beside its examples (which are tests themselves): a program and a profile.
 */

import { assertEquals } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";

const GUIDE = await Deno.readTextFile(new URL("../../docs/guide.md", import.meta.url));

/** The first block of the guide behind a heading that is fenced so. */
function block(heading: string, fence: string): string {
  const section = GUIDE.slice(GUIDE.indexOf(`\n## ${heading}\n`));
  return section.split(`\n\`\`\`${fence}\n`)[1]!.split("\n```\n")[0]!;
}

/** Where a program is that may be missing here. */
function found(program: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" })
    .outputSync().success;
}

/** Runs a program that is no node; returns what it printed on both. */
function output(program: string, args: string[], stdin = ""): string {
  const script = 'printf %s "$0" | "$@" 2>&1';
  const { stdout } = new Deno.Command("sh", { args: ["-c", script, stdin, program, ...args] })
    .outputSync();
  return new TextDecoder().decode(stdout);
}

/** A file that is there while `body` runs. */
async function withFile(name: string, text: string, body: (path: string) => Promise<void> | void) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/${name}`, text);
    await body(`${folder}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("guide: one file is the program and its Workers, with the permissions that it names", async () => {
  const config = ["--no-prompt", "--config", "deno.json"];
  await withFile("program.ts", block("Workers in one file", "ts ignore"), async (path) => {
    await using cluster = new ProcessCluster();
    const check = await cluster.spawn("check", { args: ["check", ...config.slice(1), path] })
      .exit();
    assertEquals(check.code, 0, check.stderr);
    const flags = ["--allow-ffi", "--allow-net", "--allow-read"];
    const args = ["run", ...config, ...flags, path, "--directory", "--port=0"];
    const { code, stdout, stderr } = await cluster.spawn("program", { args }).exit();
    assertEquals([code, stdout, stderr], [0, "4 Workers have counted\n", ""]);
  });
});

Deno.test({
  name: "guide: the profile for containers allows userfaultfd, and nothing else that was refused",
  ignore: !found("jq"),
  async fn() {
    const [, filter] = /^jq '([^']+)'/m.exec(GUIDE)!;
    const refused = { action: "SCMP_ACT_ERRNO" };
    const syscalls = [
      { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
      { names: ["bdflush", "userfaultfd"], ...refused },
      { names: ["userfaultfd"], ...refused },
    ];
    const profile = JSON.stringify({ defaultAction: "SCMP_ACT_ERRNO", syscalls });
    await withFile("seccomp.json", profile, (path) => {
      assertEquals(JSON.parse(output("jq", [filter!, path])), {
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: [
          syscalls[0],
          { names: ["bdflush"], ...refused },
          { names: ["userfaultfd"], action: "SCMP_ACT_ALLOW" },
        ],
      });
    });
  },
});

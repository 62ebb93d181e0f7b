/**
 * The files of `examples/deploy` with the programs that they are for: runc and systemd. Run by
 * `./tdsm test:launchers`, as root.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { withFolder } from "../support/folder.ts";
import { testsWith } from "./needs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEPLOY = `${ROOT}/examples/deploy`;

/** Runs a command; returns its exit code, and all that it printed. */
async function run(command: string, ...args: string[]): Promise<[code: number, text: string]> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" })
    .output();
  const decoder = new TextDecoder();
  return [code, decoder.decode(stdout) + decoder.decode(stderr)];
}

/** Runs a command in a container without capabilities, which sees the files of this machine. */
async function contained(
  folder: string,
  seccomp: unknown,
  ...args: string[]
): Promise<[code: number, text: string]> {
  const environment = {
    PATH: `${dirname(Deno.execPath())}:/usr/bin:/bin`,
    HOME: Deno.env.get("HOME") ?? "/root",
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
  };
  const config = {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args,
      env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      cwd: ROOT,
      noNewPrivileges: true,
      capabilities: { bounding: [], effective: [], permitted: [] },
    },
    root: { path: "root" },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: { namespaces: [{ type: "mount" }, { type: "pid" }], seccomp },
  };
  await Deno.mkdir(`${folder}/root`, { recursive: true });
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  const script = `mount --rbind / ${folder}/root && cd ${folder} && ` +
    `exec runc --root ${folder}/state run tdsm-${crypto.randomUUID()}`;
  return await run("unshare", "--mount", "--propagation", "private", "sh", "-c", script);
}

testsWith(["runc", "ip"])(
  "deploy: nodes run under the profile, which keeps from a container what it should",
  async () => {
    const seccomp = JSON.parse(await Deno.readTextFile(`${DEPLOY}/seccomp.json`));
    await withFolder(async (folder) => {
      const launch = ["deno", "run", "-A", "runtime/cli/launch.ts", "-n", "2", "examples/hello.ts"];
      const [code, text] = await contained(folder, seccomp, ...launch);
      assertEquals(code, 0, text);
      for (const id of [1, 2]) assertStringIncludes(text, `[${id}] Node ${id} of 2 reads 200000`);
      // Without the profile this makes a namespace of users, whatever capabilities there are.
      const unshare = ["unshare", "--user", "true"];
      assertEquals((await contained(folder, undefined, ...unshare))[0], 0);
      const [refused, why] = await contained(folder, seccomp, ...unshare);
      assertEquals(refused, 1, why);
      assertStringIncludes(why, "Operation not permitted");
    });
  },
);

testsWith(["systemd-analyze"])("deploy: systemd finds nothing wrong with the units", async () => {
  await withFolder(async (folder) => {
    for (const name of ["tdsm-directory.service", "tdsm-node.service"]) {
      const unit = await Deno.readTextFile(`${DEPLOY}/${name}`);
      // It looks for what a unit starts.
      const here = unit.replace("/usr/local/bin/deno", Deno.execPath());
      await Deno.writeTextFile(`${folder}/${name}`, here);
      assertEquals(await run("systemd-analyze", "verify", `${folder}/${name}`), [0, ""]);
      await Deno.writeTextFile(`${folder}/${name}`, here.replace("TimeoutStopSec", "TimeoutStop"));
      const [, told] = await run("systemd-analyze", "verify", `${folder}/${name}`);
      assertMatch(told, /Unknown key (?:name )?'TimeoutStop'/);
    }
  });
});

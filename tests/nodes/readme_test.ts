/**
 * The first program of the README: the page has it as it is, and its two commands do what is said.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";

const ROOT = new URL("../..", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

Deno.test("README: the first program is examples/hello.ts", async () => {
  const program = await Deno.readTextFile(new URL("examples/hello.ts", ROOT));
  assertStringIncludes(README, `\`\`\`ts ignore\n${program}\`\`\`\n`);
});

Deno.test("README: the launcher prints what is said", async () => {
  const [, command, printed] = /^\.\/tdsm (launch .*examples\/hello\.ts)\n```\n\n```\n([^`]*)```$/m
    .exec(README)!;
  await using cluster = new ProcessCluster();
  const args = ["task", "--quiet", ...command!.split(" ")];
  const { code, stdout, stderr } = await cluster.spawn(command!, { args }).exit();
  const sorted = stdout.trimEnd().split("\n").sort().join("\n");
  assertEquals([code, `${sorted}\n`, stderr], [0, printed, ""]);
});

Deno.test("README: the two commands of the first program share memory", async () => {
  const commands = [...README.matchAll(/^\.\/tdsm deno (run .*examples\/hello\.ts.*)$/gm)];
  assertEquals(commands.length, 2);
  await using cluster = new ProcessCluster();
  const terminals = commands.map(([line, args]) =>
    cluster.spawn(line, { args: args!.replace("run ", "run --no-prompt ").split(" ") })
  );
  const exits = await Promise.all(terminals.map((process) => process.exit()));
  assertEquals(
    exits.map(({ code, stdout, stderr }) => [code, stdout, stderr]),
    [[0, "Node 1 of 2 reads 200000\n", ""], [0, "Node 2 of 2 reads 200000\n", ""]],
  );
});

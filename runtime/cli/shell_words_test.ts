import { assertEquals } from "@std/assert";
import { loaderCommand, quote } from "./shell_words.ts";

/** Runs a command in a shell, with an input; returns what it prints. */
async function run(shell: string, command: string, input: string): Promise<string> {
  const child = new Deno.Command(shell, {
    args: ["-c", command],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const [{ stdout }] = await Promise.all([
    child.output(),
    new Blob([input]).stream().pipeTo(child.stdin),
  ]);
  return new TextDecoder().decode(stdout);
}

Deno.test("loaderCommand: runs the script of its input, which has the rest of it", async () => {
  const words = ["it's", "two words", "$HOME `x` \\", "a\nMARK\n", '"', "ä"];
  const script = `printf '%s|' ${words.map(quote).join(" ")}\ncat`;
  for (const shell of ["sh", "bash"]) {
    // A mark is one that no script has; this one stands in a word, between other lines.
    const printed = await run(shell, loaderCommand("M-1"), `${script}\nM-1\nthe rest\n`);
    assertEquals(printed, `M-1\n${words.map((word) => `${word}|`).join("")}the rest\n`);
  }
});

Deno.test("loaderCommand: a script that does not come whole is not run", async () => {
  assertEquals(await run("sh", loaderCommand("M-1"), "echo half\necho ha"), "M-1\n");
});

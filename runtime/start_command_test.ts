import { assertEquals } from "@std/assert";
import { launchCommandOf, startCommandOf } from "./start_command.ts";

const CHECKOUT = "file:///home/me/t%20dsm/runtime/start_command.ts";
const NODE = "deno run --allow-ffi --allow-net";

Deno.test("startCommandOf: in a checkout it is by ./tdsm, from another folder by whole paths", () => {
  assertEquals(startCommandOf(CHECKOUT, undefined, "/home/me/t dsm"), `./tdsm ${NODE} mod.ts`);
  assertEquals(
    startCommandOf(CHECKOUT, undefined, "/home/me"),
    `'/home/me/t dsm/tdsm' ${NODE} '/home/me/t dsm/mod.ts'`,
  );
  assertEquals(
    startCommandOf(CHECKOUT.replace("t%20dsm", "tdsm"), [], "/"),
    "/home/me/tdsm/tdsm deno run /home/me/tdsm/mod.ts",
  );
});

Deno.test("startCommandOf: without a checkout it names the package, or the address", () => {
  assertEquals(startCommandOf("file:///a/tdsm.js", [], "/a"), "deno run npm:@tdsm/runtime");
  assertEquals(
    startCommandOf("https://a.test:1/tdsm.js", undefined, "/a"),
    `${NODE} --allow-import=a.test:1 https://a.test:1/tdsm.js`,
  );
});

Deno.test("launchCommandOf: as the checkout, or the package, has it", () => {
  assertEquals(launchCommandOf(CHECKOUT, "/home/me/t dsm"), "./tdsm launch");
  assertEquals(launchCommandOf(CHECKOUT, "/"), "'/home/me/t dsm/tdsm' launch");
  assertEquals(launchCommandOf("file:///a/tdsm.js"), "deno run -A npm:@tdsm/runtime/launch");
});

Deno.test("startCommandOf: what a program in another folder is told makes a key", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const code = `console.log((await import("${import.meta.resolve("./start_command.ts")}"))` +
      `.NEW_KEY_COMMAND)`;
    const told = await new Deno.Command(Deno.execPath(), { args: ["eval", code], cwd: folder })
      .output();
    const command = new TextDecoder().decode(told.stdout).trim();
    const made = await new Deno.Command("sh", { args: ["-c", command], cwd: folder }).output();
    const key = new TextDecoder().decode(made.stdout).trim();
    assertEquals(Uint8Array.fromBase64(key).length, 32, command);
  } finally {
    await Deno.remove(folder);
  }
});

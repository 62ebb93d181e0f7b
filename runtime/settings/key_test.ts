import { assertEquals, assertRejects } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { NEW_KEY_COMMAND } from "../start_command.ts";
import { newKey, readKey } from "./key.ts";

async function refusal(path: string): Promise<[string, string]> {
  const { code, message } = await assertRejects(() => readKey({ file: path }), TdsmError);
  return [code, message];
}

Deno.test({
  name: "readKey: the permission for a key file that is missing is named",
  permissions: { read: false },
  async fn() {
    assertEquals(await refusal("cluster.key"), [
      "PermissionMissing",
      "Cannot read the key file cluster.key: run Deno with --allow-read=cluster.key",
    ]);
  },
});

Deno.test("readKey: a file that is not there, is a folder, or has no key is one line that says so", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/cluster.key`;
    assertEquals(await refusal(path), [
      "InvalidOption",
      `Cannot read the key file ${path}: there is none; make one with ${NEW_KEY_COMMAND} > ${path}`,
    ]);
    assertEquals(await refusal(folder), [
      "InvalidOption",
      `Cannot read the key file ${folder}: it is no file`,
    ]);
    Deno.writeTextFileSync(path, "hello\n");
    const [code, message] = await refusal(path);
    assertEquals([code, message.startsWith(`Cannot use the key file ${path}: its text `)], [
      "InvalidOption",
      true,
    ]);
    Deno.writeTextFileSync(path, `${newKey()}\n`, { mode: 0o600 });
    Deno.chmodSync(path, 0o600);
    assertEquals((await readKey({ file: path }))?.warning, undefined);
    Deno.chmodSync(path, 0o644);
    assertEquals(
      (await readKey({ file: path }))?.warning,
      `Others on this machine can read or change the key file ${path}: ` +
        `run chmod 600 ${path}, and make a new key if somebody has`,
    );
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

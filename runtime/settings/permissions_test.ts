import { assertEquals, assertThrows } from "@std/assert";
import { resolveSettings, type Settings } from "./settings.ts";
import { TdsmError } from "../errors.ts";
import { requirePermissions } from "./permissions.ts";

function settingsFor(address: string, port: number, directoryAddress?: string): Settings {
  return resolveSettings({ address, port, directoryAddress }, undefined, () => undefined).settings;
}

Deno.test({
  name: "requirePermissions names the address and the flag, and asks nobody",
  permissions: { ffi: true, net: ["127.0.0.1"] },
  fn() {
    requirePermissions(settingsFor("127.0.0.1", 0));
    requirePermissions(settingsFor("127.0.0.1", 4000, "127.0.0.1:9634"));
    for (const settings of [settingsFor("0.0.0.0", 4000), settingsFor("127.0.0.1", 0, "[::1]:7")]) {
      const error = assertThrows(() => requirePermissions(settings), TdsmError, "--allow-net");
      assertEquals((error as TdsmError).code, "PermissionMissing");
    }
  },
});

Deno.test({
  name: "requirePermissions is content with all of the network",
  permissions: { ffi: true, net: true },
  fn() {
    requirePermissions(settingsFor("0.0.0.0", 0, "example.org:1"));
  },
});

Deno.test({
  name: "requirePermissions names the flag of native code",
  permissions: { net: true, ffi: false },
  fn() {
    const settings = settingsFor("127.0.0.1", 0);
    const error = assertThrows(() => requirePermissions(settings), TdsmError, "--allow-ffi");
    assertEquals((error as TdsmError).code, "PermissionMissing");
  },
});

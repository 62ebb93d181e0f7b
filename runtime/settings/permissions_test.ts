import { assertEquals, assertThrows } from "@std/assert";
import { resolveSettings } from "./settings.ts";
import type { Settings } from "./types.ts";
import { TdsmError } from "../errors.ts";
import { requireNative, requirePermissions } from "./permissions.ts";

function settingsFor(address: string, port: number, directoryAddress?: string): Settings {
  return resolveSettings({ address, port, directoryAddress }, undefined, () => undefined).settings;
}

Deno.test({
  name: "requirePermissions names the address and the flag, and asks nobody",
  permissions: { ffi: true, net: ["127.0.0.1"] },
  fn() {
    requirePermissions(settingsFor("127.0.0.1", 0));
    requirePermissions(settingsFor("127.0.0.1", 4000, "127.0.0.1:9634"));
    const refusals: [settings: Settings, message: string][] = [
      [settingsFor("0.0.0.0", 4000), "at 0.0.0.0:4000: run Deno with --allow-net"],
      [settingsFor("0.0.0.0", 0), "at any port of 0.0.0.0: run Deno with --allow-net"],
      [
        settingsFor("127.0.0.1", 0, "[::1]:7"),
        "at [::1]:7: run Deno with --allow-net=127.0.0.1,[::1]",
      ],
      [
        settingsFor("127.0.0.1", 0, "localhost"),
        "at localhost:9634: run Deno with --allow-net=127.0.0.1,localhost",
      ],
      [settingsFor("127.0.0.1", 0, "10.0.0.1"), "at 10.0.0.1:9634: run Deno with --allow-net"],
    ];
    for (const [settings, message] of refusals) {
      const error: TdsmError = assertThrows(() => requirePermissions(settings), TdsmError);
      assertEquals(error.message, `Cannot use the network ${message}`);
      assertEquals(error.code, "PermissionMissing");
    }
  },
});

Deno.test({
  name: "requirePermissions widens a permission for one port, or for the name of this machine",
  permissions: { ffi: true, net: ["127.0.0.1:9634", "localhost"] },
  fn() {
    requirePermissions(settingsFor("127.0.0.1", 9634));
    for (
      const [directory, hosts] of [["127.0.0.1", "127.0.0.1"], ["localhost", "127.0.0.1,localhost"]]
    ) {
      const settings = settingsFor("127.0.0.1", 0, directory);
      const error: TdsmError = assertThrows(() => requirePermissions(settings), TdsmError);
      assertEquals(
        error.message,
        `Cannot use the network at any port of 127.0.0.1: run Deno with --allow-net=${hosts}`,
      );
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

Deno.test({
  name: "requirePermissions names all that is missing at once, also where native code comes first",
  permissions: {},
  fn() {
    const settings = { ...settingsFor("127.0.0.1", 4000), trace: "out/trace.json" };
    const flags = "run Deno with --allow-ffi --allow-net=127.0.0.1 --allow-write=out/";
    const all = "Cannot use native code, or use the network at 127.0.0.1:4000, or " +
      `write a trace into out/, to a file with the node's id in its name: ${flags}`;
    for (const require of [requirePermissions, requireNative]) {
      const error: TdsmError = assertThrows(() => require(settings), TdsmError);
      assertEquals([error.code, error.message], ["PermissionMissing", all]);
    }
    // Where the directory is, and so what of the network is needed, is to be found out.
    const found: Settings = { ...settings, rendezvous: { kind: "file", path: "at" } };
    const error: TdsmError = assertThrows(() => requireNative(found), TdsmError);
    assertEquals(
      error.message,
      "Cannot use native code: run Deno with --allow-ffi, without a path",
    );
  },
});

Deno.test({
  name: "requirePermissions names what is served beside the node",
  permissions: { ffi: true, net: ["127.0.0.1:4000"] },
  fn() {
    const settings = settingsFor("127.0.0.1", 4000);
    requirePermissions(settings);
    const dashboard = { hostname: "127.0.0.1", port: 9635 };
    const error: TdsmError = assertThrows(
      () => requirePermissions(settings, [dashboard]),
      TdsmError,
    );
    assertEquals(
      error.message,
      "Cannot use the network at 127.0.0.1:9635: run Deno with --allow-net=127.0.0.1",
    );
  },
});

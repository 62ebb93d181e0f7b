import { assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { hostOf, machineName } from "./machine.ts";

Deno.test("machineName: the same for all processes of a machine", () => {
  const { host, boot } = machineName();
  assertEquals(machineName(), { host, boot });
  assertMatch(boot, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const told = machineName((path) => path.endsWith("/hostname") ? "n1\n" : "b-1\n");
  assertEquals([told, hostOf(told)], [{ host: "n1", boot: "b-1" }, "n1"]);
});

Deno.test("machineName: where /proc tells nothing no machine is taken for this one", () => {
  for (const nothing of [undefined, "", "\n"]) {
    const machine = machineName(() => nothing);
    assertEquals(machine.host, "");
    assertNotEquals(machine.boot, "");
    const error = assertThrows(() => hostOf(machine), TdsmError);
    assertEquals(error.code, "InvalidOption");
    assertMatch(error.message, /\/proc does not tell the name of this machine\. Name an address/);
  }
});

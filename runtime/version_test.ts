import { assertEquals } from "@std/assert";
import { isDenoSupported } from "./version.ts";

Deno.test("isDenoSupported compares versions by their numbers", () => {
  const supported = ["2.8.0", "2.8.3", "2.10.0", "3.0.0-rc.1", "10.0.0"];
  for (const version of supported) assertEquals(isDenoSupported(version), true, version);
  for (const version of ["2.7.14", "1.46.3", "0.0.2"]) {
    assertEquals(isDenoSupported(version), false, version);
  }
});

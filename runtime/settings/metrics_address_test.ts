import { assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { metricsAt } from "./metrics_address.ts";

Deno.test("metricsAt: each of the nodes that were started together has a port", () => {
  const given = { hostname: "127.0.0.1", port: 65_533 };
  assertEquals(metricsAt(given), given);
  assertEquals(metricsAt(given, 2), { hostname: "127.0.0.1", port: 65_535 });
  assertThrows(() => metricsAt(given, 3), TdsmError, "the last port is 65535");
  const any = { hostname: "::1", port: 0 };
  assertEquals([metricsAt(any, 3), metricsAt(undefined, 3)], [any, undefined]);
  assertEquals(metricsAt("otel", 3), "otel");
});

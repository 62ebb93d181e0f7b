import { assertEquals } from "@std/assert";
import { otelName } from "./otel_metrics.ts";

Deno.test("otelName: the unit and the kind stand beside the name", () => {
  for (
    const [prometheus, name, unit] of [
      ["tdsm_network_sent_bytes_total", "tdsm.network.sent", "By"],
      ["tdsm_fault_duration_seconds", "tdsm.fault.duration", "s"],
      ["tdsm_engine_time_seconds_total", "tdsm.engine.time", "s"],
      ["tdsm_pages", "tdsm.pages", "1"],
    ]
  ) assertEquals(otelName(prometheus!), { name, unit });
});

import { assertEquals, assertThrows } from "@std/assert";
import { parseExposition } from "../../tests/support/exposition_parser.ts";
import { exposition } from "./exposition.ts";
import { Histogram } from "./histogram.ts";

Deno.test("exposition: counters and gauges, with labels whose values may be any text", () => {
  const text = exposition([
    { name: "a_total", help: "All of \\ it,\nreally.", type: "counter", samples: [[{}, 3]] },
    { name: "b", help: "Some.", type: "gauge", samples: [[{ x: 'a"\\\n', y: 2 }, 1.5e-9]] },
    { name: "c", help: "None yet.", type: "gauge", samples: [] },
  ]);
  assertEquals(
    text,
    "# HELP a_total All of \\\\ it,\\nreally.\n# TYPE a_total counter\na_total 3\n" +
      '# HELP b Some.\n# TYPE b gauge\nb{x="a\\"\\\\\\n",y="2"} 1.5e-9\n',
  );
  assertEquals([...parseExposition(text).keys()], ["a_total", "b"]);
});

Deno.test("exposition: a histogram has cumulative buckets in seconds, its sum and its count", () => {
  const durations = new Histogram();
  for (const us of [3, 4, 1000, 1e9]) durations.add(us);
  const [name, help] = ["wait_seconds", "Waits."];
  const text = exposition([{ name, help, type: "histogram", samples: [[{ k: "v" }, durations]] }]);
  const { samples } = parseExposition(text).get(name)!;
  const counts = ["0.000002", "0.000004", "0.000512", "0.001024", "+Inf"].map((le) =>
    samples.get(`wait_seconds_bucket{k="v",le="${le}"}`)
  );
  assertEquals(counts, [0, 2, 2, 3, 4]);
  assertEquals(samples.get('wait_seconds_sum{k="v"}'), 1000.001007);
  assertEquals(samples.get('wait_seconds_count{k="v"}'), 4);
});

Deno.test("exposition: what is not of the format is found by the parser of the tests", () => {
  const head = "# HELP a_total A.\n# TYPE a_total counter\n";
  for (
    const wrong of [
      "a_total 1\n",
      `${head}a_total 1`,
      `${head}b_total 1\n`,
      `${head}a_total 1\na_total 2\n`,
      `${head}a_total{x=1} 1\n`,
      `${head}a_total 1,5\n`,
      head,
      "# HELP a A.\n# TYPE a counter\na 1\n",
      '# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
    ]
  ) assertThrows(() => parseExposition(wrong), Error);
});

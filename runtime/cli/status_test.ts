import { assertEquals, assertStringIncludes } from "@std/assert";
import { type ClusterStatus, formatStatus } from "./status.ts";

Deno.test("formatStatus writes bytes with units, and marks the titles and the nodes that did not answer", () => {
  const counters = {
    homeChunks: 128,
    pagesShared: 1,
    pagesExclusive: 20_000,
    pagesDead: 12,
    pagesOffloaded: 0,
    memoryBytes: 20_013 * 4096,
    memoryLimitBytes: 200 * 2 ** 20,
    faults: 3,
    pagesReceived: 4,
    pagesSent: 5,
    messagesReceived: 6,
    messagesSent: 7,
    bytesReceived: 1_500_000_000,
    bytesSent: 999,
  };
  const status: ClusterStatus = {
    size: 2 ** 26,
    pageSize: 4096,
    compression: false,
    nodes: [
      { id: 1, address: "10.0.0.1", port: 9634, stats: counters },
      { id: 2, address: "::1", port: 40_001, stats: null },
    ],
  };
  const text = formatStatus(status, (piece, style) => `<${style}>${piece}</>`);
  assertEquals(
    text,
    `Region of 64MiB in pages of 4KiB, not compressed on the wire

<bold>NODE  ADDRESS        CHUNKS  SHARED  EXCLUSIVE  DEAD  OFFLOADED   MEMORY   LIMIT</>
   1  10.0.0.1:9634     128       1      20000    12          0  78.2MiB  200MiB
<dim>   2  [::1]:40001         -       -          -     -          -        -       -</>

<bold>NODE  FAULTS  PAGES IN  PAGES OUT  BYTES IN  BYTES OUT  MESSAGES IN  OUT</>
   1       3         4          5    1.4GiB       999B            6    7
<dim>   2       -         -          -         -          -            -    -</>
`,
  );
  assertEquals(formatStatus(status), text.replaceAll(/<.*?>/g, ""));
});

Deno.test("formatStatus fits into 80 columns, with the longest address and the largest counters", () => {
  const address = "2001:0db8:85a3:0000:0000:8a2e:0370:7334";
  const largest = new Proxy({}, { get: () => Number.MAX_SAFE_INTEGER });
  const nodes = [{ id: 1024, address, port: 65_535, stats: largest }];
  const text = formatStatus({ size: 2 ** 40, pageSize: 2 ** 21, compression: true, nodes });
  assertStringIncludes(text, `[${address}]:65535`);
  assertEquals(text.split("\n").filter((line) => line.length > 80), []);
});

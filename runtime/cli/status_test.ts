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
    allocations: [],
    nodes: [
      { id: 1, address: "10.0.0.1", port: 9634, stats: counters, moves: [] },
      { id: 2, address: "::1", port: 40_001, stats: null, moves: null },
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
  const nodes = [{ id: 1024, address, port: 65_535, stats: largest, moves: [2 ** 53 - 1] }];
  const allocations = [{ name: "n".repeat(255), first: 2 ** 28 - 1, count: 1 }];
  const text = formatStatus({
    size: 2 ** 40,
    pageSize: 2 ** 21,
    compression: true,
    allocations,
    nodes,
  });
  assertStringIncludes(text, `[${address}]:65535`);
  assertEquals(text.split("\n").filter((line) => line.length > 80), []);
});

Deno.test("formatStatus lists the allocations that have moved, the one that moved most first", () => {
  const node = (id: number, moves: number[] | null) => ({
    id,
    address: "::1",
    port: 1,
    stats: null,
    moves,
  });
  const status: ClusterStatus = {
    size: 2 ** 26,
    pageSize: 4096,
    compression: false,
    allocations: [
      { name: "grid\x1b[31m", first: 0, count: 100 },
      { name: "still", first: 100, count: 1 },
      { name: "totals", first: 101, count: 1 },
    ],
    nodes: [
      node(1, [20, 0, 300]),
      node(2, null),
      node(3, [1, 0, 310]),
      node(4, [0, 0, 5]),
      node(5, [0, 0, 6]),
    ],
  };
  assertEquals(
    formatStatus(status).split("\n\n").at(-1),
    `ALLOCATION  PAGES  PAGE MOVES  BY NODE
totals          1         621  3: 310, 1: 300, 5: 6, …
grid [31m     100          21  1: 20, 3: 1
`,
  );
});

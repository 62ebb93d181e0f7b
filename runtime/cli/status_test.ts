import { assertEquals } from "@std/assert";
import { type ClusterStatus, formatStatus } from "./status.ts";

Deno.test("formatStatus writes bytes with units, and marks the titles and the nodes that did not answer", () => {
  const counters = {
    pagesShared: 1,
    pagesExclusive: 20_000,
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

<bold>NODE  ADDRESS        SHARED  EXCLUSIVE  FAULTS  PAGES IN  PAGES OUT  MESSAGES IN  MESSAGES OUT  BYTES IN  BYTES OUT</>
   1  10.0.0.1:9634       1      20000       3         4          5            6             7    1.4GiB       999B
<dim>   2  [::1]:40001         -          -       -         -          -            -             -         -          -</>
`,
  );
  assertEquals(formatStatus(status), text.replaceAll(/<.*?>/g, ""));
});

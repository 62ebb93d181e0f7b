/** Metrics of real nodes, read as a scraper would. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ParsedMetric, parseExposition } from "../support/exposition_parser.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

/** Where a node says that it serves its metrics. */
async function metricsUrl({ process }: RemoteNode): Promise<string> {
  return (await process.untilPrinted(/Metrics at (http:\S+)/))[1]!;
}

async function scrape(url: string): Promise<Map<string, ParsedMetric>> {
  const response = await fetch(url);
  const text = await response.text();
  assertEquals(response.status, 200, text);
  assertEquals(
    response.headers.get("content-type"),
    "text/plain; version=0.0.4; charset=utf-8",
  );
  return parseExposition(text);
}

Deno.test("metrics: a node serves what stats() counts, and how long faults, waits and calls take", async () => {
  await using cluster = new ProcessCluster();
  const flags = ["--metrics=0", "--log-level=3"];
  const directory = await cluster.host(...flags);
  const second = await cluster.join(directory, ...flags);
  const urls = await Promise.all([directory, second].map(metricsUrl));
  await directory.evaluate((node) => void node.memory.fill(1, 0, 3 * node.pageSize));
  assertEquals(await second.load(0), 0x01010101);
  await second.store(4, 7);
  await second.evaluate(async (node) => {
    await node.semaphore(7n).release();
    await node.semaphore(7n).acquire();
  });
  const [ofDirectory, ofSecond] = await Promise.all(urls.map(scrape));
  const stats = await second.evaluate((node) => node.stats());
  const value = (metrics: typeof ofSecond, name: string, labels = "") =>
    metrics!.get(name)?.samples.get(name + labels);
  assertEquals(value(ofSecond, "tdsm_faults_total"), stats.faults);
  assertEquals(value(ofSecond, "tdsm_pages_received_total"), stats.pagesReceived);
  assertEquals(value(ofSecond, "tdsm_pages", '{state="exclusive"}'), stats.pagesExclusive);
  assertEquals(
    value(ofSecond, "tdsm_peer_pages_received_total", '{peer="1"}'),
    stats.pagesReceived,
  );
  const durations = ofSecond!.get("tdsm_fault_duration_seconds")!.samples;
  const counts = [...durations].filter(([name]) => name.includes("_count"));
  const count = counts.reduce((sum, [, own]) => sum + own, 0);
  assertEquals(count, stats.faults);
  assert(durations.get('tdsm_fault_duration_seconds_sum{kind="read"}')! > 0);
  const waits = ofDirectory!.get("tdsm_sync_wait_duration_seconds")!.samples;
  assertEquals(waits.get('tdsm_sync_wait_duration_seconds_count{operation="acquire"}'), 1);
  assertEquals(ofSecond!.get("tdsm_sync_wait_duration_seconds"), undefined);
  const [base] = urls[1]!.split("/metrics");
  const statuses = await Promise.all([
    fetch(`${base}/`),
    fetch(urls[1]!, { method: "POST" }),
    fetch(urls[1]!, { method: "HEAD" }),
  ].map(async (answer) => {
    const response = await answer;
    await response.body?.cancel();
    return response.status;
  }));
  assertEquals(statuses, [404, 405, 200]);
  assertEquals((await second.leave()).code, 0);
  const [gone] = [(await scrape(urls[0]!)).get("tdsm_peer_messages_sent_total")];
  assertEquals(gone, undefined, "a node that has left has no samples");
});

Deno.test("metrics: a program that computes does not hinder them", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--metrics=0");
  const url = await metricsUrl(directory);
  await directory.evaluate((node) => {
    // The answer comes first; then the thread blocks until the test has stored something.
    setTimeout(() => {
      const cells = node.view(Int32Array, 0, 1);
      while (Atomics.load(cells, 0) === 0);
    }, 0);
  });
  assert((await scrape(url)).has("tdsm_node_info"));
});

Deno.test("metrics: a port that is taken, and a missing permission, are one line that says so", async () => {
  await using cluster = new ProcessCluster();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const start = (permission: string) => {
    const permissions = ["--no-prompt", "--allow-ffi", permission];
    const args = ["run", ...permissions, "mod.ts", "--port=0", `--metrics=${port}`];
    return cluster.spawn(permission, { args }).exit();
  };
  const [full, narrow] = await Promise.all(["--allow-net", "--allow-net=127.0.0.1:0"].map(start));
  assertEquals(full!.code, 70);
  assertMatch(
    full!.stderr,
    new RegExp(
      `^tdsm: error: Cannot serve metrics at 127\\.0\\.0\\.1:${port}: another program listens .*` +
        "--metrics, or 0 for any free one \\(ListenFailed\\)\\n$",
    ),
  );
  assertMatch(
    narrow!.stderr,
    /^tdsm: error: Cannot use the network at .*--allow-net=127\.0\.0\.1 \(PermissionMissing\)\n$/,
  );
});

/** What a node has exported, by the names of its metrics: a small receiver of OTLP, as JSON. */
class OtlpReceiver implements AsyncDisposable {
  readonly #metrics = new Map<string, OtlpMetric>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#take(request),
  );
  #arrived = Promise.withResolvers<void>();

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #take(request: Request): Promise<Response> {
    const body = await request.json();
    for (const { scopeMetrics } of body.resourceMetrics ?? []) {
      for (const { scope, metrics } of scopeMetrics) {
        if (scope.name !== "tdsm") continue;
        for (const metric of metrics) this.#metrics.set(metric.name, metric);
      }
    }
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
    return Response.json({});
  }

  /** Waits until the metrics that have arrived satisfy a condition. */
  async until(holds: (metrics: ReadonlyMap<string, OtlpMetric>) => boolean): Promise<void> {
    while (!holds(this.#metrics)) await this.#arrived.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

interface OtlpPoint {
  readonly asInt?: string;
  readonly asDouble?: number;
  readonly count?: string | number;
  readonly attributes: { key: string; value: { stringValue?: string } }[];
}

interface OtlpMetric {
  readonly name: string;
  readonly unit: string;
  readonly sum?: { readonly dataPoints: OtlpPoint[] };
  readonly gauge?: { readonly dataPoints: OtlpPoint[] };
  readonly histogram?: { readonly dataPoints: OtlpPoint[] };
}

Deno.test("metrics: with otel Deno exports them, with OpenTelemetry's names and units", async () => {
  await using cluster = new ProcessCluster();
  await using receiver = new OtlpReceiver();
  const directory = await cluster.host();
  const flags = [`--directory-address=${directory.at}`, "--metrics=otel"];
  const second = await RemoteNode.ready(cluster.spawnNode(flags, {
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_METRIC_EXPORT_INTERVAL: "200",
    },
  }));
  await directory.store(0, 1);
  assertEquals(await second.load(0), 1);
  const { faults } = await second.evaluate((node) => node.stats());
  await cluster.bounded(
    "the metrics",
    receiver.until((metrics) => {
      const [point] = metrics.get("tdsm.faults")?.sum?.dataPoints ?? [];
      const durations = metrics.get("tdsm.fault.duration");
      const counts = durations?.histogram?.dataPoints.map(({ count }) => Number(count)) ?? [];
      return Number(point?.asInt ?? point?.asDouble) === faults && durations?.unit === "s" &&
        counts.reduce((sum, count) => sum + count, 0) === faults &&
        metrics.get("tdsm.network.sent")?.unit === "By" &&
        metrics.get("tdsm.pages")?.gauge?.dataPoints.length === 3;
    }),
  );
  assertEquals((await second.leave()).code, 0);
});

Deno.test("metrics: with otel where Deno's OpenTelemetry is off, one line says so", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", "--no-prompt", "--allow-ffi", "--allow-net", "mod.ts", "--port=0"];
  const { code, stderr } = await cluster.spawn("off", { args: [...args, "--metrics=otel"] }).exit();
  assertEquals(code, 2);
  assertMatch(
    stderr,
    /^tdsm: error: Cannot use metrics otel: .*Set OTEL_DENO=true .*\(InvalidOption\)\n$/,
  );
});

Deno.test("metrics: with 500 connections that ask for nothing they are served, and the node goes on", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--metrics=0");
  const second = await cluster.join(directory);
  const [, port] = await directory.process.untilPrinted(/Metrics at http:\/\/127\.0\.0\.1:(\d+)\//);
  const address = { hostname: "127.0.0.1", port: Number(port) };
  const idle: Deno.TcpConn[] = [];
  try {
    while (idle.length < 500) idle.push(await Deno.connect(address));
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assertMatch(text, /^tdsm_faults_total \d+$/m);
    await second.store(0, 7);
    assertEquals(await directory.load(0), 7);
    // The engine sleeps; its timers end that.
    assertEquals(await idle.at(-1)!.read(new Uint8Array(1)), null);
    assertEquals(
      directory.process.stderr.match(/Not every connection for metrics is served/g)?.length,
      1,
    );
  } finally {
    for (const connection of idle) connection.close();
  }
  assertEquals((await second.leave()).code, 0);
  assertEquals((await directory.leave()).code, 0);
});

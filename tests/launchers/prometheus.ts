/** A real Prometheus reads the metrics of real nodes. Run by `./tdsm test:launchers`. */

import { assert, assertEquals } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { testsWith } from "./needs.ts";

const test = testsWith(["prometheus"]);

/** Where a node says that it serves its metrics. */
async function metricsAt({ process }: RemoteNode): Promise<string> {
  return (await process.untilPrinted(/Metrics at http:\/\/(\S+)\/metrics/))[1]!;
}

/** A Prometheus that looks at some nodes twice a second. */
class Prometheus implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: Deno.ChildProcess;
  readonly #port: number;

  constructor(targets: readonly string[]) {
    this.#folder = Deno.makeTempDirSync();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#port = listener.addr.port;
    const config = {
      scrape_configs: [{
        job_name: "tdsm",
        scrape_interval: "500ms",
        scrape_timeout: "500ms",
        static_configs: [{ targets }],
      }],
    };
    // Every JSON is YAML.
    Deno.writeTextFileSync(`${this.#folder}/prometheus.yml`, JSON.stringify(config));
    const args = [
      `--config.file=${this.#folder}/prometheus.yml`,
      `--storage.tsdb.path=${this.#folder}/data`,
      `--web.listen-address=127.0.0.1:${this.#port}`,
    ];
    listener.close();
    const command = new Deno.Command("prometheus", { args, stdout: "null", stderr: "null" });
    this.#process = command.spawn();
  }

  /** Asks again and again until the answer has so many samples: it tells nobody of a scrape. */
  async query(expression: string, samples: number): Promise<Map<string, number>> {
    const url = new URL(`http://127.0.0.1:${this.#port}/api/v1/query`);
    url.searchParams.set("query", expression);
    const giveUpAt = performance.now() + 60_000;
    for (;;) {
      const found = await this.#ask(url);
      if (found.size === samples) return found;
      if (performance.now() > giveUpAt) throw new Error(`${expression}: ${Deno.inspect(found)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #ask(url: URL): Promise<Map<string, number>> {
    let text: string;
    try {
      text = await (await fetch(url)).text();
    } catch {
      return new Map();
    }
    const { status, data } = text.startsWith("{") ? JSON.parse(text) : { status: "starting" };
    if (status !== "success") return new Map();
    type Sample = { metric: Record<string, string>; value: [number, string] };
    return new Map(
      (data.result as Sample[]).map(({ metric, value }) => [metric.instance!, Number(value[1])]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

test("prometheus: promtool finds nothing to say of the metrics, and they can be queried", async () => {
  await using cluster = new ProcessCluster();
  const flags = ["--metrics=0"];
  const directory = await cluster.host(...flags);
  const second = await cluster.join(directory, ...flags);
  const targets = await Promise.all([directory, second].map(metricsAt));
  await directory.evaluate((node) => void node.memory.fill(1, 0, 3 * node.pageSize));
  await second.load(0);
  for (const target of targets) {
    const text = await (await fetch(`http://${target}/metrics`)).text();
    const promtool = new Deno.Command("promtool", {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await new Blob([text]).stream().pipeTo(promtool.stdin);
    const { code, stdout, stderr } = await promtool.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals([code, said], [0, ""]);
  }
  await using prometheus = new Prometheus(targets);
  const faults = await prometheus.query("tdsm_faults_total", 2);
  const stats = await Promise.all(
    [directory, second].map((node) => node.evaluate((it) => it.stats())),
  );
  assertEquals(targets.map((target) => faults.get(target)), stats.map((own) => own.faults));
  const slow = await prometheus.query(
    'histogram_quantile(0.99, tdsm_fault_duration_seconds_bucket{kind="read"}) > 0',
    1,
  );
  const [quantile] = slow.values();
  assert(quantile! > 1e-6 && quantile! < 16, `${quantile}`);
  const ids = await prometheus.query("count by (instance, node) (tdsm_node_info)", 2);
  assertEquals([...ids.keys()].sort(), targets.toSorted());
});

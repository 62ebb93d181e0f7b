/**
 * The real Perfetto, in Debian's Chromium, opens traces of real nodes and is asked what it has read
 * of them. Run by `./tdsm test:launchers`. With `SCREENSHOTS=FOLDER` each test leaves a picture.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Browser, chromium, type Page } from "playwright-core";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { arrowsOf, parseTrace, type TraceEvent } from "../support/trace_checker.ts";
import { PERFETTO_PAGES, testsWith } from "./needs.ts";

const WAIT_MAX_MS = 60_000;
/** Chromium keeps connections and timers of its own. */
const test = testsWith(["chromium", "perfetto"], { sanitizeOps: false, sanitizeResources: false });

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css",
  html: "text/html",
  js: "text/javascript",
  json: "application/json",
  wasm: "application/wasm",
};

/** Serves Perfetto's pages, and a trace where they look for one. */
function serve(trace: string): Deno.HttpServer<Deno.NetAddr> {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  return Deno.serve(options, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/vizviewer_info" || pathname === "/file_info") return Response.json({});
    const path = pathname === "/" ? "/index.html" : pathname;
    const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    try {
      const file = await Deno.readFile(path === "/localtrace" ? trace : `${PERFETTO_PAGES}${path}`);
      return new Response(file, { headers: { "content-type": type } });
    } catch {
      return new Response(null, { status: 404 });
    }
  });
}

/** Perfetto with a trace. */
class Perfetto implements AsyncDisposable {
  readonly #server: Deno.HttpServer;
  readonly #browser: Browser;
  readonly #page: Page;
  readonly #errors: string[] = [];

  private constructor(server: Deno.HttpServer, browser: Browser, page: Page) {
    this.#server = server;
    this.#browser = browser;
    this.#page = page;
    page.setDefaultTimeout(WAIT_MAX_MS);
    page.on("pageerror", ({ message }) => this.#errors.push(message));
  }

  /** Opens a trace; resolves once it is on the time line. */
  static async open(trace: string): Promise<Perfetto> {
    const server = serve(trace);
    // The sandbox of Chromium does not start as root, as which these tests run.
    const args = ["--no-sandbox"];
    const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
    const page = await browser.newPage({ viewport: { width: 1400, height: 800 } });
    const perfetto = new Perfetto(server, browser, page);
    await page.goto(`http://127.0.0.1:${server.addr.port}/`);
    await page.waitForFunction("globalThis.app?.trace !== undefined");
    await page.evaluate("globalThis.waitForPerfettoIdle()");
    return perfetto;
  }

  /**
   * Asks for rows.
   *
   * @param columns SQL expressions.
   * @param rest The query from `FROM` on.
   * @returns The values of each row.
   */
  async query<Row extends readonly unknown[]>(
    columns: readonly string[],
    rest: string,
  ): Promise<Row[]> {
    const sql = `SELECT json_group_array(json_array(${columns.join(", ")})) AS rows ${rest}`;
    // The word for a column of text in Perfetto's own scripts.
    const script = `globalThis.app.trace.engine.query(${JSON.stringify(sql)})
      .then((result) => result.firstRow({ rows: "str" }).rows)`;
    return JSON.parse(await this.#page.evaluate<string>(script));
  }

  /** Compares what Perfetto has read with the events of the file: nothing is missing or moved. */
  async check(events: readonly TraceEvent[]): Promise<void> {
    assertEquals(this.#errors, []);
    assertEquals(
      await this.query(["name", "value"], "FROM stats WHERE severity <> 'info' AND value > 0"),
      [],
    );
    const spans = events.filter(({ ph }) => ph === "X" || ph === "i");
    const inOrder = spans.map(({ tid, name, ts, dur = 0 }) =>
      `${name} of ${tid} at ${Math.round(ts! * 1000)} for ${Math.round(dur * 1000)}`
    ).sort();
    const read = await this.query<[number, string, number, number]>(
      ["tid", "slice.name", "slice.ts", "slice.dur"],
      "FROM slice JOIN thread_track ON track_id = thread_track.id JOIN thread USING (utid)",
    );
    assertEquals(
      read.map(([tid, name, ts, dur]) => `${name} of ${tid} at ${ts} for ${dur}`).sort(),
      inOrder,
    );
    assertEquals((await this.query(["id"], "FROM flow")).length, arrowsOf(events).length);
  }

  /** Leaves a picture, where that is asked for. */
  async picture(name: string): Promise<void> {
    const folder = Deno.env.get("SCREENSHOTS");
    if (folder !== undefined) await this.#page.screenshot({ path: `${folder}/${name}.png` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    await this.#server.shutdown();
  }
}

/** Nodes write to one page in turns, wait for each other and call each other. */
async function work(nodes: readonly RemoteNode[]): Promise<void> {
  for (let round = 0; round < 20; round++) {
    for (const [index, node] of nodes.entries()) await node.store(4 * index, round + 1);
  }
  await Promise.all(nodes.map((node) => node.evaluate((it) => it.barrier("done", 2).wait())));
}

function readTrace(path: string, end = ""): TraceEvent[] {
  return parseTrace(Deno.readTextFileSync(path) + end);
}

test("perfetto: traces of two nodes, alone and merged, are read without an error", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    await using cluster = new ProcessCluster();
    const flag = `--trace=${folder}/trace.json`;
    const directory = await cluster.host(flag, "--no-migration");
    const second = await cluster.join(directory, flag);
    await work([directory, second]);
    assertEquals((await second.leave()).code, 0);
    assertEquals((await directory.leave()).code, 0);
    const files = [1, 2].map((id) => `${folder}/trace.${id}.json`);
    const out = `${folder}/all.json`;
    const args = ["run", "-A", "mod.ts", "--merge-traces", out, ...files];
    assertEquals((await cluster.spawn("merging", { args }).exit()).code, 0);
    {
      await using alone = await Perfetto.open(files[1]!);
      await alone.check(readTrace(files[1]!));
    }
    await using merged = await Perfetto.open(out);
    await merged.check(readTrace(out));
    const names = await merged.query<[number, string]>(
      ["pid", "name"],
      "FROM process WHERE name IS NOT NULL",
    );
    assertEquals(names.map(([pid]) => pid).sort(), [1, 2]);
    for (const [pid, name] of names) assertMatch(name, new RegExp(`^node ${pid} at 127\\.`));
    // Each arrow is drawn from the sending of a message to its arrival at the other node.
    const arrows = await merged.query<[string, string, number, number, number]>(
      ["o.name", "i.name", "a.upid <> b.upid", "i.ts - o.ts", "i.dur"],
      `FROM flow JOIN slice AS o ON o.id = slice_out JOIN slice AS i ON i.id = slice_in
       JOIN thread_track AS ot ON ot.id = o.track_id JOIN thread AS a ON a.utid = ot.utid
       JOIN thread_track AS it ON it.id = i.track_id JOIN thread AS b ON b.utid = it.utid`,
    );
    assert(arrows.length > 40, `${arrows.length} arrows`);
    for (const [sent, arrived, isOther, ns] of arrows) {
      assertEquals([sent, isOther], [`send ${arrived}`, 1]);
      assert(ns >= -1_000, `${arrived} arrives ${-ns} ns before it was sent`);
    }
    await merged.picture("perfetto");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

test("perfetto: the trace of a node that was killed is read up to its end", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host("--log-level=0");
    const second = await cluster.join(directory, `--trace=${folder}/trace.json`);
    await work([directory, second]);
    const path = `${folder}/trace.2.json`;
    using watcher = Deno.watchFs(path);
    if (!Deno.readTextFileSync(path).includes("barrier done")) {
      const written = async (): Promise<void> => {
        for await (const _ of watcher) {
          if (Deno.readTextFileSync(path).includes("barrier done")) return;
        }
      };
      await cluster.bounded("a trace that tells of the barrier", written());
    }
    second.process.kill();
    await second.process.exit();
    await using perfetto = await Perfetto.open(path);
    await perfetto.check(readTrace(path, "]"));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

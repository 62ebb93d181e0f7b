/**
 * The dashboard in a real browser, Debian's Chromium. Run by `./tdsm test:launchers`. With
 * `SCREENSHOTS=FOLDER` each test leaves a picture there.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Browser, chromium, type Page } from "playwright-core";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { testsWith } from "./needs.ts";

const CHROMIUM = "/usr/bin/chromium";
const WAIT_MAX_MS = 60_000;
/** Chromium keeps connections and timers of its own. */
const test = testsWith(["chromium"], { sanitizeOps: false, sanitizeResources: false });

/** A browser that looks at a dashboard. */
class Looker implements AsyncDisposable {
  readonly page: Page;
  readonly errors: string[] = [];
  readonly #browser: Browser;

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser;
    this.page = page;
    page.setDefaultTimeout(WAIT_MAX_MS);
    page.on("pageerror", (error) => this.errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
  }

  /** Opens a dashboard in a window of a size, light or dark. */
  static async open(
    url: string,
    width = 1280,
    height = 1000,
    colorScheme: "light" | "dark" = "light",
  ): Promise<Looker> {
    // The sandbox of Chromium does not start as root, as which these tests run.
    const args = ["--no-sandbox"];
    const browser = await chromium.launch({ executablePath: CHROMIUM, args });
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    const looker = new Looker(browser, page);
    await page.goto(url);
    return looker;
  }

  /** Waits until a text is in an element. */
  async until(selector: string, text: string | RegExp): Promise<void> {
    await this.page.locator(selector).filter({ hasText: text }).first().waitFor();
  }

  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).innerText()).trim();
  }

  /** Whether the page is as wide as its window, so that nobody has to scroll sideways. */
  fits(): Promise<boolean> {
    return this.page.evaluate(
      "document.documentElement.scrollWidth <= document.documentElement.clientWidth",
    );
  }

  /** Leaves a picture, where that is asked for. */
  async picture(name: string): Promise<void> {
    const folder = Deno.env.get("SCREENSHOTS");
    if (folder !== undefined) await this.page.screenshot({ path: `${folder}/${name}.png` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

/** A directory node with a dashboard, and what joins it. */
interface Watched {
  readonly url: string;
  readonly join: (...flags: string[]) => Promise<RemoteNode>;
}

async function watch(cluster: ProcessCluster, ...flags: string[]): Promise<Watched> {
  const permissions = ["--allow-ffi", "--allow-net"];
  const args = ["run", "--no-prompt", ...permissions, "mod.ts", "--port=0", ...flags];
  const main = cluster.spawn("the dashboard", { args });
  const [, url] = await main.untilPrinted(/The dashboard is at (http:\S+)\n/);
  const [, port] = await main.untilPrinted(/--directory-address 127\.0\.0\.1:(\d+)/);
  const join = (...flags: string[]) =>
    RemoteNode.ready(cluster.spawnNode([`--directory-address=127.0.0.1:${port}`, ...flags]));
  return { url: url!, join };
}

/** Has nodes work: all on one array, and two of them on neighbouring cells of another. */
async function work(nodes: readonly RemoteNode[]): Promise<void> {
  for (const [rank, node] of nodes.entries()) {
    await node.evaluate(async (node, rank) => {
      const totals = await node.alloc(Int32Array, 16, { name: "totals" });
      const grid = await node.alloc(Float64Array, 60_000, { name: "grid" });
      const table = await node.alloc(Float64Array, 200_000, { name: "table" });
      if (rank === 0) table.fill(1);
      if (rank < 2) setInterval(() => Atomics.add(totals, rank, 1), 2);
      let step = 0;
      setInterval(() => {
        // Each goes on through the grid, behind the others.
        const at = (step++ * 512 + rank * 15_000) % grid.length;
        for (let cell = at; cell < Math.min(at + 512, grid.length); cell++) grid[cell]! += rank;
      }, 100);
    }, rank);
  }
}

test(
  "dashboard: the page that nodes fight over is found in three clicks",
  async () => {
    await using cluster = new ProcessCluster();
    const { url, join } = await watch(cluster, "--dashboard=0");
    const nodes = [await join(), await join(), await join()];
    await work(nodes);
    await using looker = await Looker.open(url, 1280, 640);
    const { page } = looker;
    await looker.until("#state", "live");
    await looker.until("#tile-fought", "totals");
    assertEquals(await looker.text("#tile-nodes"), "4");
    // One click on the allocation, one on its page.
    await page.locator("#allocations button").first().click();
    await page.locator("#cells button").first().click();
    await looker.until("#cell-detail", /Nodes 2, 3 take this page from each other/);
    assertMatch(await looker.text("#cell-detail"), /Taken by\s+node [23]: .*node [23]: /s);
    await looker.until("#links", "2 → 3:");
    await looker.until("#chart-latency .u-legend", "Median");
    await page.evaluate("scrollTo({ top: 0, behavior: 'instant' })");
    await looker.picture("fight");

    // The same from the map of the whole region: a part of it, and then its page. Which cell is the
    // hottest is up to the machine; those with the page are warm.
    const fought = Number(await page.locator("#cells button").first().getAttribute("data-first"));
    await page.keyboard.press("Escape");
    await page.locator('#cells [aria-label^="pages"]').first().waitFor();
    const starts = await page.evaluate<number[]>(
      "[...document.querySelectorAll('#cells button')].map((cell) => Number(cell.dataset.first))",
    );
    const part = starts.findLast((first) => first <= fought);
    await page.locator(`#cells [data-first="${part}"]:not(.heat-0)`).click();
    await looker.until("#path", "pages");
    await page.locator(`#cells [data-first="${fought}"]:not(.heat-0)`).click();
    await looker.until("#cell-detail", "take this page from each other");
    assertEquals(looker.errors, []);
  },
);

test(
  "dashboard: a node that dies is missed, and a cluster that ends is said to",
  async () => {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host();
    const at = `--directory-address=${directory.at}`;
    const args = ["run", "--no-prompt", "--allow-net", "mod.ts", "--dashboard=0", at];
    const main = cluster.spawn("the dashboard", { args });
    const [, url] = await main.untilPrinted(/The dashboard is at (http:\S+)\n/);
    const second = await cluster.join(directory);
    await second.evaluate((node) => void node.mutex("ledger").lock());
    await using looker = await Looker.open(url!);
    await looker.until("#places", "held by node 2");
    await looker.until("#tile-nodes", "2");
    second.process.kill();
    await looker.until("#events .warning", "Node 2 is lost");
    await looker.until("#tile-nodes", "1");
    assertEquals(await looker.page.locator("#nodes tr").count(), 1);
    await looker.picture("death");
    await directory.leave();
    await looker.until("#state.lost", "no directory at");
    const again = cluster.spawnNode(["--directory", `--port=${directory.info.port}`]);
    await RemoteNode.ready(again);
    await looker.until("#state.live", "live");
  },
);

test("dashboard: dark, in a narrow window and by the keyboard alone", async () => {
  await using cluster = new ProcessCluster();
  const { url, join } = await watch(cluster, "--dashboard=0");
  await work([await join(), await join()]);
  await using looker = await Looker.open(url, 400, 900, "dark");
  const { page } = looker;
  await looker.until("#tile-fought", "totals");
  assert(await looker.fits(), "nothing sticks out of a narrow window");
  const background = () => page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
  const dark = await background();
  await looker.picture("narrow");
  await page.keyboard.press("t");
  assert(await background() !== dark, "t changes the looks");

  await page.locator("#cells button").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("End");
  const focused = () => page.evaluate<string>("document.activeElement.ariaLabel");
  assertMatch(await focused(), /^pages \d+–16383: /);
  await page.keyboard.press("Enter");
  await looker.until("#path", "pages");
  // The cells that are left have the focus.
  await page.locator("#cells button:focus[aria-label^='page ']").waitFor();
  await page.keyboard.press("Escape");
  assertEquals(await looker.text("#path"), "Region");

  await page.keyboard.press("p");
  await looker.until("#state", "paused");
  await page.keyboard.press("p");
  await looker.until("#state", "live");
  assertEquals(looker.errors, []);
});

test(
  "dashboard: beyond loopback a browser without the token sees one line",
  async () => {
    await using cluster = new ProcessCluster();
    const { url } = await watch(cluster, "--dashboard=0.0.0.0:0");
    const whole = url.replace("HOST", "127.0.0.1");
    await using stranger = await Looker.open(whole.replace(/\?.*/, ""));
    assertEquals(
      await stranger.text("body"),
      "The dashboard needs its token: open the address that it has printed",
    );
    await using looker = await Looker.open(whole);
    await looker.until("#state", "live");
    assertEquals(new URL(looker.page.url()).search, "");
    assertStringIncludes(await looker.text("#cluster"), "Cluster at 127.0.0.1:");
  },
);

test("dashboard: 64 nodes, all of which are shown", async () => {
  await using cluster = new ProcessCluster();
  const { url, join } = await watch(cluster, "--dashboard=0");
  const hosts = await Promise.all([join(), join(), join()]);
  // Each of these processes has as many nodes more as make 64 with the directory node.
  await Promise.all(hosts.map(async (host) => {
    for (let count = 0; count < 20; count++) {
      // Each by a call of its own, so that what has to be done in time is one join, and not twenty.
      await host.evaluate(
        async (node, module, count) => {
          const { join } = await import(module);
          const { address, port } = node.peers().find(({ id }) => id === 1)!;
          const other = await join({
            directoryAddress: `${address}:${port}`,
            address: "127.0.0.1",
            port: 0,
            rpcServer: true,
            signals: false,
            joinTimeoutMs: 60_000,
          });
          const totals = await other.alloc(Int32Array, 16, { name: "totals" });
          setInterval(() => Atomics.add(totals, count % 16, 1), 500);
        },
        import.meta.resolve("../../mod.ts"),
        count,
      );
    }
  }));
  await using looker = await Looker.open(url);
  await looker.until("#tile-nodes", "64");
  await looker.until("#tile-silent", "all answer");
  // How fast its page moves is up to the machine, which has one core for many of them.
  await looker.until("#allocations", "totals");
  assertEquals(await looker.page.locator("#nodes tr").count(), 64);
  assert(await looker.fits());
  await looker.picture("many");
  assertEquals(looker.errors, []);
});

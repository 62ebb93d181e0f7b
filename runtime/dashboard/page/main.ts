/**
 * The page of the dashboard: asks once a second what there is to see, while somebody looks, and
 * shows it.
 */

import { formatBytes, formatCount } from "../format.ts";
import { type ClusterView, History } from "../model.ts";
import type { ClusterSnapshot, Snapshot } from "../snapshot.ts";
import { makeCharts } from "./charts.ts";
import { byId, setText } from "./dom.ts";
import { HeatMap } from "./heat.ts";
import { Tables } from "./tables.ts";

const INTERVAL_MS = 1000;
/** How soon it asks anew where other cells are to be shown. */
const SOON_MS = 250;

const charts = makeCharts();
const heat = new HeatMap(() => askSoon(0, true));
const tables = new Tables((range) => {
  heat.open(range);
  byId("heat").scrollIntoView({ behavior: "smooth", block: "nearest" });
});
const past = new History();
let last: ClusterSnapshot | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let isAsking = false;
let isDueSoon = false;
let isPaused = false;

/** Asks after a while, even if the page is paused where something else is to be shown. */
function askSoon(delayMs: number, isElse = false): void {
  clearTimeout(timer);
  // Nobody looks at a page that is hidden: the browser tells when somebody does again.
  if ((isPaused && !isElse) || document.hidden) return;
  if (isAsking) isDueSoon = true;
  else timer = setTimeout(ask, delayMs);
}

async function ask(): Promise<void> {
  isAsking = true;
  isDueSoon = false;
  let delayMs = INTERVAL_MS;
  try {
    const { run } = heat;
    const query = run === undefined ? "" : `?first=${run.first}&count=${run.count}`;
    const response = await fetch(`snapshot${query}`);
    if (!response.ok) throw new Error((await response.text()).trim());
    show(await response.json() as Snapshot);
    // Of cells that are new there is no rate before the second look.
    if (isDueSoon) delayMs = 0;
    else if (last?.run?.first !== heat.run?.first || last?.run?.count !== heat.run?.count) {
      delayMs = SOON_MS;
    }
  } catch (error) {
    const reason = error instanceof TypeError ? "the dashboard does not answer" : `${error}`;
    say("lost", reason.replace(/^Error: /, ""));
  } finally {
    isAsking = false;
    askSoon(delayMs, delayMs < INTERVAL_MS);
  }
}

function show(snapshot: Snapshot): void {
  if (snapshot.kind === "none") return say("lost", snapshot.reason);
  const isFirst = last?.session !== snapshot.session;
  last = snapshot;
  const view = past.take(snapshot);
  heat.begin(snapshot.size / snapshot.pageSize);
  if (!isPaused) say("live", "live");
  showTiles(view);
  tables.show(view);
  heat.show(snapshot.run, view.cells);
  if (isFirst) return;
  for (const chart of charts) chart.push(view);
}

function showTiles({ snapshot, nodes, sums, allocations }: ClusterView): void {
  const { directory, size, pageSize } = snapshot;
  setText(
    byId("cluster"),
    `Cluster at ${directory} · ${formatBytes(size)} in pages of ${formatBytes(pageSize)}`,
  );
  const silent = nodes.filter(({ stats }) => stats === null).length;
  const known = nodes.map(({ stats }) => stats ?? {});
  const memory = known.reduce((sum, { memoryBytes = 0 }) => sum + memoryBytes, 0);
  const limit = known.reduce((sum, { memoryLimitBytes = 0 }) => sum + memoryLimitBytes, 0);
  setText(byId("tile-nodes"), String(nodes.length));
  setText(byId("tile-silent"), silent === 0 ? "all answer" : `${silent} do not answer`);
  setText(byId("tile-faults"), `${formatCount(sums.faults ?? 0)}/s`);
  setText(byId("tile-moves"), `${formatCount(sums.pagesMoved ?? 0)}/s`);
  setText(byId("tile-bytes"), `${formatBytes(sums.bytesSent ?? 0)}/s`);
  setText(byId("tile-memory"), formatBytes(memory));
  setText(byId("tile-limit"), `of ${formatBytes(limit)}`);
  const fought = allocations.filter(({ isFought }) => isFought);
  setText(byId("tile-fought"), fought[0]?.name ?? "none");
  setText(
    byId("tile-fighters"),
    fought[0] === undefined ? "" : `${formatCount(fought[0].perSecond)} moves a second`,
  );
  byId("tile-fought").parentElement!.classList.toggle("alarm", fought.length > 0);
}

function say(state: "live" | "lost" | "paused", text: string): void {
  const element = byId("state");
  element.className = `state ${state}`;
  setText(element, text);
}

function setPaused(paused: boolean): void {
  isPaused = paused;
  const button = byId("pause");
  button.ariaPressed = String(paused);
  if (paused) say("paused", "paused");
  askSoon(0);
}

/** Takes other colours: `light` or `dark`; `""` are those of the system. */
function setTheme(theme: string): void {
  document.documentElement.dataset.theme = theme;
  for (const chart of charts) chart.draw();
}

byId("pause").addEventListener("click", () => setPaused(!isPaused));
byId("theme").addEventListener("click", () => {
  const isDark = document.documentElement.dataset.theme === "dark" ||
    (document.documentElement.dataset.theme === "" &&
      matchMedia("(prefers-color-scheme: dark)").matches);
  setTheme(isDark ? "light" : "dark");
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  // What the user has chosen stays.
  setTheme(document.documentElement.dataset.theme ?? "");
});
document.addEventListener("visibilitychange", () => askSoon(0));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "p") setPaused(!isPaused);
  else if (event.key === "t") byId("theme").click();
  else if (event.key === "Escape") heat.leave();
});
askSoon(0);

/** The lists of the page: allocations, nodes, links, locks and events. */

import { formatBytes, formatCount } from "../format.ts";
import {
  type AllocationView,
  type ClusterView,
  describePlace,
  heatOf,
  type LinkView,
  type NodeView,
} from "../model.ts";
import type { EventSnapshot, PlaceSnapshot } from "../snapshot.ts";
import { byId, KeyedList, make, setText } from "./dom.ts";
import { nodeClass, type Range } from "./heat.ts";

const LINKS_SHOWN = 12;
const NODES_NAMED = 4;

/** A column of the nodes' table: what it shows, and how. */
type Column = readonly [key: string, text: (node: NodeView) => string];

const rate = (name: string, format: (value: number) => string) => ({ rates }: NodeView): string =>
  rates[name] === undefined ? "–" : format(rates[name]);
const COLUMNS: readonly Column[] = [
  ["faults", rate("faults", formatCount)],
  ["moves", rate("pagesMoved", formatCount)],
  ["in", rate("pagesReceived", formatCount)],
  ["out", rate("pagesSent", formatCount)],
  ["bytes-in", rate("bytesReceived", formatBytes)],
  ["bytes-out", rate("bytesSent", formatBytes)],
  ["messages", rate("messagesSent", formatCount)],
  ["pages", ({ stats }) => {
    if (stats === null) return "–";
    return formatCount((stats.pagesShared ?? 0) + (stats.pagesExclusive ?? 0));
  }],
];

/** The lists of the page. */
export class Tables {
  readonly #allocations: KeyedList<AllocationView, HTMLTableRowElement>;
  readonly #nodes: KeyedList<NodeView, HTMLTableRowElement>;
  readonly #links: KeyedList<LinkView, HTMLLIElement>;
  readonly #places: KeyedList<PlaceSnapshot, HTMLLIElement>;
  readonly #events: KeyedList<EventSnapshot, HTMLLIElement>;
  readonly #open: (range: Range) => void;

  /** @param open Called with an allocation that is to be looked at. */
  constructor(open: (range: Range) => void) {
    this.#open = open;
    this.#allocations = new KeyedList(
      byId("allocations"),
      (allocation) => this.#allocationRow(allocation),
      updateAllocation,
    );
    this.#nodes = new KeyedList(byId("nodes"), nodeRow, updateNode);
    this.#links = new KeyedList(byId("links"), () => make("li"), updateLink);
    this.#places = new KeyedList(byId("places"), () => make("li"), updatePlace);
    this.#events = new KeyedList(byId("events"), eventItem, () => {});
  }

  /** Shows a cluster. */
  show({ snapshot, allocations, othersPerSecond, nodes, links }: ClusterView): void {
    this.#allocations.show(allocations, ({ name, first }) => `${first} ${name}`);
    setText(byId("others"), `${formatCount(othersPerSecond)} a second`);
    byId("no-allocations").hidden = allocations.length > 0;
    this.#nodes.show(nodes, ({ id }) => String(id));
    this.#links.show(links.slice(0, LINKS_SHOWN), ({ from, to }) => `${from} ${to}`);
    byId("no-links").hidden = links.length > 0;
    const { places, events } = snapshot;
    this.#places.show(places, ({ kind, name }) => `${kind} ${name}`);
    byId("no-places").hidden = places.length > 0;
    this.#events.show([...events].reverse(), ({ number, atMs }) => `${number} ${atMs}`);
    byId("no-events").hidden = events.length > 0;
  }

  #allocationRow({ name, first, count }: AllocationView): HTMLTableRowElement {
    const button = make("button", "link", name);
    button.type = "button";
    button.addEventListener("click", () => this.#open({ name, first, count }));
    const row = make(
      "tr",
      "",
      make("th", "", button, make("span", "badge", "fought over")),
      make("td", "number", formatCount(count)),
      make("td", "number"),
      make("td", "movers"),
    );
    (row.firstElementChild as HTMLTableCellElement).scope = "row";
    return row;
  }
}

function updateAllocation(
  row: HTMLTableRowElement,
  { perSecond, byNode, isFought }: AllocationView,
): void {
  row.className = isFought ? "fought" : "";
  const [, , moves, movers] = row.children as unknown as HTMLElement[];
  setText(moves!, `${formatCount(perSecond)}/s`);
  moves!.className = `number heat-text-${heatOf(perSecond)}`;
  const named = byNode.slice(0, NODES_NAMED);
  const key = named.map(({ node, perSecond }) => `${node}:${formatCount(perSecond)}`).join(" ");
  if (movers!.dataset.key === key) return;
  movers!.dataset.key = key;
  const chips = named.map(({ node, perSecond }) =>
    make("span", `chip ${nodeClass(node)}`, `${node}: ${formatCount(perSecond)}/s`)
  );
  movers!.replaceChildren(...chips, byNode.length > named.length ? " …" : "");
}

function nodeRow({ id, at }: NodeView): HTMLTableRowElement {
  const row = make(
    "tr",
    "",
    make("th", "", make("span", `chip ${nodeClass(id)}`, String(id))),
    make("td", "address", at),
    ...COLUMNS.map(([key]) => make("td", `number column-${key}`)),
    make("td", "memory", make("meter"), make("span", "meter-text")),
  );
  (row.firstElementChild as HTMLTableCellElement).scope = "row";
  return row;
}

function updateNode(row: HTMLTableRowElement, node: NodeView): void {
  const { stats } = node;
  row.className = stats === null ? "silent" : "";
  for (const [index, [, text]] of COLUMNS.entries()) setText(row.children[index + 2]!, text(node));
  const [meter, label] = row.lastElementChild!.children as unknown as [HTMLMeterElement, Element];
  const { memoryBytes = 0, memoryLimitBytes = 0 } = stats ?? {};
  meter.max = Math.max(1, memoryLimitBytes);
  meter.high = 0.9 * meter.max;
  meter.value = memoryBytes;
  setText(
    label,
    stats === null
      ? "does not answer"
      : `${formatBytes(memoryBytes)} of ${formatBytes(memoryLimitBytes)}`,
  );
}

function updateLink(item: HTMLElement, { from, to, pagesPerSecond }: LinkView): void {
  setText(item, `${from} → ${to}: ${formatCount(pagesPerSecond)} pages/s`);
}

function updatePlace(item: HTMLElement, place: PlaceSnapshot): void {
  const { kind, name } = place;
  const text = describePlace(place);
  if (item.dataset.text === text) return;
  item.dataset.text = text;
  item.replaceChildren(make("strong", "", `${kind} ${name}`), make("span", "", text));
}

const LEVELS = ["", "error", "warning", "info"];

function eventItem({ atMs, level, text }: EventSnapshot): HTMLLIElement {
  const time = make("time", "", new Date(atMs).toLocaleTimeString());
  time.dateTime = new Date(atMs).toISOString();
  return make("li", LEVELS[level] ?? "info", time, make("span", "", text));
}

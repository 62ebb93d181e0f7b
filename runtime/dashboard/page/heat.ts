/**
 * The heat map: a range of pages as cells, which can be walked by the arrow keys and opened by a
 * click, until a cell is one page.
 */

import { formatCount, formatPages } from "../format.ts";
import { type CellView, type Copies, heatOf, isFought, type NodeRate } from "../model.ts";
import type { Pages } from "../snapshot.ts";
import { byId, make, setText } from "./dom.ts";

/** A range that is shown, and what it is called. */
export interface Range extends Pages {
  readonly name: string;
}

/** How many colours tell nodes apart. */
const NODE_COLOURS = 8;
const LARGEST_LIST = 6;

/** The heat map of the page. */
export class HeatMap {
  readonly #grid = byId("cells");
  readonly #path = byId("path");
  readonly #detail = byId("cell-detail");
  readonly #changed: () => void;
  /** From the whole region to what is shown. */
  #ranges: Range[] = [];
  #cells: readonly CellView[] = [];
  /** The first page of the cell that was clicked. */
  #chosen: number | undefined;
  /** The first page of the cell that is pointed at, or has the focus. */
  #pointed: number | undefined;
  #isByHolder = false;

  /** @param changed Called when other cells are to be shown. */
  constructor(changed: () => void) {
    this.#changed = changed;
    this.#grid.addEventListener("click", (event) => this.#clicked(event));
    this.#grid.addEventListener("focusin", (event) => this.#hovered(event));
    this.#grid.addEventListener("mouseover", (event) => this.#hovered(event));
    for (const kind of ["mouseleave", "focusout"] as const) {
      this.#grid.addEventListener(kind, () => {
        this.#pointed = undefined;
        this.#drawDetail();
      });
    }
    this.#grid.addEventListener("keydown", (event) => this.#pressed(event));
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=colour]")) {
      input.addEventListener("change", () => {
        this.#isByHolder = input.value === "holder";
        this.#draw();
      });
    }
  }

  /** The pages that are shown. */
  get run(): Pages | undefined {
    const range = this.#ranges.at(-1);
    return range && { first: range.first, count: range.count };
  }

  /** Shows the whole region where nothing is shown yet, or the region is another. */
  begin(pages: number): void {
    if (this.#ranges[0]?.count === pages) return;
    this.#ranges = [{ name: "Region", first: 0, count: pages }];
    this.#chosen = undefined;
    this.#moved();
  }

  /** Shows a range. */
  open(range: Range): void {
    this.#ranges = [this.#ranges[0]!, range];
    this.#chosen = range.count === 1 ? range.first : undefined;
    this.#moved();
  }

  /** Goes back to the range around what is shown. */
  leave(): void {
    if (this.#ranges.length < 2) return;
    this.#ranges.pop();
    this.#chosen = undefined;
    this.#moved();
  }

  /** Other cells are to be shown: until they have come, those that are seen can be of no use. */
  #moved(): void {
    this.#cells = [];
    this.#pointed = undefined;
    this.#grid.ariaBusy = "true";
    this.#drawPath();
    this.#changed();
  }

  /** New cells have come: of what is shown, or of what was shown before. */
  show(run: Pages | null, cells: readonly CellView[]): void {
    const shown = this.run;
    if (run === null || shown?.first !== run.first || shown.count !== run.count) return;
    this.#cells = cells;
    this.#grid.ariaBusy = "false";
    this.#draw();
  }

  #draw(): void {
    const grid = this.#grid;
    const hadFocus = grid.contains(document.activeElement);
    while (grid.children.length > this.#cells.length) grid.lastElementChild!.remove();
    while (grid.children.length < this.#cells.length) {
      const button = make("button", "cell");
      button.type = "button";
      button.tabIndex = grid.children.length === 0 ? 0 : -1;
      grid.append(button);
    }
    const first = grid.firstElementChild as HTMLButtonElement | null;
    // Those that had the focus, or would get it by the Tab key, may be gone.
    if (first !== null && grid.querySelector("[tabindex='0']") === null) first.tabIndex = 0;
    if (hadFocus && !grid.contains(document.activeElement)) first?.focus();
    for (const [index, cell] of this.#cells.entries()) {
      const button = grid.children[index] as HTMLButtonElement;
      const heat = this.#isByHolder ? holderClass(cell) : `heat-${heatOf(cell.perSecond)}`;
      const held = cell.owners.length + cell.sharers.length > 0 ? "held" : "free";
      const chosen = cell.first === this.#chosen ? " chosen" : "";
      button.className = `cell ${held} ${heat}${chosen}`;
      button.dataset.first = String(cell.first);
      button.ariaLabel = `${formatPages(cell.first, cell.count)}: ${summaryOf(cell)}`;
    }
    this.#drawDetail();
  }

  #drawPath(): void {
    this.#path.replaceChildren(...this.#ranges.flatMap((range, depth) => {
      const text = depth === 0
        ? "Region"
        : `${range.name} · ${formatPages(range.first, range.count)}`;
      if (depth === this.#ranges.length - 1) {
        const here = make("span", "", text);
        here.ariaCurrent = "true";
        return [here];
      }
      const back = make("button", "link", text);
      back.type = "button";
      back.addEventListener("click", () => {
        while (this.#ranges.length > depth + 1) this.leave();
      });
      return [back, make("span", "separator", "›")];
    }));
  }

  #drawDetail(): void {
    const shown = this.#pointed ?? this.#chosen;
    const cell = this.#cells.find(({ first }) => first === shown);
    if (cell === undefined) {
      const hot = this.#cells.some(({ perSecond }) => (perSecond ?? 0) > 0);
      setText(
        this.#detail,
        hot
          ? "Point at a cell to see which nodes hold its pages and which take them. Click to look closer."
          : "No page moves here.",
      );
      return;
    }
    const title = formatPages(cell.first, cell.count).replace("p", "P");
    const rows: [string, string][] = [
      ["Moves", `${formatCount(cell.perSecond ?? 0)} a second`],
      ["Taken by", listOf(cell.byNode, ({ perSecond }) => `${formatCount(perSecond)}/s`)],
      ["Only copy at", copiesOf(cell.owners, cell)],
      ["Read-only copies at", copiesOf(cell.sharers, cell)],
    ];
    const fought = isFought(cell) ? [make("p", "fought-note", foughtText(cell))] : [];
    const list = make(
      "dl",
      "",
      ...rows.flatMap(([term, text]) => [make("dt", "", term), make("dd", "", text)]),
    );
    this.#detail.replaceChildren(make("h3", "", title), ...fought, list);
  }

  #clicked(event: Event): void {
    const cell = this.#cellOf(event);
    if (cell === undefined) return;
    if (cell.count > 1) {
      const { first, count } = cell;
      const [, allocation] = this.#ranges;
      this.#ranges.push({ name: allocation?.name ?? "Part", first, count });
      this.#chosen = undefined;
      return this.#moved();
    }
    this.#chosen = cell.first;
    this.#draw();
  }

  #hovered(event: Event): void {
    const cell = this.#cellOf(event);
    if (cell === undefined || cell.first === this.#pointed) return;
    this.#pointed = cell.first;
    this.#drawDetail();
  }

  #pressed(event: KeyboardEvent): void {
    const cells = [...this.#grid.children] as HTMLElement[];
    const index = cells.indexOf(document.activeElement as HTMLElement);
    if (index < 0) return;
    const top = cells[0]!.offsetTop;
    const columns = Math.max(1, cells.findIndex(({ offsetTop }) => offsetTop !== top));
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -index,
      End: cells.length - 1 - index,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = cells[index + step];
    if (next === undefined) return;
    cells[index]!.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  #cellOf({ target }: Event): CellView | undefined {
    const first = (target as HTMLElement).dataset.first;
    return this.#cells.find((cell) => String(cell.first) === first);
  }
}

/** The class that names the colour of a node. */
export function nodeClass(node: number): string {
  return `node-${node % NODE_COLOURS}`;
}

function holderClass({ owners, sharers }: CellView): string {
  const nodes = new Set([...owners, ...sharers].map(({ node }) => node));
  const [only] = nodes;
  if (only === undefined) return "heat-0";
  return nodes.size === 1 ? nodeClass(only) : "node-many";
}

function summaryOf({ perSecond, byNode }: CellView): string {
  if (perSecond === undefined) return "not known yet";
  const nodes = byNode.slice(0, LARGEST_LIST).map(({ node }) => node).join(", ");
  return perSecond === 0 ? "no moves" : `${formatCount(perSecond)} moves a second, to ${nodes}`;
}

function foughtText({ byNode, count }: CellView): string {
  const nodes = byNode.slice(0, LARGEST_LIST).map(({ node }) => node)
    .sort((one, other) => one - other).join(", ");
  const what = count === 1 ? "this page" : "these pages";
  return `Nodes ${nodes} take ${what} from each other. If each writes data of its own, give them ` +
    "pages of their own: one alloc for each.";
}

function listOf(rates: readonly NodeRate[], text: (rate: NodeRate) => string): string {
  if (rates.length === 0) return "no node";
  const shown = rates.slice(0, LARGEST_LIST).map((rate) => `node ${rate.node}: ${text(rate)}`);
  return rates.length > LARGEST_LIST ? `${shown.join(" · ")} · …` : shown.join(" · ");
}

function copiesOf(copies: readonly Copies[], { count, owners, sharers }: CellView): string {
  // Nodes are asked one after the other, so a page may be between those that have answered.
  const isFound = owners.length + sharers.length > 0;
  if (copies.length === 0) return isFound ? "no node" : "no node at this moment";
  if (count === 1 && copies === owners && owners.length > 1) {
    return `nodes ${owners.map(({ node }) => node).join(", ")} in turn`;
  }
  const shown = copies.slice(0, LARGEST_LIST).map(({ node, pages }) =>
    count === 1 ? `node ${node}` : `node ${node}: ${pages}`
  );
  return copies.length > LARGEST_LIST ? `${shown.join(" · ")} · …` : shown.join(" · ");
}

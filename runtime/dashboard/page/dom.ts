/** The few things that the page does with elements. */

/**
 * An element of the page that is there from the start.
 *
 * @param id Its id.
 * @returns The element.
 */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no element ${id}`);
  return element;
}

/**
 * Makes an element.
 *
 * @param tag Its tag.
 * @param classes Its classes, parted by spaces.
 * @param children What is in it.
 * @returns The element.
 */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  classes = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (classes !== "") element.className = classes;
  element.append(...children);
  return element;
}

/**
 * Sets the text of an element, if it is another: what is selected, or read aloud, stays.
 *
 * @param element The element.
 * @param text The text.
 */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** The children of an element, each for one item of a list, which stay as long as it does. */
export class KeyedList<Item, Child extends HTMLElement> {
  readonly #parent: HTMLElement;
  readonly #create: (item: Item) => Child;
  readonly #update: (child: Child, item: Item) => void;
  readonly #children = new Map<string, Child>();

  /**
   * @param parent Where the children are.
   * @param create Makes the child of a new item.
   * @param update Brings a child up to date.
   */
  constructor(
    parent: HTMLElement,
    create: (item: Item) => Child,
    update: (child: Child, item: Item) => void,
  ) {
    this.#parent = parent;
    this.#create = create;
    this.#update = update;
  }

  /**
   * Shows a list.
   *
   * @param items Its items, in order.
   * @param keyOf What tells one item from another.
   */
  show(items: readonly Item[], keyOf: (item: Item) => string): void {
    const focused = document.activeElement;
    const keys = new Set(items.map(keyOf));
    for (const [key, child] of this.#children) {
      if (keys.has(key)) continue;
      child.remove();
      this.#children.delete(key);
    }
    let place = this.#parent.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let child = this.#children.get(key);
      if (child === undefined) this.#children.set(key, child = this.#create(item));
      this.#update(child, item);
      if (child === place) place = place.nextElementSibling;
      else this.#parent.insertBefore(child, place);
    }
    // What is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus();
  }
}

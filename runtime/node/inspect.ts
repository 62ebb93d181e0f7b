/**
 * How nodes look in a log: their ids, addresses and sizes, but no bytes of the region, since to
 * show these would fetch pages.
 */

/** Prints values as `Deno.inspect` does. */
type Inspect = (value: unknown, options: object) => string;

/**
 * Has `console.log`, `Deno.inspect` and the inspection of `node:util` show the objects of a class
 * by what their `toJSON` tells.
 *
 * @param type The class.
 */
export function inspectAsJson(type: { readonly prototype: { toJSON(): object } }): void {
  const define = (name: string, show: (self: { toJSON(): object }, args: unknown[]) => string) => {
    Object.defineProperty(type.prototype, Symbol.for(name), {
      value(this: { toJSON(): object }, ...args: unknown[]): string {
        return `${this.constructor.name} ${show(this, args)}`;
      },
    });
  };
  define("Deno.customInspect", (self, [inspect, options]) => {
    return (inspect as Inspect)(self.toJSON(), options as object);
  });
  define("nodejs.util.inspect.custom", (self, [, options, inspect]) => {
    return (inspect as Inspect)(self.toJSON(), options as object);
  });
}

import { assertEquals } from "@std/assert";
import { ownMethods } from "./own_methods.ts";

class Counter {
  #count = 0;

  add(by: number): number {
    return this.#count += by;
  }
}

Deno.test("ownMethods: an object has methods of its own, beside those of its class, until they end", () => {
  const [counter, other] = [new Counter(), new Counter()];
  for (let round = 0; round < 2; round++) {
    const end = ownMethods(counter, {
      add(by) {
        return -Counter.prototype.add.call(this, by);
      },
    });
    assertEquals([counter.add(1), other.add(1)], [-1 - 2 * round, 1 + 2 * round]);
    end();
    assertEquals([counter.add(1), other.add(1)], [2 + 2 * round, 2 + 2 * round]);
  }
});

Deno.test("ownMethods: V8 gives the object its former shape back", async () => {
  const script = `
    import { ownMethods } from ${JSON.stringify(import.meta.resolve("./own_methods.ts"))};
    class Counter { #count = 0; add() { return ++this.#count; } }
    const [counter, other] = [new Counter(), new Counter()];
    const isSame = new Function("a", "b", "return %HaveSameMap(a, b) && %HasFastProperties(a)");
    for (let round = 0; round < 3; round++) {
      const end = ownMethods(counter, { add() { return 0; } });
      if (isSame(counter, other)) throw new Error("it has methods of its own");
      end();
      if (!isSame(counter, other)) throw new Error("its shape is another one");
    }`;
  const url = `data:text/javascript,${encodeURIComponent(script)}`;
  const args = ["run", "--no-config", "--v8-flags=--allow-natives-syntax", "--allow-import", url];
  const { code, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});

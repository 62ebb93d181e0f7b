import { assertThrows } from "@std/assert";
import { attach } from "./attach.ts";
import type { NodeHandle } from "./node.ts";

Deno.test("attach: what is no handle is refused before native code sees it, and what to give is said", () => {
  const wanted = "give node.handle of the thread that joined, sent here by postMessage";
  const handle = { library: "./libnone.so", region: 1, slots: new SharedArrayBuffer(8) };
  const cases: readonly (readonly [given: unknown, shown: string])[] = [
    [undefined, "undefined"],
    [null, "null"],
    ["7", '"7"'],
    [{}, "an object"],
    [{ ...handle, library: undefined }, "an object"],
    [{ ...handle, region: "1" }, "an object"],
    [{ ...handle, slots: new ArrayBuffer(8) }, "an object"],
  ];
  for (const [given, shown] of cases) {
    const message = `Cannot attach to ${shown}: ${wanted}`;
    assertThrows(() => attach(given as NodeHandle), TypeError, message);
  }
});

import { assertEquals } from "@std/assert";
import { ALLOCATIONS_TOLD_MAX } from "../limits.ts";
import { KnownNames } from "./known_names.ts";

Deno.test("KnownNames forgets what is freed, here or, as others are given the bytes, elsewhere", () => {
  const names = new KnownNames();
  names.learn({ name: "a", offset: 0, bytes: 100 });
  names.learn({ name: "b", offset: 100, bytes: 50 });
  names.learn({ name: "c", offset: 4096, bytes: 8192 });
  names.learn({ name: "a", offset: 0, bytes: 100 });
  assertEquals([...names].map(({ name }) => name), ["a", "b", "c"]);
  names.learn({ name: "d", offset: 140, bytes: 4000 });
  assertEquals([...names].map(({ name }) => name), ["a", "d"]);
  names.forget(0);
  assertEquals([...names], [{ name: "d", offset: 140, bytes: 4000 }]);
});

Deno.test("KnownNames has no more names than are told", () => {
  const names = new KnownNames();
  for (let index = 0; index <= ALLOCATIONS_TOLD_MAX; index++) {
    names.learn({ name: `n${index}`, offset: index * 8, bytes: 8 });
  }
  assertEquals([...names].length, ALLOCATIONS_TOLD_MAX);
  names.learn({ name: "anew", offset: 8, bytes: 8 });
  assertEquals([...names].at(1)?.name, "anew");
});

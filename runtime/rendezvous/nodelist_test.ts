import { assertEquals, assertThrows } from "@std/assert";
import { parseNodelist } from "./nodelist.ts";

const LISTS: readonly (readonly [list: string, names: readonly string[]])[] = [
  ["n1", ["n1"]],
  ["n1,n2", ["n1", "n2"]],
  ["login-1.example.org", ["login-1.example.org"]],
  ["n[1-3]", ["n1", "n2", "n3"]],
  ["n[08-11]", ["n08", "n09", "n10", "n11"]],
  ["n[1,3,5-6]", ["n1", "n3", "n5", "n6"]],
  ["n[001]", ["n001"]],
  ["gpu[2-3],n[7,9],x", ["gpu2", "gpu3", "n7", "n9", "x"]],
  ["r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]],
  ["r[1-2]-ib", ["r1-ib", "r2-ib"]],
  ["[1-2]", ["1", "2"]],
  ["n[9-10]x[0],b", ["n9x0", "n10x0", "b"]],
];

for (const [list, names] of LISTS) {
  Deno.test(`parseNodelist: ${list}`, () => assertEquals(parseNodelist(list), names));
}

for (const list of ["", ",", "a,", ",a", "a,,b", "n[", "n]", "n[]", "n[1", "n[1-]", "n[3-1]"]) {
  Deno.test(`parseNodelist refuses ${JSON.stringify(list)}`, () => {
    const message = `${JSON.stringify(list)} is no list of machines such as a,n[01-03,07]`;
    assertEquals(assertThrows(() => parseNodelist(list), RangeError).message, message);
  });
}

for (const list of ["n[a]", "n[1-2-3]", "n[[1]]", "n[1,]", "n[-1]", "n[1 - 2]"]) {
  Deno.test(`parseNodelist refuses ${list}`, () => {
    assertThrows(() => parseNodelist(list), RangeError, "is no list of machines");
  });
}

Deno.test("parseNodelist: what would be too many names is refused before they are made", () => {
  for (const list of ["n[1-1000000000]", "n[0-999]m[0-999]"]) {
    assertThrows(() => parseNodelist(list), RangeError, "has more than 16384 machines");
  }
});

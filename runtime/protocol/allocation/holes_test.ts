import { assertEquals, assertThrows } from "@std/assert";
import { clamp, Holes, roundDown, roundUp } from "./holes.ts";

const UNIT = 8;

function bounds(holes: Holes): [count: number, bytes: number, largest: number] {
  return [holes.count, holes.bytes, holes.largest];
}

Deno.test("Holes: ranges that touch become one hole, on either side and on both", () => {
  const holes = new Holes(UNIT);
  holes.release(64, 72, 64);
  holes.release(72, 80, 72);
  assertEquals(bounds(holes), [1, 16, 16]);
  holes.release(56, 64, 56);
  assertEquals(bounds(holes), [1, 24, 24]);
  holes.release(40, 48, 40);
  assertEquals(bounds(holes), [2, 32, 24]);
  assertEquals({ ...holes.release(48, 56, 48) }.start, 40);
  assertEquals(bounds(holes), [1, 40, 40]);
});

Deno.test("Holes: what is taken from the middle of a hole leaves two", () => {
  const holes = new Holes(UNIT);
  const hole = holes.release(0, 80, 80);
  holes.cut(hole, 32, 48);
  assertEquals(bounds(holes), [2, 64, 32]);
  assertEquals(holes.take(32, UNIT), { offset: 48, dirtyFrom: 80 });
  assertEquals(holes.take(32, UNIT), { offset: 0, dirtyFrom: 32 });
  assertEquals(bounds(holes), [0, 0, 0]);
  assertEquals(holes.take(UNIT, UNIT), undefined);
});

Deno.test("Holes: ranges that no node used stay clean when they become one", () => {
  const holes = new Holes(UNIT);
  holes.release(16, 32, 32);
  holes.release(8, 16, 16);
  holes.release(40, 48, 40);
  assertEquals(holes.release(32, 40, 40).dirtyFrom, 40);
  assertEquals(holes.release(0, 8, 4).dirtyFrom, 4);
});

Deno.test("Holes: what is free cannot be released again, not even in part", () => {
  const holes = new Holes(UNIT);
  holes.release(16, 32, 16);
  for (const [start, end] of [[16, 32], [8, 24], [24, 40], [0, 48], [16, 24]] as const) {
    assertThrows(() => holes.release(start, end, start), RangeError, "are free already");
  }
  assertEquals(bounds(holes), [1, 16, 16]);
});

Deno.test("Holes: a hole at the very start that is too small is not taken for an aligned one", () => {
  // The tree is of another shape each time, as it depends on what was inserted before.
  for (let before = 0; before < 16; before++) {
    const holes = new Holes(UNIT);
    for (let index = 0; index < before; index++) {
      holes.release(0, UNIT, 0);
      holes.take(UNIT, UNIT);
    }
    holes.release(0, UNIT, 0);
    holes.release(72, 88, 72);
    assertEquals(holes.take(2 * UNIT, 64), undefined);
  }
});

Deno.test("roundUp: rounding and clamping are exact beyond 32 bits", () => {
  const top = 2 ** 40;
  assertEquals([roundDown(top - 1, 4096), roundUp(top - 1, 4096)], [top - 4096, top]);
  assertEquals([roundDown(top, 4096), roundUp(top, 4096)], [top, top]);
  assertEquals([clamp(1, 2, 4), clamp(3, 2, 4), clamp(5, 2, 4)], [2, 3, 4]);
});

Deno.test("Holes: the highest place is taken that nothing hinders, from whichever hole", () => {
  const holes = new Holes(UNIT);
  holes.release(0, 160, 160);
  holes.release(200, 240, 240);
  const asked: number[] = [];
  // Of the bytes from 120 to 232 none may be taken.
  const hindrance = (offset: number): number | undefined => {
    asked.push(offset);
    return offset + 16 > 120 && offset < 232 ? Math.max(offset, 120) : undefined;
  };
  assertEquals(holes.take(16, 16, hindrance), { offset: 96, dirtyFrom: 112 });
  // A place that ends where a hindrance begins is the next to be looked at.
  assertEquals(asked, [224, 208, 144, 128, 112, 96]);
  assertEquals(holes.take(160, UNIT, hindrance), undefined);
  assertEquals(holes.bytes, 184);
});
